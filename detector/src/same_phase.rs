//! The same-phase baseline: the average, after removing extremes, of up to seven earlier days at the same time of day.
//!
//! `detector.md`, "Same-phase baseline". Days of the same class are searched back up to 28 days; a class with fewer
//! than three such days falls back (holiday to weekend). A phase that a day skipped at a change of the clock borrows
//! its neighbours.

use chrono_tz::Tz;

use crate::algorithm::DayClass;
use crate::calendar::Calendar;
use crate::civil::{self, Grid};
use crate::history::{DAYS, History};
use crate::settings::{Kind, SameDay, Settings};
use crate::stats;

/// How many samples the baseline wants.
pub const WANTED: usize = 7;

/// With fewer samples than this the baseline abstains.
pub const FEWEST: usize = 3;

/// Neighbours on each side whose residuals are pooled into the scale, by interval: the shorter, the more alike.
fn pooled(grid: Grid) -> u32 {
    match grid.step_secs {
        0..=120 => 5,
        121..=600 => 2,
        601..=3_600 => 1,
        _ => 0,
    }
}

/// What makes a standard deviation of the MAD of residuals about each phase's own median, pooled over 2 w + 1 phases:
/// rows n = 3..7, columns w = 0, 1, 2, 5 (n = 7 measured in `detector.md`, the others simulated the same way).
const MAD_FACTOR: [[f64; 4]; 5] = [
    [2.206, 2.700, 2.852, 3.038],
    [2.018, 2.018, 2.029, 2.040],
    [1.805, 1.946, 1.979, 2.011],
    [1.761, 1.870, 1.879, 1.887],
    [1.684, 1.765, 1.785, 1.800],
];

fn mad_factor(n: usize, w: u32) -> f64 {
    let column = match w {
        0 => 0,
        1 => 1,
        2 => 2,
        _ => 3,
    };
    MAD_FACTOR[n.clamp(FEWEST, WANTED) - FEWEST][column]
}

/// A day that may lend a sample, and the phases it skipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The day.
    pub day: i32,
    skipped: Option<(u32, u32)>,
}

/// Which earlier days are alike to a day; made once a day. Beside them it keeps the residuals of the phases looked at
/// last: neighbouring windows pool nearly the same ones.
#[derive(Clone, Debug, PartialEq)]
pub struct DayPlan {
    /// The day judged.
    pub day: i32,
    /// Its class.
    pub class: DayClass,
    alike: Vec<Candidate>,
    fallback: Vec<Candidate>,
    kept: [Residuals; MOST_POOLED],
    /// Whether `kept` is of the fallback's days.
    kept_of_fallback: bool,
}

/// The most phases that are pooled into one scale.
const MOST_POOLED: usize = 11;

/// Residuals of one phase about its own median.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Residuals {
    /// The phase and 1; 0: none.
    of: u32,
    n: u8,
    values: [f32; WANTED],
}

impl Residuals {
    /// Those of a phase; none where it has too few samples.
    fn find(history: &History, days: &[Candidate], phase: u32) -> Self {
        let mut samples = Samples::gather(history, days, phase);
        if samples.n < FEWEST {
            return Self { of: phase + 1, ..Self::default() };
        }
        let values = &mut samples.values[..samples.n];
        stats::sort(values);
        let middle = stats::sorted_median(values);
        for value in values {
            *value = crate::history::to_cell(f64::from(*value) - middle);
        }
        Self { of: phase + 1, n: samples.n as u8, values: samples.values }
    }
}

impl DayPlan {
    /// The plan of a day.
    pub fn new(day: i32, settings: &Settings, calendar: &Calendar, zone: Tz, grid: Grid) -> Self {
        let class = calendar.day_class(day);
        let alike = |wanted: DayClass| {
            (1..=DAYS)
                .map(|back| day - back)
                .filter(|other| is_alike(*other, day, wanted, settings, calendar))
                .map(|day| Candidate { day, skipped: civil::skipped(day, zone, grid) })
                .collect()
        };
        let fallback = if class == DayClass::Holiday && settings.same_day != SameDay::Any {
            alike(DayClass::Weekend)
        } else {
            Vec::new()
        };
        let kept = [Residuals::default(); MOST_POOLED];
        Self { day, class, alike: alike(class), fallback, kept, kept_of_fallback: false }
    }

