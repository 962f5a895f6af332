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
/// A size just beyond a bin lies this share of a bin beyond its edge: rounding must not decide which bin learns it.
const BEYOND_EDGE: f64 = 1e-3;
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
        let above = f64::from(self.bins[side].get(bin..).map_or(0.0, sum));
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
                return self.centre(bin) * ((0.5 + BEYOND_EDGE) / PER_OCTAVE).exp2();
            }
        }
        0.0
    }

    /// Learns a residual; one beyond [`LEARN_AT_MOST`] counts as being there.
    pub(crate) fn learn(&mut self, z: f64) {
        self.weight *= self.growth;
        self.total += f64::from(self.weight);
        let below = z < 0.0;
        let rare = self.evidence(z) > LEARN_AT_MOST;
        let cap = if rare { self.size_at(LEARN_AT_MOST, below) } else { None };
        let size = z.abs().min(cap.unwrap_or(f64::INFINITY));
        if size > 0.0 && size.is_finite() {
            self.anchor.get_or_insert_with(|| (size.log2() * PER_OCTAVE).floor() as i64 - FIRST_BIN);
            let bins = &mut self.bins[usize::from(below)];
            if bins.is_empty() {
                *bins = vec![0.0; BINS];
            }
            self.make_room(size);
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

    /// Moves the bins up when a residual lies above them: the first one, which placed them, may have been tiny.
    fn make_room(&mut self, size: f64) {
        let Some(anchor) = self.anchor else { return };
        let above = (size.log2() * PER_OCTAVE).floor() as i64 - anchor - (BINS as i64 - 1);
        if above <= 0 {
            return;
        }
        let by = above + (BINS as i64 - 1 - FIRST_BIN);
        self.anchor = Some(anchor + by);
        let by = usize::try_from(by).unwrap_or(BINS).min(BINS);
        for bins in self.bins.iter_mut().filter(|bins| !bins.is_empty()) {
            let lost: f32 = bins.drain(..by).sum();
            bins.resize(BINS, 0.0);
            bins[0] += lost;
        }
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

    /// Where the share [`TAIL_SHARE`] of all rows begins, a bin's rows taken as spread evenly over its logarithms, and the
    /// mean logarithm beyond (Hill). With fewer rows of this sign all of them are the tail.
    fn fit(&self, side: usize) -> Fit {
        let enough = TAIL_SHARE * self.total;
        let width = std::f64::consts::LN_2 / PER_OCTAVE;
        let (mut above, mut logs, mut from) = (0.0, 0.0, None);
        for (bin, count) in self.bins[side].iter().enumerate().rev().filter(|(_, c)| **c > 0.0) {
            let count = f64::from(*count);
            let part = ((enough - above) / count).min(1.0);
            let top = self.centre(bin).ln() + 0.5 * width;
            above += part * count;
            logs += part * count * (top - 0.5 * part * width);
            from = Some(top - part * width);
            if part < 1.0 || above >= enough {
                break;
            }
        }
        let Some(from) = from else { return Fit::default() };
        let rows = above / f64::from(self.weight);
        let own = logs / above - from;
        let slope = ((own * rows + PRIOR_SLOPE * PRIOR_ROWS) / (rows + PRIOR_ROWS)).max(self.floor);
        Fit { from: from.exp(), share: -(above / self.total).log10(), slope }
    }
}

/// The sum in eight strands: this is where judging spends its time, and one strand waits for each addition.
fn sum(counts: &[f32]) -> f32 {
    let (eights, rest) = counts.as_chunks::<8>();
    let mut strands = [0.0; 8];
    for eight in eights {
        strands.iter_mut().zip(eight).for_each(|(strand, count)| *strand += count);
    }
    strands.iter().chain(rest).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same numbers on every machine: a linear congruential generator, uniform in (0, 1).
    fn uniform(seed: &mut u64) -> f64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((*seed >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn pareto(rows: usize, unit: f64) -> Tail {
        let (mut tail, mut seed) = (Tail::new(1e6, 0.03), 7);
        for _ in 0..rows {
            let sign = if uniform(&mut seed) < 0.5 { -1.0 } else { 1.0 };
            tail.learn(sign * unit * uniform(&mut seed).powf(-0.2));
        }
        tail
    }

    #[test]
    fn evidence_is_the_tail_probability_of_what_was_seen() {
        let tail = pareto(40_000, 1.0);
        // One sided P(z > x) = x^-5 / 2: 4 decades at 5.49.
        for (size, want) in [(2.2, 2.013), (2.8, 2.537), (4.0, 3.311), (5.493, 4.0)] {
            for sign in [1.0, -1.0] {
                let got = tail.evidence(sign * size);
                assert!((got - want).abs() < 0.25, "{size}: {got}, not {want}");
            }
        }
    }

    #[test]
    fn evidence_grows_and_its_inverse_is_its_inverse() {
        let tail = pareto(5_000, 3.0);
        let sizes: Vec<f64> = (1..400).map(|k| 0.1 * f64::from(k)).collect();
        assert!(sizes.windows(2).all(|two| tail.evidence(two[0]) <= tail.evidence(two[1]) + 1e-9));
        for limit in [1.0, 1.6, 2.5, 3.0] {
            let size = tail.size_at(limit, false).unwrap_or(0.0);
            let (below, above) = (tail.evidence(size * 0.93), tail.evidence(size * 1.07));
            assert!(below <= limit && limit <= above, "{limit}: {below} .. {above} around {size}");
        }
    }

    #[test]
    fn units_do_not_matter() {
        let (small, large) = (pareto(3_000, 1.0), pareto(3_000, 1024.0));
        for size in [0.5, 1.5, 3.0, 10.0] {
            assert!((small.evidence(size) - large.evidence(1024.0 * size)).abs() < 1e-9);
        }
    }

    #[test]
    fn a_tiny_first_residual_does_not_blind_the_tail() {
        let mut tail = Tail::new(1e6, 0.03);
        tail.learn(1e-12);
        for k in 0..2_000 {
            tail.learn(if k % 2 == 0 { 1.0 } else { -1.0 } * (1.0 + f64::from(k % 100) / 100.0));
        }
        assert!(tail.evidence(1.5) < 2.0, "{}", tail.evidence(1.5));
        assert!(tail.size_at(1.6, false).is_some_and(|size| (1.5..3.0).contains(&size)));
    }

    #[test]
    fn nothing_seen_nothing_known() {
        let mut tail = Tail::new(1e6, 0.03);
        assert_eq!(tail.evidence(0.0), 0.0);
        assert_eq!(tail.size_at(2.0, true), None);
        (0..999).for_each(|_| tail.learn(0.0));
        assert!((tail.evidence(1.0) - 3.0).abs() < 1e-3, "the first move in 999 rows is one in a thousand");
    }
}
