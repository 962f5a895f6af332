//! Limits calibrated on a series' own past, for a wanted number of false alarms a week.
//!
//! The knob counts alerts, not rows, and rows are neither independent nor Gaussian. So what is calibrated is the very
//! thing that makes an alert: for every window the size of deviation at which the alert rule `for: {m, n}` would have
//! fired there, `max(m-th largest of the last n, newest / 2)` (a score of 2 fires at once). Its maxima over blocks of
//! about an hour are kept for 28 days; the limit is their conformal quantile: with B blocks a week and A wanted alarms
//! a week, the k-th largest of N block maxima where k = A / B * (N + 1). When that is rarer than 1 / (N + 1), the value
//! comes from a generalised Pareto tail (probability weighted moments, shape shrunk towards 0.1) and is marked as
//! extrapolated.
//!
//! What this approximates: alarms that straddle two blocks count twice and several in one block once, which are rare
//! and work against each other; several algorithms share the knob by [`share`]; a run of a firing alert enters as one
//! block, however long and however bad, just beyond the limit in force (`OF_AN_ALERT`): a few incidents neither teach
//! a wide limit nor are hidden from calibration, and a limit that alarms too often still rises step by step. A rule with n
//! above 64 is calibrated as the same share of 64. Until a day's worth of blocks is there, the limit is not below the
//! one of independent Gaussian residuals, made a quarter wider.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::settings::{ForSetting, Settings};
use crate::stats;

const WEEK_SECS: f64 = 604_800.0;
const BLOCK_SECS: f64 = 3_600.0;
const KEPT_BLOCKS: usize = 672;
const TRUSTED_BLOCKS: usize = 24;
const FEWEST_FOR_TAIL: usize = 10;
const LONGEST_RULE: u32 = 64;
/// However few windows a week has, no more than this share of its blocks may alarm.
const MOST_ALARMED: f64 = 0.05;

/// What the block of a fired alert is worth, in units of the limit that was in force.
const OF_AN_ALERT: f64 = 1.05;

/// The part of the wanted false alarms that one learned algorithm may use up.
pub fn share(settings: &Settings) -> f64 {
    settings.false_alarms_per_week.max(0.0) / 3.0
}

/// What a limit is calibrated for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    interval: Duration,
    for_: ForSetting,
    wanted: f64,
    m: usize,
    n: usize,
    block: u32,
    /// Share of blocks that may alarm.
    pub alpha: f64,
    /// The share of independent rows beyond the limit that gives the wanted alarms.
    pub row_share: f64,
    /// How many windows lie between two wanted alarms.
    pub windows_between: f64,
}

impl Rule {
    /// The rule of a metric sampled every `interval`.
    pub fn new(settings: &Settings, interval: Duration) -> Self {
        let wanted = share(settings);
        let secs = interval.as_secs_f64().max(0.001);
        let (m, n) = shrink(settings.for_);
        let block = (BLOCK_SECS / secs).round().clamp(1.0, 3_600.0).max(n as f64);
        let blocks_a_week = WEEK_SECS / (secs * block);
        let alpha = (wanted / blocks_a_week).clamp(1e-6, MOST_ALARMED);
        let windows_between = block / alpha;
        let ways = (1..m).fold(1.0, |ways, i| ways * (n - i) as f64 / i as f64);
        let row_share = (1.0 / (windows_between * ways)).powf(1.0 / m as f64).clamp(1e-9, 0.25);
        let block = block as u32;
        Self { interval, for_: settings.for_, wanted, m, n, block, alpha, row_share, windows_between }
    }

    /// Whether the rule is still the one of these settings.
    fn fits(&self, settings: &Settings, interval: Duration) -> bool {
        self.interval == interval && self.for_ == settings.for_ && self.wanted == share(settings)
    }

    /// The limit of |z| for independent Gaussian residuals.
    pub fn gaussian(&self) -> f64 {
        stats::normal_quantile(1.0 - self.row_share / 2.0)
    }
}

