//! The demo's `tidemark.yaml`: an ordinary configuration, written into the demo's folder at every start, since its
//! helpers listen on other ports each time.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::business::{Promotion, ZONE};
use super::samplers::Sampler;

/// The algorithms of the demo: those whose limits follow `false_alarms_per_week`. The prediction of the next step is
/// quicker and noisier; at sixty times life its noise would hide what is planted.
const CALM: &str = "[baseline, count, cusum, grey, threshold]";

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
            "  - name: {}\n{}    algorithms: {CALM}\n    interval: 1m\n    delay: 15s\n    timeout: {}ms\n",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::demo::business::Business;

    #[test]
    fn the_demo_s_file_is_an_ordinary_configuration_wherever_its_folder_lies() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["plain", "with \"quotes\" and $VARIABLES", "文件夹"] {
            let folder = dir.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
            let places = Places {
                data_dir: &folder.join("data"),
                shop: &folder.join("shop.db"),
                listen: at(9_680),
                risk_api: at(1_001),
                smtp: at(1_002),
                webhook: at(1_003),
                webhook_secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            };
            let business = Business::new(1, model::Timestamp::from_secs(1_790_040_600));
            let path = folder.join("tidemark.yaml");
            std::fs::write(&path, yaml(&places, 60.0, &business.promotions())).unwrap();
            let config = Config::load(&path).unwrap_or_else(|findings| panic!("{:#?}", findings.lines()));
            assert_eq!(config.data_dir(), folder.join("data"));
            let names: Vec<_> = config.samplers().iter().map(|sampler| sampler.name.to_string()).collect();
            assert_eq!(names, Sampler::ALL.map(|sampler| sampler.name().to_owned()));
            let metrics: Vec<_> =
                config.judging().iter().map(|settings| settings.metric.to_string()).collect();
            let history: Vec<_> = Sampler::ALL.iter().flat_map(|sampler| sampler.metrics()).collect();
            assert_eq!(metrics, history.iter().map(|name| name.to_string()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_hung_source_is_given_up_before_its_next_tick() {
        for speed in [1.0, 60.0, 600.0] {
            let real_minute = Duration::from_secs_f64(60.0 / speed);
            assert!(timeout(speed) <= real_minute.max(Duration::from_millis(100)) / 2, "{speed}");
        }
    }
}
