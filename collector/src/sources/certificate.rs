//! Why a server's certificate was not believed, in words.

use std::error::Error;
use std::io;

use model::Timestamp;
use rustls::CertificateError;
use rustls::pki_types::UnixTime;

/// What is wrong with the certificate, and what to do; `None` when the failure is another.
pub(super) fn disbelief(error: &(dyn Error + 'static)) -> Option<String> {
    refusal(error).map(words)
}

/// The name a certificate is for, when nothing is wrong with it but that this is not the server's.
pub(super) fn other_name(error: &(dyn Error + 'static)) -> Option<String> {
    let CertificateError::NotValidForNameContext { presented, .. } = refusal(error)? else { return None };
    let name =
        |text: &String| Some(text.strip_prefix("DnsName(\"")?.strip_suffix("\")")?.replace('*', "any"));
    presented.iter().find_map(name)
}

/// Why a certificate was refused, wherever in an error's causes that stands.
fn refusal<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CertificateError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(why)) = tls_error(error) {
            return Some(why);
        }
        next = error.source();
    }
    None
}

/// The error of the TLS library, by itself or within I/O errors, which do not name what they carry as their source.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<io::Error>() {
        Some(carrier) => tls_error(carrier.get_ref()?),
        None => error.downcast_ref(),
    }
}

fn words(why: &CertificateError) -> String {
    match why {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the server's certificate expired at {}: it must be renewed there", instant(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the server's certificate is not valid before {}", instant(*not_before))
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the server's certificate comes from an authority that is not trusted here: name that authority's file \
             in tls.ca_file"
                .to_owned()
        }
        other => format!("the server's certificate is refused: {other}"),
    }
}

fn instant(at: UnixTime) -> Timestamp {
    Timestamp::from_secs(i64::try_from(at.as_secs()).unwrap_or(i64::MAX / 1_000_000_000))
}
