//! PostgreSQL's values as cells. They come in the server's binary form; NUMERIC stays exact, as text.

use std::error::Error;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use tokio_postgres::Column;
use tokio_postgres::types::{FromSql, Kind, Type};

use crate::Cell;
use crate::text::shown;

/// How a column's bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    Money,
    Bool,
    Text,
    /// `char(n)`: the blanks behind are no part of the value.
    Padded,
    Uuid,
    Date,
    Time,
    Timestamp,
    Timestamptz,
}

/// Reads the cells of an answer.
#[derive(Debug)]
pub(super) struct Decoder {
    forms: Vec<Form>,
    zone: Tz,
    /// Digits after the point of `money`.
    money_digits: usize,
}

impl Decoder {
    /// A reader of these columns; instants are written in `zone`.
    ///
    /// # Errors
    /// When a column's type is neither a number nor a label, naming it and what to cast it to.
    pub(super) fn new(columns: &[Column], zone: Tz) -> Result<Self, String> {
        let form = |column: &Column| {
            form(column.type_()).ok_or_else(|| {
                let (name, kind) = (shown(column.name(), 60), shown(&type_name(column.type_()), 60));
                format!(
                    "column `{name}` is of type {kind}, neither number nor label: {}",
                    advice(column.type_())
                )
            })
        };
        let forms = columns.iter().map(form).collect::<Result<_, _>>()?;
        Ok(Self { forms, zone, money_digits: 0 })
    }

    /// Whether [`Self::money_unit`] is needed.
    pub(super) fn has_money(&self) -> bool {
        self.forms.contains(&Form::Money)
    }

    /// Takes what the server sends for one unit of money: it has as many digits after the point as its locale.
    pub(super) fn money_unit(&mut self, one: Bytes<'_>) {
        let unit = one.0.and_then(|bytes| array(bytes).ok()).map_or(1, i64::from_be_bytes);
        self.money_digits = unit.max(1).ilog10() as usize;
    }

    /// The cell of a column.
    ///
    /// # Errors
    /// When the bytes are not what the type promises, or the value has no cell.
    pub(super) fn cell(&self, at: usize, bytes: Bytes<'_>) -> Result<Cell, String> {
        let (Some(bytes), Some(form)) = (bytes.0, self.forms.get(at)) else { return Ok(Cell::Null) };
        Ok(match form {
            Form::Int2 => Cell::Int(i16::from_be_bytes(array(bytes)?).into()),
            Form::Int4 => Cell::Int(i32::from_be_bytes(array(bytes)?).into()),
            Form::Int8 => Cell::Int(i64::from_be_bytes(array(bytes)?)),
            Form::Oid => Cell::Int(u32::from_be_bytes(array(bytes)?).into()),
            Form::Float4 => Cell::Float(widen(f32::from_be_bytes(array(bytes)?))),
            Form::Float8 => Cell::Float(f64::from_be_bytes(array(bytes)?)),
            Form::Numeric => Cell::Text(numeric(bytes)?),
            Form::Money => Cell::Text(scaled(i64::from_be_bytes(array(bytes)?), self.money_digits)),
            Form::Bool => Cell::Bool(array::<1>(bytes)? != [0]),
            Form::Text => Cell::Text(text(bytes)?),
            Form::Padded => Cell::Text(text(bytes)?.trim_end_matches(' ').to_owned()),
            Form::Uuid => Cell::Text(uuid(array(bytes)?)),
            Form::Date => Cell::Text(date(i32::from_be_bytes(array(bytes)?))?),
            Form::Time => Cell::Text(time(i64::from_be_bytes(array(bytes)?))?),
            Form::Timestamp => Cell::Text(timestamp(i64::from_be_bytes(array(bytes)?), civil)?),
            Form::Timestamptz => {
                Cell::Text(timestamp(i64::from_be_bytes(array(bytes)?), |at| zoned(at, self.zone))?)
            }
        })
    }
}

/// A value as the server sent it; `None` is NULL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Bytes<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn form(ty: &Type) -> Option<Form> {
    Some(match *ty {
        Type::INT2 => Form::Int2,
        Type::INT4 => Form::Int4,
        Type::INT8 => Form::Int8,
        Type::OID => Form::Oid,
        Type::FLOAT4 => Form::Float4,
        Type::FLOAT8 => Form::Float8,
        Type::NUMERIC => Form::Numeric,
        Type::MONEY => Form::Money,
        Type::BOOL => Form::Bool,
        Type::BPCHAR => Form::Padded,
        Type::TEXT | Type::VARCHAR | Type::NAME | Type::UNKNOWN | Type::CHAR => Form::Text,
        Type::UUID => Form::Uuid,
        Type::DATE => Form::Date,
        Type::TIME => Form::Time,
        Type::TIMESTAMP => Form::Timestamp,
        Type::TIMESTAMPTZ => Form::Timestamptz,
        _ => return other_form(ty),
    })
}

fn other_form(ty: &Type) -> Option<Form> {
    match ty.kind() {
        Kind::Enum(_) => Some(Form::Text),
        Kind::Domain(inner) => form(inner),
        // Of an extension, and so without a number of its own.
        Kind::Simple if ty.name() == "citext" => Some(Form::Text),
        _ => None,
    }
}

/// The type as people write it.
fn type_name(ty: &Type) -> String {
    match ty.kind() {
        Kind::Array(inner) => format!("{}[]", inner.name()),
        _ => ty.name().to_owned(),
    }
}

