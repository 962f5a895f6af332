//! The window's parameters: one list of names for statements (`:start`) and templates (`{{ start }}`).

use chrono_tz::Tz;
use model::{Timestamp, Window};

/// Every parameter's name.
pub(crate) const NAMES: [&str; 8] =
    ["start", "end", "start_ms", "end_ms", "start_s", "end_s", "start_text", "end_text"];

/// A parameter: an edge of the window in a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Param {
    edge: Edge,
    /// How the instant is written.
    pub(crate) form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    Start,
    End,
}

/// How an instant is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As the source's own type for instants.
    Instant,
    /// Milliseconds since the epoch.
    Millis,
    /// Seconds since the epoch.
    Secs,
    /// `YYYY-MM-DD HH:MM:SS` in the source's zone.
    Text,
}

impl Param {
    /// The parameter of this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (edge, form) = name.split_once('_').unwrap_or((name, ""));
        let edge = match edge {
            "start" => Edge::Start,
            "end" => Edge::End,
            _ => return None,
        };
        let form = match form {
            "" if !name.contains('_') => Form::Instant,
            "ms" => Form::Millis,
            "s" => Form::Secs,
            "text" => Form::Text,
            _ => return None,
        };
        Some(Self { edge, form })
    }

    /// The edge it speaks of.
    pub(crate) fn at(self, window: Window) -> Timestamp {
        match self.edge {
            Edge::Start => window.start,
            Edge::End => window.end,
        }
    }
}

/// `YYYY-MM-DD HH:MM:SS` in a zone.
pub(crate) fn civil_text(at: Timestamp, zone: Tz) -> String {
    at.in_zone(zone).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// The names for an error message, each after a prefix: `:start, :end, ..`.
pub(crate) fn valid_names(prefix: &str) -> String {
    NAMES.map(|name| format!("{prefix}{name}")).join(", ")
}

/// The zone of this name; UTC when none is given.
pub(crate) fn zone(name: Option<&str>) -> Result<Tz, String> {
    name.map_or(Ok(Tz::UTC), |name| {
        name.parse()
            .map_err(|_| format!("`{name}` is not a time zone: write for example Asia/Shanghai or UTC"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_is_a_parameter_and_no_other() {
        assert!(NAMES.iter().all(|name| Param::parse(name).is_some()));
        for name in ["", "start_", "_ms", "begin", "start_ns", "Start", "end_text_"] {
            assert_eq!(Param::parse(name), None, "{name}");
        }
    }

    #[test]
    fn text_is_civil_time_of_the_zone() {
        let at = Timestamp::from_secs(1_700_000_000);
        assert_eq!(civil_text(at, Tz::UTC), "2023-11-14 22:13:20");
        assert_eq!(civil_text(at, Tz::Asia__Shanghai), "2023-11-15 06:13:20");
    }
}
