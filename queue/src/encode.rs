//! From entries to the body of a frame.
//!
//! Texts and series stand once in each frame and entries refer to them by number, so that a batch of a day's ticks costs
//! a few bytes a tick and is read back without making its strings again.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use model::{
    AlertTransition, Body, LabelMark, NewEntry, PipelinePoint, Reason, SeriesKey, Tick, TickOutcome,
    Timestamp, Verdict,
};
use prost::Message;
use prost::bytes::Bytes;

use crate::codes::{BODY_VERSION, Code, OUTCOME_EMPTY, OUTCOME_MISSED, OUTCOME_ROWS};
use crate::proto;

/// Collects the entries of one frame.
pub(crate) struct FrameBuilder {
    frame: proto::Frame,
    texts: HashMap<Box<str>, u32, BuildHasherDefault<TextHasher>>,
    series: HashMap<u64, (u32, SeriesKey), BuildHasherDefault<Identity>>,
    topics: u16,
}

impl FrameBuilder {
    /// An empty frame, appended at this civil time.
    pub(crate) fn new(appended_at: Timestamp) -> Self {
        let frame = proto::Frame { appended_at: appended_at.as_nanos(), ..Default::default() };
        Self { frame, texts: HashMap::default(), series: HashMap::default(), topics: 0 }
    }

    /// Adds an entry.
    pub(crate) fn push(&mut self, entry: &NewEntry) {
        let kind = entry.body.topic() as u32;
        let body = self.body(&entry.body);
        let (key, producer) = (self.text(&entry.key), self.text(&entry.producer));
        self.topics |= 1 << kind;
        self.frame.entries.push(proto::Entry {
            kind,
            version: BODY_VERSION,
            key,
            producer,
            sequence: entry.sequence,
            source_position: entry.source_position.clone(),
            body,
        });
    }

    /// How many entries it holds.
    pub(crate) fn entries(&self) -> usize {
        self.frame.entries.len()
    }

    /// Bit n is set when an entry of kind n is inside.
    pub(crate) fn topics(&self) -> u16 {
        self.topics
    }

    /// Bytes of the body.
    pub(crate) fn encoded_len(&self) -> usize {
        self.frame.encoded_len()
    }

