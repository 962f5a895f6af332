use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// PEM file of certificate authorities, believed beside those of the system.
    pub ca_file: Option<String>,
    /// Believe any certificate. For tests on a trusted network only.
    pub insecure_skip_verify: bool,
}
