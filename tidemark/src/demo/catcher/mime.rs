//! Just enough MIME to show a mail: subject, recipients and the plain text, decoded. What is not understood is shown as
//! it came; nothing panics on any input.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How deep parts may nest.
const MAX_DEPTH: usize = 4;

/// The value of a header, unfolded and decoded; empty when absent.
pub(super) fn header(mail: &str, name: &str) -> String {
    let (head, _) = split(mail);
    let mut found: Option<String> = None;
    for line in head.lines() {
        match (&mut found, line.starts_with([' ', '\t'])) {
            (Some(value), true) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (Some(_), false) => break,
            (None, true) => {}
            (None, false) => {
                let (key, value) = line.split_once(':').unwrap_or((line, ""));
                if key.eq_ignore_ascii_case(name) {
                    found = Some(value.trim().to_owned());
                }
            }
        }
    }
    decode_words(&found.unwrap_or_default())
}

/// The first plain text of a mail, decoded.
pub(super) fn plain_text(mail: &str) -> String {
    find_plain(mail, 0).unwrap_or_else(|| split(mail).1.to_owned())
}

fn split(mail: &str) -> (&str, &str) {
    let crlf = mail.split_once("\r\n\r\n");
    crlf.or_else(|| mail.split_once("\n\n")).unwrap_or((mail, ""))
}

fn find_plain(part: &str, depth: usize) -> Option<String> {
    let kind = header(part, "Content-Type");
    let lower = kind.to_ascii_lowercase();
    if lower.starts_with("multipart/") {
        let boundary = parameter(&kind, "boundary").filter(|_| depth < MAX_DEPTH)?;
        let mark = format!("--{boundary}");
        return split(part)
            .1
            .split(&mark)
            .skip(1)
            .find_map(|inner| find_plain(inner.trim_start(), depth + 1));
    }
    let is_text = lower.is_empty() || lower.starts_with("text/plain");
    is_text.then(|| decode_body(split(part).1, &header(part, "Content-Transfer-Encoding")))
}

fn parameter(value: &str, name: &str) -> Option<String> {
    let found = value.split(';').skip(1).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = found.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    Some(value.trim_matches('"').to_owned()).filter(|value| !value.is_empty())
}

fn decode_body(body: &str, encoding: &str) -> String {
    let bytes = match encoding.to_ascii_lowercase().as_str() {
        "base64" => {
            let packed: String = body.split_ascii_whitespace().collect();
            STANDARD.decode(packed).unwrap_or_else(|_| body.as_bytes().to_vec())
        }
        "quoted-printable" => unquote(body, false),
        _ => body.as_bytes().to_vec(),
    };
    String::from_utf8_lossy(&bytes).replace("\r\n", "\n").trim_end().to_owned()
}

/// Quoted-printable (RFC 2045, 6.7); within header words `_` is a space (RFC 2047, 4.2).
fn unquote(text: &str, word: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'_' if word => out.push(b' '),
            b'=' if tail.starts_with(b"\r\n") => rest = &tail[2..],
            b'=' if tail.starts_with(b"\n") => rest = &tail[1..],
            b'=' => match hex_pair(tail) {
                Some(value) => {
                    out.push(value);
                    rest = &tail[2..];
                }
                None => out.push(byte),
            },
            other => out.push(other),
        }
    }
    out
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let pair = std::str::from_utf8(bytes.get(..2)?).ok()?;
    u8::from_str_radix(pair, 16).ok()
}

/// Decodes `=?utf-8?b?..?=` and `=?utf-8?Q?..?=`; blanks between two such words do not count.
fn decode_words(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let gap = &rest[..start];
        let Some((word, length)) = encoded_word(&rest[start..]) else {
            out.push_str(&rest[..start + 2]);
            rest = &rest[start + 2..];
            after_word = false;
            continue;
        };
        if !(after_word && gap.trim().is_empty()) {
            out.push_str(gap);
        }
        out.push_str(&word);
        rest = &rest[start + length..];
        after_word = true;
    }
    out.push_str(rest);
    out
}

/// The word at the beginning of the text, and its length.
fn encoded_word(text: &str) -> Option<(String, usize)> {
    let mut parts = text.strip_prefix("=?")?.splitn(3, '?');
    let (charset, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let end = rest.find("?=")?;
    let content = &rest[..end];
    let bytes = match encoding {
        "b" | "B" => STANDARD.decode(content).ok()?,
        "q" | "Q" => unquote(content, true),
        _ => return None,
    };
    let length = 2 + charset.len() + 1 + encoding.len() + 1 + end + 2;
    Some((String::from_utf8_lossy(&bytes).into_owned(), length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAIL: &str = "From: Tidemark <t@localhost>\r\nTo: a@b.example\r\nSubject: =?utf-8?b?W1AwXSDorqLljZU=?=\r\n =?utf-8?Q?_81=25_low?=\r\n\
        Content-Type: multipart/alternative;\r\n boundary=\"xyz\"\r\n\r\n--xyz\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\nOrders =E8=AE=A2=E5=8D=95 fell =\r\nto 8.\r\n--xyz\r\n\
        Content-Type: text/html\r\n\r\n<p>no</p>\r\n--xyz--\r\n";

    #[test]
    fn subject_and_plain_text_are_found_and_decoded() {
        assert_eq!(header(MAIL, "subject"), "[P0] 订单 81% low");
        assert_eq!(header(MAIL, "To"), "a@b.example");
        assert_eq!(header(MAIL, "X-None"), "");
        assert_eq!(plain_text(MAIL), "Orders 订单 fell to 8.");
    }

    #[test]
    fn base64_and_bare_bodies_are_read_too() {
        let mail = "Content-Transfer-Encoding: base64\n\n5L2g\n5aW9\n";
        assert_eq!(plain_text(mail), "你好");
        assert_eq!(plain_text("Subject: x\n\nhello\n"), "hello");
    }

    proptest! {
        #[test]
        fn no_input_panics(mail in "(?s).{0,300}", glue in "[=?:;\r\n -]{0,40}") {
            let mail = format!("{glue}{mail}{glue}");
            let _ = (header(&mail, "subject"), plain_text(&mail));
        }
    }
}
