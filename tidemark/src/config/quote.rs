//! A closing quote that is missing: YAML reads on to the next quote, far below, and complains there.

/// Where the quote opens that is to blame for broken syntax at `at`, when it opens on an earlier line: the quoted text
/// it begins holds `at` or ends right before it. Byte offsets; everything before `from` was read without complaint.
pub(super) fn to_blame(text: &str, from: usize, at: usize) -> Option<usize> {
    let mut next = from;
    while let Some(open) = opening(text, next).filter(|open| *open < at) {
        let end = end_of_quoted(text, open);
        if end >= at
            || text.get(end..at).is_some_and(|between| between.chars().all(|c| c == ' ' || c == '\t'))
        {
            return Some(open).filter(|open| text[*open..at].contains('\n'));
        }
        next = end;
    }
    None
}

/// The next quote that begins a text: it stands where a value or a key may begin. An apostrophe within a word does not.
fn opening(text: &str, from: usize) -> Option<usize> {
    let mut before = text.get(..from)?.chars().next_back().unwrap_or('\n');
    // Spaces stand between an indicator (`:`, `-`, `,`, ..) and what it announces.
    let (mut indicator, mut comment) = (before.is_whitespace() || is_indicator(before), false);
    for (offset, c) in text.get(from..)?.char_indices() {
        match c {
            '\n' => (indicator, comment) = (true, false),
            _ if comment => {}
            '#' if before.is_whitespace() => comment = true,
            '"' | '\'' if indicator => return Some(from + offset),
            c if c.is_whitespace() => {}
            c => indicator = is_indicator(c),
        }
        before = c;
    }
    None
}

fn is_indicator(c: char) -> bool {
    matches!(c, ':' | '-' | '?' | ',' | '[' | '{')
}

/// Past the closing quote; the end of the text when there is none.
fn end_of_quoted(text: &str, open: usize) -> usize {
    let double = text[open..].starts_with('"');
    let mut chars = text[open + 1..].char_indices().peekable();
    while let Some((offset, c)) = chars.next() {
        let doubled = || text[open + 1 + offset + 1..].starts_with('\'');
        match c {
            '\\' if double => drop(chars.next()),
            '"' if double => return open + 1 + offset + 1,
            '\'' if !double && doubled() => drop(chars.next()),
            '\'' if !double => return open + 1 + offset + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use crate::config::compose::parse;

    #[test]
    fn a_missing_quote_is_told_where_it_is_missing() {
        let table = [
            // On one line, and to the end of the file.
            ("a: 1\nb: \"x\nc: 2\n", "2:4"),
            // Up to the next quote.
            ("a: 1\nb: {c: \"x}\nd: 2\ne: \"y\"\n", "2:8"),
            ("a: 1\nb: {c: 'x}\nd: 2\ne: 'y'\n", "2:8"),
            ("m:\n  - name: \"orders\n    source: shop\n  - name: \"logins\"\n", "2:11"),
            ("m:\n  - {n: \"a\\\"b, s: shop}\n  - {n: \"c\", s: 'd'}\n", "2:9"),
            // What is read before it, comments and apostrophes do not disturb.
            ("t: it's\n# don't\na: \"x\"\nb: {c: \"y}\n# it's\nd: \"z\"\n", "4:8"),
            ("s: |\n  \"a\n  'b\nb: {c: \"y}\nd: \"z\"\n", "4:8"),
            // Only what runs over lines: here the place of the complaint is the mistake.
            ("a: 'it's'\nb: 1\n", "1:8"),
            ("a: \"x\" y\n", "1:8"),
            // Not a quote's fault.
            ("a: \"x\"\nb: [1, 2\nc: 3\n", "3:2"),
        ];
        for (text, expected) in table {
            let (_, findings) = parse(text);
            let shown: Vec<_> = findings
                .iter()
                .map(|f| (format!("{}:{}", f.place.line, f.place.column), &f.message))
                .collect();
            assert_eq!(shown[0].0, expected, "{text}: {shown:?}");
        }
    }

    #[test]
    fn it_says_where_the_text_ends() {
        let (_, findings) = parse("a: 1\nb: {c: \"x}\nd: 2\ne: \"y\"\n");
        insta::assert_snapshot!(findings[0].message, @"the closing quote is missing: the text that begins here runs to line 4, where YAML breaks (invalid trailing content after double-quoted scalar)");
    }

    proptest::proptest! {
        #[test]
        fn any_text_gives_an_answer(text in "[a'\"\\\\ :,{}\\[\\]#|é\n-]{0,60}") {
            let (node, findings) = parse(&text);
            proptest::prop_assert!(node.is_some() || !findings.is_empty());
        }
    }
}
