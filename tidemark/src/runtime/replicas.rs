//! How the replicas stand, for people and health checks, and accepting a gap that nobody can fill.

use axum::http::StatusCode;
use model::{ReplicaLedger, TimeRange, Timestamp};
use tsdb::{Repairing, Standing};

use super::Parts;
use crate::api::{ReplicaList, ReplicaRow};

/// Every replica of this process.
pub(super) fn list(parts: &Parts) -> ReplicaList {
    let row = |(name, standing): (String, Standing)| ReplicaRow {
        state: state(&standing).to_owned(),
        lag_secs: standing.lag.map(|lag| lag.as_secs()),
        reach: standing.reach,
        lacks_from: missed_span(&standing).map(|span| span.start),
        lacks_to: missed_span(&standing).map(|span| span.end),
        detail: in_words(&standing),
        replica: name,
    };
    ReplicaList { replicas: standings(parts).into_iter().map(row).collect() }
}

/// How each stands, in order of the configuration.
pub(super) fn standings(parts: &Parts) -> Vec<(String, Standing)> {
    let now = parts.clock.civil_now();
    let members = parts.members.as_ref().into_iter().flat_map(|members| members.statuses());
    members.map(|(name, status)| (name.to_owned(), status.standing(now))).collect()
}

fn state(standing: &Standing) -> &'static str {
    match standing {
        Standing { trouble: Some(_), .. } => "down",
        Standing { missed: Some(_), .. } => "incomplete",
        Standing { started: false, .. } => "starting",
        _ => "whole",
    }
}

/// What it lacks, where that is known and ends.
fn missed_span(standing: &Standing) -> Option<TimeRange> {
    let span = standing.missed?.span?;
    (span.start > Timestamp::MIN && !span.is_empty()).then_some(span)
}

/// How far a copy is, the newest first; `None` at its begin, when what is missing has no known end.
pub(super) fn copied_down_to(left: TimeRange) -> Option<Timestamp> {
    (left.end < Timestamp::MAX).then_some(left.end)
}

/// What is wrong with it; empty when nothing is.
pub(super) fn in_words(standing: &Standing) -> String {
    if let Some(trouble) = &standing.trouble {
        return trouble.clone();
    }
    match &standing.repair {
        _ if standing.missed.is_none() => String::new(),
        Repairing::Idle => "incomplete: it lacks a part of what is older".to_owned(),
        Repairing::Waiting => "incomplete: waiting for a replica to copy from".to_owned(),
        Repairing::Copying { from, left, points } => match copied_down_to(*left) {
            Some(at) => format!("incomplete: {points} points were copied from `{from}`, down to {at}"),
            None => format!("incomplete: it is being copied to from `{from}`"),
        },
        Repairing::Hopeless => "incomplete: no other replica has what it missed".to_owned(),
    }
}

/// Takes the mark of a replica away although it lacks something.
///
/// # Errors
/// Status and words: there is no such replica, it lacks nothing, or the ledger cannot be written.
pub(super) fn accept(parts: &Parts, name: &str) -> Result<(), (StatusCode, String)> {
    let known: Vec<String> = standings(parts).into_iter().map(|(name, _)| name).collect();
    if !known.iter().any(|known| known == name) {
        let known = known.join(", ");
        return Err((StatusCode::NOT_FOUND, format!("there is no replica `{name}`, only {known}")));
    }
    let broken = |error: std::io::Error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let consumer = format!("replica/{name}");
    let missed = parts.log_dir.missed(&consumer).map_err(broken)?;
    let missed = missed.ok_or_else(|| (StatusCode::CONFLICT, format!("replica `{name}` lacks nothing")))?;
    if !parts.log_dir.repaired(&consumer, missed, None).map_err(broken)? {
        return Err((StatusCode::CONFLICT, format!("replica `{name}` missed more just now: try again")));
    }
    tracing::warn!(replica = name, ?missed, "what the replica lacks was accepted; it is read again");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Missed;

    #[test]
    fn a_copy_of_unknown_span_tells_no_time_before_it_knows_one() {
        let missed = Missed { bytes: 1, span: None };
        let standing = |end| Standing {
            missed: Some(missed),
            repair: Repairing::Copying {
                from: "b".into(),
                left: TimeRange { end, ..TimeRange::ALL },
                points: 7,
            },
            ..Standing::default()
        };
        let begun = in_words(&standing(Timestamp::MAX));
        assert_eq!(begun, "incomplete: it is being copied to from `b`");
        let under_way = in_words(&standing(Timestamp::from_nanos(0)));
        assert_eq!(under_way, "incomplete: 7 points were copied from `b`, down to 1970-01-01T00:00:00Z");
    }
}
