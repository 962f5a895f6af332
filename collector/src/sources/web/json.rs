//! JSON of answers.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::text::shown;
use crate::{Cell, SourceError};

/// The text of a body, without a byte order mark.
pub(crate) fn text(body: &[u8]) -> Result<&str, SourceError> {
    let text = std::str::from_utf8(body).map_err(|e| {
        SourceError::invalid(format!("answer is not UTF-8: byte {} is wrong", e.valid_up_to() + 1))
    })?;
    Ok(text.trim_start_matches('\u{feff}'))
}

/// The text as JSON of a type; what is wrong is told with the text's beginning.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, SourceError> {
    serde_json::from_str(text).map_err(|e| {
        let what = if e.is_data() { "is not what it should be" } else { "is not JSON" };
        SourceError::invalid(format!("answer {what}: {e}; it begins with `{}`", shown(text, 60)))
    })
}

/// A scalar as a cell; `None` for lists and objects.
pub(crate) fn scalar(value: &Value) -> Option<Cell> {
    match value {
        Value::Null => Some(Cell::Null),
        Value::Bool(is) => Some(Cell::Bool(*is)),
        Value::Number(number) => number
            .as_i64()
            .map(Cell::Int)
            .or_else(|| number.as_u64().map(Cell::UInt))
            .or_else(|| number.as_f64().map(Cell::Float)),
        Value::String(text) => Some(Cell::Text(text.clone())),
        Value::Array(_) | Value::Object(_) => None,
    }
}