/// What to write instead of a column of this type.
fn advice(ty: &Type) -> &'static str {
    match *ty {
        Type::INTERVAL => "take its seconds, extract(epoch FROM ..)",
        Type::BYTEA => "take a number or a text of it, length(..) or encode(.., 'hex')",
        Type::JSON | Type::JSONB => "take a member of it and cast that, (.. ->> 'name')::numeric",
        _ if matches!(ty.kind(), Kind::Array(_)) => "take an element of it, or array_length(.., 1)",
        _ => "cast it, to ::numeric for a number or ::text for a label",
    }
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], String> {
    bytes.try_into().map_err(|_| format!("{} bytes where {N} belong", bytes.len()))
}

fn text(bytes: &[u8]) -> Result<String, String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err("text is not UTF-8".to_owned()),
    }
}

/// The number that is written as the short one is: 0.1, not 0.10000000149.
fn widen(short: f32) -> f64 {
    short.to_string().parse().unwrap_or_else(|_| short.into())
}

/// A number of so many digits after the point.
fn scaled(units: i64, digits: usize) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let all = format!("{:0>width$}", units.unsigned_abs(), width = digits + 1);
    let (whole, fraction) = all.split_at(all.len() - digits);
    if digits == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// NUMERIC in the server's form: base 10000, the weight of the first digit, a sign, digits after the point.
fn numeric(bytes: &[u8]) -> Result<String, String> {
    let words: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let [count, weight, sign, scale, digits @ ..] = &words[..] else {
        return Err(format!("a numeric of {} bytes", bytes.len()));
    };
    let sign = match sign {
        0x0000 => "",
        0x4000 => "-",
        0xC000 => return Ok("NaN".to_owned()),
        0xD000 => return Ok("Infinity".to_owned()),
        0xF000 => return Ok("-Infinity".to_owned()),
        other => return Err(format!("a numeric of the sign {other:#x}")),
    };
    if digits.len() != usize::from(*count) || *scale > 0x3FFF {
        return Err("a numeric whose length is wrong".to_owned());
    }
    let weight = i32::from(weight.cast_signed());
    let group = |at: i32| usize::try_from(weight - at).ok().and_then(|index| digits.get(index)).unwrap_or(&0);
    let whole: String = (0..=weight.max(0)).rev().map(|at| format!("{:04}", group(at))).collect();
    let whole = Some(whole.trim_start_matches('0')).filter(|whole| !whole.is_empty()).unwrap_or("0");
    let groups = i32::from(scale.div_ceil(4).cast_signed());
    let mut fraction: String = (1..=groups).map(|at| format!("{:04}", group(-at))).collect();
    fraction.truncate(usize::from(*scale));
    let point = if fraction.is_empty() { "" } else { "." };
    Ok(format!("{sign}{whole}{point}{fraction}"))
}

fn uuid(bytes: [u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Midnight from which the server counts.
const EPOCH: NaiveDate = match NaiveDate::from_ymd_opt(2000, 1, 1) {
    Some(date) => date,
    None => NaiveDate::MIN,
};

fn date(days: i32) -> Result<String, String> {
    let shift = Days::new(days.unsigned_abs().into());
    let found = match days {
        i32::MAX => return Ok("infinity".to_owned()),
        i32::MIN => return Ok("-infinity".to_owned()),
        0.. => EPOCH.checked_add_days(shift),
        _ => EPOCH.checked_sub_days(shift),
    };
    found.map(|date| date.to_string()).ok_or_else(|| "a date too far away".to_owned())
}

fn time(micros: i64) -> Result<String, String> {
    if micros == 86_400_000_000 {
        return Ok("24:00:00".to_owned());
    }
    let (shifted, days) = NaiveTime::MIN.overflowing_add_signed(TimeDelta::microseconds(micros));
    if days == 0 {
        Ok(shifted.format("%H:%M:%S%.f").to_string())
    } else {
        Err("a time beyond its day".to_owned())
    }
}

fn timestamp(micros: i64, write: impl Fn(NaiveDateTime) -> String) -> Result<String, String> {
    match micros {
        i64::MAX => Ok("infinity".to_owned()),
        i64::MIN => Ok("-infinity".to_owned()),
        _ => {
            let found = EPOCH.and_time(NaiveTime::MIN).checked_add_signed(TimeDelta::microseconds(micros));
            found.map(write).ok_or_else(|| "a timestamp too far away".to_owned())
        }
    }
}

fn civil(at: NaiveDateTime) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.f").to_string()
}

/// An instant in the source's zone, with its distance to UTC: two instants are never one text.
fn zoned(at: NaiveDateTime, zone: Tz) -> String {
    let at: DateTime<Utc> = at.and_utc();
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S%.f%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(0_u8..=255, 0..24)) {
            let all = [
                Form::Int2, Form::Int4, Form::Int8, Form::Oid, Form::Float4, Form::Float8, Form::Numeric, Form::Money,
                Form::Bool, Form::Text, Form::Padded, Form::Uuid, Form::Date, Form::Time, Form::Timestamp, Form::Timestamptz,
            ];
            let decoder = Decoder { forms: all.to_vec(), zone: Tz::Asia__Shanghai, money_digits: 2 };
            for at in 0..all.len() {
                let _ = decoder.cell(at, Bytes(Some(&bytes)));
                assert_eq!(decoder.cell(at, Bytes(None)), Ok(Cell::Null));
            }
        }

        #[test]
        fn a_short_number_keeps_its_digits(number in proptest::num::f32::NORMAL) {
            assert_eq!(widen(number) as f32, number);
        }
    }

    #[test]
    fn money_has_the_digits_of_its_locale() {
        for (units, digits, expected) in [
            (1_250, 2, "12.50"),
            (-5, 2, "-0.05"),
            (7, 0, "7"),
            (0, 3, "0.000"),
            (i64::MIN, 2, "-92233720368547758.08"),
        ] {
            assert_eq!(scaled(units, digits), expected);
        }
    }
}
