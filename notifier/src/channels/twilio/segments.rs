//! How an SMS is coded and counted, exactly as it is paid for (3GPP TS 23.038, 23.040).
//!
//! A text whose every character is in the GSM 7-bit alphabet takes a septet a character, those of the extension table
//! two; any other text is UCS-2, a unit a character and two where it needs a surrogate pair. One message holds 160
//! septets or 70 units; each part of a longer one 153 or 67, and no escape sequence or surrogate pair lies in two parts.

use unicode_segmentation::UnicodeSegmentation;

/// The basic table, without the escape.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// The extension table: an escape and a character.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// In which alphabet a text is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::channels) enum Coding {
    /// The GSM 7-bit default alphabet.
    Gsm7,
    /// UTF-16 units.
    Ucs2,
}

impl Coding {
    /// Its name for people.
    pub(in crate::channels) const fn as_str(self) -> &'static str {
        match self {
            Self::Gsm7 => "GSM-7",
            Self::Ucs2 => "UCS-2",
        }
    }

    /// What one message holds, and each part of a longer one.
    const fn capacity(self) -> (u32, u32) {
        match self {
            Self::Gsm7 => (160, 153),
            Self::Ucs2 => (70, 67),
        }
    }

    fn size(self, c: char) -> u32 {
        match self {
            Self::Gsm7 if EXTENSION.contains(c) => 2,
            Self::Gsm7 => 1,
            Self::Ucs2 => c.len_utf16() as u32,
        }
    }
}

/// The alphabet a text needs.
pub(in crate::channels) fn coding(text: &str) -> Coding {
    if text.chars().all(|c| BASIC.contains(c) || EXTENSION.contains(c)) { Coding::Gsm7 } else { Coding::Ucs2 }
}

/// Of how many segments a text is made; 0 when it is empty.
pub(in crate::channels) fn count(text: &str) -> u32 {
    count_in(text, coding(text))
}

fn count_in(text: &str, coding: Coding) -> u32 {
    let (single, part) = coding.capacity();
    let whole: u32 = text.chars().map(|c| coding.size(c)).sum();
    if whole <= single {
        return u32::from(whole > 0);
    }
    let (mut parts, mut used) = (1, 0);
    for size in text.chars().map(|c| coding.size(c)) {
        if used + size > part {
            (parts, used) = (parts + 1, 0);
        }
        used += size;
    }
    parts
}

/// Shortens a text to so many segments with `tail` (such as a link) kept whole behind it, or left out when no word fits
/// beside it. No number, no pair of
/// surrogates and no character with what combines with it is cut; what was cut is shown by dots.
pub(in crate::channels) fn shorten(text: &str, tail: &str, max: u32) -> String {
    let whole = format!("{text}{tail}");
    if count(&whole) <= max {
        return whole;
    }
    let dots = if coding(&whole) == Coding::Gsm7 { "..." } else { "…" };
    let ends: Vec<usize> = text.grapheme_indices(true).map(|(start, _)| start).collect();
    let fits = |end: &usize| count(&format!("{}{dots}{tail}", &text[..*end])) <= max;
    // What fits is a prefix of the list: a longer text never needs fewer segments of its alphabet.
    let mut end = ends.partition_point(fits).checked_sub(1).map_or(0, |at| ends[at]);
    while end > 0 && cuts_number(text, end) {
        end = text[..end].char_indices().next_back().map_or(0, |(at, _)| at);
    }
    let kept = text[..end].trim_end();
    match (kept, tail) {
        ("", "") => String::new(),
        // Words say more than a link.
        ("", _) => shorten(text, "", max),
        _ => format!("{kept}{dots}{tail}"),
    }
}