    /// Appends the body to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        // A Vec grows: encoding into it cannot fail.
        let _ = self.frame.encode(out);
    }

    fn body(&mut self, body: &Body) -> Bytes {
        let bytes = match body {
            Body::Tick(tick) => self.tick(tick).encode_to_vec(),
            Body::Verdicts(verdicts) => self.verdicts(verdicts).encode_to_vec(),
            Body::Alert(alert) => self.alert(alert).encode_to_vec(),
            Body::Pipeline(point) => self.pipeline(point).encode_to_vec(),
            Body::Label(mark) => self.label(mark).encode_to_vec(),
            Body::Foreign { database, lines } => {
                proto::Foreign { database: database.clone(), lines: lines.clone() }.encode_to_vec()
            }
        };
        Bytes::from(bytes)
    }

    fn text(&mut self, text: &str) -> u32 {
        if let Some(id) = self.texts.get(text) {
            return *id;
        }
        let id = self.frame.texts.len() as u32;
        self.frame.texts.push(text.to_owned());
        self.texts.insert(text.into(), id);
        id
    }

    fn series(&mut self, key: &SeriesKey) -> u32 {
        let fingerprint = key.fingerprint();
        if let Some((id, known)) = self.series.get(&fingerprint)
            && known == key
        {
            return *id;
        }
        let metric = self.text(&key.metric);
        let labels = self.labels(&key.labels);
        let id = self.frame.series.len() as u32;
        self.frame.series.push(proto::Series { metric, labels });
        self.series.insert(fingerprint, (id, key.clone()));
        id
    }

    fn labels(&mut self, labels: &model::Labels) -> Vec<u32> {
        labels.iter().flat_map(|(name, value)| [self.text(name), self.text(value)]).collect()
    }

    fn tick(&mut self, tick: &Tick) -> proto::Tick {
        let mut out = proto::Tick {
            sampler: self.text(&tick.sampler),
            metrics: tick.metrics.iter().map(|metric| self.text(metric)).collect(),
            start: tick.window.start.as_nanos(),
            end: tick.window.end.as_nanos(),
            ticks: tick.ticks,
            origin: tick.origin.code(),
            duration_ms: tick.duration_ms,
            ..Default::default()
        };
        match &tick.outcome {
            TickOutcome::Rows(samples) => {
                out.outcome = OUTCOME_ROWS;
                out.series = samples.iter().map(|sample| self.series(&sample.series)).collect();
                out.values = samples.iter().map(|sample| sample.value).collect();
                out.numerators = numbers(samples.iter().map(|s| s.ratio.map(|r| r.numerator)));
                out.denominators = numbers(samples.iter().map(|s| s.ratio.map(|r| r.denominator)));
                if samples.iter().any(|sample| sample.revision != 0) {
                    out.revisions = column(samples.iter().map(|sample| sample.revision));
                }
            }
            TickOutcome::Empty => out.outcome = OUTCOME_EMPTY,
            TickOutcome::Missed { reason, message } => {
                out.outcome = OUTCOME_MISSED;
                out.reason = reason.code();
                out.message.clone_from(message);
            }
        }
        out
    }

    fn verdicts(&mut self, all: &[Verdict]) -> proto::Verdicts {
        proto::Verdicts {
            series: all.iter().map(|v| self.series(&v.series)).collect(),
            starts: column(all.iter().map(|v| v.window.start.as_nanos())),
            ends: column(all.iter().map(|v| v.window.end.as_nanos())),
            revisions: column(all.iter().map(|v| v.revision)),
            origins: column(all.iter().map(|v| v.origin.code())),
            states: column(all.iter().map(|v| v.state.code())),
            severities: column(all.iter().map(|v| v.severity.code())),
            codes: column(all.iter().map(|v| v.reason.code.code())),
            config_revisions: column(all.iter().map(|v| v.config_revision)),
            values: numbers(all.iter().map(|v| v.value)),
            expected: numbers(all.iter().map(|v| v.expected)),
            lowers: numbers(all.iter().map(|v| v.lower)),
            uppers: numbers(all.iter().map(|v| v.upper)),
            forecasts: numbers(all.iter().map(|v| v.forecast)),
            prev_weeks: numbers(all.iter().map(|v| v.prev_week)),
            deviations_pct: numbers(all.iter().map(|v| v.deviation_pct)),
            scores: numbers(all.iter().map(|v| Some(v.score))),
        }
    }

    fn alert(&mut self, alert: &AlertTransition) -> proto::Alert {
        proto::Alert {
            fingerprint: alert.id.fingerprint,
            starts_at: alert.id.starts_at.as_nanos(),
            series: self.series(&alert.series),
            labels: self.labels(&alert.labels),
            transition: alert.transition.code(),
            severity: alert.severity.code(),
            start: alert.window.start.as_nanos(),
            end: alert.window.end.as_nanos(),
            origin: alert.origin.code(),
            value: alert.value,
            expected: alert.expected,
            lower: alert.lower,
            upper: alert.upper,
            deviation_pct: alert.deviation_pct,
            score: alert.score,
            title: alert.info.title.clone(),
            unit: alert.info.unit.clone(),
            owner: alert.info.owner.clone(),
            runbook_url: alert.info.runbook_url.clone(),
            reason: reason_json(&alert.reason),
            config_revision: alert.config_revision,
        }
    }

    fn pipeline(&mut self, point: &PipelinePoint) -> proto::Pipeline {
        proto::Pipeline {
            kind: point.kind.code(),
            component: self.text(&point.component),
            at: point.at.as_nanos(),
            names: point.fields.keys().map(|name| self.text(name)).collect(),
            values: point.fields.values().copied().collect(),
        }
    }

    fn label(&mut self, mark: &LabelMark) -> proto::LabelMark {
        proto::LabelMark {
            series: self.series(&mark.series),
            start: mark.window.start.as_nanos(),
            end: mark.window.end.as_nanos(),
            label: mark.label.clone(),
            author: mark.author.clone(),
        }
    }
}

/// A reason as JSON. JSON has no infinity: a score that is not finite is stored as the largest float, so that it reads
/// back.
pub(crate) fn reason_json(reason: &Reason) -> Vec<u8> {
    if reason.evidence.iter().all(|evidence| evidence.score.is_finite()) {
        return serde_json::to_vec(reason).unwrap_or_default();
    }
    let mut finite = reason.clone();
    for evidence in finite.evidence.iter_mut().filter(|evidence| !evidence.score.is_finite()) {
        evidence.score = if evidence.score < 0.0 { f64::MIN } else { f64::MAX };
    }
    serde_json::to_vec(&finite).unwrap_or_default()
}

/// A column: one value when it holds for all.
fn column<T: PartialEq + Copy>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    if values.windows(2).all(|pair| pair[0] == pair[1]) {
        values.truncate(1);
    }
    values
}

/// A column of numbers that may be absent: NaN stands for none, and no column for none at all.
fn numbers(values: impl Iterator<Item = Option<f64>>) -> Vec<f64> {
    let mut values: Vec<f64> = values.map(|value| value.unwrap_or(f64::NAN)).collect();
    if values.iter().all(|value| value.is_nan()) {
        values.clear();
    } else if values.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits()) {
        values.truncate(1);
    }
    values
}

/// XXH3, for short texts of our own.
#[derive(Default)]
pub(crate) struct TextHasher(u64);

impl Hasher for TextHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u8(&mut self, _end_of_text: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// For keys that are hashes already.
#[derive(Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
