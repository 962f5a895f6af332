//! Durations as people write them in configuration: `30s`, `5m`, `1h30m`, `7d`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration written as in Prometheus and Alertmanager: one or more `<number><unit>`, largest unit first, units `w`,
/// `d`, `h`, `m`, `s`, `ms`; `0` alone is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration: write for example 30s, 5m, 1h30m or 7d (units w d h m s ms)")]
pub struct ParseDurationError {
    text: String,
}

const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl HumanDuration {
    /// From seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

impl FromStr for HumanDuration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "0" {
            return Ok(Self::default());
        }
        parse(text).ok_or_else(|| ParseDurationError { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<HumanDuration> {
    let mut rest = text;
    let mut total_ms: u64 = 0;
    let mut smallest_so_far = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_len = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (_, unit_ms) = UNITS.into_iter().find(|(name, _)| *name == &rest[..unit_len])?;
        if unit_ms >= smallest_so_far {
            return None;
        }
        smallest_so_far = unit_ms;
        total_ms = total_ms.checked_add(count.checked_mul(unit_ms)?)?;
        rest = &rest[unit_len..];
    }
    (smallest_so_far != u64::MAX).then(|| HumanDuration(Duration::from_millis(total_ms)))
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (name, unit_ms) in UNITS {
            if name == "w" && !rest.is_multiple_of(unit_ms) {
                continue;
            }
            if rest >= unit_ms {
                write!(f, "{}{name}", rest / unit_ms)?;
                rest %= unit_ms;
            }
        }
        Ok(())
    }
}

impl From<HumanDuration> for Duration {
    fn from(value: HumanDuration) -> Self {
        value.0
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration such as 30s, 5m, 1h30m or 7d.",
            "pattern": "^(0|([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$",
            "minLength": 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, secs) in
            [("30s", 30), ("5m", 300), ("1h30m", 5_400), ("7d", 604_800), ("2w", 1_209_600), ("0", 0)]
        {
            assert_eq!(text.parse(), Ok(HumanDuration::from_secs(secs)), "{text}");
        }
    }

    #[test]
    fn rubbish_is_refused() {
        for text in
            ["", "5", "m", "5x", "1m1h", "1m1m", "-1s", "1.5h", "99999999999999999999s", "9999999999999999w"]
        {
            assert!(text.parse::<HumanDuration>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn display_parses_back(ms in 0u64..10_000_000_000_000) {
            let duration = HumanDuration(Duration::from_millis(ms));
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }
}
