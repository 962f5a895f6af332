//! From the body of a frame to entries.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::{
    AlertId, AlertInfo, AlertTransition, Body, Entry, LabelMark, Labels, MissedReason, Origin, PipelinePoint,
    Position, Ratio, Reason, Sample, SeriesKey, Severity, Tick, TickOutcome, Timestamp, Topic, Topics,
    Transition, Verdict, Window,
};
use prost::Message;
use prost::bytes::Bytes;

use crate::codes::{BODY_VERSION, Code, OUTCOME_EMPTY, OUTCOME_MISSED, OUTCOME_ROWS};
use crate::intern::Interner;
use crate::proto;

/// What is wrong with a body whose checksum is right: a fault of the writer, in words.
type Wrong = String;

/// Decodes frames; shares texts and series between them.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    interner: Mutex<Interner>,
}

impl Decoder {
    /// Appends the frame's entries of the wanted topics to `out`; returns how many entries of unknown kinds or versions
    /// were skipped.
    pub(crate) fn frame(
        &self,
        partition: &Arc<str>,
        offset: u64,
        body: Bytes,
        topics: Topics,
        out: &mut Vec<Entry>,
    ) -> Result<usize, Wrong> {
        let frame = parse(body)?;
        let tables = self.tables(&frame)?;
        let appended_at = Timestamp::from_nanos(frame.appended_at);
        let mut unknown = 0;
        for (index, entry) in frame.entries.into_iter().enumerate() {
            let Some(topic) = topic_of(&entry) else {
                unknown += 1;
                continue;
            };
            if !topics.contains(topic) {
                continue;
            }
            out.push(Entry {
                position: Position { partition: Arc::clone(partition), offset, index: index as u32 },
                key: tables.text(entry.key)?,
                producer: tables.text(entry.producer)?,
                sequence: entry.sequence,
                source_position: entry.source_position,
                appended_at,
                body: tables.body(topic, entry.body)?,
            });
        }
        Ok(unknown)
    }

    fn tables(&self, frame: &proto::Frame) -> Result<Tables, Wrong> {
        let mut interner = self.interner.lock().unwrap_or_else(PoisonError::into_inner);
        interner.trim();
        let texts: Vec<Arc<str>> = frame.texts.iter().map(|text| interner.text(text)).collect();
        let mut series = Vec::with_capacity(frame.series.len());
        for one in &frame.series {
            let metric = pick(&texts, one.metric, "text")?;
            series.push(interner.series(metric, &pairs(&texts, &one.labels)?));
        }
        Ok(Tables { texts, series })
    }
}

/// Parses a body into its message.
pub(crate) fn parse(body: Bytes) -> Result<proto::Frame, Wrong> {
    proto::Frame::decode(body).map_err(|error| format!("body of the frame: {error}"))
}

/// The topic of an entry this version can read.
pub(crate) fn topic_of(entry: &proto::Entry) -> Option<Topic> {
    let kind = usize::try_from(entry.kind).ok()?;
    Topic::ALL.get(kind).copied().filter(|_| entry.version <= BODY_VERSION)
}

/// A tick's samples without its texts: all the revision index needs.
pub(crate) fn tick_message(entry: &proto::Entry) -> Result<Option<proto::Tick>, Wrong> {
    match topic_of(entry) {
        Some(Topic::Samples) => message(entry.body.clone()).map(Some),
        _ => Ok(None),
    }
}

/// The series of a frame, as they are, not shared.
pub(crate) fn plain_series(frame: &proto::Frame) -> Result<Vec<SeriesKey>, Wrong> {
    let text = |at: u32| pick(&frame.texts, at, "text").map(String::as_str);
    let mut out = Vec::with_capacity(frame.series.len());
    for one in &frame.series {
        let mut labels = Vec::new();
        for pair in one.labels.chunks(2) {
            let [name, value] = pair else { return Err("a label without a value".into()) };
            labels.push((text(*name)?, text(*value)?));
        }
        out.push(SeriesKey::new(text(one.metric)?, Labels::new(labels)));
    }
    Ok(out)
}

fn message<M: Message + Default>(body: Bytes) -> Result<M, Wrong> {
    M::decode(body).map_err(|error| format!("body of an entry: {error}"))
}