    /// Forgets what was kept of a phase, because a cell of it was written: today's takes the place of one 28 days old.
    pub fn forget(&mut self, phase: u32) {
        let kept = &mut self.kept[phase as usize % MOST_POOLED];
        if kept.of == phase + 1 {
            kept.of = 0;
        }
    }

    fn residuals(&mut self, history: &History, fell_back: bool, phase: u32) -> Residuals {
        if self.kept_of_fallback != fell_back {
            (self.kept, self.kept_of_fallback) = ([Residuals::default(); MOST_POOLED], fell_back);
        }
        let days = if fell_back { &self.fallback } else { &self.alike };
        let kept = &mut self.kept[phase as usize % MOST_POOLED];
        // A phase that a day skipped rests on cells of other phases, of which it would not be told.
        let borrows = days.iter().any(|candidate| candidate.skipped.is_some());
        if kept.of != phase + 1 || borrows {
            *kept = Residuals::find(history, days, phase);
        }
        *kept
    }
}

fn is_alike(other: i32, day: i32, class: DayClass, settings: &Settings, calendar: &Calendar) -> bool {
    match settings.same_day {
        SameDay::Any => true,
        SameDay::Class => calendar.day_class(other) == class,
        SameDay::Weekday => {
            let same_weekday = (day - other) % 7 == 0 || class != calendar.day_class(day);
            same_weekday && calendar.day_class(other) == class
        }
    }
}

/// Samples of earlier days at one phase, newest first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Samples {
    /// The values; only the first `n` count.
    pub values: [f32; WANTED],
    /// The days they are of.
    pub days: [i32; WANTED],
    /// How many.
    pub n: usize,
}

impl Samples {
    /// The values there are.
    pub fn get(&self) -> &[f32] {
        &self.values[..self.n]
    }

    fn gather(history: &History, days: &[Candidate], phase: u32) -> Self {
        let mut found = Self::default();
        for candidate in days {
            if let Some(value) = sample(history, candidate, phase) {
                (found.values[found.n], found.days[found.n]) = (value, candidate.day);
                found.n += 1;
                if found.n == WANTED {
                    break;
                }
            }
        }
        found
    }
}

/// What a day lends for a phase; for a skipped one the mean of the phases beside the gap.
fn sample(history: &History, candidate: &Candidate, phase: u32) -> Option<f32> {
    let Some((from, to)) = candidate.skipped.filter(|(from, to)| (*from..*to).contains(&phase)) else {
        return history.learned(candidate.day, phase);
    };
    let before = from.checked_sub(1).and_then(|phase| history.learned(candidate.day, phase));
    let after = history.learned(candidate.day, to);
    match (before, after) {
        (Some(a), Some(b)) => Some(f32::midpoint(a, b)),
        (one, other) => one.or(other),
    }
}

/// Where the scale came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScaleSource {
    /// The pooled MAD.
    #[default]
    Mad,
    /// The pooled interquartile range, the MAD being 0.
    Iqr,
    /// The floor: resolution, square root of a count, half a per cent.
    Floor,
}

impl ScaleSource {
    /// Its name in `numbers`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mad => "mad",
            Self::Iqr => "iqr",
            Self::Floor => "floor",
        }
    }
}

/// What is expected at a phase, and how far single values lie about it.
#[derive(Clone, Debug, PartialEq)]
pub struct SamePhase {
    /// The samples it rests on.
    pub samples: Samples,
    /// Their trimmed mean.
    pub expected: f64,
    /// One standard deviation of a single value.
    pub scale: f64,
    /// Where the scale came from.
    pub scale_source: ScaleSource,
    /// Variance of the trimmed mean in units of scale squared.
    pub v: f64,
    /// Whether a holiday borrowed from weekends.
    pub fell_back: bool,
}

