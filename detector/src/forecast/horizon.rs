//! A whole horizon of one series, from its history alone.
//!
//! Several simple forecasts, weighted by how well each would have done at the last origins of this very history.

use super::members::{Loss, Smoothing, autoregression, profile, seasonal_naive, yearly};

/// Origins tried inside the history.
const ORIGINS: usize = 6;
/// Weights are 1 / error^this.
const SHARPNESS: i32 = 8;
/// A member this much worse than the best does not count.
const WORST: f64 = 1.2;
/// Seven of a season make a longer one: hours of the week over hours of the day.
const LONGER: usize = 7;
/// Only values this far back are looked at.
const MOST_VALUES: usize = 20_000;
/// Values further from the median than this many interquartile ranges are drawn in before anything is fitted.
const FENCE: f64 = 4.0;

/// Forecasts the next `horizon` values. Missing values of the history are NaN. The season is found when not given.
/// An empty history gives zeros.
pub fn forecast_horizon(history: &[f64], horizon: usize, season: Option<usize>) -> Vec<f64> {
    let known = tidy(&history[history.len().saturating_sub(MOST_VALUES)..]);
    let Some(last) = known.last() else { return vec![0.0; horizon] };
    let (least, most) = known.iter().fold((*last, *last), |(a, b), v| (a.min(*v), b.max(*v)));
    if least == most {
        return vec![*last; horizon];
    }
    let season = season.unwrap_or_else(|| find_season(&known)).max(1);
    let seasons = seasons(&known, season);
    let weights = weights(&known, horizon, &seasons);
    let said = members(&known, horizon, &seasons);
    // Far outside of what was ever seen is a fit that ran away.
    let room = most - least;
    (0..horizon)
        .map(|h| {
            let parts = said.iter().zip(&weights).filter_map(|(path, w)| path.as_ref().map(|p| (p[h], *w)));
            let (sum, weight) = parts.fold((0.0, 0.0), |(s, n), (v, w)| (s + w * v, n + w));
            let value = if weight > 0.0 { sum / weight } else { *last };
            let floor = if least >= 0.0 { 0.0 } else { least - room };
            value.clamp(floor, most + room)
        })
        .collect()
}

/// Fills what is missing from the nearest known value before (or after), and draws in what is absurdly far out.
fn tidy(history: &[f64]) -> Vec<f64> {
    let mut known: Vec<f64> = history.iter().map(|v| v.clamp(-1e150, 1e150)).collect();
    let Some(first) = known.iter().copied().find(|v| !v.is_nan()) else { return Vec::new() };
    let mut last = first;
    for value in &mut known {
        if value.is_nan() {
            *value = last;
        }
        last = *value;
    }
    let mut sorted = known.clone();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
    let (middle, reach) = (at(0.5), FENCE * (at(0.75) - at(0.25)));
    if reach > 0.0 {
        known.iter_mut().for_each(|v| *v = v.clamp(middle - reach, middle + reach));
    }
    known
}

/// The season and, where the history is long enough and it helps, seven of it.
fn seasons(history: &[f64], season: usize) -> Vec<usize> {
    let mut seasons = Vec::new();
    if season > 1 && history.len() >= 2 * season {
        seasons.push(season);
        let long = season * LONGER;
        if season != LONGER && history.len() >= 2 * long + 2 {
            seasons.push(long);
        }
    }
    seasons
}

/// Seven values a season are days of the week.
const WEEK: usize = 7;
const MEMBERS: usize = 9;

fn members(history: &[f64], horizon: usize, seasons: &[usize]) -> [Option<Vec<f64>>; MEMBERS] {
    let fits = |season: &&usize| history.len() >= 2 * **season;
    let short = seasons.first().filter(fits).copied().unwrap_or(1);
    let smooth = |seasons: &[usize], loss| Smoothing::new(seasons, loss).forecast(history, horizon);
    let long = seasons.last().filter(fits).copied().filter(|s| *s != short);
    let plain = smooth(&[short], Loss::Squared);
    [
        Some(seasonal_naive(history, horizon, short)),
        if short == WEEK { yearly(history, &plain) } else { None },
        Some(plain),
        Some(smooth(&[short], Loss::Absolute)),
        long.map(|long| smooth(&[short, long], Loss::Squared)),
        long.map(|long| smooth(&[short, long], Loss::Absolute)),
        Some(profile(history, horizon, short, 0.9)),
        long.map(|long| profile(history, horizon, long, 0.7)),
        autoregression(history, horizon, seasons, 1e-4),
    ]
}

/// How much each member counts: from its errors at earlier origins of the history.
fn weights(history: &[f64], horizon: usize, seasons: &[usize]) -> [f64; MEMBERS] {
    let step = horizon.max(1);
    let least = 3 * seasons.first().copied().unwrap_or(4);
    let mut errors = [0.0; MEMBERS];
    let mut tried = 0;
    for back in 1..=ORIGINS {
        let Some(end) = history.len().checked_sub(back * step).filter(|end| *end >= least) else { break };
        let truth = &history[end..end + step];
        for (error, path) in errors.iter_mut().zip(members(&history[..end], step, seasons)) {
            *error += path.map_or(f64::INFINITY, |path| mean_error(truth, &path));
        }
        tried += 1;
    }
    if tried == 0 {
        return [1.0; MEMBERS];
    }
    let best = errors.iter().copied().fold(f64::INFINITY, f64::min).max(f64::MIN_POSITIVE);
    errors.map(|error| if error <= WORST * best { (best / error.max(best)).powi(SHARPNESS) } else { 0.0 })
}

fn mean_error(truth: &[f64], path: &[f64]) -> f64 {
    truth.iter().zip(path).map(|(a, b)| (a - b).abs()).sum::<f64>() / truth.len().max(1) as f64
}

/// The lag of the highest autocorrelation of the differences among the usual seasons; 1 when none is clear.
fn find_season(history: &[f64]) -> usize {
    const USUAL: [usize; 9] = [4, 7, 12, 24, 48, 96, 144, 288, 1440];
    let changes: Vec<f64> = history.windows(2).map(|two| two[1] - two[0]).collect();
    let whole: f64 = changes.iter().map(|c| c * c).sum();
    let correlation = |lag: &usize| {
        let dot: f64 = changes.iter().skip(*lag).zip(&changes).map(|(a, b)| a * b).sum();
        dot / whole.max(f64::MIN_POSITIVE)
    };
    let fits = USUAL.iter().filter(|lag| changes.len() >= 3 * **lag);
    let best = fits.map(|lag| (*lag, correlation(lag))).max_by(|a, b| a.1.total_cmp(&b.1));
    best.filter(|(_, r)| *r > 0.2).map_or(1, |(lag, _)| lag)
}
