//! Small statistics on short slices. Slices hold finite numbers only.

/// Sorts finite numbers ascending.
pub fn sort(values: &mut [f32]) {
    values.sort_unstable_by(f32::total_cmp);
}

/// The median of a sorted slice; 0 for an empty one.
pub fn sorted_median(sorted: &[f32]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => f64::from(sorted[n / 2]),
        n => f64::midpoint(f64::from(sorted[n / 2 - 1]), f64::from(sorted[n / 2])),
    }
}

/// The median of a slice, which is reordered; 0 for an empty one.
pub fn median(values: &mut [f32]) -> f64 {
    let n = values.len();
    if n == 0 {
        return 0.0;
    }
    let (below, middle, _) = values.select_nth_unstable_by(n / 2, f32::total_cmp);
    let middle = f64::from(*middle);
    if n % 2 == 1 {
        return middle;
    }
    let lower = below.iter().copied().max_by(f32::total_cmp).map_or(middle, f64::from);
    f64::midpoint(lower, middle)
}

/// The quantile `q` (0..=1) of a sorted slice by linear interpolation (type 7); 0 for an empty one.
pub fn sorted_quantile(sorted: &[f32], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let at = q.clamp(0.0, 1.0) * last as f64;
    let low = at.floor() as usize;
    let high = (low + 1).min(last);
    let (a, b) = (f64::from(sorted[low]), f64::from(sorted[high]));
    a + (b - a) * (at - low as f64)
}

/// The trimmed mean of a sorted slice of same-phase samples: of 5 or more the `trim` smallest and largest are left
/// out (fewer where less than three would remain), of 4 the middle two are averaged, of 3 or fewer it is the median.
pub fn trimmed_mean(sorted: &[f32], trim: usize) -> f64 {
    let n = sorted.len();
    if n < 5 {
        return sorted_median(sorted);
    }
    let drop = trim.min((n - 3) / 2);
    let kept = &sorted[drop..n - drop];
    kept.iter().map(|v| f64::from(*v)).sum::<f64>() / kept.len() as f64
}

/// The variance of [`trimmed_mean`] of n Gaussian samples in units of theirs (simulated; n = 3..7).
pub fn trimmed_variance(n: usize, trim: usize) -> f64 {
    const NONE: [f64; 5] = [0.449, 0.298, 0.200, 0.167, 0.143];
    const ONE: [f64; 5] = [0.449, 0.298, 0.227, 0.184, 0.156];
    const TWO: [f64; 5] = [0.449, 0.298, 0.227, 0.184, 0.175];
    let table = match trim {
        0 => NONE,
        1 => ONE,
        _ => TWO,
    };
    table[n.clamp(3, 7) - 3]
}

/// Quantile of the standard normal distribution; `p` is clamped to the open unit interval, so that it is finite.
pub fn normal_quantile(p: f64) -> f64 {
    use statrs::distribution::{ContinuousCDF, Normal};
    Normal::standard().inverse_cdf(p.clamp(1e-300, 1.0 - 1e-16))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// detector.md, "Same-phase baseline": n = 5..7 drop the minimum and the maximum; n = 4 the middle two; n = 3 median.
    #[test]
    fn trimmed_means_by_number_of_samples() {
        for (samples, trim, expected) in [
            (&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 70.0][..], 1, 4.0),
            (&[1.0, 2.0, 3.0, 4.0, 50.0, 60.0, 70.0], 2, 19.0),
            (&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 70.0], 0, 13.0),
            (&[0.0, 2.0, 3.0, 5.0, 6.0, 90.0], 1, 4.0),
            (&[-90.0, 2.0, 3.0, 4.0, 60.0], 1, 3.0),
            (&[-90.0, 2.0, 3.0, 4.0, 60.0], 2, 3.0), // three must remain
            (&[-90.0, 2.0, 3.0, 60.0], 1, 2.5),
            (&[-90.0, 2.0, 60.0], 1, 2.0),
        ] {
            assert_eq!(trimmed_mean(samples, trim), expected, "{samples:?} {trim}");
        }
    }

    #[test]
    fn medians_and_quantiles() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&mut []), 0.0);
        assert_eq!(sorted_quantile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.25), 2.0);
        assert_eq!(sorted_quantile(&[1.0, 3.0], 0.5), 2.0);
        assert_eq!(sorted_quantile(&[], 0.5), 0.0);
    }

    #[test]
    fn normal_quantiles() {
        for (p, expected) in [(0.5, 0.0), (0.975, 1.959_964), (0.99865, 2.999_977)] {
            assert!((normal_quantile(p) - expected).abs() < 1e-5, "{p}");
        }
        assert!(normal_quantile(0.0).is_finite() && normal_quantile(1.0).is_finite());
    }
}