impl SamePhase {
    /// The baseline of a phase; `None` with fewer than three samples.
    pub fn find(
        history: &History,
        plan: &mut DayPlan,
        phase: u32,
        settings: &Settings,
        grid: Grid,
        resolution: f64,
    ) -> Option<Self> {
        let mut samples = Samples::gather(history, &plan.alike, phase);
        let fell_back = samples.n < FEWEST && !plan.fallback.is_empty();
        if fell_back {
            samples = Samples::gather(history, &plan.fallback, phase);
        }
        if samples.n < FEWEST {
            return None;
        }
        let mut sorted = samples;
        stats::sort(&mut sorted.values[..samples.n]);
        let expected = stats::trimmed_mean(sorted.get(), settings.trim);
        let pooled = Pooled::over(history, plan, fell_back, phase, grid);
        let (scale, scale_source) = pooled.scale(settings, expected, resolution);
        let v = stats::trimmed_variance(samples.n, settings.trim);
        Some(Self { samples, expected, scale, scale_source, v, fell_back })
    }
}

/// Residuals about each phase's own median, pooled over the neighbours.
struct Pooled {
    values: [f32; WANTED * MOST_POOLED],
    count: usize,
    /// Samples of a phase, on the average.
    n: usize,
    w: u32,
}

impl Pooled {
    fn over(history: &History, plan: &mut DayPlan, fell_back: bool, phase: u32, grid: Grid) -> Self {
        let w = pooled(grid);
        let (mut values, mut count, mut phases) = ([0.0_f32; WANTED * MOST_POOLED], 0, 0_usize);
        for neighbour in phase.saturating_sub(w)..=(phase + w).min(grid.phases - 1) {
            let residuals = plan.residuals(history, fell_back, neighbour);
            let n = usize::from(residuals.n);
            values[count..count + n].copy_from_slice(&residuals.values[..n]);
            count += n;
            phases += usize::from(n > 0);
        }
        Self { values, count, n: count / phases.max(1), w }
    }

    fn scale(&self, settings: &Settings, expected: f64, resolution: f64) -> (f64, ScaleSource) {
        let tiny = expected.abs() * 1e-6;
        let mut sizes = self.values;
        sizes[..self.count].iter_mut().for_each(|size| *size = size.abs());
        let mad = stats::median(&mut sizes[..self.count]) * mad_factor(self.n, self.w);
        if mad > tiny {
            return (mad, ScaleSource::Mad);
        }
        let mut sorted = self.values;
        let sorted = &mut sorted[..self.count];
        stats::sort(sorted);
        let iqr = (stats::sorted_quantile(sorted, 0.75) - stats::sorted_quantile(sorted, 0.25)) / 1.349;
        if iqr > tiny {
            return (iqr, ScaleSource::Iqr);
        }
        let root = if settings.kind == Kind::Count { expected.max(0.0).sqrt() } else { 0.0 };
        let floor = resolution.max(root).max(expected.abs() * 0.005);
        (floor.max(SMALLEST_SCALE), ScaleSource::Floor)
    }
}

