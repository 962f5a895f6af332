//! A difference of two texts, line by line, as people read it.

/// Lines of the difference that are shown.
const SHOWN: usize = 60;

/// `-` for lines that only `old` has, `+` for lines that only `new` has, with the first line's number; the common
/// beginning and end are left out.
pub(crate) fn diff(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let same_head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[same_head..], &new[same_head..]);
    let same_tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let removed = old_rest[..old_rest.len() - same_tail].iter().map(|line| format!("-{line}"));
    let added = new_rest[..new_rest.len() - same_tail].iter().map(|line| format!("+{line}"));
    let lines: Vec<String> = removed.chain(added).collect();
    let more = lines.len().saturating_sub(SHOWN);
    let mut text = format!("@@ line {} @@\n{}", same_head + 1, lines[..lines.len() - more].join("\n"));
    if more > 0 {
        text.push_str(&format!("\n.. and {more} lines more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::diff;

    #[test]
    fn only_what_differs_is_shown() {
        insta::assert_snapshot!(diff("a\nb\nc\nd", "a\nx\ny\nd"), @"
        @@ line 2 @@
        -b
        -c
        +x
        +y
        ");
        insta::assert_snapshot!(diff("a\na", "a\na\na"), @"
        @@ line 3 @@
        +a
        ");
    }
}
