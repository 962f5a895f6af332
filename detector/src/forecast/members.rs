//! The simple forecasts that [`super::forecast_horizon`] combines. Each takes a whole history of finite values and a
//! season that fits into it at least twice, and gives finite values.

/// The last season again and again.
pub(crate) fn seasonal_naive(history: &[f64], horizon: usize, season: usize) -> Vec<f64> {
    let n = history.len();
    let season = season.clamp(1, n.max(1));
    (0..horizon).map(|h| history[n - season + h % season]).collect()
}

/// Same phase of the last seasons, newer ones weighing more, moved to the level of the last season.
pub(crate) fn profile(history: &[f64], horizon: usize, season: usize, fade: f64) -> Vec<f64> {
    let n = history.len();
    let level = |season_back: usize| -> f64 {
        let end = n - season_back * season;
        history[end - season..end].iter().sum::<f64>() / season as f64
    };
    let seasons = n / season;
    let mut sums = vec![(0.0, 0.0); season];
    for back in 0..seasons {
        let (weight, mean) = (fade.powi(back as i32), level(back));
        let start = n - (back + 1) * season;
        for (k, cell) in sums.iter_mut().enumerate() {
            cell.0 += weight * (history[start + k] - mean);
            cell.1 += weight;
        }
    }
    let now = level(0);
    (0..horizon).map(|h| now + sums[h % season].0 / sums[h % season].1).collect()
}

/// Days of 52 whole weeks: the same weekday a year before.
const YEAR_DAYS: usize = 364;
/// Days that tell the level a year before, and days to each side that tell where the year went from there.
const YEAR_LEVEL_DAYS: usize = 28;
const YEAR_REACH: usize = 7;
/// How much of last year's movement is taken over.
const YEAR_SHARE: f64 = 0.5;

/// A forecast of daily values moved as last year moved from the same day on; `None` without a year of history.
pub(crate) fn yearly(history: &[f64], forecast: &[f64]) -> Option<Vec<f64>> {
    let n = history.len();
    let mean = |from: usize, to: usize| history[from..to].iter().sum::<f64>() / (to - from) as f64;
    let anchor = n.checked_sub(YEAR_DAYS).filter(|anchor| *anchor > YEAR_LEVEL_DAYS)?;
    if forecast.len() + YEAR_REACH >= YEAR_DAYS {
        return None;
    }
    let then = mean(anchor - YEAR_LEVEL_DAYS, anchor);
    let moved = |h: usize| mean(anchor + h - YEAR_REACH, (anchor + h + YEAR_REACH + 1).min(n)) / then - 1.0;
    (then > 0.0).then(|| {
        let path = forecast.iter().enumerate();
        path.map(|(h, value)| value * (1.0 + YEAR_SHARE * moved(h))).collect()
    })
}

/// Smoothing of a level and up to two additive seasons with errors that carry over (Taylor 2003), by the parameters
/// of least one-step error.
#[derive(Clone, Debug)]
pub(crate) struct Smoothing {
    seasons: Vec<usize>,
    loss: Loss,
}

/// What the one-step errors are fitted by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// Their squares.
    Squared,
    /// Their sizes: outliers pull less.
    Absolute,
}

/// Level, its damped trend, gains of the seasons, carry-over of errors; in this order.
const PARAMETERS: usize = 5;
const START: [f64; PARAMETERS] = [0.1, 0.02, 0.2, 0.2, 0.5];
const HIGHEST: [f64; PARAMETERS] = [0.99, 0.3, 0.99, 0.99, 0.98];
const DAMPING: f64 = 0.97;

impl Smoothing {
    /// With these seasons, the shortest first.
    pub(crate) fn new(seasons: &[usize], loss: Loss) -> Self {
        Self { seasons: seasons.iter().copied().take(2).collect(), loss }
    }

    /// Fits and forecasts.
    pub(crate) fn forecast(&self, history: &[f64], horizon: usize) -> Vec<f64> {
        let best = minimise(|p| self.run(history, p, 0).0, START, HIGHEST);
        self.run(history, &best, horizon).1
    }

    /// One pass: mean loss of the one-step errors after the first season, and the forecast.
    fn run(&self, history: &[f64], p: &[f64; PARAMETERS], horizon: usize) -> (f64, Vec<f64>) {
        let [gain, trend_gain, .., carry] = *p;
        let longest = self.seasons.last().copied().unwrap_or(1);
        let mut profiles = self.first_profiles(history);
        let warm = (2 * longest).min(history.len());
        let mut level = history[..warm].iter().sum::<f64>() / warm.max(1) as f64;
        let (mut trend, mut error, mut sum, mut count) = (0.0, 0.0, 0.0, 0.0);
        for (t, value) in history.iter().enumerate() {
            let season: f64 = self.seasons.iter().zip(&profiles).map(|(s, profile)| profile[t % s]).sum();
            let plain = level + DAMPING * trend + season;
            let miss = value - plain - carry * error;
            if t >= longest {
                sum += match self.loss {
                    Loss::Squared => miss * miss,
                    Loss::Absolute => miss.abs(),
                };
                count += 1.0;
            }
            let old = level;
            level += DAMPING * trend + gain * miss;
            trend = DAMPING * trend + trend_gain * (level - old - DAMPING * trend);
            for ((s, profile), gain) in self.seasons.iter().zip(&mut profiles).zip(&p[2..4]) {
                profile[t % s] += gain * miss;
            }
            error = value - plain;
        }
        let ahead = |h: usize| {
            let t = history.len() + h - 1;
            let season: f64 = self.seasons.iter().zip(&profiles).map(|(s, profile)| profile[t % s]).sum();
            let damped = DAMPING * (1.0 - DAMPING.powi(h as i32)) / (1.0 - DAMPING);
            level + trend * damped + season + error * carry.powi(h as i32)
        };
        (sum / f64::max(count, 1.0), (1..=horizon).map(ahead).collect())
    }