fn shrink(for_: ForSetting) -> (usize, usize) {
    let (m, n) = (for_.m.max(1), for_.n.max(for_.m).max(1));
    if n <= LONGEST_RULE {
        return (m as usize, n as usize);
    }
    let m = (u64::from(m) * u64::from(LONGEST_RULE)).div_ceil(u64::from(n));
    (m.max(1) as usize, LONGEST_RULE as usize)
}

/// A limit and whether it was extrapolated beyond what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibrated {
    /// The limit; above 0.
    pub limit: f64,
    /// Whether it comes from the fitted tail or the assumed one.
    pub extrapolated: bool,
}

/// The statistics a limit is learned from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LearnedLimit {
    recent: VecDeque<f32>,
    in_block: u32,
    block_max: f32,
    in_episode: bool,
    peaks: VecDeque<f32>,
    tail: Option<Calibrated>,
    /// The limit before the last block was closed.
    before: Option<Calibrated>,
    #[serde(skip)]
    rule: Option<Rule>,
}

impl LearnedLimit {
    /// The limit now; `prior` is what holds for the rule where nothing is known.
    pub fn now(&self, settings: &Settings, interval: Duration, prior: impl Fn(&Rule) -> f64) -> Calibrated {
        if let Some(tail) = self.tail {
            return tail;
        }
        let rule = self.rule.filter(|rule| rule.fits(settings, interval));
        let rule = rule.unwrap_or_else(|| Rule::new(settings, interval));
        Calibrated { limit: prior(&rule) * 1.25, extrapolated: true }
    }

    /// How many blocks it rests on.
    pub fn blocks(&self) -> usize {
        self.peaks.len()
    }

    /// Takes the statistic of one window in; `firing`: the window belongs to a run whose values are left out.
    pub fn push(
        &mut self,
        statistic: f64,
        firing: bool,
        settings: &Settings,
        interval: Duration,
        prior: impl Fn(&Rule) -> f64,
    ) {
        let changed = !self.rule.is_some_and(|rule| rule.fits(settings, interval));
        let rule = if changed {
            Rule::new(settings, interval)
        } else {
            self.rule.unwrap_or_else(|| Rule::new(settings, interval))
        };
        self.rule = Some(rule);
        let alarm = self.alarm_size(statistic, &rule);
        self.block_max = self.block_max.max(alarm);
        self.in_block += 1;
        if firing {
            self.begin_episode(&rule);
            return;
        }
        if self.in_episode || self.in_block >= rule.block {
            self.close_block();
            self.tail = fit(&self.peaks, &rule, prior(&rule));
        } else if changed && !self.peaks.is_empty() {
            self.tail = fit(&self.peaks, &rule, prior(&rule));
        }
    }

    /// The limit at which this window would have fired an alert.
    fn alarm_size(&mut self, statistic: f64, rule: &Rule) -> f32 {
        let newest = crate::history::to_cell(statistic.max(0.0));
        self.recent.push_back(newest);
        while self.recent.len() > rule.n {
            self.recent.pop_front();
        }
        if self.recent.len() < rule.m {
            return newest / 2.0;
        }
        let mut last = [0.0_f32; LONGEST_RULE as usize];
        let count = self.recent.len();
        last.iter_mut().zip(&self.recent).for_each(|(to, from)| *to = *from);
        let (_, mth, _) = last[..count].select_nth_unstable_by(count - rule.m, f32::total_cmp);
        mth.max(newest / 2.0)
    }

    /// The windows that made the alert fire may lie in the block that was closed just before: it then belongs to the
    /// episode too, and what it did to the limit is undone.
    fn begin_episode(&mut self, rule: &Rule) {
        let just_closed = !self.in_episode && self.in_block as usize <= rule.n;
        if let (true, Some(before), Some(peak)) = (just_closed, self.before, self.peaks.back_mut()) {
            *peak = peak.min(crate::history::to_cell(before.limit * OF_AN_ALERT));
            self.tail = Some(before);
        }
        self.in_episode = true;
    }

