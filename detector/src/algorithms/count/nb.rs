//! The negative binomial: tails and limits by its own recursion.

use statrs::function::gamma::ln_gamma;

/// Negative binomial: the number of failures before the r-th success of probability p.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NegativeBinomial {
    r: f64,
    p: f64,
}

/// Terms smaller than this share of the sum are left out.
const NEGLIGIBLE: f64 = 1e-15;

/// No sum is longer; the counts judged here are small.
const LONGEST: u32 = 100_000;

impl NegativeBinomial {
    /// From r > 0 and 0 < p < 1.
    pub fn new(r: f64, p: f64) -> Self {
        Self { r: r.clamp(1e-9, 1e12), p: p.clamp(1e-12, 1.0 - 1e-12) }
    }

    /// With this mean, and this variance in units of the mean (above 1).
    pub fn with_mean(mean: f64, dispersion: f64) -> Self {
        let p = 1.0 / dispersion.max(1.0 + 1e-9);
        Self::new(mean.max(1e-9) * p / (1.0 - p), p)
    }

    fn mean(&self) -> f64 {
        self.r * (1.0 - self.p) / self.p
    }

    fn ln_pmf(&self, k: f64) -> f64 {
        let ways = ln_gamma(k + self.r) - ln_gamma(self.r) - ln_gamma(k + 1.0);
        ways + self.r * self.p.ln() + k * (-self.p).ln_1p()
    }

    /// P(X >= k).
    pub fn at_least(&self, k: u64) -> f64 {
        if k == 0 {
            return 1.0;
        }
        if (k as f64) < self.mean() {
            return (1.0 - self.at_most(k - 1)).clamp(0.0, 1.0);
        }
        let (mut term, mut sum, mut at) = (self.ln_pmf(k as f64).exp(), 0.0, k as f64);
        for _ in 0..LONGEST {
            sum += term;
            if term <= NEGLIGIBLE * sum {
                break;
            }
            term *= (at + self.r) / (at + 1.0) * (1.0 - self.p);
            at += 1.0;
        }
        sum.min(1.0)
    }

    /// P(X <= k).
    pub fn at_most(&self, k: u64) -> f64 {
        if k as f64 >= self.mean() {
            return (1.0 - self.at_least(k + 1)).clamp(0.0, 1.0);
        }
        let (mut term, mut sum, mut at) = (self.ln_pmf(k as f64).exp(), 0.0, k as f64);
        for _ in 0..LONGEST {
            sum += term;
            if at < 1.0 || term <= NEGLIGIBLE * sum {
                break;
            }
            term *= at / ((at - 1.0 + self.r) * (1.0 - self.p));
            at -= 1.0;
        }
        sum.min(1.0)
    }

    /// -log10 P(X >= k) or -log10 P(X <= k), finite.
    pub fn surprise(&self, k: u64, above: bool) -> f64 {
        let tail = if above { self.at_least(k) } else { self.at_most(k) };
        -tail.max(1e-300).log10()
    }

    /// The smallest and the largest value whose tail is no rarer than `tail` on its side.
    pub fn bounds(&self, tail: f64) -> (u64, u64) {
        let (mut term, mut below) = (self.ln_pmf(0.0).exp(), 0.0);
        let mut lower = None;
        let mut upper = 0;
        for k in 0..u64::from(LONGEST) {
            let above = 1.0 - below;
            if k > 0 && above < tail {
                break;
            }
            upper = k;
            below += term;
            if lower.is_none() && below >= tail {
                lower = Some(k);
            }
            term *= (k as f64 + self.r) / (k as f64 + 1.0) * (1.0 - self.p);
        }
        (lower.unwrap_or(0), upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// detector.md, "Counts and rates": S = 14, n = 7: P(X >= 8) = 0.00317, P(0) = 0.144.
    #[test]
    fn published_numbers() {
        let nb = NegativeBinomial::new(14.0 + 0.5, 7.0 / 8.0);
        assert!((nb.at_least(8) - 0.00317).abs() < 0.000_005, "{}", nb.at_least(8));
        assert!((nb.at_most(0) - 0.144).abs() < 0.0005, "{}", nb.at_most(0));
    }

    #[test]
    fn bounds_hold_what_is_no_rarer_than_asked() {
        let nb = NegativeBinomial::new(14.5, 7.0 / 8.0);
        let (lower, upper) = nb.bounds(0.01);
        assert_eq!(lower, 0);
        assert!(nb.at_least(upper) >= 0.01 && nb.at_least(upper + 1) < 0.01);
        let (lower, _) = NegativeBinomial::with_mean(25.0, 1.2).bounds(0.001);
        let nb = NegativeBinomial::with_mean(25.0, 1.2);
        assert!(nb.at_most(lower) >= 0.001 && nb.at_most(lower - 1) < 0.001);
    }

    proptest! {
        #[test]
        fn tails_are_probabilities_and_meet(mean in 0.01f64..300.0, dispersion in 1.0f64..20.0, k in 0u64..2_000) {
            let nb = NegativeBinomial::with_mean(mean, dispersion);
            let (above, below) = (nb.at_least(k + 1), nb.at_most(k));
            prop_assert!((0.0..=1.0).contains(&above) && (0.0..=1.0).contains(&below));
            prop_assert!((above + below - 1.0).abs() < 1e-6, "{} {}", above, below);
            prop_assert!(nb.surprise(k, true).is_finite() && nb.surprise(k, false).is_finite());
        }
    }
}