    /// Seasons at the start: means by phase over the first four of each, the longer on what the shorter leaves.
    fn first_profiles(&self, history: &[f64]) -> Vec<Vec<f64>> {
        let mut rest = history.to_vec();
        let mut all = Vec::new();
        for season in &self.seasons {
            let used = (4 * season).min(rest.len() / season * season);
            let mean = rest[..used].iter().sum::<f64>() / used.max(1) as f64;
            let mut profile = vec![0.0; *season];
            for (t, value) in rest[..used].iter().enumerate() {
                profile[t % season] += (value - mean) / (used / season) as f64;
            }
            rest.iter_mut().enumerate().for_each(|(t, v)| *v -= profile[t % season]);
            all.push(profile);
        }
        all
    }
}

/// Coordinate search inside the unit box scaled by `highest`: halving steps, deterministic.
fn minimise(
    cost: impl Fn(&[f64; PARAMETERS]) -> f64,
    start: [f64; PARAMETERS],
    highest: [f64; PARAMETERS],
) -> [f64; PARAMETERS] {
    let (mut best, mut least) = (start, cost(&start));
    let mut step = 0.25;
    while step > 0.01 {
        let mut moved = false;
        for k in 0..PARAMETERS {
            for sign in [-1.0, 1.0] {
                let mut tried = best;
                tried[k] = (tried[k] + sign * step * highest[k]).clamp(0.0, highest[k]);
                let c = cost(&tried);
                if c < least {
                    (best, least, moved) = (tried, c, true);
                }
            }
        }
        if !moved {
            step /= 2.0;
        }
    }
    best
}

/// Linear autoregression on lags around 0, the seasons and their neighbours, by ridge regression, run forward.
pub(crate) fn autoregression(
    history: &[f64],
    horizon: usize,
    seasons: &[usize],
    ridge: f64,
) -> Option<Vec<f64>> {
    let lags = lags(seasons);
    let longest = *lags.last()?;
    let rows = history.len().checked_sub(longest).filter(|rows| *rows >= 2 * lags.len())?;
    let (mean, scale) = centre(history);
    let z: Vec<f64> = history.iter().map(|v| (v - mean) / scale).collect();
    let k = lags.len();
    let (mut gram, mut moment) = (vec![0.0; k * k], vec![0.0; k]);
    for t in longest..z.len() {
        for (i, a) in lags.iter().enumerate() {
            moment[i] += z[t] * z[t - a];
            for (j, b) in lags.iter().enumerate().take(i + 1) {
                gram[i * k + j] += z[t - a] * z[t - b];
            }
        }
    }
    (0..k).for_each(|i| gram[i * k + i] += ridge * rows as f64);
    let weights = cholesky(gram, moment, k)?;
    let mut path = z;
    for _ in 0..horizon {
        let n = path.len();
        let next: f64 = lags.iter().zip(&weights).map(|(lag, w)| w * path[n - lag]).sum();
        path.push(next.clamp(-20.0, 20.0));
    }
    Some(path[history.len()..].iter().map(|v| mean + scale * v).collect())
}

fn lags(seasons: &[usize]) -> Vec<usize> {
    let mut lags = vec![1, 2, 3];
    for season in seasons {
        for times in 1..=2 {
            lags.extend([season * times - 1, season * times, season * times + 1]);
        }
    }
    lags.retain(|lag| *lag > 0);
    lags.sort_unstable();
    lags.dedup();
    lags
}

/// Mean and standard deviation; a constant has the deviation 1.
fn centre(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
}

/// Solves a symmetric positive system given by its lower triangle.
pub(crate) fn cholesky(mut a: Vec<f64>, mut b: Vec<f64>, k: usize) -> Option<Vec<f64>> {
    for i in 0..k {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|m| a[i * k + m] * a[j * k + m]).sum();
            let rest = a[i * k + j] - dot;
            a[i * k + j] =
                if i == j { Some(rest).filter(|r| *r > 1e-12)?.sqrt() } else { rest / a[j * k + j] };
        }
    }
    for i in 0..k {
        let dot: f64 = (0..i).map(|m| a[i * k + m] * b[m]).sum();
        b[i] = (b[i] - dot) / a[i * k + i];
    }
    for i in (0..k).rev() {
        let dot: f64 = (i + 1..k).map(|m| a[m * k + i] * b[m]).sum();
        b[i] = (b[i] - dot) / a[i * k + i];
    }
    Some(b)
}