    fn close_block(&mut self) {
        self.before = self.tail;
        if let Some(tail) = self.tail.filter(|_| self.in_episode) {
            self.block_max = self.block_max.min(crate::history::to_cell(tail.limit * OF_AN_ALERT));
        }
        self.peaks.push_back(self.block_max);
        while self.peaks.len() > KEPT_BLOCKS {
            self.peaks.pop_front();
        }
        (self.in_block, self.block_max, self.in_episode) = (0, 0.0, false);
    }

    /// Whether a saved state is usable.
    pub fn is_sound(&self) -> bool {
        let finite = |values: &VecDeque<f32>| values.iter().all(|v| v.is_finite());
        finite(&self.recent)
            && finite(&self.peaks)
            && self.block_max.is_finite()
            && self.tail.is_none_or(|tail| tail.limit.is_finite() && tail.limit > 0.0)
    }
}

/// The limit these block maxima give.
fn fit(peaks: &VecDeque<f32>, rule: &Rule, prior: f64) -> Option<Calibrated> {
    let mut sorted: Vec<f32> = peaks.iter().copied().collect();
    stats::sort(&mut sorted);
    let count = sorted.len();
    let rank = rule.alpha * (count + 1) as f64;
    let lowest = prior * 0.75;
    let found = if rank >= 1.0 {
        Calibrated { limit: f64::from(sorted[count - (rank as usize).min(count)]), extrapolated: false }
    } else if count >= FEWEST_FOR_TAIL {
        Calibrated { limit: pareto_quantile(&sorted, rule.alpha), extrapolated: true }
    } else {
        return None;
    };
    let lowest = if count < TRUSTED_BLOCKS { prior * 1.25 } else { lowest };
    let limit = found.limit.max(lowest).max(f64::from(f32::MIN_POSITIVE));
    Some(Calibrated {
        limit,
        extrapolated: found.extrapolated || limit > found.limit && count < TRUSTED_BLOCKS,
    })
}

