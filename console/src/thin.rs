//! Fewer points for a chart, without hiding what matters.

use model::VerdictState;

use crate::dto::Point;

/// At most `limit` points (or all, when `limit` is 0): equal stretches, of each the point that matters most: a firing
/// or outside one before others, then the one farthest from its expectation. First and last are kept.
pub(crate) fn thin(points: &[Point], limit: usize) -> Vec<Point> {
    if limit == 0 || points.len() <= limit {
        return points.to_vec();
    }
    let size = points.len().div_ceil(limit.saturating_sub(2).max(1));
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let inner = points[1..points.len() - 1].chunks(size).filter_map(|chunk| {
        chunk.iter().max_by(|a, b| weight(a).partial_cmp(&weight(b)).unwrap_or(std::cmp::Ordering::Equal))
    });
    std::iter::once(first).chain(inner).chain(std::iter::once(last)).copied().collect()
}

fn weight(point: &Point) -> (u8, f64) {
    let rank = match point.state {
        VerdictState::Firing => 3,
        VerdictState::Outside => 2,
        VerdictState::Missing => 1,
        VerdictState::Normal | VerdictState::Learning => 0,
    };
    let distance = match (point.value, point.expected, point.lower, point.upper) {
        (Some(value), Some(expected), Some(lower), Some(upper)) if upper > lower => {
            (value - expected).abs() / (upper - lower)
        }
        _ => 0.0,
    };
    (rank, distance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;
    use proptest::prelude::*;

    fn point(at: i64, value: f64, state: VerdictState) -> Point {
        Point {
            at: Timestamp::from_secs(at),
            value: Some(value),
            expected: Some(10.0),
            lower: Some(5.0),
            upper: Some(15.0),
            state,
            forecast: None,
            prev_week: None,
        }
    }

    #[test]
    fn a_firing_window_is_never_hidden() {
        let mut points: Vec<Point> = (0..10_000).map(|i| point(i, 10.0, VerdictState::Normal)).collect();
        points[4_321] = point(4_321, 1.0, VerdictState::Firing);
        points[7_777] = point(7_777, 14.9, VerdictState::Normal);
        let thinned = thin(&points, 300);
        assert!(thinned.len() <= 300, "{}", thinned.len());
        for kept in [0, 4_321, 7_777, 9_999] {
            assert!(thinned.contains(&points[kept]), "{kept}");
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_in_order_and_not_too_much(count in 0usize..500, limit in 0usize..60) {
            let points: Vec<Point> = (0..count).map(|i| point(i as i64, i as f64, VerdictState::Normal)).collect();
            let thinned = thin(&points, limit);
            prop_assert!(limit == 0 || thinned.len() <= limit.max(3), "{}", thinned.len());
            prop_assert!(thinned.is_sorted_by(|a, b| a.at < b.at));
        }
    }
}
