//! JSONPath texts, parsed once when the configuration is read.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json_path::JsonPath;

/// Longer paths are refused: the parser recurses, and a hostile one would end the process.
const MAX_CHARS: usize = 1024;
/// More open brackets and parentheses than this are refused, for the same reason.
const MAX_DEPTH: usize = 16;
/// More `..` than this are refused: each multiplies the work by the size of the answer.
const MAX_DESCENTS: usize = 2;

/// A JSONPath as it stands in the configuration. Any text is taken, so that `check` can point at a wrong one;
/// [`JsonPathText::compiled`] says what is wrong with it.
#[derive(Clone)]
pub struct JsonPathText {
    text: String,
    compiled: Result<Arc<JsonPath>, String>,
}

impl JsonPathText {
    /// Parses a text.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let compiled = compile(&text).map(Arc::new);
        Self { text, compiled }
    }

    /// The parsed path.
    ///
    /// # Errors
    /// What is wrong with it and where, in words.
    pub fn compiled(&self) -> Result<&JsonPath, &str> {
        self.compiled.as_deref().map_err(String::as_str)
    }
}

fn compile(text: &str) -> Result<JsonPath, String> {
    if text.chars().count() > MAX_CHARS {
        return Err(format!("JSONPath is longer than {MAX_CHARS} characters"));
    }
    if depth(text) > MAX_DEPTH {
        return Err(format!("JSONPath nests brackets deeper than {MAX_DEPTH}"));
    }
    if text.matches("..").count() > MAX_DESCENTS {
        return Err(format!("JSONPath has more than {MAX_DESCENTS} `..`"));
    }
    JsonPath::parse(text).map_err(|e| {
        format!("`{text}` is not a JSONPath: at character {}: {}", e.position() + 1, e.message())
    })
}

/// The deepest nesting of brackets and parentheses, counting those in quotes too (only ever too many).
fn depth(text: &str) -> usize {
    let (mut open, mut deepest) = (0usize, 0usize);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'!' => open += 1,
            b')' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

impl PartialEq for JsonPathText {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for JsonPathText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl fmt::Display for JsonPathText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for JsonPathText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for JsonPathText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl JsonSchema for JsonPathText {
    fn schema_name() -> Cow<'static, str> {
        "JsonPath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A JSONPath (RFC 9535) such as $.data[*].count.",
            "pattern": "^\\$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_paths_say_what_is_wrong() {
        let long = format!("$.{}", "a".repeat(2000));
        let deep = format!("$[?{}@.a{}]", "(".repeat(100_000), ")".repeat(100_000));
        let nots = format!("$[?{}@.a]", "!".repeat(900));
        for bad in ["", "data", "$[", "$.a[?@.b ==", "$..a..b..c", &long, &deep, &nots] {
            let path = JsonPathText::new(bad);
            let shown: String = bad.chars().take(30).collect();
            assert!(path.compiled().is_err_and(|e| !e.is_empty()), "{shown}");
        }
        assert!(JsonPathText::new("$.data[?@.ok == true].n").compiled().is_ok());
    }
}
