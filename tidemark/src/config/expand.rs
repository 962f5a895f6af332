//! `${NAME}` inside scalars: the value of an environment variable. `$$` is a dollar sign; a dollar sign before
//! anything else stands for itself, so that JSONPath needs no escapes.
//!
//! The values are never shown: a message quotes what the file says, and [`Mask`] takes a value out of any message that
//! another part of Tidemark built from it.

use super::finding::{Finding, Place};
use super::scalar;
use super::tree::{Node, Scalar, shorten};

/// Looks up an environment variable.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Values that came from the environment, each with how the file names it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mask(Vec<(String, String)>);

/// Values shorter than this are not masked: they are no secrets, and taking them out would garble every message.
const SHORTEST_MASKED: usize = 4;

impl Mask {
    fn add(&mut self, value: &str, name: &str) {
        if value.len() >= SHORTEST_MASKED && !self.0.iter().any(|(have, _)| have == value) {
            self.0.push((value.to_owned(), name.to_owned()));
            self.0.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        }
    }

    /// The text without any value.
    pub(crate) fn apply(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (value, name)| text.replace(value, name))
    }
}

/// Expands every scalar of the tree, reporting each name that is not defined at its own place.
pub(crate) fn expand(root: &mut Node, text: &str, environment: Environment<'_>) -> (Mask, Vec<Finding>) {
    let (mut mask, mut findings) = (Mask::default(), Vec::new());
    root.each_scalar(&mut |place, scalar| {
        if !scalar.text.contains('$') {
            return;
        }
        let first = findings.len();
        let mut wrong = |name: &str, message: String| {
            findings.push(Finding::error(find(text, scalar, place, name), message));
        };
        let expanded = expand_text(&scalar.text, environment, &mut mask, &mut wrong);
        scalar.unset = findings.get(first).cloned();
        replace(scalar, expanded, &mut mask);
    });
    (mask, findings)
}

fn replace(scalar: &mut Scalar, expanded: String, mask: &mut Mask) {
    if expanded == scalar.text {
        return;
    }
    if scalar.text.contains("${") {
        mask.add(&expanded, &scalar.text);
    }
    scalar.value = match scalar.plain {
        true if !expanded.is_empty() => scalar::resolve(&expanded),
        _ => expanded.clone().into(),
    };
    scalar.written = Some(std::mem::replace(&mut scalar.text, expanded));
}

fn expand_text(
    text: &str,
    environment: Environment<'_>,
    mask: &mut Mask,
    wrong: &mut impl FnMut(&str, String),
) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let Some(end) = after.find('}') else {
                wrong("${", "`${` without `}`: write `${NAME}`, or `$${` for the text itself".into());
                return out;
            };
            let written = format!("${{{}}}", &after[..end]);
            match variable(&after[..end], environment) {
                Ok(value) => {
                    mask.add(&value, &written);
                    out.push_str(&value);
                }
                Err(message) => wrong(&written, message),
            }
            rest = &after[end + 1..];
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

fn variable(name: &str, environment: Environment<'_>) -> Result<String, String> {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        let name = shorten(name);
        return Err(format!("`${{{name}}}` is no name of an environment variable: letters, digits and `_`"));
    }
    environment(name).ok_or_else(|| format!("environment variable `{}` is not set", shorten(name)))
}

/// Where in the file this part of the scalar stands; the scalar itself when escapes hide it.
fn find(text: &str, scalar: &Scalar, place: Place, part: &str) -> Place {
    let Some((before, inside)) = text.get(..scalar.bytes.0).zip(text.get(scalar.bytes.0..scalar.bytes.1))
    else {
        return place;
    };
    let Some(offset) = inside.find(part) else { return place };
    let until = format!("{before}{}", &inside[..offset]);
    let line_start = until.rfind('\n').map_or(0, |at| at + 1);
    Place { line: until.matches('\n').count() + 1, column: until[line_start..].chars().count() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::compose;

    fn expanded(yaml: &str) -> (serde_json::Value, Vec<String>, Mask) {
        let (node, _) = compose::parse(yaml);
        let mut node = node.unwrap();
        let environment = |name: &str| match name {
            "PORT" => Some("8080".to_owned()),
            "PASSWORD" => Some("hunter22".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let (mask, findings) = expand(&mut node, yaml, &environment);
        let shown = |f: Finding| format!("{}:{}: {}", f.place.line, f.place.column, f.message);
        (node.to_value(), findings.into_iter().map(shown).collect(), mask)
    }

    #[test]
    fn variables_expand_inside_scalars() {
        let yaml = "a: ${PORT}\nb: 'x${PORT}y'\nc: $$5\nd: $.items\ne: ${EMPTY}\nf: '${PORT}'\n";
        let (value, findings, _) = expanded(yaml);
        assert_eq!(findings, Vec::<String>::new());
        let expected = serde_json::json!({
            "a": 8080, "b": "x8080y", "c": "$5", "d": "$.items", "e": "", "f": "8080",
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn what_cannot_be_expanded_is_reported_where_it_stands() {
        let (_, findings, _) = expanded("a: |\n  select\n    ${NONE} and ${A-B}\nb: x ${PORT\n");
        insta::assert_debug_snapshot!(findings, @r#"
        [
            "3:5: environment variable `NONE` is not set",
            "3:17: `${A-B}` is no name of an environment variable: letters, digits and `_`",
            "4:6: `${` without `}`: write `${NAME}`, or `$${` for the text itself",
        ]
        "#);
    }

    #[test]
    fn values_are_taken_out_of_messages() {
        let (_, _, mask) = expanded("url: http://u:${PASSWORD}@host\n");
        assert_eq!(mask.apply("cannot use http://u:hunter22@host"), "cannot use http://u:${PASSWORD}@host");
        assert_eq!(mask.apply("hunter22 is short"), "${PASSWORD} is short");
    }
}
