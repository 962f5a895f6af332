//! The demo's samplers, once as configuration and once as what they would have brought in any past minute: history and
//! live sampling of the same metric stand side by side here, so that they stay the same.

use std::sync::Arc;

use model::{Labels, Origin, Ratio, Sample, SeriesKey, Tick, TickOutcome, Timestamp, Window};

use super::business::{Business, Channel, MINUTE, Stream};

/// A sampler of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sampler {
    /// Customers registered.
    Registrations,
    /// Logins.
    Logins,
    /// Applications for credit, by channel.
    Applications,
    /// Share of credit checks that pass.
    PassRate,
    /// Orders, by channel.
    Orders,
    /// Loans paid out: how many, how much.
    Loans,
    /// Instalments paid back: how many, how much.
    Repayments,
    /// How long the risk API takes.
    Latency,
}

impl Sampler {
    /// All of them, in the order of the page.
    pub(crate) const ALL: [Self; 8] = [
        Self::Orders,
        Self::Logins,
        Self::Registrations,
        Self::Applications,
        Self::PassRate,
        Self::Loans,
        Self::Repayments,
        Self::Latency,
    ];

    /// Its name in the configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Registrations => "registrations",
            Self::Logins => "logins",
            Self::Applications => "applications",
            Self::PassRate => "pass_rate",
            Self::Orders => "orders",
            Self::Loans => "loans",
            Self::Repayments => "repayments",
            Self::Latency => "risk_api_latency",
        }
    }

    /// Full names of its metrics.
    pub(crate) fn metrics(self) -> Vec<Arc<str>> {
        match self {
            Self::Loans => vec!["loans.count".into(), "loans.amount".into()],
            Self::Repayments => vec!["repayments.count".into(), "repayments.amount".into()],
            one => vec![one.name().into()],
        }
    }

    /// Its entry of `metrics` in the configuration, without what all have in common.
    pub(crate) const fn yaml(self) -> &'static str {
        match self {
            Self::Registrations => {
                "    title: Registrations\n    unit: /min\n    kind: count\n    source: shop\n    query:\n      sql: SELECT COUNT(*) AS n FROM registrations WHERE created_at >= :start AND created_at < :end\n"
            }
            Self::Logins => {
                "    title: Logins\n    unit: /min\n    kind: count\n    severity_layers: {p0: 4, p1: 1.5}\n    source: shop\n    query:\n      sql: SELECT COUNT(*) AS n FROM logins WHERE created_at >= :start AND created_at < :end\n"
            }
            Self::Applications => {
                "    title: Credit applications\n    unit: /min\n    kind: count\n    missing: zero\n    source: shop\n    query:\n      sql: SELECT channel, COUNT(*) AS n FROM applications WHERE created_at >= :start AND created_at < :end GROUP BY channel\n    labels: [channel]\n    values: [n]\n"
            }
            Self::PassRate => {
                "    title: Credit pass rate\n    unit: ratio\n    kind: rate\n    source: risk\n    query:\n      http:\n        path: /v1/decisions\n        params: {from: \"{{ start_ms }}\", to: \"{{ end_ms }}\"}\n        json: {rows: $.data}\n    numerator: approved\n    denominator: decided\n"
            }
            Self::Orders => {
                "    title: Orders\n    unit: /min\n    kind: count\n    missing: zero\n    owner: trade\n    severity_layers: {p0: 1.2, p1: 1}\n    source: shop\n    query:\n      sql: SELECT channel, COUNT(*) AS n FROM orders WHERE created_at >= :start AND created_at < :end GROUP BY channel\n    labels: [channel]\n    values: [n]\n"
            }
            Self::Loans => {
                "    source: shop\n    query:\n      sql: SELECT COUNT(*) AS count, COALESCE(SUM(amount_cents), 0) / 100.0 AS amount FROM loans WHERE created_at >= :start AND created_at < :end\n    values:\n      - {name: count, title: Loans paid out, unit: /min, kind: count}\n      - {name: amount, title: Amount paid out, unit: CNY/min}\n"
            }
            Self::Repayments => {
                "    source: risk\n    query:\n      http:\n        path: /v1/repayments\n        params: {from: \"{{ start_ms }}\", to: \"{{ end_ms }}\"}\n        json: {rows: $.data}\n    values:\n      - {name: count, title: Repayments, unit: /min, kind: count}\n      - {name: amount, title: Amount repaid, unit: CNY/min}\n"
            }
            Self::Latency => {
                "    title: \"Risk API, 95th percentile\"\n    unit: ms\n    direction: above\n    source: risk\n    query:\n      http:\n        path: /v1/latency\n        params: {from: \"{{ start_ms }}\", to: \"{{ end_ms }}\"}\n        json: {rows: $.data}\n"
            }
        }
    }

    /// The tick this sampler would have left for a past minute, of origin `backfill`.
    pub(crate) fn history(self, business: &Business, minute: Timestamp) -> Tick {
        let samples = self.samples(business, minute);
        Tick {
            sampler: self.name().into(),
            metrics: self.metrics(),
            window: Window::new(minute, MINUTE),
            ticks: 1,
            origin: Origin::Backfill,
            outcome: if samples.is_empty() { TickOutcome::Empty } else { TickOutcome::Rows(samples) },
            duration_ms: 0,
        }
    }

    fn samples(self, business: &Business, minute: Timestamp) -> Vec<Sample> {
        match self {
            Self::Registrations => {
                vec![plain(self.name(), business.count(Stream::Registrations, minute) as f64)]
            }
            Self::Logins => vec![plain(self.name(), business.count(Stream::Logins, minute) as f64)],
            Self::Applications => self.by_channel(business, minute, Stream::Applications),
            Self::Orders => self.by_channel(business, minute, Stream::Orders),
            Self::PassRate => rate(self.name(), business.decisions(minute)).into_iter().collect(),
            Self::Loans => money(self.metrics(), business.sum(Stream::Loans, minute)),
            Self::Repayments => money(self.metrics(), business.sum(Stream::Repayments, minute)),
            Self::Latency => vec![plain(self.name(), business.latency_ms(minute))],
        }
    }

    /// As `GROUP BY` answers: a channel without rows is absent.
    fn by_channel(
        self,
        business: &Business,
        minute: Timestamp,
        stream: fn(Channel) -> Stream,
    ) -> Vec<Sample> {
        let count = |channel: Channel| {
            let count = business.count(stream(channel), minute);
            let series = SeriesKey::new(self.name(), Labels::new([("channel", channel.name())]));
            (count > 0).then_some(Sample { series, value: count as f64, ratio: None, revision: 0 })
        };
        Channel::ALL.into_iter().filter_map(count).collect()
    }
}

fn plain(metric: impl Into<Arc<str>>, value: f64) -> Sample {
    Sample { series: SeriesKey::new(metric, Labels::default()), value, ratio: None, revision: 0 }
}

fn rate(metric: &str, (decided, approved): (u64, u64)) -> Option<Sample> {
    let ratio = Ratio { numerator: approved as f64, denominator: decided as f64 };
    let share = plain(metric, ratio.numerator / ratio.denominator);
    (decided > 0).then_some(Sample { ratio: Some(ratio), ..share })
}

fn money(metrics: Vec<Arc<str>>, (count, cents): (u64, i64)) -> Vec<Sample> {
    let values = [count as f64, cents as f64 / 100.0];
    metrics.into_iter().zip(values).map(|(metric, value)| plain(metric, value)).collect()
}
