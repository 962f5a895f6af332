//! Alert transitions: what the detector tells the notifier.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Labels, Origin, Reason, SeriesKey, Timestamp, Window};

/// How bad: P0 is the worst.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Severity {
    /// Wake someone.
    P0,
    /// Act today.
    P1,
    /// Know of it.
    #[default]
    P2,
}

impl Severity {
    /// `P0`, `P1` or `P2`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happened to an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transition {
    /// Outside, not yet often enough.
    Pending,
    /// It fires.
    Firing,
    /// It fires and its severity changed.
    SeverityChanged,
    /// It is over.
    Resolved,
}

/// One life of one alert: fingerprint of its label set and the moment it began, shown as `9f86d081884c7d65-2oxk1c`
/// (16 hex digits, then the start in milliseconds in base 36).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId {
    /// Hash of alertname, metric and series labels.
    pub fingerprint: u64,
    /// Start of the window in which it became pending (firing when it fired at once).
    pub starts_at: Timestamp,
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.starts_at.as_millis().unsigned_abs();
        let mut digits = Vec::new();
        while rest > 0 || digits.is_empty() {
            digits.push(char::from_digit((rest % 36) as u32, 36).unwrap_or('0'));
            rest /= 36;
        }
        let sign = if self.starts_at.as_millis() < 0 { "_" } else { "" };
        write!(f, "{:016x}-{sign}{}", self.fingerprint, digits.iter().rev().collect::<String>())
    }
}

impl FromStr for AlertId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not an alert id: it looks like 9f86d081884c7d65-lq2x3c00");
        let (hash, start) = text.split_once('-').ok_or_else(wrong)?;
        let fingerprint =
            u64::from_str_radix(hash, 16).ok().filter(|_| hash.len() == 16).ok_or_else(wrong)?;
        let (sign, digits) = start.strip_prefix('_').map_or((1, start), |rest| (-1, rest));
        let millis = i64::from_str_radix(digits, 36).ok().filter(|m| *m >= 0).ok_or_else(wrong)?;
        Ok(Self { fingerprint, starts_at: Timestamp::from_millis(sign * millis) })
    }
}

impl Serialize for AlertId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AlertId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What people should know beside the numbers; from the metric's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertInfo {
    /// The metric's title for people, such as `Orders per minute`; empty means use the metric's name.
    #[serde(default)]
    pub title: String,
    /// Unit of its values.
    #[serde(default)]
    pub unit: String,
    /// Who owns the metric.
    #[serde(default)]
    pub owner: String,
    /// Where to read what to do.
    #[serde(default)]
    pub runbook_url: String,
}

/// An entry of the topic `alerts`: an alert changed its state.
///
/// Identical in live judging, restart and backtest: nothing in it depends on when it was computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertTransition {
    /// Which life of which alert.
    pub id: AlertId,
    /// The series it speaks of; of a rule or a pushed alert `metric` is its alertname.
    pub series: SeriesKey,
    /// The label set matchers see, without severity: `alertname`, `metric`, the series labels, `owner` when set.
    pub labels: Labels,
    /// What happened.
    pub transition: Transition,
    /// The severity from now on.
    pub severity: Severity,
    /// The window at which it happened. Domain time of the transition is `window.end`.
    pub window: Window,
    /// Origin of the tick; `Backfill` never notifies.
    pub origin: Origin,
    /// The numbers at that window (see [`crate::Verdict`]).
    pub value: Option<f64>,
    /// Expected value.
    pub expected: Option<f64>,
    /// Lower end of the band.
    pub lower: Option<f64>,
    /// Upper end of the band.
    pub upper: Option<f64>,
    /// Deviation in per cent.
    pub deviation_pct: Option<f64>,
    /// Score; 1 is the limit.
    pub score: f64,
    /// What people should know.
    pub info: AlertInfo,
    /// The whole reason.
    pub reason: Arc<Reason>,
    /// Revision hash of the configuration that judged.
    pub config_revision: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn alert_ids_parse_back(fingerprint: u64, millis in -1_000_000_000_000i64..4_000_000_000_000) {
            let id = AlertId { fingerprint, starts_at: Timestamp::from_millis(millis) };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn rubbish_is_no_alert_id() {
        for text in ["", "-", "12-34", "zzzzzzzzzzzzzzzz-1", "0123456789abcdef-", "0123456789abcdef--5"] {
            assert!(text.parse::<AlertId>().is_err(), "{text}");
        }
    }
}
