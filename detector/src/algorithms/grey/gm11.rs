//! The grey model GM(1,1), `detector.md`, "Grey forecast".
//!
//! X = cumulative sum of x; z_k = (X_k + X_{k-1}) / 2; least squares x_k = -a z_k + b; the stable form
//! xhat_{k+1} = (b - a x_1) e^{-ak} expm1(a) / a. Values that are not positive are shifted by the smallest adequate
//! amount; errors are always computed on unshifted values.

/// Fewest values it is fitted to.
pub const FEWEST: usize = 4;

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Too few values.
    #[error("{0} values are fewer than the {FEWEST} a grey model needs")]
    TooFew(usize),
    /// A value is not finite.
    #[error("a value is not finite")]
    NotFinite,
    /// The values are so far below zero that a shift would drown them.
    #[error("values are too far below zero")]
    TooNegative,
    /// The normal equations have no solution.
    #[error("the values determine no grey model")]
    Singular,
    /// |a| >= 2: the model's discrete form has no meaning.
    #[error("development coefficient {0} is not within -2..2")]
    Coefficient(f64),
}

/// A fitted model.
#[derive(Clone, Debug, PartialEq)]
pub struct Gm11 {
    /// Development coefficient; -a is the growth per step.
    pub a: f64,
    /// Grey input.
    pub b: f64,
    /// What was added to every value to make them positive.
    pub shift: f64,
    first: f64,
    values: Vec<f64>,
}

/// How well a model fits its own values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Posterior ratio S2 / S1; 0 for a constant series that is met.
    pub c: f64,
    /// Share of small errors.
    pub p: f64,
    /// 1 good, 2 qualified, 3 barely, 4 not.
    pub grade: u8,
    /// Whether every level ratio is within its bounds.
    pub ratios_ok: bool,
}

impl Gm11 {
    /// Fits values, oldest first.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn fit(values: &[f64]) -> Result<Self, Refusal> {
        let n = values.len();
        if n < FEWEST {
            return Err(Refusal::TooFew(n));
        }
        if values.iter().any(|v| !v.is_finite()) {
            return Err(Refusal::NotFinite);
        }
        let shift = shift(values)?;
        let (mut total, mut sums) = (values[0] + shift, [0.0_f64; 4]);
        for value in &values[1..] {
            let x = value + shift;
            let z = total + x / 2.0;
            total += x;
            for (sum, term) in sums.iter_mut().zip([z, x, z * z, z * x]) {
                *sum += term;
            }
        }
        let [sz, sx, szz, szx] = sums;
        let m = (n - 1) as f64;
        let determinant = m * szz - sz * sz;
        if determinant.is_nan() || determinant.abs() <= 1e-12 * szz.abs() * m {
            return Err(Refusal::Singular);
        }
        let a = (sz * sx - m * szx) / determinant;
        let b = (sx * szz - sz * szx) / determinant;
        if !(a.is_finite() && b.is_finite()) {
            return Err(Refusal::Singular);
        }
        if a.abs() >= 2.0 {
            return Err(Refusal::Coefficient(a));
        }
        Ok(Self { a, b, shift, first: values[0] + shift, values: values.to_vec() })
    }

    /// The model's value at step `k` (0 = the first value).
    pub fn at(&self, k: usize) -> f64 {
        if k == 0 {
            return self.first - self.shift;
        }
        let step = if self.a.abs() < 1e-12 { 1.0 } else { self.a.exp_m1() / self.a };
        (self.b - self.a * self.first) * (-self.a * k as f64).exp() * step - self.shift
    }

    /// The forecast `ahead` steps after the last value.
    pub fn next(&self, ahead: usize) -> f64 {
        self.at(self.values.len() - 1 + ahead)
    }

    /// How far it may forecast: 4 medium term (-a <= .3), 3 short term (<= .5), 2 one step (<= .8), 1 one step with its
    /// residuals corrected (<= 1), 0 not at all.
    pub fn horizon(&self) -> u8 {
        match -self.a {
            g if g <= 0.3 => 4,
            g if g <= 0.5 => 3,
            g if g <= 0.8 => 2,
            g if g <= 1.0 => 1,
            _ => 0,
        }
    }

    /// Whether it may forecast one step without correction.
    pub fn forecasts(&self) -> bool {
        self.horizon() >= 2
    }

    /// Its in-sample checks; never sufficient to admit a forecast.
    pub fn quality(&self) -> Quality {
        let errors: Vec<f64> = self.values.iter().enumerate().map(|(k, v)| v - self.at(k)).collect();
        let (_, s1) = moments(&self.values);
        let (mean_error, s2) = moments(&errors);
        let small = errors.iter().filter(|e| (*e - mean_error).abs() < 0.6745 * s1).count();
        let constant = s1 == 0.0;
        let c = if constant { if s2 < 1e-9 * self.first.abs() { 0.0 } else { f64::MAX } } else { s2 / s1 };
        let p = if constant { 1.0 } else { small as f64 / errors.len() as f64 };
        let grades = [(0.35, 0.95), (0.5, 0.8), (0.65, 0.7)];
        let grade =
            grades.iter().position(|(most, least)| c <= *most && p >= *least).map_or(4, |i| i as u8 + 1);
        Quality { c, p, grade, ratios_ok: ratios_within_bounds(&self.values, self.shift) }
    }
}

