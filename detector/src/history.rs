//! The last 28 days of a series by phase.

/// What was learned of a series' last 28 days: one value for each day and phase.
#[derive(Clone, Debug, Default)]
pub struct History {}
