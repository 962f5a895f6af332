//! The calendar: which days are alike, which stretches are promotions, which are not learned.

use crate::settings::CalendarConfig;

/// The calendar of all metrics, checked. Local dates and times in it hold in each metric's own zone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calendar {}

/// A mistake in the `calendar` section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("calendar.{path}: {message}")]
pub struct CalendarError {
    /// Where, below `calendar`: `promotions[2].from`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Calendar {
    /// Checks the section and makes a calendar of it.
    ///
    /// # Errors
    /// Every mistake found.
    pub fn from_config(_config: &CalendarConfig) -> Result<Self, Vec<CalendarError>> {
        Ok(Self {})
    }
}
