//! How improbable a residual is: a forgetting histogram of past residuals with a Pareto tail beyond it.
//!
//! Evidence is `L = -log10(tail probability)`, so that lanes and metrics of any unit are comparable and one limit
//! serves all. Each sign has a tail of its own. State: two signs x [`BINS`] `f32`.

use serde::{Deserialize, Serialize};

/// Bins an octave.
const PER_OCTAVE: f64 = 10.0;
/// Bins a sign: 32 octaves.
const BINS: usize = 320;
/// The bin the first residual falls into: 22 octaves below it, 10 above.
const FIRST_BIN: i64 = 220;
/// The tail is fitted where this share of all rows lies.
const TAIL_SHARE: f64 = 0.02;
/// The fit is renewed after this many rows.
const REFIT_EVERY: u32 = 32;
/// What is rarer than this is learned as if it were this rare.
pub(crate) const LEARN_AT_MOST: f64 = 6.0;
/// This many rows as large as the one judged do not yet count against it.
const EMPIRICAL_FREE: f64 = 2.0;
/// A tail's slope is drawn towards this, as by so many rows: a tail of three rows knows little of its own slope.
const PRIOR_SLOPE: f64 = 0.2;
const PRIOR_ROWS: f64 = 10.0;
/// Weights are brought back to one when they pass this.
const RENORMALISE_AT: f32 = 1e6;

/// The fitted tail of one sign.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Fit {
    /// Where the tail begins; 0 while nothing of this sign was seen.
    from: f64,
    /// -log10 of the share of rows in the tail.
    share: f64,
    /// Mean of ln(|z| / from) in the tail.
    slope: f64,
}

/// Histogram of one lane's residuals.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tail {
    anchor: Option<i64>,
    bins: [Vec<f32>; 2],
    total: f64,
    weight: f32,
    growth: f32,
    until_refit: u32,
    floor: f64,
    fits: [Fit; 2],
}

impl Tail {
    /// Forgets over `memory` rows; `floor` keeps the slope of the tail from being taken as thinner.
    pub(crate) fn new(memory: f64, floor: f64) -> Self {
        Self {
            anchor: None,
            bins: [Vec::new(), Vec::new()],
            total: 0.0,
            weight: 1.0,
            growth: (1.0 / (1.0 - 1.0 / memory.max(2.0))) as f32,
            until_refit: 0,
            floor,
            fits: [Fit::default(); 2],
        }
    }

    fn bin(&self, size: f64) -> Option<usize> {
        let anchor = self.anchor?;
        let bin = (size.log2() * PER_OCTAVE).floor() as i64 - anchor;
        Some(bin.clamp(0, BINS as i64 - 1) as usize)
    }

    fn centre(&self, bin: usize) -> f64 {
        let anchor = self.anchor.unwrap_or_default();
        ((bin as i64 + anchor) as f64 / PER_OCTAVE + 0.5 / PER_OCTAVE).exp2()
    }

    /// Rows seen, forgetting.
    fn rows(&self) -> f64 {
        self.total / f64::from(self.weight)
    }

    /// Evidence of a residual.
    pub(crate) fn evidence(&self, z: f64) -> f64 {
        let size = z.abs();
        if size == 0.0 || !size.is_finite() {
            return if size == 0.0 { 0.0 } else { LEARN_AT_MOST };
        }
        let side = usize::from(z < 0.0);
        let Some(fit) = self.fit_of(side) else { return (self.rows() + 1.0).log10() };
        if size <= fit.from {
            return fit.share * (size / fit.from).powi(2);
        }
        let pareto = fit.share + (size / fit.from).ln() / (fit.slope * std::f64::consts::LN_10);
        pareto.min(self.empirical(side, size))
    }

    /// The fit of a sign; of the other one where this was never seen.
    fn fit_of(&self, side: usize) -> Option<Fit> {
        let own = self.fits[side];
        let other = self.fits[1 - side];
        [own, other].into_iter().find(|fit| fit.from > 0.0)
    }

