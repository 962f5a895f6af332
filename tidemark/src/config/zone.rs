//! Time zones by their IANA names.

use std::borrow::Cow;

use chrono_tz::Tz;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::nearest::nearest;

/// A time zone by its IANA name, such as `Asia/Shanghai`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Zone(pub(crate) Tz);

impl Default for Zone {
    fn default() -> Self {
        Self(Tz::UTC)
    }
}

/// Format name by which the schema marks time zones; `check` tests them and names the nearest.
pub(crate) const ZONE_FORMAT: &str = "iana-time-zone";

impl JsonSchema for Zone {
    fn schema_name() -> Cow<'static, str> {
        "TimeZone".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": ZONE_FORMAT,
            "description": "A time zone by its IANA name, such as Asia/Shanghai, Europe/Berlin or UTC."
        })
    }
}

/// Whether a text names a time zone.
pub(crate) fn is_zone(text: &str) -> bool {
    text.parse::<Tz>().is_ok()
}

/// A time zone given on the command line.
///
/// # Errors
/// That there is none of this name, and the nearest.
pub(crate) fn argument(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| format!("unknown time zone{}", hint(text)))
}

/// `, did you mean ..?`, by the whole name or by the city alone.
pub(crate) fn hint(text: &str) -> String {
    let names = || chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
    let by_city = || {
        let city = |name: &'static str| name.rsplit('/').next().unwrap_or(name);
        let near = nearest(text, names().map(city))?;
        names().find(|name| city(name) == near)
    };
    match nearest(text, names()).or_else(by_city) {
        Some(near) => format!(", did you mean `{near}`?"),
        None => ": write an IANA name such as Asia/Shanghai".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{argument, hint};

    #[test]
    fn the_nearest_zone_is_named() {
        assert_eq!(hint("Asia/Shangai"), ", did you mean `Asia/Shanghai`?");
        assert_eq!(hint("shanghai"), ", did you mean `Asia/Shanghai`?");
        assert_eq!(argument("Asia/Shangai").unwrap_err(), "unknown time zone, did you mean `Asia/Shanghai`?");
        assert_eq!(hint("nowhere at all"), ": write an IANA name such as Asia/Shanghai");
    }
}