/// The smallest shift that makes every value positive: none when they are, else just above the lowest. Refused when
/// it would exceed a hundred times the values' spread.
fn shift(values: &[f64]) -> Result<f64, Refusal> {
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    if lowest > 0.0 {
        return Ok(0.0);
    }
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let spread = highest - lowest;
    if spread <= 0.0 {
        return if lowest == 0.0 { Ok(1.0) } else { Err(Refusal::TooNegative) };
    }
    let shift = -lowest + 0.1 * spread;
    if shift.is_finite() && shift <= 100.0 * spread { Ok(shift) } else { Err(Refusal::TooNegative) }
}

/// Mean and standard deviation (divisor n).
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
}

/// Level ratios x_{k-1} / x_k.
pub fn level_ratios(values: &[f64]) -> impl Iterator<Item = f64> {
    values.windows(2).map(|pair| pair[0] / pair[1])
}

/// exp(-2 / (n + 1)) .. exp(2 / (n + 1)).
pub fn ratio_bounds(n: usize) -> (f64, f64) {
    let reach = 2.0 / (n + 1) as f64;
    ((-reach).exp(), reach.exp())
}

fn ratios_within_bounds(values: &[f64], shift: f64) -> bool {
    let (low, high) = ratio_bounds(values.len());
    let shifted: Vec<f64> = values.iter().map(|v| v + shift).collect();
    level_ratios(&shifted).all(|ratio| low < ratio && ratio < high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() <= within, "{found} instead of {expected}");
    }

    /// detector.md, published example 1: Liu 2024, section 7.8.1.
    #[test]
    fn liu_2024() {
        let gm = Gm11::fit(&[27260.0, 29547.0, 32411.0, 35388.0]).unwrap();
        close(gm.a, -0.089_995, 1e-6);
        close(gm.b, 25_790.28, 0.005);
        for (k, expected) in [(1, 29_553.0), (2, 32_337.0), (3, 35_381.0)] {
            close(gm.at(k), expected, 1.5);
        }
        close(gm.next(1), 38_714.0, 1.5);
        close(gm.next(2), 42_359.0, 1.5);
        close(gm.quality().c, 0.0107, 0.0005);
        assert_eq!((gm.quality().grade, gm.horizon()), (1, 4));
    }

    /// detector.md, published example 2: Mathematical Problems in Engineering 2017, 9728587, table 1.
    #[test]
    fn mathematical_problems_in_engineering_2017() {
        let gm = Gm11::fit(&[5.08, 4.80, 4.67, 4.50, 7.12, 9.67, 12.80, 15.88, 19.49]).unwrap();
        close(gm.a, -0.241_779, 1e-6);
        close(gm.b, 1.911_867, 1e-6);
        for (k, expected) in [3.55, 4.52, 5.76, 7.34, 9.34, 11.90, 15.15, 19.30].into_iter().enumerate() {
            close(gm.at(k + 1), expected, 0.006);
        }
        close(gm.next(1), 24.57, 0.01); // 24.577, printed cut off
        close(gm.next(2), 31.29, 0.01);
    }

    /// detector.md, published example 4: traffic noise.
    #[test]
    fn traffic_noise() {
        let values = [71.1, 72.4, 72.4, 72.1, 71.4, 72.0, 71.6];
        let ratios = [0.9820, 1.0, 1.0042, 1.0098, 0.9917, 1.0056];
        for (found, expected) in level_ratios(&values).zip(ratios) {
            close(found, expected, 0.000_06);
        }
        let (low, high) = ratio_bounds(values.len());
        close(low, 0.7788, 0.000_06);
        close(high, 1.2840, 0.000_06);
        let gm = Gm11::fit(&values).unwrap();
        close(gm.a, 0.002_344, 1e-6);
        close(gm.b, 72.6573, 0.000_06);
        close(gm.quality().c, 0.4807, 0.0002);
        assert!(gm.quality().ratios_ok);
    }

    #[test]
    fn what_is_refused() {
        for (values, refusal) in [
            (&[1.0, 2.0, 3.0][..], Refusal::TooFew(3)),
            (&[1.0, f64::NAN, 3.0, 4.0], Refusal::NotFinite),
            (&[-5.0, -5.0, -5.0, -5.0], Refusal::TooNegative),
            (&[1e9, 1.0, 1.0, 1.0, -1.0], Refusal::Singular),
        ] {
            let found = Gm11::fit(values);
            if refusal == Refusal::Singular {
                assert!(found.is_err() || found.is_ok_and(|gm| gm.next(1).is_finite()));
            } else {
                assert_eq!(found, Err(refusal), "{values:?}");
            }
        }
    }

    #[test]
    fn a_constant_series_is_met() {
        for value in [3.0, 0.0] {
            let gm = Gm11::fit(&[value; 6]).unwrap();
            close(gm.next(1), value, 1e-9);
            assert_eq!(gm.quality().grade, 1);
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_the_model_is_finite_or_refused(values in prop::collection::vec(-1e9f64..1e9, 0..12)) {
            if let Ok(gm) = Gm11::fit(&values) {
                prop_assert!(gm.next(1).is_finite() && gm.a.abs() < 2.0);
                let quality = gm.quality();
                prop_assert!(quality.c >= 0.0 && (0.0..=1.0).contains(&quality.p));
            }
        }
    }
}