    fn empirical(&self, side: usize, size: f64) -> f64 {
        let Some(bin) = self.bin(size) else { return f64::INFINITY };
        let above: f64 = self.bins[side].get(bin..).map_or(0.0, |b| b.iter().map(|c| f64::from(*c)).sum());
        let count = above / f64::from(self.weight) - EMPIRICAL_FREE;
        if count > 0.0 { -(count / self.rows()).log10() } else { f64::INFINITY }
    }

    /// The size at which evidence reaches `limit`, on one side (false = above, true = below).
    pub(crate) fn size_at(&self, limit: f64, below: bool) -> Option<f64> {
        let side = usize::from(below);
        let fit = self.fit_of(side)?;
        let fitted = if limit <= fit.share {
            fit.from * (limit / fit.share).max(0.0).sqrt()
        } else {
            fit.from * ((limit - fit.share) * fit.slope * std::f64::consts::LN_10).exp()
        };
        Some(fitted.max(self.empirical_size(side, limit)))
    }

    /// The largest size which the rows seen forbid to call that rare.
    fn empirical_size(&self, side: usize, limit: f64) -> f64 {
        let allowed = (self.rows() * 10f64.powf(-limit) + EMPIRICAL_FREE) * f64::from(self.weight);
        let mut above = 0.0;
        for (bin, count) in self.bins[side].iter().enumerate().rev() {
            above += f64::from(*count);
            if above > allowed {
                return self.centre(bin) * (0.5 / PER_OCTAVE).exp2();
            }
        }
        0.0
    }

    /// Learns a residual; one beyond [`LEARN_AT_MOST`] counts as being there.
    pub(crate) fn learn(&mut self, z: f64) {
        self.weight *= self.growth;
        self.total += f64::from(self.weight);
        let below = z < 0.0;
        let size = match self.size_at(LEARN_AT_MOST, below) {
            Some(cap) if self.evidence(z) > LEARN_AT_MOST => z.abs().min(cap),
            _ => z.abs(),
        };
        if size > 0.0 && size.is_finite() {
            self.anchor.get_or_insert_with(|| (size.log2() * PER_OCTAVE).floor() as i64 - FIRST_BIN);
            let bins = &mut self.bins[usize::from(below)];
            if bins.is_empty() {
                *bins = vec![0.0; BINS];
            }
            if let Some(bin) = self.bin(size) {
                self.bins[usize::from(below)][bin] += self.weight;
            }
        }
        if self.weight > RENORMALISE_AT {
            self.renormalise();
        }
        if self.until_refit == 0 {
            self.refit();
            self.until_refit = REFIT_EVERY;
        }
        self.until_refit -= 1;
    }

    fn renormalise(&mut self) {
        let by = self.weight;
        self.bins.iter_mut().flatten().for_each(|c| *c /= by);
        self.total /= f64::from(by);
        self.weight = 1.0;
    }

    fn refit(&mut self) {
        for side in 0..2 {
            self.fits[side] = self.fit(side);
        }
    }

    fn fit(&self, side: usize) -> Fit {
        let enough = TAIL_SHARE * self.total;
        let (mut above, mut logs, mut lowest) = (0.0, 0.0, None);
        for (bin, count) in self.bins[side].iter().enumerate().rev().filter(|(_, c)| **c > 0.0) {
            let count = f64::from(*count);
            above += count;
            logs += count * self.centre(bin).ln();
            lowest = Some(self.centre(bin));
            if above >= enough {
                break;
            }
        }
        let Some(from) = lowest else { return Fit::default() };
        let rows = above / f64::from(self.weight);
        let own = logs / above - from.ln();
        let slope = ((own * rows + PRIOR_SLOPE * PRIOR_ROWS) / (rows + PRIOR_ROWS)).max(self.floor);
        Fit { from, share: -(above / self.total).log10(), slope }
    }
}