/// Whether a cut here would leave a part of a number, which is another number.
fn cuts_number(text: &str, at: usize) -> bool {
    let of_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | ':' | '%' | '-' | '+');
    let before = text[..at].chars().next_back();
    let after = text[at..].chars().next();
    let inner = |c: Option<char>| c.is_some_and(of_number);
    let digit_left = text[..at].chars().rev().take_while(|c| of_number(*c)).any(|c| c.is_ascii_digit());
    // `-` and currency signs belong to the number behind them.
    let sign = before.is_some_and(|c| matches!(c, '-' | '+' | '¥' | '$' | '€' | '£'));
    (inner(before) && inner(after) && digit_left) || (sign && after.is_some_and(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn segments_are_counted_as_they_are_paid_for() {
        let repeat = |text: &str, times: usize| text.repeat(times);
        let table = [
            (String::new(), Coding::Gsm7, 0),
            (repeat("a", 1), Coding::Gsm7, 1),
            (repeat("a", 160), Coding::Gsm7, 1),
            (repeat("a", 161), Coding::Gsm7, 2),
            (repeat("a", 306), Coding::Gsm7, 2),
            (repeat("a", 307), Coding::Gsm7, 3),
            (repeat("a", 459), Coding::Gsm7, 3),
            (repeat("a", 460), Coding::Gsm7, 4),
            ("@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà".to_owned(), Coding::Gsm7, 1),
            (repeat("€", 80), Coding::Gsm7, 1),
            (repeat("€", 81), Coding::Gsm7, 2),
            (repeat("[", 76), Coding::Gsm7, 1),
            // 152 septets and an escape: the pair goes to the next part.
            (repeat("a", 152) + "€" + &repeat("a", 151), Coding::Gsm7, 2),
            (repeat("a", 152) + "€" + &repeat("a", 152), Coding::Gsm7, 3),
            (repeat("a", 158) + "^", Coding::Gsm7, 1),
            (repeat("a", 159) + "^", Coding::Gsm7, 2),
            ("`".to_owned(), Coding::Ucs2, 1),
            ("ç".to_owned(), Coding::Ucs2, 1),
            ("…".to_owned(), Coding::Ucs2, 1),
            (repeat("单", 70), Coding::Ucs2, 1),
            (repeat("单", 71), Coding::Ucs2, 2),
            (repeat("单", 134), Coding::Ucs2, 2),
            (repeat("单", 135), Coding::Ucs2, 3),
            (repeat("a", 69) + "单", Coding::Ucs2, 1),
            (repeat("a", 70) + "单", Coding::Ucs2, 2),
            (repeat("😀", 35), Coding::Ucs2, 1),
            (repeat("😀", 36), Coding::Ucs2, 2),
            // 66 units and a pair: 67 holds no half of it.
            (repeat("😀", 66), Coding::Ucs2, 2),
            (repeat("😀", 67), Coding::Ucs2, 3),
            (repeat("👨‍👩‍👧", 8), Coding::Ucs2, 1),
            (repeat("👨‍👩‍👧", 9), Coding::Ucs2, 2),
        ];
        for (text, expected, segments) in table {
            assert_eq!(
                (coding(&text), count(&text)),
                (expected, segments),
                "{} of {text:.12}",
                text.chars().count()
            );
        }
    }

    #[test]
    fn what_is_cut_leaves_no_half() {
        let link = " https://t.example.com/a";
        let long = format!("{} is 1,234,567 of 9", "x".repeat(122));
        let shortened = shorten(&long, link, 1);
        assert_eq!(shortened, format!("{} is...{link}", "x".repeat(122)), "a number is whole or absent");
        let money = format!("{} ¥1,240", "x".repeat(154));
        assert_eq!(shorten(&money, "", 1), format!("{}...", "x".repeat(154)));
        let combined = format!("{}e\u{301}{}", "单".repeat(68), "单".repeat(9));
        assert_eq!(shorten(&combined, "", 1), format!("{}…", "单".repeat(68)));
        let family = format!("{}👨‍👩‍👧{}", "单".repeat(63), "单".repeat(9));
        assert_eq!(shorten(&family, "", 1), format!("{}…", "单".repeat(63)));
        assert_eq!(shorten("fits", link, 1), format!("fits{link}"));
    }

    proptest! {
        #[test]
        fn a_shortened_text_fits_and_begins_as_it_did(
            text in "\\PC{0,400}",
            path in "[a-z]{1,200}",
            max in 1u32..5,
        ) {
            let link = format!(" https://t.example.com/{path}");
            let short = shorten(&text, &link, max);
            prop_assert!(count(&short) <= max, "{} segments", count(&short));
            let kept = short.trim_end_matches(&link).trim_end_matches(['.', '…']);
            prop_assert!(!kept.is_empty() || text.trim().trim_matches(['.', '…']).is_empty(), "no words: {short:?}");
            prop_assert!(text.starts_with(kept.trim_end_matches('.')), "{text:?} {kept:?}");
        }
    }
}
