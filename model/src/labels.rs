//! Names, label sets and series.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Labels that would collide with a tag or field of the time-series layout; configuration refuses them.
pub const RESERVED_LABELS: [&str; 21] = [
    "metric",
    "value",
    "numerator",
    "denominator",
    "expected",
    "lower",
    "upper",
    "forecast",
    "prev_week",
    "deviation_pct",
    "score",
    "state",
    "text",
    "severity",
    "id",
    "end_ms",
    "revision",
    "time",
    "alertname",
    "_field",
    "_measurement",
];

/// Why a text cannot be a metric or label name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Not of the form a metric name has.
    #[error("`{0}` is not a metric name: letters, digits, `_` and `.`, not starting with a digit or `.`")]
    Metric(String),
    /// Not of the form a label name has.
    #[error("`{0}` is not a label name: letters, digits and `_`, not starting with a digit")]
    Label(String),
    /// A name the time-series layout uses itself.
    #[error("`{0}` cannot be a label: the time-series layout has a tag or field of that name")]
    Reserved(String),
}

/// Checks `[a-zA-Z_][a-zA-Z0-9_.]*`.
///
/// # Errors
/// [`InvalidName::Metric`] naming the text.
pub fn check_metric_name(name: &str) -> Result<(), InvalidName> {
    let ok = starts_well(name) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
    if ok { Ok(()) } else { Err(InvalidName::Metric(name.to_owned())) }
}

/// Checks `[a-zA-Z_][a-zA-Z0-9_]*` and that the name is not one of [`RESERVED_LABELS`].
///
/// # Errors
/// [`InvalidName::Label`] or [`InvalidName::Reserved`] naming the text.
pub fn check_label_name(name: &str) -> Result<(), InvalidName> {
    if !starts_well(name) || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(InvalidName::Label(name.to_owned()));
    }
    if RESERVED_LABELS.contains(&name) {
        return Err(InvalidName::Reserved(name.to_owned()));
    }
    Ok(())
}

fn starts_well(name: &str) -> bool {
    name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
}

/// A label set: sorted by name, names unique, no empty values (an empty label is an absent one). Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(
    from = "std::collections::BTreeMap<String, String>",
    into = "std::collections::BTreeMap<String, String>"
)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Default for Labels {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl Labels {
    /// Makes a set of pairs: sorts, lets the last of equal names win, leaves empty values out.
    pub fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut all: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        for (name, value) in pairs {
            let (name, value) = (name.into(), value.into());
            match all.binary_search_by(|(have, _)| have.cmp(&name)) {
                Ok(at) => all[at].1 = value,
                Err(at) => all.insert(at, (name, value)),
            }
        }
        all.retain(|(_, value)| !value.is_empty());
        Self(all.into())
    }

    /// The value of a label; `None` when absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(have, _)| have.as_ref().cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// Name and value, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This set with other pairs laid over it; an empty value removes a label.
    pub fn with<N: Into<Arc<str>>, V: Into<Arc<str>>>(
        &self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mine = self.0.iter().cloned();
        Self::new(mine.chain(pairs.into_iter().map(|(name, value)| (name.into(), value.into()))))
    }
}

impl From<std::collections::BTreeMap<String, String>> for Labels {
    fn from(map: std::collections::BTreeMap<String, String>) -> Self {
        Self::new(map)
    }
}

impl From<Labels> for std::collections::BTreeMap<String, String> {
    fn from(labels: Labels) -> Self {
        labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name}={value:?}", if i == 0 { "" } else { "," })?;
        }
        f.write_str("}")
    }
}

/// A series: a metric's name and a label set. Shown as `orders{channel="app"}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesKey {
    /// The metric's full name, such as `orders` or `sales.amount`.
    pub metric: Arc<str>,
    /// Its dimensions and labels.
    #[serde(default)]
    pub labels: Labels,
}

impl SeriesKey {
    /// A series from its parts.
    pub fn new(metric: impl Into<Arc<str>>, labels: Labels) -> Self {
        Self { metric: metric.into(), labels }
    }

    /// A stable 64-bit hash of metric and labels (XXH3 over length-prefixed parts): the same on every machine and in
    /// every version, so it may be stored.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        let mut part = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        part(&self.metric);
        for (name, value) in self.labels.iter() {
            part(name);
            part(value);
        }
        hasher.digest()
    }
}

impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.metric)?;
        if self.labels.is_empty() { Ok(()) } else { self.labels.fmt(f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_unique_and_without_empty_values() {
        let labels = Labels::new([("b", "1"), ("a", "2"), ("b", "3"), ("c", "")]);
        assert_eq!(labels.to_string(), r#"{a="2",b="3"}"#);
        assert_eq!((labels.get("b"), labels.get("c")), (Some("3"), None));
    }

    #[test]
    fn fingerprints_do_not_confuse_the_borders_of_names_and_values() {
        let one = SeriesKey::new("m", Labels::new([("a", "bc")]));
        let two = SeriesKey::new("m", Labels::new([("ab", "c")]));
        assert_ne!(one.fingerprint(), two.fingerprint());
    }

    #[test]
    fn a_stored_fingerprint_stays_valid() {
        let key = SeriesKey::new("orders", Labels::new([("channel", "app")]));
        insta::assert_snapshot!(format!("{:016x}", key.fingerprint()), @"caa55e073dba2421");
    }

    #[test]
    fn names_are_checked() {
        for good in ["a", "_x", "sales.orders", "A1_b"] {
            assert_eq!(check_metric_name(good), Ok(()), "{good}");
        }
        for bad in ["", "1a", ".a", "a-b", "ä", "a b"] {
            assert!(check_metric_name(bad).is_err(), "{bad}");
        }
        assert_eq!(check_label_name("value"), Err(InvalidName::Reserved("value".into())));
        assert!(check_label_name("a.b").is_err());
    }
}