fn pick<'a, T>(table: &'a [T], at: u32, what: &str) -> Result<&'a T, Wrong> {
    table.get(at as usize).ok_or_else(|| format!("{what} {at} of {}", table.len()))
}

/// A label's name and value in a frame's texts.
type Pair<'a> = (&'a Arc<str>, &'a Arc<str>);

fn pairs<'a>(texts: &'a [Arc<str>], ids: &[u32]) -> Result<Vec<Pair<'a>>, Wrong> {
    let mut out = Vec::with_capacity(ids.len() / 2);
    for pair in ids.chunks(2) {
        let [name, value] = pair else { return Err("a label without a value".into()) };
        out.push((pick(texts, *name, "text")?, pick(texts, *value, "text")?));
    }
    Ok(out)
}

/// Value `i` of a column of `n`: the one that holds for all, or its own.
fn cell<T: Copy>(column: &[T], i: usize, n: usize) -> Result<T, Wrong> {
    match column.len() {
        1 => Ok(column[0]),
        len if len == n => Ok(column[i]),
        len => Err(format!("a column of {len} for {n}")),
    }
}

/// Number `i` of a column of numbers that may be absent.
pub(crate) fn number(column: &[f64], i: usize, n: usize) -> Result<Option<f64>, Wrong> {
    if column.is_empty() {
        return Ok(None);
    }
    cell(column, i, n).map(|value| (!value.is_nan()).then_some(value))
}

/// Revision of sample `i`.
pub(crate) fn revision(tick: &proto::Tick, i: usize) -> Result<u32, Wrong> {
    if tick.revisions.is_empty() { Ok(0) } else { cell(&tick.revisions, i, tick.series.len()) }
}

/// Ratio of sample `i`.
pub(crate) fn ratio(tick: &proto::Tick, i: usize) -> Result<Option<Ratio>, Wrong> {
    let n = tick.series.len();
    let parts = (number(&tick.numerators, i, n)?, number(&tick.denominators, i, n)?);
    Ok(match parts {
        (Some(numerator), Some(denominator)) => Some(Ratio { numerator, denominator }),
        _ => None,
    })
}

fn window(start: i64, end: i64) -> Window {
    Window { start: Timestamp::from_nanos(start), end: Timestamp::from_nanos(end) }
}

/// The texts and series of one frame.
struct Tables {
    texts: Vec<Arc<str>>,
    series: Vec<SeriesKey>,
}

impl Tables {
    fn text(&self, at: u32) -> Result<Arc<str>, Wrong> {
        pick(&self.texts, at, "text").cloned()
    }

    fn series(&self, at: u32) -> Result<SeriesKey, Wrong> {
        pick(&self.series, at, "series").cloned()
    }

    fn body(&self, topic: Topic, body: Bytes) -> Result<Body, Wrong> {
        Ok(match topic {
            Topic::Samples => Body::Tick(self.tick(message(body)?)?),
            Topic::Verdicts => Body::Verdicts(self.verdicts(&message(body)?)?),
            Topic::Alerts => Body::Alert(Box::new(self.alert(message(body)?)?)),
            Topic::Pipeline => Body::Pipeline(self.pipeline(&message(body)?)?),
            Topic::Labels => Body::Label(self.label(message(body)?)?),
            Topic::Foreign => {
                let proto::Foreign { database, lines } = message(body)?;
                Body::Foreign { database, lines }
            }
        })
    }

    fn tick(&self, tick: proto::Tick) -> Result<Tick, Wrong> {
        let outcome = match tick.outcome {
            OUTCOME_ROWS => TickOutcome::Rows(self.samples(&tick)?),
            OUTCOME_EMPTY => TickOutcome::Empty,
            OUTCOME_MISSED => {
                TickOutcome::Missed { reason: MissedReason::from_code(tick.reason)?, message: tick.message }
            }
            other => return Err(format!("outcome {other} of a tick")),
        };
        Ok(Tick {
            sampler: self.text(tick.sampler)?,
            metrics: tick.metrics.iter().map(|at| self.text(*at)).collect::<Result<_, _>>()?,
            window: window(tick.start, tick.end),
            ticks: tick.ticks,
            origin: Origin::from_code(tick.origin)?,
            outcome,
            duration_ms: tick.duration_ms,
        })
    }

