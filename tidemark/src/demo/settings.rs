//! The demo's `tidemark.yaml`: an ordinary configuration, written into the demo's folder at every start, since its
//! helpers listen on other ports each time.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::business::{Promotion, ZONE};
use super::samplers::Sampler;

/// Where everything is.
pub(crate) struct Places<'a> {
    /// Tidemark's own data folder.
    pub(crate) data_dir: &'a Path,
    /// The business' database.
    pub(crate) shop: &'a Path,
    /// Address of page and API.
    pub(crate) listen: SocketAddr,
    /// Address of the risk API.
    pub(crate) risk_api: SocketAddr,
    /// Address of the mail catcher.
    pub(crate) smtp: SocketAddr,
    /// Address of the webhook catcher.
    pub(crate) webhook: SocketAddr,
    /// The webhook's signing key, `whsec_..`.
    pub(crate) webhook_secret: &'a str,
}

/// The whole file.
pub(crate) fn yaml(places: &Places<'_>, speed: f64, promotions: &[Promotion]) -> String {
    let mut text = String::from(
        "# Written by `tidemark demo` at every start: look, but change a copy.\n\
         # An ordinary configuration: `tidemark check` and every other command read it.\n",
    );
    let Places { data_dir, shop, listen, risk_api, smtp, webhook, webhook_secret } = places;
    let (data_dir, shop) = (quoted(data_dir), quoted(shop));
    let zone = ZONE.name();
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "version: 1\ndata_dir: {data_dir}\ntimezone: {zone}\nlanguage: en\n\
         http:\n  listen: {listen}\n  external_url: http://{listen}\n\n\
         sources:\n  shop:\n    sqlite: {{path: {shop}, timezone: {zone}}}\n  \
         risk:\n    http: {{url: \"http://{risk_api}\"}}\n\nmetrics:\n"
    );
    for sampler in Sampler::ALL {
        let _ = write!(
            text,
            "  - name: {}\n{}    interval: 1m\n    delay: 15s\n    timeout: {}ms\n",
            sampler.name(),
            sampler.yaml(),
            timeout(speed).as_millis()
        );
    }
    let _ = write!(
        text,
        "\n# P0 rings twice, by mail and by webhook; everything goes to the desk, in Chinese.\n\
         route:\n  receiver: desk\n  group_by: [metric]\n  group_wait: 30s\n  group_interval: 5m\n  repeat_interval: 4h\n  \
         routes:\n    - receiver: on-call\n      matchers: ['severity=\"P0\"']\n      continue: true\n    - receiver: desk\n\n\
         receivers:\n  - name: on-call\n    language: en\n    channels:\n      \
         - email: {{to: [on-call@lending.example], from: \"Tidemark <tidemark@lending.example>\", host: {host}, port: {port}, tls: none}}\n      \
         - webhook: {{url: \"http://{webhook}/hook\", secret: {webhook_secret}}}\n  \
         - name: desk\n    language: zh\n    channels:\n      \
         - email: {{to: [desk@lending.example], from: \"Tidemark <tidemark@lending.example>\", host: {host}, port: {port}, tls: none}}\n\n\
         calendar:\n  promotions:\n",
        host = smtp.ip(),
        port = smtp.port(),
    );
    for promotion in promotions {
        let local = |at: model::Timestamp| at.in_zone(ZONE).format("%Y-%m-%dT%H:%M").to_string();
        let (from, to) = (local(promotion.window.start), local(promotion.window.end));
        let _ = writeln!(
            text,
            "    - {{name: flash-sale, from: \"{from}\", to: \"{to}\", factor: {}, widen: 2, metrics: [orders, registrations]}}",
            promotion.factor
        );
    }
    text
}

/// A third of an interval in real time, at most ten seconds: a hung source must not cost the tick after it.
fn timeout(speed: f64) -> Duration {
    Duration::from_secs_f64((20.0 / speed).clamp(0.05, 10.0))
}

/// A path as a YAML scalar in double quotes.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    // `$` would begin a variable.
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$"))
}
