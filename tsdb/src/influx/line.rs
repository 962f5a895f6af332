//! Line protocol, encoded: one point, one line, whatever the texts in it hold.
//!
//! Line protocol cannot carry every text in a name or a tag: a line feed ends the line, and a backslash before a
//! comma, space, equals sign or the end escapes what follows it; before another one it does so to some servers. Such characters travel as look-alikes (`␊` for a line
//! feed, `＼` for such a backslash), which [`restored`] turns back, so that no series is merged with another and no text
//! can begin a line of its own.

use std::borrow::Cow;
use std::fmt::Write;

use model::{FieldValue, Point};

/// First of Unicode's pictures of the control characters; they stand in the same order.
const PICTURES: u32 = 0x2400;
const DELETE: char = '\u{7f}';
const PICTURE_OF_DELETE: char = '\u{2421}';
const FULLWIDTH_BACKSLASH: char = '\u{ff3c}';

/// Appends a point as a line with its line feed, times in nanoseconds. Floats that are not finite and fields and tags
/// without a name are left out; a point that has no field then appends nothing and the answer is `false`.
pub(super) fn encode(point: &Point, out: &mut String) -> bool {
    let begin = out.len();
    out.push_str(point.measurement.as_str());
    for (name, value) in point.tags.iter().filter(|(name, value)| !name.is_empty() && !value.is_empty()) {
        out.push(',');
        push_escaped(out, name);
        out.push('=');
        push_escaped(out, value);
    }
    let mut separator = ' ';
    for (name, value) in point.fields.iter().filter(|(name, _)| !name.is_empty()) {
        if matches!(value, FieldValue::Float(number) if !number.is_finite()) {
            continue;
        }
        out.push(separator);
        separator = ',';
        push_escaped(out, name);
        out.push('=');
        push_value(out, value);
    }
    if separator == ' ' {
        out.truncate(begin);
        return false;
    }
    // Writing to a String cannot fail.
    let _ = writeln!(out, " {}", point.time.as_nanos());
    true
}

fn push_value(out: &mut String, value: &FieldValue) {
    let _ = match value {
        FieldValue::Integer(number) => write!(out, "{number}i"),
        // Debug is the shortest text that reads back as the same number, with an exponent where it is long.
        FieldValue::Float(number) => write!(out, "{number:?}"),
        FieldValue::Text(text) => {
            out.push('"');
            for c in text.chars() {
                if matches!(c, '"' | '\\') {
                    out.push('\\');
                }
                out.push(c);
            }
            out.write_char('"')
        }
    };
}

/// A name or a tag's value as it stands in a line.
fn push_escaped(out: &mut String, text: &str) {
    for c in carried(text).chars() {
        if matches!(c, ',' | ' ' | '=') {
            out.push('\\');
        }
        out.push(c);
    }
}

/// The text that line protocol carries for this one: what a store's tag really holds.
pub(super) fn carried(text: &str) -> Cow<'_, str> {
    if !text.contains(|c: char| c.is_ascii_control() || c == '\\') {
        return Cow::Borrowed(text);
    }
    let mut chars = text.chars().peekable();
    let mut out = String::with_capacity(text.len() + 8);
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' if matches!(chars.peek(), None | Some(',' | ' ' | '=' | '\\')) => FULLWIDTH_BACKSLASH,
            DELETE => PICTURE_OF_DELETE,
            c if c.is_ascii_control() => char::from_u32(PICTURES + u32::from(c)).unwrap_or(c),
            c => c,
        });
    }
    Cow::Owned(out)
}

