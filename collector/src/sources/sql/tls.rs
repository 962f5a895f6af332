//! TLS to database servers, as their own clients know it.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::validate::Problem;

/// How the connection to a database is encrypted and which certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseTls {
    /// What is asked of the server. Default: `verify_full`; for a server on this machine (`localhost`, 127.0.0.1, ::1)
    /// `prefer`.
    pub mode: Option<TlsMode>,
    /// PEM file of certificate authorities, believed instead of those of the system.
    pub ca_file: Option<String>,
    /// PEM file of our own certificate, where the server wants one.
    pub cert_file: Option<String>,
    /// PEM file of its key.
    pub key_file: Option<String>,
}

/// How much is asked of the server, as PostgreSQL's `sslmode` and MySQL's `ssl-mode` call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// No encryption.
    Disable,
    /// Encryption where the server offers it, whoever it is. Keeps out nobody who can change what is sent.
    Prefer,
    /// Encryption, whoever the server is; with `ca_file` as `verify_ca`.
    Require,
    /// Encryption, and a certificate of an authority we believe.
    VerifyCa,
    /// That, and the certificate is for this host.
    VerifyFull,
}

impl DatabaseTls {
    /// The mode for a host: what is configured, or the default.
    pub(crate) fn mode(&self, host: &str) -> TlsMode {
        match self.mode {
            Some(TlsMode::Require) if self.ca_file.is_some() => TlsMode::VerifyCa,
            Some(mode) => mode,
            None if host.starts_with('/') => TlsMode::Disable,
            None if is_this_machine(host) => TlsMode::Prefer,
            None => TlsMode::VerifyFull,
        }
    }

    /// Finds what is wrong with the section `tls` of a source of this type.
    pub(crate) fn validate(&self, kind: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |key: &str, message: &str| problems.push(Problem::at(&[kind, "tls", key], message));
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => wrong("cert_file", "cert_file needs key_file, the key of the certificate"),
            (None, Some(_)) => wrong("key_file", "key_file needs cert_file, the certificate it belongs to"),
            _ => {}
        }
        let files = [("ca_file", &self.ca_file), ("cert_file", &self.cert_file)];
        for (key, _) in files.into_iter().filter(|(_, file)| file.is_some()) {
            if self.mode == Some(TlsMode::Disable) {
                wrong(key, "mode is disable: there is no certificate to look at");
            } else if key == "ca_file" && self.mode == Some(TlsMode::Prefer) {
                wrong(key, "mode is prefer, which believes any certificate: write verify_ca or verify_full");
            }
        }
        problems
    }

    /// What the mode means to the TLS library, for every mode but `disable`. Reads the files.
    ///
    /// # Errors
    /// When a file cannot be read or holds nothing of use, naming it.
    pub(crate) fn client_config(&self, host: &str) -> Result<ClientConfig, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("TLS: {e}"))?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(self.mode(host), provider)?);
        let (Some(cert_file), Some(key_file)) = (&self.cert_file, &self.key_file) else {
            return Ok(builder.with_no_client_auth());
        };
        let key = PrivateKeyDer::from_pem_file(key_file)
            .map_err(|e| format!("key_file {key_file} holds no private key: {e}"))?;
        let certificates = certificates("cert_file", cert_file)?;
        builder
            .with_client_auth_cert(certificates, key)
            .map_err(|e| format!("cert_file {cert_file} and key_file {key_file} do not fit: {e}"))
    }

    fn verifier(
        &self,
        mode: TlsMode,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, String> {
        if matches!(mode, TlsMode::Disable | TlsMode::Prefer | TlsMode::Require) {
            return Ok(Arc::new(Lenient { provider, chain: None }));
        }
        let roots = Arc::new(self.roots()?);
        let chain = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|e| format!("certificate authorities: {e}"))?;
        if mode == TlsMode::VerifyFull {
            return Ok(chain);
        }
        Ok(Arc::new(Lenient { provider, chain: Some(chain) }))
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        let place = self.ca_file.as_deref().unwrap_or("the system's authorities");
        for certificate in self.authorities()? {
            roots.add(certificate).map_err(|e| format!("ca_file {place}: {e}"))?;
        }
        Ok(roots)
    }

    /// The certificate authorities that are believed, at least one: those of `ca_file`, without it the system's, as far
    /// as they can be used.
    ///
    /// # Errors
    /// When there is none, or the file cannot be read.
    pub(crate) fn authorities(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        if let Some(file) = &self.ca_file {
            return certificates("ca_file", file);
        }
        let mut found = rustls_native_certs::load_native_certs().certs;
        found.retain(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
        if found.is_empty() {
            return Err(
                "this machine has no certificate authorities: name the server's in tls.ca_file".to_owned()
            );
        }
        Ok(found)
    }
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The certificates of a PEM file, at least one.
fn certificates(key: &str, file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = std::fs::read(file).map_err(|e| format!("cannot read {key} {file}: {e}"))?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(format!("{key} {file} holds no certificate: a PEM file is wanted")),
        Err(e) => Err(format!("{key} {file} is no PEM file: {e}")),
    }
}

/// Believes more than it should, but never that a server has a key which it has not.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    /// Whose certificates are believed, for whatever name; without it any is.
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    /// The name is looked at last, so that its error means that the rest was right.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_safe_by_itself_and_says_what_does_not_fit() {
        let tls = |text: &str| serde_json::from_str::<DatabaseTls>(text).unwrap();
        for (text, host, mode) in [
            ("{}", "db.example.com", TlsMode::VerifyFull),
            ("{}", "10.0.0.7", TlsMode::VerifyFull),
            ("{}", "127.0.0.1", TlsMode::Prefer),
            ("{}", "Localhost", TlsMode::Prefer),
            (r#"{"mode": "disable"}"#, "db", TlsMode::Disable),
            (r#"{"mode": "require"}"#, "db", TlsMode::Require),
            (r#"{"mode": "require", "ca_file": "ca.pem"}"#, "db", TlsMode::VerifyCa),
        ] {
            assert_eq!(tls(text).mode(host), mode, "{text} {host}");
        }
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem").display().to_string();
        std::fs::write(&empty, "nothing").unwrap();
        let mut shown = Vec::new();
        for text in [
            r#"{"cert_file": "c.pem"}"#,
            r#"{"key_file": "k.pem"}"#,
            r#"{"mode": "disable", "ca_file": "ca.pem"}"#,
            r#"{"mode": "prefer", "ca_file": "ca.pem"}"#,
        ] {
            let problems = tls(text).validate("postgres");
            shown.extend(problems.iter().map(|p| format!("{}: {}", p.path.join("."), p.message)));
        }
        let files = DatabaseTls { ca_file: Some(empty), ..DatabaseTls::default() };
        shown.push(files.client_config("db").unwrap_err());
        let missing = DatabaseTls { ca_file: Some("/nowhere/ca.pem".into()), ..files.clone() };
        shown.push(missing.client_config("db").unwrap_err());
        let shown = shown.join("\n").replace(&folder.path().display().to_string(), "");
        insta::assert_snapshot!(shown, @r#"
            postgres.tls.cert_file: cert_file needs key_file, the key of the certificate
            postgres.tls.key_file: key_file needs cert_file, the certificate it belongs to
            postgres.tls.ca_file: mode is disable: there is no certificate to look at
            postgres.tls.ca_file: mode is prefer, which believes any certificate: write verify_ca or verify_full
            ca_file /empty.pem holds no certificate: a PEM file is wanted
            cannot read ca_file /nowhere/ca.pem: No such file or directory (os error 2)
            "#);
    }
}