/// The scale of a series that was always zero and of which nothing else is known.
const SMALLEST_SCALE: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::CalendarConfig;
    use chrono::NaiveDate;
    use std::time::Duration;

    fn day(text: &str) -> i32 {
        civil::day_number(NaiveDate::parse_from_str(text, "%Y-%m-%d").unwrap())
    }

    fn grid() -> Grid {
        Grid::new(Duration::from_secs(60))
    }

    /// Four weeks before a day: every phase holds the day's number counted back, on weekends plus 1000.
    fn filled(today: i32) -> History {
        let mut history = History::default();
        for back in 1..=28 {
            let weekend = Calendar::default().day_class(today - back) == DayClass::Weekend;
            for phase in 0..1440 {
                let value = back as f32 + if weekend { 1000.0 } else { 0.0 };
                history.write(today - back, phase, 0, value, true);
            }
        }
        history
    }

    fn backs(history: &History, today: i32, settings: &Settings, calendar: &Calendar) -> (Vec<i32>, bool) {
        let mut plan = DayPlan::new(today, settings, calendar, Tz::UTC, grid());
        let found = SamePhase::find(history, &mut plan, 600, settings, grid(), 0.0).unwrap();
        (found.samples.days[..found.samples.n].iter().map(|day| today - day).collect(), found.fell_back)
    }

    #[test]
    fn which_days_are_alike() {
        let monday = day("2025-06-30");
        let history = filled(monday);
        let calendar = Calendar::default();
        let mut settings = Settings::shipped("m");
        for (same_day, expected) in [
            (SameDay::Class, vec![3, 4, 5, 6, 7, 10, 11]),
            (SameDay::Weekday, vec![7, 14, 21, 28]),
            (SameDay::Any, vec![1, 2, 3, 4, 5, 6, 7]),
        ] {
            settings.same_day = same_day;
            assert_eq!(backs(&history, monday, &settings, &calendar), (expected, false), "{same_day:?}");
        }
        settings.same_day = SameDay::Class;
        let holidays = |dates: &[&str]| {
            let holidays = dates.iter().map(|d| (*d).to_owned()).collect();
            Calendar::from_config(&CalendarConfig { holidays, ..CalendarConfig::default() }).unwrap()
        };
        let alone = holidays(&["2025-06-30", "2025-06-27"]);
        assert_eq!(backs(&history, monday, &settings, &alone), (vec![1, 2, 8, 9, 15, 16, 22], true));
        let enough = holidays(&["2025-06-30", "2025-06-27", "2025-06-26", "2025-06-24"]);
        assert_eq!(backs(&history, monday, &settings, &enough), (vec![3, 4, 6], false));
    }

    /// Berlin skips 02:00..03:00 on 2025-03-30: its 02:30 is the mean of 01:59 and 03:00.
    #[test]
    fn a_skipped_minute_borrows_its_neighbours() {
        let changed = day("2025-03-30");
        let mut history = History::default();
        history.write(changed, 119, 0, 10.0, true);
        history.write(changed, 180, 0, 20.0, true);
        let settings = Settings::shipped("m");
        let plan = DayPlan::new(changed + 6, &settings, &Calendar::default(), Tz::Europe__Berlin, grid());
        let candidate = plan.alike.iter().find(|c| c.day == changed).unwrap();
        for (phase, expected) in
            [(119, Some(10.0)), (120, Some(15.0)), (150, Some(15.0)), (180, Some(20.0)), (181, None)]
        {
            assert_eq!(sample(&history, candidate, phase), expected, "{phase}");
        }
    }

    /// MAD = 0 -> IQR / 1.349 -> floor of resolution, square root of a count, half a per cent.
    #[test]
    fn the_scale_falls_back_step_by_step() {
        let today = day("2025-07-04");
        let plan = |settings: &Settings| DayPlan::new(today, settings, &Calendar::default(), Tz::UTC, grid());
        let with = |odd: usize, kind: Kind, resolution: f64| {
            let mut history = History::default();
            for (i, candidate) in plan(&Settings::shipped("m")).alike.iter().take(7).enumerate() {
                for phase in 595..=605 {
                    history.write(candidate.day, phase, 0, if i < odd { 110.0 } else { 100.0 }, true);
                }
            }
            let mut settings = Settings::shipped("m");
            settings.kind = kind;
            let found =
                SamePhase::find(&history, &mut plan(&settings), 600, &settings, grid(), resolution).unwrap();
            (found.scale_source, (found.scale * 1000.0).round() / 1000.0)
        };
        assert_eq!(with(2, Kind::Gauge, 0.0), (ScaleSource::Iqr, 7.413));
        assert_eq!(with(0, Kind::Gauge, 0.0), (ScaleSource::Floor, 0.5));
        assert_eq!(with(0, Kind::Gauge, 2.0), (ScaleSource::Floor, 2.0));
        assert_eq!(with(0, Kind::Count, 2.0), (ScaleSource::Floor, 10.0));
    }

    #[test]
    fn with_two_days_it_abstains() {
        let today = day("2025-07-04");
        let mut history = History::default();
        let settings = Settings::shipped("m");
        let mut plan = DayPlan::new(today, &settings, &Calendar::default(), Tz::UTC, grid());
        for candidate in &plan.alike[..2] {
            history.write(candidate.day, 600, 0, 5.0, true);
        }
        assert_eq!(SamePhase::find(&history, &mut plan, 600, &settings, grid(), 0.0), None);
    }
}
