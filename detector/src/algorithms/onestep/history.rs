//! The last four weeks of a series, by civil day and time of day, and the baselines read from them.
//!
//! Cells are `f32` and hold one value per slot of the day (the last one seen, where a slot is wider than the
//! interval). A cell of a day that is overwritten is lost; nothing else is.

use serde::{Deserialize, Serialize};

/// Days kept: four weeks and the running day.
const DAYS: usize = 29;
/// Slots a day at most (one per half minute): denser series share slots.
const MAX_SLOTS: usize = 2880;
/// From this many slots a day on, neighbours within two slots are pooled.
const POOL_FROM: usize = 1000;
const POOL: i64 = 2;
const DAY_SECS: i64 = 86_400;

/// Ring of days.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DayHistory {
    slots: usize,
    /// Which civil day each row of `cells` holds.
    days: Vec<i64>,
    cells: Vec<f32>,
}

impl DayHistory {
    /// For a series sampled every `interval_secs`.
    pub(crate) fn new(interval_secs: i64) -> Self {
        let slots = (DAY_SECS / interval_secs.clamp(1, DAY_SECS)).clamp(1, MAX_SLOTS as i64) as usize;
        Self { slots, days: Vec::new(), cells: Vec::new() }
    }

    /// Civil day and slot of a local time, as one running index.
    fn index(&self, local_secs: i64) -> i64 {
        let day = local_secs.div_euclid(DAY_SECS);
        let slot = local_secs.rem_euclid(DAY_SECS) * self.slots as i64 / DAY_SECS;
        day * self.slots as i64 + slot
    }

    /// Keeps a value.
    pub(crate) fn put(&mut self, local_secs: i64, value: f64) {
        let index = self.index(local_secs);
        let (day, slot) = (index.div_euclid(self.slots as i64), index.rem_euclid(self.slots as i64));
        let row = day.rem_euclid(DAYS as i64) as usize;
        if self.days.is_empty() {
            self.days = vec![i64::MIN; DAYS];
            self.cells = vec![f32::NAN; DAYS * self.slots];
        }
        let cells = &mut self.cells[row * self.slots..(row + 1) * self.slots];
        if self.days[row] != day {
            self.days[row] = day;
            cells.fill(f32::NAN);
        }
        cells[slot as usize] = value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
    }

    fn get(&self, index: i64) -> Option<f64> {
        let day = index.div_euclid(self.slots as i64);
        let row = day.rem_euclid(DAYS as i64) as usize;
        (self.days.get(row) == Some(&day))
            .then(|| self.cells[row * self.slots + index.rem_euclid(self.slots as i64) as usize])
            .filter(|v| !v.is_nan())
            .map(f64::from)
    }

    /// Mean of what is known around a slot.
    fn around(&self, index: i64, pool: i64) -> Option<f64> {
        if pool == 0 {
            return self.get(index);
        }
        let (mut sum, mut n) = (0.0, 0);
        for v in (index - pool..=index + pool).filter_map(|i| self.get(i)) {
            sum += v;
            n += 1;
        }
        (n > 0).then(|| sum / f64::from(n))
    }

    fn pool(&self) -> i64 {
        if self.slots >= POOL_FROM { POOL } else { 0 }
    }

    /// Same time of day over the seven days before: without minimum and maximum from five days on, else the median.
    pub(crate) fn day_baseline(&self, local_secs: i64) -> Option<f64> {
        self.day_baseline_within(local_secs, self.pool())
    }

    /// The same, each day the mean of so many slots to each side.
    pub(crate) fn day_baseline_within(&self, local_secs: i64, pool: i64) -> Option<f64> {
        let at = self.index(local_secs);
        let mut seen = [0.0; 7];
        let n = self.collect(&mut seen, pool, (1..=7).map(|d| at - d * self.slots as i64));
        let seen = &mut seen[..n];
        if n < 5 {
            return median(seen);
        }
        seen.sort_by(f64::total_cmp);
        Some(seen[1..n - 1].iter().sum::<f64>() / (n - 2) as f64)
    }

    /// Same time of the week over the four weeks before: the median.
    pub(crate) fn week_baseline(&self, local_secs: i64) -> Option<f64> {
        self.week_baseline_within(local_secs, self.pool())
    }

    /// The same, each week the mean of so many slots to each side.
    pub(crate) fn week_baseline_within(&self, local_secs: i64, pool: i64) -> Option<f64> {
        let at = self.index(local_secs);
        let mut seen = [0.0; 4];
        let n = self.collect(&mut seen, pool, (1..=4).map(|w| at - w * 7 * self.slots as i64));
        median(&mut seen[..n])
    }

    /// Same time of day on the newest earlier day, within a week, that knows it.
    pub(crate) fn newest(&self, local_secs: i64) -> Option<f64> {
        let at = self.index(local_secs);
        (1..=7).find_map(|d| self.around(at - d * self.slots as i64, self.pool()))
    }

    fn collect(&self, into: &mut [f64], pool: i64, at: impl Iterator<Item = i64>) -> usize {
        let mut n = 0;
        for v in at.filter_map(|index| self.around(index, pool)) {
            into[n] = v;
            n += 1;
        }
        n
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    let half = n / 2;
    match n {
        0 => None,
        _ if n % 2 == 1 => Some(values[half]),
        _ => Some((values[half - 1] + values[half]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(values: &[f64]) -> DayHistory {
        let mut history = DayHistory::new(3_600);
        for (day, value) in values.iter().enumerate() {
            history.put(day as i64 * DAY_SECS + 7_200, *value);
        }
        history
    }

    #[test]
    fn same_time_of_earlier_days() {
        let table: [(&[f64], Option<f64>); 5] = [
            (&[], None),
            (&[3.0], Some(3.0)),
            (&[3.0, 5.0], Some(4.0)),
            (&[1.0, 2.0, 3.0, 4.0, 900.0], Some(3.0)),
            (&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], Some(5.0)), // the seven last, without 2 and 8
        ];
        for (values, want) in table {
            let at = values.len() as i64 * DAY_SECS + 7_200;
            assert_eq!(filled(values).day_baseline(at), want, "{values:?}");
            assert_eq!(filled(values).day_baseline(at + 3_600), None, "another hour");
        }
    }

    #[test]
    fn same_time_of_earlier_weeks() {
        let values: Vec<f64> = (0..29).map(f64::from).collect();
        // Days 28 - 7, 14, 21, 28: 21, 14, 7 and 0.
        assert_eq!(filled(&values[..28]).week_baseline(28 * DAY_SECS + 7_200), Some(10.5));
    }

    #[test]
    fn a_day_of_long_ago_is_not_the_day_that_took_its_place() {
        let mut history = filled(&[1.0]);
        history.put(29 * DAY_SECS, 2.0);
        assert_eq!(history.newest(DAY_SECS + 7_200), None);
        history.put(i64::MAX / 4, f64::MAX);
        assert!(history.newest(i64::MAX / 4 + DAY_SECS).is_some_and(f64::is_finite));
    }
}
