//! What all pages share: the visitor, the templates, the frame around a page.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::LazyLock;

use axum::extract::{FromRequestParts, Query};
use axum::http::header::{CACHE_CONTROL, SET_COOKIE, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use model::Language;
use serde::{Deserialize, Serialize};

use crate::api::Shared;
use crate::backend::BackendError;
use crate::i18n::{COOKIE_NAME, Speaks};
use crate::texts::TEXTS;

/// Every template; `.html` names are escaped by the engine.
const TEMPLATES: [(&str, &str); 5] = [
    ("base.html", include_str!("../../templates/base.html")),
    ("overview.html", include_str!("../../templates/overview.html")),
    ("series.html", include_str!("../../templates/series.html")),
    ("alert.html", include_str!("../../templates/alert.html")),
    ("error.html", include_str!("../../templates/error.html")),
];

static ENGINE: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    for (name, source) in TEMPLATES {
        engine.add_template(name, source)?;
    }
    Ok(engine)
});

static ENGLISH: LazyLock<Value> = LazyLock::new(|| texts_of(Language::En));
static CHINESE: LazyLock<Value> = LazyLock::new(|| texts_of(Language::Zh));

fn texts_of(language: Language) -> Value {
    TEXTS.iter().map(|(key, ..)| (*key, language.text(key))).collect::<BTreeMap<_, _>>().into()
}

fn texts(language: Language) -> Value {
    match language {
        Language::En => ENGLISH.clone(),
        Language::Zh => CHINESE.clone(),
    }
}

/// Who asks: the language, whether it was just chosen, and where they are.
pub(crate) struct Visit {
    pub(crate) language: Language,
    chosen: bool,
    path: String,
}

#[derive(Deserialize)]
struct Choice {
    lang: Option<String>,
}

impl FromRequestParts<Shared> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Infallible> {
        let wish =
            Query::<Choice>::from_request_parts(parts, shared).await.ok().and_then(|choice| choice.0.lang);
        Ok(Self {
            language: Language::negotiate(wish.as_deref(), &parts.headers, shared.options().language),
            chosen: wish.as_deref().and_then(Language::from_tag).is_some(),
            path: parts.uri.path().to_owned(),
        })
    }
}

/// One entry of the language switch.
#[derive(Serialize)]
struct Choosable {
    name: &'static str,
    tag: &'static str,
    href: String,
    current: bool,
}

impl Visit {
    /// Renders a page in its frame.
    pub(crate) fn page(&self, status: StatusCode, template: &str, content: Value) -> Response {
        match self.render(template, content) {
            Ok(html) => self.dressed((status, Html(html)).into_response()),
            Err(error) => {
                tracing::error!(%error, template, "a page cannot be rendered");
                (StatusCode::INTERNAL_SERVER_ERROR, "this page cannot be rendered\n").into_response()
            }
        }
    }

    /// The page for what is not there; `words` is the key of the sentence.
    pub(crate) fn not_found(&self, words: &str) -> Response {
        self.error(StatusCode::NOT_FOUND, "not_found", words, None)
    }

    /// The page for a backend that does not answer.
    pub(crate) fn unavailable(&self, error: &BackendError) -> Response {
        tracing::warn!(%error, "the console's backend does not answer");
        self.error(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "unavailable_words",
            Some(error.to_string()),
        )
    }

    fn error(&self, status: StatusCode, heading: &str, words: &str, detail: Option<String>) -> Response {
        let (heading, words) = (self.language.text(heading), self.language.text(words));
        self.page(status, "error.html", context! { heading, words, detail })
    }

    fn render(&self, template: &str, content: Value) -> Result<String, minijinja::Error> {
        let engine = ENGINE.as_ref().map_err(|error| {
            minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, format!("templates: {error}"))
        })?;
        let texts = texts(self.language);
        let frame = context! {
            lang => self.language.as_str(),
            lang_tag => self.language.tag(),
            languages => Serde(Language::ALL.map(|language| self.choosable(language))),
            texts => texts.clone(),
            t => texts,
        };
        engine.get_template(template)?.render(context! { ..content, ..frame })
    }

    fn choosable(&self, language: Language) -> Choosable {
        Choosable {
            name: match language {
                Language::En => "EN",
                Language::Zh => "中文",
            },
            tag: language.tag(),
            href: format!("{}?lang={}", self.path, language.as_str()),
            current: language == self.language,
        }
    }

    fn dressed(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_static("Cookie, Accept-Language"));
        let cookie =
            format!("{COOKIE_NAME}={}; Path=/; Max-Age=31536000; SameSite=Lax", self.language.as_str());
        if self.chosen
            && let Ok(cookie) = HeaderValue::from_str(&cookie)
        {
            headers.insert(SET_COOKIE, cookie);
        }
        response
    }
}

/// A labelled number or word, with a link where there is one.
#[derive(Debug, Serialize)]
pub(crate) struct Fact {
    label: String,
    text: String,
    href: Option<String>,
}

impl Fact {
    pub(crate) fn new(language: Language, key: &str, text: impl Into<String>) -> Self {
        Self { label: language.text(key).to_owned(), text: text.into(), href: None }
    }

    /// A link, but only to where a browser may be sent: `javascript:` and the like stay text.
    pub(crate) fn link(language: Language, key: &str, address: &str) -> Self {
        let lower = address.to_ascii_lowercase();
        let safe = lower.starts_with("https://") || lower.starts_with("http://");
        Self { href: safe.then(|| address.to_owned()), ..Self::new(language, key, address) }
    }
}

/// Labels as chips: `channel=app`.
pub(crate) fn chips(labels: &BTreeMap<String, String>) -> Vec<String> {
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect()
}
