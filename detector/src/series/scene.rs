//! Where a window stands: its day and phase, what the calendar says of it, what is expected there.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;

use crate::algorithm::Context;
use crate::calendar::{Calendar, Mark};
use crate::civil::{self, Grid, Place};
use crate::history::History;
use crate::same_phase::{DayPlan, SamePhase};
use crate::settings::Settings;

/// Where a window stands and what is expected there.
#[derive(Debug)]
pub(super) struct Scene {
    interval: Duration,
    grid: Grid,
    pub(super) place: Place,
    pub(super) mark: Mark,
    same_phase: Option<SamePhase>,
    pub(super) plan: DayPlan,
}

impl Scene {
    /// The scene of a window starting at `start`; `plan` is the last one's, kept while the day is the same.
    pub(super) fn new(
        start: Timestamp,
        interval: Duration,
        settings: &Settings,
        calendar: &Calendar,
        plan: Option<DayPlan>,
        history: &History,
        resolution: f64,
    ) -> Self {
        let (grid, zone) = (Grid::new(interval), settings.timezone);
        let place = civil::locate(start, zone, grid);
        let plan = plan.filter(|plan| plan.day == place.day);
        let mut plan = plan.unwrap_or_else(|| DayPlan::new(place.day, settings, calendar, zone, grid));
        let mark = calendar.mark(settings, place.day, place.second);
        let same_phase = SamePhase::find(history, &mut plan, place.phase, settings, grid, resolution);
        Self { interval, grid, place, mark, same_phase, plan }
    }

    /// What the algorithms are shown.
    pub(super) fn context<'a>(
        &'a self,
        settings: &Arc<Settings>,
        history: &'a History,
        firing_windows: Option<u32>,
        do_not_learn: bool,
    ) -> Context<'a> {
        let promotion = self.mark.promotion.as_ref();
        let (factor, widen): (f64, f64) = promotion.map_or((1.0, 1.0), |p| (p.factor, p.widen));
        let same_phase = self.same_phase.as_ref();
        Context {
            settings: settings.clone(),
            zone: settings.timezone,
            interval: self.interval,
            day: self.place.day,
            phase: self.place.phase,
            day_class: self.plan.class,
            promotion: promotion.cloned(),
            firing_windows,
            do_not_learn,
            baseline: same_phase.map(|same| same.expected * factor),
            scale: same_phase.map(|same| same.scale * (1.0 + same.v).sqrt() * widen),
            same_phase,
            grid: self.grid,
            history,
            explain: false,
        }
    }
}
