//! The section `http`: the one listener that serves pages, health, metrics and the API.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use model::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The one HTTP listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpSection {
    /// Address and port to listen on. Port 0 takes a free one. Beyond loopback a token is needed.
    pub(crate) listen: String,
    /// Address under which people reach this Tidemark, for links in messages; default `http://` and `listen`.
    pub(crate) external_url: Option<String>,
    /// Token that requests must carry (`Authorization: Bearer ..`). Without one, only loopback addresses are allowed.
    pub(crate) token: Option<Secret>,
    /// File that holds the token.
    pub(crate) token_file: Option<String>,
}

impl Default for HttpSection {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9680".into(), external_url: None, token: None, token_file: None }
    }
}

impl HttpSection {
    /// The addresses `listen` stands for.
    ///
    /// # Errors
    /// A sentence when it is no address and port.
    pub(crate) fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let wrong =
            || format!("`{}` is not an address to listen on: write for example 127.0.0.1:9680", self.listen);
        if let Ok(address) = self.listen.parse() {
            return Ok(vec![address]);
        }
        let (host, _) = self.listen.rsplit_once(':').ok_or_else(wrong)?;
        if host.is_empty() || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) {
            return Err(wrong());
        }
        let found: Vec<_> = self.listen.to_socket_addrs().map_err(|_| wrong())?.collect();
        if found.is_empty() { Err(wrong()) } else { Ok(found) }
    }

    /// Takes the token out of `token_file`, so that whoever guards the listener has one place to look.
    ///
    /// # Errors
    /// A sentence naming the file when it cannot be read or holds nothing.
    pub(crate) fn read_token(&mut self) -> Result<(), String> {
        let (given, file) = (self.token.as_ref(), self.token_file.as_deref());
        let token = Secret::given_or_in(given, file, |path| std::fs::File::open(path));
        self.token = token.map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Where people reach this Tidemark: `external_url`, else `listen`; `None` with port 0, which nobody knows before.
    pub(crate) fn own_url(&self) -> Option<String> {
        let listen = Some(&self.listen).filter(|listen| !listen.ends_with(":0"));
        self.external_url.clone().or_else(|| listen.map(|listen| format!("http://{listen}")))
    }

    /// Whether everything `listen` stands for is loopback.
    pub(crate) fn is_loopback(&self) -> bool {
        self.addresses().is_ok_and(|all| all.iter().all(|address| address.ip().is_loopback()))
    }
}
