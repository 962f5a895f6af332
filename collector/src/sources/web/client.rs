//! The HTTP client of a source, and who it says it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Proxy};
use url::Url;

use super::{Authorization, SecretFrom, Settings};
use crate::SourceError;
use crate::sources::provider::install_ring;
use crate::sources::secret;

/// More redirects than this are an error.
const MAX_REDIRECTS: usize = 5;

/// Makes the client. Reads the certificate file.
pub(super) fn build(settings: &Settings, base: &Url) -> Result<Client, String> {
    install_ring();
    let mut builder = Client::builder()
        .user_agent(concat!("tidemark/", env!("CARGO_PKG_VERSION")))
        .redirect(same_origin_redirects())
        .connect_timeout(settings.connect_timeout.0)
        .tls_danger_accept_invalid_certs(settings.tls.insecure_skip_verify)
        .no_proxy();
    if let Some(file) = &settings.tls.ca_file {
        let pem = std::fs::read(file).map_err(|e| format!("cannot read ca_file {file}: {e}"))?;
        let certificates = Certificate::from_pem_bundle(&pem)
            .map_err(|e| format!("ca_file {file} is no PEM bundle: {e}"))?;
        builder = builder.tls_certs_merge(certificates);
    } else if base.scheme() == "http" {
        // A machine without certificates can still ask an API without TLS.
        builder = builder.tls_certs_only([]);
    }
    if let Some(proxy) = &settings.proxy_url {
        let proxy = Proxy::all(proxy.expose()).map_err(|_| "proxy_url is not an address".to_owned())?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|e| format!("cannot make an HTTP client: {}", model::causes(&e)))
}

/// Follows redirects within one origin only: credentials and headers go to nobody else.
fn same_origin_redirects() -> Policy {
    Policy::custom(|attempt| {
        let from = attempt.previous().last().map(Url::origin);
        if attempt.previous().len() > MAX_REDIRECTS {
            return attempt.error(format!("more than {MAX_REDIRECTS} redirects"));
        }
        if from.is_some_and(|from| from != attempt.url().origin()) {
            let target = attempt.url().origin().ascii_serialization();
            return attempt
                .error(format!("redirected to {target}, which is another host: write its address"));
        }
        attempt.follow()
    })
}

/// The headers of the source's configuration, files of secrets read now. Also the secrets, to keep them out of
/// messages.
pub(super) async fn headers(settings: &Settings) -> Result<(HeaderMap, Vec<String>), SourceError> {
    let mut headers = HeaderMap::new();
    let mut secrets = Vec::new();
    for (name, value) in &settings.headers {
        insert(&mut headers, name, value.expose())?;
        secrets.push(value.expose().to_owned());
    }
    if let Some(authorization) = &settings.authorization {
        let (value, found) = credentials(authorization).await?;
        insert(&mut headers, AUTHORIZATION.as_str(), &value)?;
        secrets.extend(found);
    }
    Ok((headers, secrets))
}

/// Adds a header whose value is never shown.
pub(crate) fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), SourceError> {
    let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        SourceError::permanent(format!("`{}` is not a header name", crate::text::shown(name, 60)))
    })?;
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| SourceError::permanent(format!("the value of header `{name}` cannot be sent")))?;
    value.set_sensitive(true);
    headers.insert(key, value);
    Ok(())
}

/// The value of the `Authorization` header, and the secrets in it.
async fn credentials(authorization: &Authorization) -> Result<(String, Vec<String>), SourceError> {
    Ok(match authorization {
        Authorization::Bearer(token) => {
            let token = secret(token).await?;
            (format!("Bearer {token}"), vec![token])
        }
        Authorization::Basic { username, password } => {
            let password = secret(password).await?;
            let pair = STANDARD.encode(format!("{username}:{password}"));
            (format!("Basic {pair}"), vec![password, pair])
        }
        Authorization::ApiKey(key) => {
            let key = secret(key).await?;
            // Base64 has no colon: with one it is `id:key`.
            let encoded = if key.contains(':') { STANDARD.encode(&key) } else { key.clone() };
            (format!("ApiKey {encoded}"), vec![key, encoded])
        }
    })
}

/// The secret; empty when none is given.
async fn secret(from: &SecretFrom) -> Result<String, SourceError> {
    Ok(secret::read(from.value.as_ref(), from.file.as_deref()).await?.unwrap_or_default())
}
