//! How many bytes a batch will take as a frame, estimated from above and without encoding it.
//!
//! Counts every text as often as it is named, though a frame holds it once.

use model::{AlertTransition, Body, Labels, NewEntry, SeriesKey, Tick, TickOutcome};

use crate::encode::reason_json;
use crate::frame::FRAME_HEADER;

/// Numbers, lengths and tags of an entry and of the fixed part of its body.
const ENTRY: usize = 160;
/// The columns of a sample, without its series.
const SAMPLE: usize = 40;
/// The columns of a verdict, without its series.
const VERDICT: usize = 200;
/// Tag, length and reference of a text.
const TEXT: usize = 20;

/// Bytes the batch takes at most.
pub(crate) fn weight(entries: &[NewEntry]) -> u64 {
    let entry = |entry: &NewEntry| {
        ENTRY + text(&entry.key) + text(&entry.producer) + entry.source_position.len() + body(&entry.body)
    };
    (2 * FRAME_HEADER + entries.iter().map(entry).sum::<usize>()) as u64
}

fn body(body: &Body) -> usize {
    match body {
        Body::Tick(tick) => self::tick(tick),
        Body::Verdicts(verdicts) => verdicts.iter().map(|v| VERDICT + series(&v.series)).sum(),
        Body::Alert(alert) => self::alert(alert),
        Body::Pipeline(point) => {
            text(&point.component) + point.fields.keys().map(|name| SAMPLE + text(name)).sum::<usize>()
        }
        Body::Label(mark) => series(&mark.series) + text(&mark.label) + text(&mark.author),
        Body::Foreign { database, lines } => text(database) + TEXT + lines.len(),
    }
}

fn tick(tick: &Tick) -> usize {
    let outcome = match &tick.outcome {
        TickOutcome::Rows(samples) => samples.iter().map(|s| SAMPLE + series(&s.series)).sum(),
        TickOutcome::Missed { message, .. } => text(message),
        TickOutcome::Empty => 0,
    };
    text(&tick.sampler) + tick.metrics.iter().map(|metric| text(metric)).sum::<usize>() + outcome
}

fn alert(alert: &AlertTransition) -> usize {
    let info = [&alert.info.title, &alert.info.unit, &alert.info.owner, &alert.info.runbook_url];
    ENTRY
        + series(&alert.series)
        + labels(&alert.labels)
        + info.into_iter().map(|word| text(word)).sum::<usize>()
        + reason_json(&alert.reason).len()
}

fn series(key: &SeriesKey) -> usize {
    TEXT + text(&key.metric) + labels(&key.labels)
}

fn labels(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| text(name) + text(value)).sum()
}

fn text(text: &str) -> usize {
    TEXT + text.len()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{Origin, Sample, Timestamp, Window};

    use super::*;
    use crate::encode::FrameBuilder;

    fn rows(n: usize) -> Body {
        let sample = |i: usize| {
            let series = SeriesKey::new("订单", Labels::new([("channel", format!("c{i}"))]));
            Sample { series, value: i as f64 + 0.1, ratio: None, revision: u32::MAX }
        };
        Body::Tick(Tick {
            sampler: "orders".into(),
            metrics: vec!["orders".into(), "refunds".into()],
            window: Window::new(Timestamp::from_nanos(i64::MIN / 2), Duration::from_secs(60)),
            ticks: u32::MAX,
            origin: Origin::Backfill,
            outcome: TickOutcome::Rows((0..n).map(sample).collect()),
            duration_ms: u64::MAX,
        })
    }

    fn foreign(bytes: usize) -> Body {
        Body::Foreign { database: "db".into(), lines: vec![b'x'; bytes] }
    }

    #[test]
    fn no_frame_is_larger_than_its_estimate_nor_far_smaller() {
        let cases = [vec![], vec![rows(0)], vec![rows(1)], vec![rows(1000)], vec![foreign(100_000)]];
        let many = vec![rows(3), foreign(0), foreign(7), rows(40)];
        for bodies in cases.into_iter().chain([many]) {
            let entry = |body| NewEntry {
                key: "k".into(),
                producer: "p".into(),
                sequence: u64::MAX,
                source_position: vec![1; 9],
                body,
            };
            let entries: Vec<NewEntry> = bodies.into_iter().map(entry).collect();
            let mut frame = FrameBuilder::new(Timestamp::from_secs(1_800_000_000));
            entries.iter().for_each(|entry| frame.push(entry));
            let size = (FRAME_HEADER + frame.encoded_len()) as u64;
            let estimate = weight(&entries);
            assert!(estimate >= size, "{estimate} for {size}");
            assert!(estimate <= 6 * size + 400, "{estimate} for {size}");
        }
    }
}
