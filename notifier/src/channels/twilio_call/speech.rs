//! Text as a voice can say it: words for signs, pauses for brackets, numbers without their separators.

use crate::Language;
use crate::message::{Message, MessageKind};

/// The longest text of one saying, in characters: about half a minute.
const LONGEST: usize = 300;

/// What the call says of a message, once.
pub(super) fn spoken(message: &Message) -> String {
    let worst = message.alerts.iter().map(|note| note.severity).min().unwrap_or_default();
    // `[P0] ..` is said as a word of its own.
    let subject = message.subject.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let subject = subject.map_or(message.subject.as_str(), |(_, rest)| rest.trim());
    let lead = match (message.kind, message.language) {
        (MessageKind::Firing | MessageKind::Repeat, Language::En) => {
            format!("Tidemark alert, level {worst}.")
        }
        (MessageKind::Firing | MessageKind::Repeat, Language::Zh) => format!("Tidemark 告警，级别 {worst}。"),
        (MessageKind::Resolved, Language::En) => "Tidemark, resolved.".to_owned(),
        (MessageKind::Resolved, Language::Zh) => "Tidemark，已恢复。".to_owned(),
        (MessageKind::Test, Language::En) => "Tidemark, this is a test.".to_owned(),
        (MessageKind::Test, Language::Zh) => "Tidemark，这是测试。".to_owned(),
        (_, Language::En) => "Tidemark.".to_owned(),
        (_, Language::Zh) => "Tidemark。".to_owned(),
    };
    let end = if message.language == Language::Zh { "。" } else { "." };
    let text: String = speakable(subject, message.language).chars().take(LONGEST).collect();
    format!("{lead} {}{end}", text.trim_end_matches(['.', '。', ',', '，', ' ']))
}

/// A text without what sounds bad.
pub(super) fn speakable(text: &str, language: Language) -> String {
    let letters: Vec<char> = text.chars().collect();
    let digit = |at: Option<usize>| at.and_then(|at| letters.get(at)).is_some_and(char::is_ascii_digit);
    let mut said = String::new();
    for (at, c) in letters.iter().copied().enumerate() {
        let (left, right) = (digit(at.checked_sub(1)), digit(Some(at + 1)));
        match c {
            ',' if left && right => {}
            '.' | ':' if left && right => said.push(c),
            '-' | '−' if right && !left => said.push_str(word(language, "minus ", "负")),
            '%' => percent(&mut said, language),
            '¥' => said.push_str(word(language, "yuan ", "人民币")),
            '$' => said.push_str(word(language, "dollars ", "美元")),
            '€' => said.push_str(word(language, "euros ", "欧元")),
            '=' => said.push(' '),
            '(' | ')' | '（' | '）' | '[' | ']' | ';' | '；' | ',' | '，' | ':' | '：' | '、' | '。'
            | '.' => {
                pause(&mut said, language);
            }
            _ if c.is_alphanumeric() => said.push(c),
            _ => said.push(' '),
        }
    }
    said.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ,", ",").replace(" ，", "，")
}

fn word<'a>(language: Language, en: &'a str, zh: &'a str) -> &'a str {
    if language == Language::Zh { zh } else { en }
}

fn pause(said: &mut String, language: Language) {
    if !said.trim_end().ends_with([',', '，']) && !said.trim().is_empty() {
        said.push_str(word(language, ", ", "，"));
    }
}

/// `67%` is `67 percent`, and `百分之67`.
fn percent(said: &mut String, language: Language) {
    if language == Language::En {
        return said.push_str(" percent");
    }
    let number = said
        .rfind(|c: char| !c.is_ascii_digit() && c != '.')
        .map_or(0, |at| at + said[at..].chars().next().map_or(1, char::len_utf8));
    said.insert_str(number, "百分之");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_become_words() {
        let table = [
            (
                Language::En,
                "Orders_per_minute (channel=app) is 1,240.5, 67% below expected",
                "Orders per minute, channel app, is 1240.5, 67 percent below expected",
            ),
            (
                Language::En,
                "profit is ¥-3,000 since 08:30; 2 resolved",
                "profit is yuan minus 3000 since 08:30, 2 resolved",
            ),
            (
                Language::Zh,
                "每分钟订单（channel=app）为 412，比预期低 67%",
                "每分钟订单，channel app，为 412，比预期低 百分之67",
            ),
            (Language::En, "<Say>&\"'</Say> | ~ # *", "Say Say"),
            (Language::En, "", ""),
        ];
        for (language, given, expected) in table {
            assert_eq!(speakable(given, language), expected, "{given}");
        }
    }
}