/// The value exceeded with probability `alpha`, from a generalised Pareto tail over the upper quarter of sorted values.
///
/// Probability weighted moments (Hosking and Wallis 1987); the shape is shrunk towards 0.1 by ten imagined samples and
/// kept within -0.2..0.5, since the moments of a handful of values say little.
fn pareto_quantile(sorted: &[f32], alpha: f64) -> f64 {
    let count = sorted.len();
    let in_tail = (count / 4).max(5).min(count - 1);
    let threshold = f64::from(sorted[count - in_tail - 1]);
    let excesses = sorted[count - in_tail..].iter().map(|v| f64::from(*v) - threshold);
    let n = in_tail as f64;
    let (mut mean, mut weighted) = (0.0, 0.0);
    for (i, excess) in excesses.enumerate() {
        mean += excess / n;
        weighted += (1.0 - (i as f64 + 0.65) / n) * excess / n;
    }
    if mean <= 0.0 {
        return threshold;
    }
    let spread = mean - 2.0 * weighted;
    let raw = if spread > 0.0 { 2.0 - mean / spread } else { -0.2 };
    let shape = ((raw * n + 0.1 * 10.0) / (n + 10.0)).clamp(-0.2, 0.5);
    let scale = mean * (1.0 - shape);
    let rarer = alpha * count as f64 / n;
    let steps = if shape.abs() < 1e-9 { -rarer.ln() } else { (rarer.powf(-shape) - 1.0) / shape };
    threshold + scale * steps.max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(alarms: f64) -> Settings {
        let mut settings = Settings::shipped("m");
        settings.false_alarms_per_week = alarms * 3.0;
        settings
    }

    /// 1 - exp(-x) at equally spaced probabilities: an exponential sample without noise.
    fn exponential(n: usize) -> Vec<f32> {
        (0..n).map(|i| -(1.0 - (i as f64 + 0.5) / n as f64).ln() as f32).collect()
    }

    #[test]
    fn a_rule_counts_alarms_not_rows() {
        let rule = Rule::new(&settings(1.0), Duration::from_secs(60));
        assert_eq!((rule.m, rule.n, rule.block), (3, 5, 60));
        assert!((rule.alpha - 1.0 / 168.0).abs() < 1e-12);
        // 10080 windows a week, 6 ways for two of the four before: p = (1 / 60480)^(1/3)
        assert!((rule.row_share - (1.0_f64 / 60_480.0).cbrt()).abs() < 1e-6);
        assert!((rule.gaussian() - 2.233).abs() < 0.01, "{}", rule.gaussian());
    }

    #[test]
    fn rare_sampling_never_alarms_more_than_one_block_in_twenty() {
        assert_eq!(Rule::new(&settings(1.0), Duration::from_secs(86_400)).alpha, MOST_ALARMED);
    }

    #[test]
    fn a_tail_is_extrapolated_close_to_the_truth() {
        let sorted = exponential(100);
        let truth = -(0.001_f64).ln();
        let found = pareto_quantile(&sorted, 0.001);
        assert!((found / truth - 1.0).abs() < 0.25, "{found} instead of {truth}");
        assert_eq!(pareto_quantile(&[3.0; 40], 0.001), 3.0);
    }

    #[test]
    fn the_limit_is_a_past_block_maximum_once_there_are_enough() {
        let settings = settings(1.0);
        let minute = Duration::from_secs(60);
        let mut limit = LearnedLimit::default();
        for block in 1..=336 {
            for _ in 0..60 {
                limit.push(10.0 + f64::from(block), false, &settings, minute, Rule::gaussian);
            }
        }
        let now = limit.now(&settings, minute, Rule::gaussian);
        assert_eq!(now, Calibrated { limit: 345.0, extrapolated: false }); // the second largest of 336
    }

    #[test]
    fn incidents_do_not_teach_a_wide_limit() {
        let settings = settings(1.0);
        let minute = Duration::from_secs(60);
        let mut limit = LearnedLimit::default();
        let quiet = exponential(240);
        let hour = |limit: &mut LearnedLimit, from: usize| {
            for i in 0..60 {
                limit.push(
                    f64::from(quiet[(from * 60 + i * 7) % 240]),
                    false,
                    &settings,
                    minute,
                    Rule::gaussian,
                );
            }
        };
        (0..300).for_each(|i| hour(&mut limit, i));
        let before = limit.now(&settings, minute, Rule::gaussian).limit;
        for i in 0..6 {
            (0..3).for_each(|_| limit.push(30.0, false, &settings, minute, Rule::gaussian));
            (0..10).for_each(|_| limit.push(30.0, true, &settings, minute, Rule::gaussian));
            // The alert fires on until it has been calm for as long as it looks back.
            (0..5).for_each(|_| limit.push(0.5, true, &settings, minute, Rule::gaussian));
            (0..3).for_each(|j| hour(&mut limit, i * 3 + j));
        }
        let after = limit.now(&settings, minute, Rule::gaussian).limit;
        assert!(after < before * 1.5, "{before} became {after}");
        assert!(after >= before, "{before} became {after}");
    }

    #[test]
    fn a_firing_run_is_one_block_however_long() {
        let settings = settings(1.0);
        let minute = Duration::from_secs(60);
        let mut limit = LearnedLimit::default();
        for _ in 0..2_000 {
            limit.push(50.0, true, &settings, minute, Rule::gaussian);
        }
        assert_eq!(limit.blocks(), 0);
        limit.push(0.0, false, &settings, minute, Rule::gaussian);
        assert_eq!(limit.blocks(), 1);
    }

    #[test]
    fn before_anything_is_known_the_limit_is_assumed_and_said_to_be() {
        let now = LearnedLimit::default().now(&settings(1.0), Duration::from_secs(60), Rule::gaussian);
        assert!(now.extrapolated && (now.limit - 2.233 * 1.25).abs() < 0.02, "{now:?}");
    }
}
