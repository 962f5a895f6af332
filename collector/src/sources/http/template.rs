//! Templates of requests: `{{ start }}` and its like, and nothing else.

use std::borrow::Cow;

use chrono_tz::Tz;
use model::Window;

use crate::params::{Form, NAMES, Param, civil_text, valid_names};
use crate::text::shown;

/// Fills a template with a window; each value goes through `encode`.
pub(super) fn render<'v>(
    template: &str,
    window: Window,
    zone: Tz,
    encode: impl Fn(String) -> Cow<'v, str>,
) -> Result<String, String> {
    let mut out = String::with_capacity(template.len());
    walk(template, &mut |part| match part {
        Part::Text(text) => out.push_str(text),
        Part::Param(param) => out.push_str(&encode(value(param, window, zone))),
    })?;
    Ok(out)
}

/// Checks a template.
pub(super) fn check(template: &str) -> Result<(), String> {
    walk(template, &mut |_| ())
}

/// Everything a placeholder can stand for.
pub(super) fn values(window: Window, zone: Tz) -> Vec<String> {
    NAMES.into_iter().filter_map(Param::parse).map(|param| value(param, window, zone)).collect()
}

enum Part<'t> {
    Text(&'t str),
    Param(Param),
}

fn walk<'t>(template: &'t str, take: &mut dyn FnMut(Part<'t>)) -> Result<(), String> {
    let mut rest = template;
    while let Some(open) = rest.find("{{") {
        take(Part::Text(&rest[..open]));
        let inside = &rest[open + 2..];
        let close = inside.find("}}").ok_or("`{{` is not closed by `}}`")?;
        let name = inside[..close].trim();
        let param = Param::parse(name).ok_or_else(|| {
            format!("unknown placeholder `{}`: there are {}", shown(name, 40), valid_names(""))
        })?;
        take(Part::Param(param));
        rest = &inside[close + 2..];
    }
    take(Part::Text(rest));
    Ok(())
}

fn value(param: Param, window: Window, zone: Tz) -> String {
    let at = param.at(window);
    match param.form {
        Form::Instant => at.to_rfc3339(),
        Form::Millis => at.as_millis().to_string(),
        Form::Secs => at.as_secs().to_string(),
        Form::Text => civil_text(at, zone),
    }
}

/// Encodes a value for a place in a path, where only what RFC 3986 leaves alone stays as it is.
pub(super) fn encode_path(value: String) -> Cow<'static, str> {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                out.push(char::from(byte))
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;

    #[test]
    fn placeholders_are_filled_and_others_refused() {
        let window =
            Window { start: Timestamp::from_secs(1_700_000_000), end: Timestamp::from_secs(1_700_000_060) };
        let fill = |text: &str| render(text, window, Tz::Asia__Shanghai, Cow::Owned);
        let all = "{{start}} {{ end }} {{ start_ms }} {{end_s}} {{ start_text }} {\"a\":{}}";
        let filled = "2023-11-14T22:13:20Z 2023-11-14T22:14:20Z 1700000000000 1700000060 2023-11-15 06:13:20 {\"a\":{}}";
        assert_eq!(fill(all).as_deref(), Ok(filled));
        assert_eq!(
            render("{{ start_text }}", window, Tz::UTC, encode_path).as_deref(),
            Ok("2023-11-14%2022:13:20")
        );
        let messages = ["{{ begin }}", "{{ start", "{{}}"].map(|bad| fill(bad).unwrap_err());
        insta::assert_snapshot!(messages.join("\n"), @r#"
        unknown placeholder `begin`: there are start, end, start_ms, end_ms, start_s, end_s, start_text, end_text
        `{{` is not closed by `}}`
        unknown placeholder ``: there are start, end, start_ms, end_ms, start_s, end_s, start_text, end_text
        "#);
    }
}
