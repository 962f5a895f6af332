//! What the server's values are as cells.

use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::{Column, Value};

use crate::Cell;

/// The character set of what is no text.
const BINARY: u16 = 63;
/// In `decimals`: however many digits there are.
const ANY_DIGITS: u8 = 31;

/// A value as a cell: numbers as they are, DECIMAL and everything else as the text that MySQL's own client shows.
///
/// # Errors
/// When it is neither number nor label, with its type.
pub(super) fn cell(column: &Column, value: Value) -> Result<Cell, String> {
    match value {
        Value::NULL => Ok(Cell::Null),
        Value::Int(number) => Ok(Cell::Int(number)),
        Value::UInt(number) => Ok(unsigned(number)),
        Value::Float(number) => Ok(Cell::Float(shortest(number))),
        Value::Double(number) => Ok(Cell::Float(number)),
        Value::Date(..) => Ok(Cell::Text(date(column, &value))),
        Value::Time(..) => Ok(Cell::Text(time(column, &value))),
        Value::Bytes(bytes) if column.column_type() == ColumnType::MYSQL_TYPE_BIT => bits(&bytes),
        Value::Bytes(bytes) => text(column, bytes),
    }
}

fn unsigned(number: u64) -> Cell {
    i64::try_from(number).map_or(Cell::UInt(number), Cell::Int)
}

/// The number a FLOAT is written as: 0.1, not 0.10000000149.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| f64::from(number))
}

fn bits(bytes: &[u8]) -> Result<Cell, String> {
    if bytes.len() > 8 {
        return Err(format!("a BIT of {} bytes", bytes.len()));
    }
    Ok(unsigned(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))))
}

fn text(column: &Column, bytes: Vec<u8>) -> Result<Cell, String> {
    let kind = column.column_type();
    if kind == ColumnType::MYSQL_TYPE_GEOMETRY {
        return Err("GEOMETRY is neither number nor label".to_owned());
    }
    let is_text = matches!(
        kind,
        ColumnType::MYSQL_TYPE_NEWDECIMAL | ColumnType::MYSQL_TYPE_DECIMAL | ColumnType::MYSQL_TYPE_JSON
    );
    if !is_text && column.character_set() == BINARY && column.flags().contains(ColumnFlags::BINARY_FLAG) {
        return Err(format!("{} is neither number nor label", binary_name(kind)));
    }
    String::from_utf8(bytes).map(Cell::Text).map_err(|_| "text is not UTF-8".to_owned())
}

fn binary_name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::MYSQL_TYPE_STRING => "BINARY",
        ColumnType::MYSQL_TYPE_VAR_STRING | ColumnType::MYSQL_TYPE_VARCHAR => "VARBINARY",
        _ => "BLOB",
    }
}

/// `2023-11-14`, `2023-11-14 22:13:20`, with as many further digits as the column has.
fn date(column: &Column, value: &Value) -> String {
    let Value::Date(year, month, day, hour, minute, second, micros) = value else { return String::new() };
    let date = format!("{year:04}-{month:02}-{day:02}");
    match column.column_type() {
        ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE => date,
        _ => format!("{date} {hour:02}:{minute:02}:{second:02}{}", fraction(column, *micros)),
    }
}

/// `-838:59:59`, with as many further digits as the column has.
fn time(column: &Column, value: &Value) -> String {
    let Value::Time(negative, days, hours, minutes, seconds, micros) = value else { return String::new() };
    let sign = if *negative { "-" } else { "" };
    let hours = u64::from(*days) * 24 + u64::from(*hours);
    format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{}", fraction(column, *micros))
}

fn fraction(column: &Column, micros: u32) -> String {
    let digits = format!(".{micros:06}");
    match column.decimals() {
        0 => String::new(),
        wanted @ 1..=6 => digits[..=usize::from(wanted)].to_owned(),
        ANY_DIGITS.. if micros == 0 => String::new(),
        _ => digits,
    }
}
