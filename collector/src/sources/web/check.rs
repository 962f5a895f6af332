//! What can be told of a server's settings without asking it.

use reqwest::header::{HeaderName, HeaderValue};
use url::Url;

use super::Settings;
use crate::text::shown;
use crate::validate::Problem;

/// The most requests that may run at once.
pub(crate) const MAX_CONCURRENT: usize = 256;
/// The longest answer that may be asked for.
const MAX_RESPONSE_BYTES: u64 = 1 << 30;

/// The base address: http or https, a host, no user, password, parameters or fragment.
pub(crate) fn base_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("`{}` is not an address: {e}", shown(text, 100)))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("scheme `{}` is neither http nor https", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "user name and password have keys of their own, they do not belong into the address".to_owned()
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("parameters belong into the query, not into the address".to_owned());
    }
    Ok(url)
}

/// Checks the settings of a source of type `kind`; secrets that are given twice are left to the type.
pub(crate) fn settings(kind: &str, settings: &Settings) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |path: &[&str], result: Result<(), String>| {
        let place: Vec<&str> = [kind].into_iter().chain(path.iter().copied()).collect();
        problems.extend(result.err().map(|message| Problem::at(&place, message)));
    };
    wrong(&["url"], base_url(&settings.url).map(drop));
    for (name, value) in &settings.headers {
        wrong(&["headers", name], header(name, value.expose()));
    }
    let proxy = settings.proxy_url.as_ref();
    if proxy.is_some_and(|proxy| reqwest::Proxy::all(proxy.expose()).is_err()) {
        wrong(&["proxy_url"], Err("proxy_url is not an address".to_owned()));
    }
    if !(1..=MAX_CONCURRENT).contains(&settings.max_concurrent) {
        let message = format!("max_concurrent is not between 1 and {MAX_CONCURRENT}");
        wrong(&["max_concurrent"], Err(message));
    }
    if !(1..=MAX_RESPONSE_BYTES).contains(&settings.max_response_bytes) {
        let message = format!("max_response_bytes is not between 1 and {MAX_RESPONSE_BYTES}");
        wrong(&["max_response_bytes"], Err(message));
    }
    problems
}

/// Checks that a header can be sent.
pub(crate) fn header(name: &str, value: &str) -> Result<(), String> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(format!("`{}` is not a header name", shown(name, 60)));
    }
    match HeaderValue::from_str(value) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("the value of header `{name}` holds characters that cannot be sent")),
    }
}
