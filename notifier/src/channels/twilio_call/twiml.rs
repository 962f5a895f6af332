//! The script of a call (<https://www.twilio.com/docs/voice/twiml>), escaped and within the provider's limit.

use std::borrow::Cow;

use super::speech::spoken;
use crate::Language;
use crate::message::{Message, MessageKind};

/// The longest script the provider takes inline, in characters.
pub(super) const LONGEST: usize = 4_000;

/// What is answered to somebody who pressed a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is acknowledged.
    Acknowledged,
    /// Everything is over already.
    Resolved,
    /// It got worse since this call: another message tells how.
    Worse,
    /// Another key: it is asked again.
    NotUnderstood,
    /// It could not be recorded.
    Failed,
}

/// The script: the text twice, and a key that acknowledges when `action` says where it goes.
pub(super) fn call(message: &Message, voice: Option<&str>, action: Option<&str>) -> String {
    let language = message.language;
    let action = action.filter(|_| matches!(message.kind, MessageKind::Firing | MessageKind::Repeat));
    let mut text = spoken(message);
    loop {
        let script = script(&text, language, voice, action);
        if script.chars().count() <= LONGEST || text.is_empty() {
            return script;
        }
        text = text.chars().take(text.chars().count() / 2).collect();
    }
}

fn script(text: &str, language: Language, voice: Option<&str>, action: Option<&str>) -> String {
    let said = say(text, language, voice);
    let body = match action {
        None => format!("{said}<Pause length=\"1\"/>{said}"),
        Some(action) => {
            let hint = say(press(language), language, voice);
            gather(action, &format!("{said}{hint}<Pause length=\"1\"/>{said}{hint}"))
        }
    };
    document(&body)
}

/// The answer to a pressed key. `again` is where another key goes.
pub fn reply(reply: Reply, language: Language, again: Option<&str>) -> String {
    let said = |text: &str| say(text, language, None);
    match (reply, again) {
        (Reply::NotUnderstood, Some(action)) => {
            let asked = format!("{}{}", said(words(reply, language)), said(press(language)));
            document(&gather(action, &asked))
        }
        _ => document(&said(words(reply, language))),
    }
}

const fn words(reply: Reply, language: Language) -> &'static str {
    match (reply, language) {
        (Reply::Acknowledged, Language::En) => "Acknowledged. Thank you.",
        (Reply::Acknowledged, Language::Zh) => "已确认，谢谢。",
        (Reply::Resolved, Language::En) => "This alert is already resolved.",
        (Reply::Resolved, Language::Zh) => "该告警已经恢复。",
        (Reply::Worse, Language::En) => {
            "Not acknowledged. It got worse since this call. Another message follows."
        }
        (Reply::Worse, Language::Zh) => "未确认。情况已经加重，请留意后续通知。",
        (Reply::NotUnderstood, Language::En) => "That was not understood.",
        (Reply::NotUnderstood, Language::Zh) => "未能识别您的按键。",
        (Reply::Failed, Language::En) => "Not acknowledged. Please acknowledge in Tidemark.",
        (Reply::Failed, Language::Zh) => "未能确认，请在 Tidemark 中确认。",
    }
}

const fn press(language: Language) -> &'static str {
    match language {
        Language::En => "Press 1 to acknowledge.",
        Language::Zh => "确认请按 1。",
    }
}

fn document(body: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>{body}</Response>")
}

fn gather(action: &str, body: &str) -> String {
    let action = escape(action);
    format!(
        "<Gather input=\"dtmf\" numDigits=\"1\" timeout=\"10\" action=\"{action}\" method=\"POST\">{body}</Gather>"
    )
}

fn say(text: &str, language: Language, voice: Option<&str>) -> String {
    let language = match language {
        Language::En => "en-US",
        Language::Zh => "zh-CN",
    };
    let voice = voice.map(|voice| format!(" voice=\"{}\"", escape(voice))).unwrap_or_default();
    format!("<Say language=\"{language}\"{voice}>{}</Say>", escape(text))
}

/// Text within XML: marks escaped, characters XML has no place for left out.
fn escape(text: &str) -> Cow<'_, str> {
    let mark = |c: char| matches!(c, '&' | '<' | '>' | '"' | '\'') || c.is_control();
    if !text.contains(mark) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_escaped() {
        assert_eq!(escape("a<b & \"c\" 'd'\u{1}>"), "a&lt;b &amp; &quot;c&quot; &apos;d&apos;&gt;");
    }

    #[test]
    fn a_script_keeps_within_the_limit_whatever_is_to_be_said() {
        let action = format!("https://t.example.com/hooks/twilio/key/{}", "x".repeat(100));
        for text in ["&".repeat(300), "告".repeat(300), "a".repeat(300)] {
            let script = script(&text, Language::Zh, Some("Polly.Zhiyu"), Some(&action));
            assert!(script.chars().count() <= LONGEST, "{}", script.chars().count());
        }
    }

    #[test]
    fn replies_are_in_the_receivers_language() {
        insta::assert_snapshot!(reply(Reply::Acknowledged, Language::Zh, None), @r#"<?xml version="1.0" encoding="UTF-8"?><Response><Say language="zh-CN">已确认，谢谢。</Say></Response>"#);
        insta::assert_snapshot!(reply(Reply::NotUnderstood, Language::En, Some("https://t/?a=1&b=2")), @r#"<?xml version="1.0" encoding="UTF-8"?><Response><Gather input="dtmf" numDigits="1" timeout="10" action="https://t/?a=1&amp;b=2" method="POST"><Say language="en-US">That was not understood.</Say><Say language="en-US">Press 1 to acknowledge.</Say></Gather></Response>"#);
    }
}
