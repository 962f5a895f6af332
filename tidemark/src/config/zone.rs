//! Time zones by their IANA names.

use std::borrow::Cow;

use chrono_tz::Tz;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

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