    fn samples(&self, tick: &proto::Tick) -> Result<Vec<Sample>, Wrong> {
        if tick.values.len() != tick.series.len() {
            return Err(format!("{} values for {} samples", tick.values.len(), tick.series.len()));
        }
        let sample = |(i, (series, value)): (usize, (&u32, &f64))| {
            let (ratio, revision) = (ratio(tick, i)?, revision(tick, i)?);
            Ok(Sample { series: self.series(*series)?, value: *value, ratio, revision })
        };
        tick.series.iter().zip(&tick.values).enumerate().map(sample).collect()
    }

    fn verdicts(&self, all: &proto::Verdicts) -> Result<Vec<Verdict>, Wrong> {
        (0..all.series.len()).map(|i| self.verdict(all, i)).collect()
    }

    fn verdict(&self, all: &proto::Verdicts, i: usize) -> Result<Verdict, Wrong> {
        let n = all.series.len();
        let code = Code::from_code(cell(&all.codes, i, n)?)?;
        Ok(Verdict {
            series: self.series(all.series[i])?,
            window: window(cell(&all.starts, i, n)?, cell(&all.ends, i, n)?),
            revision: cell(&all.revisions, i, n)?,
            origin: Origin::from_code(cell(&all.origins, i, n)?)?,
            state: Code::from_code(cell(&all.states, i, n)?)?,
            value: number(&all.values, i, n)?,
            expected: number(&all.expected, i, n)?,
            lower: number(&all.lowers, i, n)?,
            upper: number(&all.uppers, i, n)?,
            forecast: number(&all.forecasts, i, n)?,
            prev_week: number(&all.prev_weeks, i, n)?,
            deviation_pct: number(&all.deviations_pct, i, n)?,
            score: number(&all.scores, i, n)?.unwrap_or_default(),
            severity: Severity::from_code(cell(&all.severities, i, n)?)?,
            reason: Reason { version: 1, code, ..Reason::default() },
            config_revision: cell(&all.config_revisions, i, n)?,
        })
    }

    fn alert(&self, alert: proto::Alert) -> Result<AlertTransition, Wrong> {
        let reason: Reason =
            serde_json::from_slice(&alert.reason).map_err(|error| format!("reason of an alert: {error}"))?;
        let labels = pairs(&self.texts, &alert.labels)?;
        let starts_at = Timestamp::from_nanos(alert.starts_at);
        Ok(AlertTransition {
            id: AlertId { fingerprint: alert.fingerprint, starts_at },
            series: self.series(alert.series)?,
            labels: Labels::new(labels.into_iter().map(|(name, value)| (name.clone(), value.clone()))),
            transition: Transition::from_code(alert.transition)?,
            severity: Severity::from_code(alert.severity)?,
            window: window(alert.start, alert.end),
            origin: Origin::from_code(alert.origin)?,
            value: alert.value,
            expected: alert.expected,
            lower: alert.lower,
            upper: alert.upper,
            deviation_pct: alert.deviation_pct,
            score: alert.score,
            info: AlertInfo {
                title: alert.title,
                unit: alert.unit,
                owner: alert.owner,
                runbook_url: alert.runbook_url,
            },
            reason: Arc::new(reason),
            config_revision: alert.config_revision,
        })
    }

    fn pipeline(&self, point: &proto::Pipeline) -> Result<PipelinePoint, Wrong> {
        let mut fields = BTreeMap::new();
        for (name, value) in point.names.iter().zip(&point.values) {
            fields.insert(self.text(*name)?, *value);
        }
        Ok(PipelinePoint {
            kind: Code::from_code(point.kind)?,
            component: self.text(point.component)?,
            at: Timestamp::from_nanos(point.at),
            fields,
        })
    }

    fn label(&self, mark: proto::LabelMark) -> Result<LabelMark, Wrong> {
        Ok(LabelMark {
            series: self.series(mark.series)?,
            window: window(mark.start, mark.end),
            label: mark.label,
            author: mark.author,
        })
    }
}
