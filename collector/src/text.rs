//! Foreign text made fit for messages.

/// At most `max_chars` characters of a foreign text, control characters escaped, an ellipsis when it was longer.
pub(crate) fn shown(text: &str, max_chars: usize) -> String {
    let mut out = String::new();
    let mut chars = text.trim().chars();
    for c in chars.by_ref().take(max_chars) {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn foreign_text_is_cut_and_harmless() {
        assert_eq!(super::shown(" a\nb\u{1b}[31m ", 20), "a b\\u{1b}[31m");
        assert_eq!(super::shown("数据库错误", 3), "数据库…");
    }
}
