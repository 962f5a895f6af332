//! Rows out of an answer: JSON by JSONPath, CSV, or one plain number. Pure, and run where it may take its time.

use csv::{ReaderBuilder, StringRecord};
use serde_json::Value;

use super::{CsvExtract, HttpQuery, JsonExtract, JsonPathText};
use crate::sources::web::json::{parse, scalar, text};
use crate::text::shown;
use crate::{Cell, Rows, SourceError};

/// More columns are an error.
const MAX_COLUMNS: usize = 256;

/// Takes rows from a body as the query says.
pub(super) fn rows(query: &HttpQuery, body: Vec<u8>, max_rows: usize) -> Result<Rows, SourceError> {
    let text = text(&body)?;
    if let Some(path) = &query.error_path {
        check_error(path, &parse(text)?)?;
    }
    let rows = if let Some(csv) = &query.csv {
        csv_rows(csv, text, max_rows)
    } else if query.number {
        Ok(Rows { columns: vec!["value".into()], rows: vec![vec![Cell::Text(text.trim().to_owned())]] })
    } else {
        json_rows(query.json.as_ref().unwrap_or(&JsonExtract::default()), &parse(text)?, max_rows)
    };
    rows.map_err(SourceError::invalid)
}

fn compiled(path: &JsonPathText) -> Result<&serde_json_path::JsonPath, String> {
    path.compiled().map_err(str::to_owned)
}

/// An answer that was sent as a success but says it is an error.
fn check_error(path: &JsonPathText, answer: &Value) -> Result<(), SourceError> {
    let found = compiled(path).map_err(SourceError::permanent)?.query(answer).all();
    let speaks = |value: &&&Value| match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    };
    match found.iter().find(speaks) {
        Some(error) => {
            let text = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
            Err(SourceError::transient(format!("answer says at {path}: {}", shown(&text, 200))))
        }
        None => Ok(()),
    }
}

fn json_rows(extract: &JsonExtract, answer: &Value, max_rows: usize) -> Result<Rows, String> {
    let found = row_nodes(extract, answer)?;
    if found.len() > max_rows {
        return Err(format!("more than {max_rows} rows: aggregate in the API or raise max_rows"));
    }
    if extract.columns.is_empty() { member_rows(&found) } else { path_rows(extract, &found) }
}

/// The rows. One list found by a path that can only find one thing stands for its elements.
fn row_nodes<'a>(extract: &JsonExtract, answer: &'a Value) -> Result<Vec<&'a Value>, String> {
    let (found, finds_one) = match &extract.rows {
        None => (vec![answer], true),
        Some(path) => {
            let text = path.to_string();
            let finds_one = !["*", "..", "?", ":", ","].iter().any(|sign| text.contains(sign));
            (compiled(path)?.query(answer).all(), finds_one)
        }
    };
    Ok(match found[..] {
        [Value::Array(items)] if finds_one => items.iter().collect(),
        _ => found,
    })
}

fn path_rows(extract: &JsonExtract, found: &[&Value]) -> Result<Rows, String> {
    let paths = extract.columns.values().map(compiled).collect::<Result<Vec<_>, String>>()?;
    let columns: Vec<String> = extract.columns.keys().cloned().collect();
    let mut rows = Vec::with_capacity(found.len());
    for (index, row) in found.iter().enumerate() {
        let cells = paths.iter().zip(&columns).map(|(path, column)| {
            let place = || format!("column `{}`, row {}", shown(column, 60), index + 1);
            match path.query(row).all()[..] {
                [] => Ok(Cell::Null),
                [one] => scalar(one).ok_or_else(|| format!("{}: {} is no scalar", place(), kind(one))),
                ref many => Err(format!("{}: its path finds {} values", place(), many.len())),
            }
        });
        rows.push(cells.collect::<Result<Vec<_>, String>>()?);
    }
    Ok(Rows { columns, rows })
}

/// Rows without named columns: scalars, or the scalar members of objects.
fn member_rows(found: &[&Value]) -> Result<Rows, String> {
    if found.iter().all(|row| scalar(row).is_some()) {
        let rows = found.iter().filter_map(|row| Some(vec![scalar(row)?])).collect::<Vec<_>>();
        let columns = if rows.is_empty() { Vec::new() } else { vec!["value".to_owned()] };
        return Ok(Rows { columns, rows });
    }
    let mut columns: Vec<String> = Vec::new();
    for (index, row) in found.iter().enumerate() {
        let members = row
            .as_object()
            .ok_or_else(|| format!("row {} is {}: name its cells under `columns`", index + 1, kind(row)))?;
        for (name, value) in members {
            if scalar(value).is_some() && !columns.contains(name) {
                columns.push(name.clone());
            }
        }
        if columns.len() > MAX_COLUMNS {
            return Err(format!(
                "rows have more than {MAX_COLUMNS} members: name the wanted ones under `columns`"
            ));
        }
    }
    let cell = |row: &Value, name: &String| row.get(name).and_then(scalar).unwrap_or(Cell::Null);
    let rows = found.iter().map(|row| columns.iter().map(|name| cell(row, name)).collect()).collect();
    Ok(Rows { columns, rows })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn csv_rows(extract: &CsvExtract, text: &str, max_rows: usize) -> Result<Rows, String> {
    let delimiter = u8::try_from(extract.delimiter).map_err(|_| "delimiter is not an ASCII character")?;
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(extract.header)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let describe = |e: csv::Error| format!("answer is not CSV: {e}");
    let header: Vec<String> = if extract.header {
        reader.headers().map_err(describe)?.iter().map(str::to_owned).collect()
    } else {
        extract.columns.clone()
    };
    let mut answer = Rows { columns: header, rows: Vec::new() };
    for record in reader.records() {
        let record = record.map_err(describe)?;
        if answer.rows.len() == max_rows {
            return Err(format!("more than {max_rows} rows: aggregate in the API or raise max_rows"));
        }
        if answer.columns.is_empty() {
            answer.columns = (1..=record.len()).map(|number| format!("c{number}")).collect();
        }
        if record.len() != answer.columns.len() {
            let (has, wants) = (record.len(), answer.columns.len());
            return Err(format!("row {} has {has} fields instead of {wants}", answer.rows.len() + 1));
        }
        answer.rows.push(csv_cells(&record));
    }
    Ok(answer)
}

/// An empty field is a missing one: CSV has no other way to say it.
fn csv_cells(record: &StringRecord) -> Vec<Cell> {
    record
        .iter()
        .map(|field| if field.is_empty() { Cell::Null } else { Cell::Text(field.to_owned()) })
        .collect()
}
