//! Who may ask what of the HTTP listener.
//!
//! * With `http.token` configured, everything but `/healthz` and `/readyz` needs it: as `Authorization: Bearer`, or
//!   as the password of Basic authentication, which browsers ask for.
//! * Without, reading is open; configuration refuses that on a non-loopback address. The `Host` header must then be a
//!   loopback name, so that no page of the web reads the numbers by rebinding its name to 127.0.0.1.
//! * What changes state (anything but GET and HEAD) always needs a token: the configured one, or the one the process
//!   left for its commands in `process.json`; and it must not come from a page of another site.
//! * What [`super::hooks`] serves passes: providers and holders of signed links know no token, and each request is
//!   checked there by the signatures it carries.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use model::Secret;
use subtle::ConstantTimeEq;

use super::hooks;

/// What the guard knows.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Made at start, handed to commands through `process.json`.
    pub(crate) process_token: Secret,
    /// `http.token`.
    pub(crate) configured_token: Option<Secret>,
    /// Host of `http.external_url`, allowed in `Host` too.
    pub(crate) external_host: Option<String>,
}

/// Lets a request through or answers it.
pub(crate) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.judge(request.method(), request.uri().path(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Why a request is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Unauthorized,
    ForeignHost,
    OtherSite,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                [(header::WWW_AUTHENTICATE, "Basic realm=\"tidemark\", charset=\"UTF-8\"")],
                "a token is needed: send it as `Authorization: Bearer ..` or as the password\n",
            )
                .into_response(),
            Self::OtherSite => {
                (StatusCode::FORBIDDEN, "pages of other sites change nothing here\n").into_response()
            }
            Self::ForeignHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "this address answers to loopback names only: set `http.external_url` and `http.token`\n",
            )
                .into_response(),
        }
    }
}

impl Guard {
    fn judge(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        if matches!(path, "/healthz" | "/readyz") {
            return Ok(());
        }
        if hooks::PREFIXES.iter().any(|prefix| path.starts_with(prefix)) {
            return Ok(());
        }
        let reads = matches!(*method, Method::GET | Method::HEAD);
        if !reads && from_another_site(headers) {
            return Err(Refusal::OtherSite);
        }
        if self.token_is_good(headers) {
            return Ok(());
        }
        if !reads || self.configured_token.is_some() {
            return Err(Refusal::Unauthorized);
        }
        if self.host_is_ours(headers) { Ok(()) } else { Err(Refusal::ForeignHost) }
    }

    fn token_is_good(&self, headers: &HeaderMap) -> bool {
        let Some(given) = given_token(headers) else { return false };
        let tokens = std::iter::once(&self.process_token).chain(&self.configured_token);
        tokens.fold(false, |good, token| good | bool::from(token.expose().as_bytes().ct_eq(given.as_bytes())))
    }

    fn host_is_ours(&self, headers: &HeaderMap) -> bool {
        let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return true };
        let name = host_name(host);
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            || self.external_host.as_deref().is_some_and(|ours| ours.eq_ignore_ascii_case(name))
    }
}

/// Whether a browser sent this for a page of another site: it would add a remembered password by itself.
fn from_another_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    let origin = text("origin").map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    origin.is_some_and(|origin| text("host") != Some(origin))
}

fn host_name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

fn given_token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = base64::engine::general_purpose::STANDARD.decode(rest.trim()).ok()?;
        let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        return Some(password.to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(configured: Option<&str>, method: Method, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let guard = Guard {
            process_token: Secret::new("process"),
            configured_token: configured.map(Secret::new),
            external_host: Some("tidemark.example".into()),
        };
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        guard.judge(&method, "/api/v1/metrics", &headers)
    }

    #[test]
    fn what_carries_its_own_signature_passes_and_nothing_beside_it() {
        let guard = Guard {
            process_token: Secret::new("p"),
            configured_token: Some(Secret::new("t")),
            external_host: None,
        };
        let judge = |path: &str| guard.judge(&Method::POST, path, &HeaderMap::new());
        assert_eq!(judge("/hooks/twilio/key/x"), Ok(()));
        assert_eq!(judge("/ack/x"), Ok(()));
        for path in
            ["/hooks", "/ack", "/api/v1/alerts/x/ack", "/api/v1/reload", "//hooks/twilio/key/x", "/x/hooks/"]
        {
            assert_eq!(judge(path), Err(Refusal::Unauthorized), "{path}");
        }
    }

    #[test]
    fn without_a_configured_token_reading_is_open_to_loopback_names() {
        for host in ["localhost:9900", "127.0.0.1:9900", "[::1]:9900", "localhost", "tidemark.example"] {
            assert_eq!(check(None, Method::GET, &[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(check(None, Method::GET, &[("host", "evil.example")]), Err(Refusal::ForeignHost));
    }

    #[test]
    fn what_changes_state_needs_a_token() {
        let local = ("host", "localhost");
        assert_eq!(check(None, Method::POST, &[local]), Err(Refusal::Unauthorized));
        assert_eq!(
            check(None, Method::POST, &[local, ("authorization", "Bearer wrong")]),
            Err(Refusal::Unauthorized)
        );
        assert_eq!(check(None, Method::POST, &[local, ("authorization", "Bearer process")]), Ok(()));
    }

    #[test]
    fn pages_of_other_sites_change_nothing_even_with_a_remembered_password() {
        let good = [("host", "localhost:9680"), ("authorization", "Bearer process")];
        let with = |name, value| check(None, Method::POST, &[good[0], good[1], (name, value)]);
        assert_eq!(with("origin", "http://evil.example"), Err(Refusal::OtherSite));
        assert_eq!(with("sec-fetch-site", "cross-site"), Err(Refusal::OtherSite));
        assert_eq!(with("origin", "http://localhost:9680"), Ok(()));
        assert_eq!(with("sec-fetch-site", "same-origin"), Ok(()));
    }

    #[test]
    fn a_configured_token_is_needed_for_reading_too() {
        assert_eq!(check(Some("t"), Method::GET, &[("host", "localhost")]), Err(Refusal::Unauthorized));
        assert_eq!(check(Some("t"), Method::GET, &[("authorization", "bearer t")]), Ok(()));
        // user:t
        assert_eq!(check(Some("t"), Method::GET, &[("authorization", "Basic dXNlcjp0")]), Ok(()));
        assert_eq!(
            check(Some("t"), Method::GET, &[("authorization", "Basic !!")]),
            Err(Refusal::Unauthorized)
        );
    }
}
