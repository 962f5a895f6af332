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