/// Undoes [`carried`].
pub(super) fn restored(text: &str) -> Cow<'_, str> {
    let back = |c: char| match c {
        FULLWIDTH_BACKSLASH => Some('\\'),
        PICTURE_OF_DELETE => Some(DELETE),
        '\u{2400}'..='\u{241f}' => char::from_u32(u32::from(c) - PICTURES),
        _ => None,
    };
    if !text.contains(|c: char| back(c).is_some()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| back(c).unwrap_or(c)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Labels, Measurement, Timestamp};
    use proptest::prelude::*;

    fn point(tags: &[(&str, &str)], fields: &[(&str, FieldValue)], nanos: i64) -> Point {
        Point {
            measurement: Measurement::Sample,
            tags: Labels::new(tags.iter().copied()),
            time: Timestamp::from_nanos(nanos),
            fields: fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
        }
    }

    #[test]
    fn what_line_protocol_gives_a_meaning_is_escaped_and_what_it_cannot_carry_replaced() {
        let (float, text) = (FieldValue::Float, |text: &str| FieldValue::Text(text.into()));
        let lines = [
            point(&[("metric", "shop.orders")], &[("value", float(1.0))], -5),
            point(&[("a b", "x,y=z \"q\"")], &[("value", float(1e300))], i64::MAX),
            point(&[("a", "end\\"), ("b", "C:\\temp\\ x"), ("c", "")], &[("value", float(-0.0))], 0),
            point(&[("a", "x\nsample value=666 1\r")], &[("state", FieldValue::Integer(i64::MIN))], 0),
            point(&[], &[("text", text("say \"no\\\"\nnext, line"))], i64::MIN),
            point(&[("a", "b")], &[("value", float(f64::NAN)), ("lower", float(f64::INFINITY))], 0),
        ];
        let mut out = String::new();
        let encoded: Vec<_> = lines.iter().map(|point| encode(point, &mut out)).collect();
        assert_eq!(encoded, [true, true, true, true, true, false]);
        insta::assert_snapshot!(out, @r#"
        sample,metric=shop.orders value=1.0 -5
        sample,a\ b=x\,y\=z\ "q" value=1e300 9223372036854775807
        sample,a=end＼,b=C:\temp＼\ x value=-0.0 0
        sample,a=x␊sample\ value\=666\ 1␍ state=-9223372036854775808i 0
        sample text="say \"no\\\"
        next, line" -9223372036854775808
        "#);
    }

    /// Texts with what line protocol gives a meaning to.
    const NASTY: &str = "[\\x00-\\x7fä😀 ,=\\\\\"#]{0,12}";

    fn value() -> impl Strategy<Value = FieldValue> {
        prop_oneof![
            proptest::num::f64::ANY.prop_map(FieldValue::Float),
            any::<i64>().prop_map(FieldValue::Integer),
            NASTY.prop_map(|text| FieldValue::Text(text.into())),
        ]
    }

    fn any_point() -> impl Strategy<Value = Point> {
        let measurement =
            proptest::sample::select(vec![Measurement::Sample, Measurement::Verdict, Measurement::Alert]);
        let tags = proptest::collection::btree_map(NASTY, NASTY, 0..4);
        let fields = proptest::collection::btree_map(NASTY, value(), 0..4);
        (measurement, tags, fields, any::<i64>()).prop_map(|(measurement, tags, fields, nanos)| Point {
            measurement,
            tags: Labels::new(tags),
            time: Timestamp::from_nanos(nanos),
            fields: fields.into_iter().map(|(name, value)| (name.into(), value)).collect(),
        })
    }

    /// What a line says of a point, whoever read it.
    type Meaning = (String, Vec<(String, String)>, Vec<(String, FieldValue)>, Option<i64>);

    /// What a point's line is to say; `None` when it has none.
    fn meant(point: &Point) -> Option<Meaning> {
        let names = |name: &str| carried(name).into_owned();
        let sound = |name: &str, value: &FieldValue| {
            !name.is_empty() && !matches!(value, FieldValue::Float(number) if !number.is_finite())
        };
        let tags = point.tags.iter().filter(|(name, value)| !name.is_empty() && !value.is_empty());
        let fields = point.fields.iter().filter(|(name, value)| sound(name, value));
        let fields: Vec<_> = fields.map(|(name, value)| (names(name), value.clone())).collect();
        let tags = tags.map(|(name, value)| (names(name), names(value))).collect();
        let measurement = point.measurement.as_str().to_owned();
        (!fields.is_empty()).then_some((measurement, tags, fields, Some(point.time.as_nanos())))
    }

    fn read_by_another(line: influxdb_line_protocol::ParsedLine<'_>) -> Meaning {
        use influxdb_line_protocol::FieldValue as Other;
        let value = |value: Other<'_>| match value {
            Other::I64(number) => FieldValue::Integer(number),
            Other::F64(number) => FieldValue::Float(number),
            Other::String(text) => FieldValue::Text(text.as_str().into()),
            other => panic!("we never write {other:?}"),
        };
        let tags = line.series.tag_set.unwrap_or_default();
        (
            line.series.measurement.to_string(),
            tags.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            line.field_set.into_iter().map(|(name, own)| (name.to_string(), value(own))).collect(),
            line.timestamp,
        )
    }

    proptest! {
        #[test]
        fn another_parser_reads_what_was_meant(points in proptest::collection::vec(any_point(), 1..6)) {
            let mut out = String::new();
            let encoded: Vec<_> = points.iter().map(|point| encode(point, &mut out)).collect();
            let meant: Vec<_> = points.iter().map(meant).collect();
            prop_assert_eq!(encoded, meant.iter().map(Option::is_some).collect::<Vec<_>>());
            let read: Result<Vec<_>, _> =
                influxdb_line_protocol::parse_lines(&out).map(|line| line.map(read_by_another)).collect();
            prop_assert_eq!(read.map_err(|error| error.to_string()), Ok(meant.into_iter().flatten().collect()), "{}", out);
        }

        #[test]
        fn no_tag_begins_a_line_and_every_tag_comes_back(value in "[\\x00-\\x7fä😀]{1,20}") {
            let mut out = String::new();
            prop_assert!(encode(&point(&[("a", &value)], &[("value", FieldValue::Float(1.0))], 7), &mut out));
            prop_assert_eq!(out.lines().count(), 1);
            let carried = carried(&value);
            prop_assert_eq!(restored(&carried), value.as_str());
        }
    }
}
