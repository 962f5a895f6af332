//! Two languages: which one a visitor gets, and the texts of each.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE};
use model::Language;
use serde::Serialize;

use crate::texts::TEXTS;

/// Name of the cookie that remembers a visitor's choice.
pub(crate) const COOKIE_NAME: &str = "tidemark_lang";

/// What the console knows of a language.
pub(crate) trait Speaks: Sized {
    /// The text of a key; the key itself when there is none, which the tests forbid.
    fn text(self, key: &str) -> &str;

    /// What the visitor gets: the address's `lang`, else the cookie, else the browser's wish, else `default`.
    fn negotiate(query: Option<&str>, headers: &HeaderMap, default: Self) -> Self;
}

impl Speaks for Language {
    fn text(self, key: &str) -> &str {
        let found = TEXTS.binary_search_by(|(have, ..)| have.cmp(&key)).ok().map(|at| TEXTS[at]);
        match (self, found) {
            (Self::En, Some((_, en, _))) => en,
            (Self::Zh, Some((_, _, zh))) => zh,
            (_, None) => key,
        }
    }

    fn negotiate(query: Option<&str>, headers: &HeaderMap, default: Self) -> Self {
        query
            .and_then(Self::from_tag)
            .or_else(|| from_cookie(headers))
            .or_else(|| from_accept_language(headers))
            .unwrap_or(default)
    }
}

fn from_cookie(headers: &HeaderMap) -> Option<Language> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE_NAME)
        .and_then(|(_, value)| Language::from_tag(value))
}

/// The wanted language with the highest weight that we speak; the first of equals (RFC 9110, 12.5.4).
fn from_accept_language(headers: &HeaderMap) -> Option<Language> {
    let line = headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?;
    let mut best: Option<(f32, Language)> = None;
    for range in line.split(',') {
        let mut parts = range.trim().split(';');
        let Some(language) = parts.next().and_then(|tag| Language::from_tag(tag.trim())) else { continue };
        let weight =
            parts.find_map(|p| p.trim().strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
        if weight > 0.0 && best.is_none_or(|(have, _)| weight > have) {
            best = Some((weight, language));
        }
    }
    best.map(|(_, language)| language)
}

/// One text in both languages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bilingual {
    /// English.
    pub en: String,
    /// Chinese.
    pub zh: String,
}

impl Bilingual {
    /// A text in both languages.
    pub fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self { en: en.into(), zh: zh.into() }
    }

    /// The text in a language.
    pub fn get(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Zh => &self.zh,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(axum::http::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_wish_of_the_visitor_decides() {
        type Sent<'a> = &'a [(axum::http::HeaderName, &'a str)];
        let table: &[(Option<&str>, Sent<'_>, Language)] = &[
            (None, &[], Language::En),
            (Some("zh"), &[], Language::Zh),
            (Some("fr"), &[(COOKIE, "a=b; tidemark_lang=zh")], Language::Zh),
            (Some("en"), &[(COOKIE, "tidemark_lang=zh")], Language::En),
            (None, &[(COOKIE, "tidemark_lang=zh"), (ACCEPT_LANGUAGE, "en")], Language::Zh),
            (None, &[(ACCEPT_LANGUAGE, "zh-CN,zh;q=0.9,en;q=0.8")], Language::Zh),
            (None, &[(ACCEPT_LANGUAGE, "de, en;q=0.5, zh;q=0.9")], Language::Zh),
            (None, &[(ACCEPT_LANGUAGE, "zh;q=0, fr")], Language::En),
            (None, &[(ACCEPT_LANGUAGE, ";;;,q=,zh;q=x")], Language::En),
        ];
        for (query, given, expected) in table {
            assert_eq!(
                Language::negotiate(*query, &headers(given), Language::En),
                *expected,
                "{query:?} {given:?}"
            );
        }
    }

    #[test]
    fn every_key_is_sorted_unique_and_written_in_both_languages() {
        assert!(TEXTS.is_sorted_by(|a, b| a.0 < b.0), "keys must be sorted and unique");
        for (key, en, zh) in TEXTS {
            assert!(!en.is_empty() && !zh.is_empty(), "{key} lacks a language");
            assert!(
                en.is_ascii() || en.chars().all(|c| (c as u32) < 0x2e80),
                "{key}: Chinese in the English text"
            );
        }
    }
}
