//! Where a server is and how it is asked.

use std::collections::BTreeMap;

use model::{HumanDuration, Secret, TlsConfig};

/// What the sections of all source types that speak HTTP come down to.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Base address.
    pub(crate) url: String,
    /// Headers of every request.
    pub(crate) headers: BTreeMap<String, Secret>,
    /// Who we say we are.
    pub(crate) authorization: Option<Authorization>,
    /// Certificates.
    pub(crate) tls: TlsConfig,
    /// Proxy for every request.
    pub(crate) proxy_url: Option<Secret>,
    /// The longest answer that is read.
    pub(crate) max_response_bytes: u64,
    /// How long connecting may take.
    pub(crate) connect_timeout: HumanDuration,
    /// How many requests may run at once.
    pub(crate) max_concurrent: usize,
}

/// The `Authorization` header.
#[derive(Clone, Debug)]
pub(crate) enum Authorization {
    /// User name and password; none is an empty one.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: SecretFrom,
    },
    /// `Bearer ..`.
    Bearer(SecretFrom),
    /// `ApiKey ..`: as Elasticsearch encodes it, or `id:key`, which is encoded here.
    ApiKey(SecretFrom),
}

/// A secret that is given, or a file that holds it and is read for each request.
#[derive(Clone, Debug, Default)]
pub(crate) struct SecretFrom {
    /// The secret.
    pub(crate) value: Option<Secret>,
    /// The file.
    pub(crate) file: Option<String>,
}

impl SecretFrom {
    /// Of a pair of keys `x` and `x_file`.
    pub(crate) fn new(value: Option<&Secret>, file: Option<&String>) -> Self {
        Self { value: value.cloned(), file: file.cloned() }
    }

    /// The same; `None` when neither key is there.
    pub(crate) fn given(value: Option<&Secret>, file: Option<&String>) -> Option<Self> {
        (value.is_some() || file.is_some()).then(|| Self::new(value, file))
    }
}

pub(crate) fn default_max_response_bytes() -> u64 {
    8 << 20
}

pub(crate) fn default_connect_timeout() -> HumanDuration {
    HumanDuration::from_secs(5)
}

pub(crate) fn default_max_concurrent() -> usize {
    8
}
