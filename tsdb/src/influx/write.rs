//! Writing a batch, and finding out the points a server refuses.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use model::{FieldValue, Point, Positions, WriteError, WriteSamples, Written};

use super::trouble::Trouble;
use super::{InfluxStore, line};

/// How long a refused password or token is left alone.
const DENIED_PAUSE: Duration = Duration::from_secs(60);
/// More requests for one batch, or more time, and the consumer halves it: it goes on from what it knows then.
const MAX_REQUESTS: usize = 64;
const MAX_TIME: Duration = Duration::from_secs(15);
/// Longest reason of one refused point, in characters.
const MAX_REASON: usize = 300;

/// Points and their lines, which lie one after the other in one text.
#[derive(Default)]
struct Lines<'p> {
    points: Vec<&'p Point>,
    text: String,
    /// Where each line ends.
    ends: Vec<usize>,
}

impl<'p> Lines<'p> {
    /// Takes a point, unless it has no field.
    fn push(&mut self, point: &'p Point) -> bool {
        let encoded = line::encode(point, &mut self.text);
        if encoded {
            self.points.push(point);
            self.ends.push(self.text.len());
        }
        encoded
    }

    fn line(&self, at: usize) -> &str {
        let begin = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[begin..self.ends[at]]
    }

    /// A body of these lines.
    fn body(&self, part: &[usize]) -> String {
        if part.len() == self.points.len() {
            return self.text.clone();
        }
        part.iter().map(|at| self.line(*at)).collect()
    }
}

/// What became of some lines.
enum Judged {
    /// All but these are stored.
    Stored(Vec<usize>),
    /// These are at fault; the others are to be written again.
    Again(Vec<usize>),
    /// Somebody is at fault.
    Unclear,
}

impl InfluxStore {
    /// Writes lines; makes database or bucket when they are missing, once.
    async fn post(&self, lines: &Lines<'_>, part: &[usize]) -> Result<(), Trouble> {
        match self.server.write(lines.body(part)).await {
            Err(Trouble::Missing(_)) => {
                self.prepare().await?;
                self.server.write(lines.body(part)).await
            }
            done => done,
        }
    }

    async fn write_lines(&self, lines: &Lines<'_>, written: &mut Written) -> Result<(), WriteError> {
        let began = self.clock.monotonic_now();
        let mut todo = vec![(0..lines.points.len()).collect::<Vec<_>>()];
        let mut requests = 0;
        while let Some(part) = todo.pop() {
            requests += 1;
            let spent = self.clock.monotonic_now().saturating_sub(began);
            match self.post(lines, &part).await {
                Ok(()) => written.points += part.len(),
                Err(Trouble::TooLarge(_)) if part.len() > 1 => halve(part, &mut todo),
                Err(Trouble::Refused(message) | Trouble::TooLarge(message)) => {
                    if part.len() > 1 && (requests >= MAX_REQUESTS || spent > MAX_TIME) {
                        let message = self.at_its_place(&message);
                        return Err(WriteError::Permanent { replica: self.name.clone(), message });
                    }
                    settle(lines, part, &message, &mut todo, written);
                }
                Err(trouble) => return Err(self.transient(trouble)),
            }
        }
        Ok(())
    }

    fn transient(&self, trouble: Trouble) -> WriteError {
        let retry_after = match &trouble {
            Trouble::Transient { retry_after, .. } => *retry_after,
            _ => Some(DENIED_PAUSE),
        };
        let message = self.at_its_place(&trouble.into_message());
        WriteError::Transient { replica: self.name.clone(), message, retry_after }
    }
}

fn halve(part: Vec<usize>, todo: &mut Vec<Vec<usize>>) {
    let (first, second) = part.split_at(part.len() / 2);
    todo.extend([second.to_vec(), first.to_vec()]);
}

/// Counts what a refusal leaves no doubt about and puts the rest back to be written.
fn settle(
    lines: &Lines<'_>,
    part: Vec<usize>,
    message: &str,
    todo: &mut Vec<Vec<usize>>,
    written: &mut Written,
) {
    let refuse = |at: &usize| reason(lines.points[*at], message);
    match judge(lines, &part, message) {
        Judged::Stored(at_fault) => {
            written.points += part.len() - at_fault.len();
            written.refused.extend(at_fault.iter().map(refuse));
        }
        Judged::Again(at_fault) => {
            written.refused.extend(at_fault.iter().map(refuse));
            let rest: Vec<_> = part.into_iter().filter(|at| !at_fault.contains(at)).collect();
            todo.extend((!rest.is_empty()).then_some(rest));
        }
        Judged::Unclear if part.len() == 1 => written.refused.extend(part.iter().map(refuse)),
        Judged::Unclear => halve(part, todo),
    }
}

/// Reads a refusal. A partial write says how many points it left out; the others are stored then.
fn judge(lines: &Lines<'_>, part: &[usize], message: &str) -> Judged {
    let named = |at: &&usize| message.contains(&format!("unable to parse '{}'", lines.line(**at).trim_end()));
    let named: Vec<usize> = part.iter().filter(named).copied().collect();
    if !named.is_empty() {
        return Judged::Again(named);
    }
    let Some(dropped) = dropped(message).filter(|dropped| *dropped > 0) else { return Judged::Unclear };
    if dropped >= part.len() {
        return Judged::Stored(part.to_vec());
    }
    if message.contains("beyond retention policy") {
        let mut oldest = part.to_vec();
        oldest.sort_by_key(|at| lines.points[*at].time);
        oldest.truncate(dropped);
        return Judged::Stored(oldest);
    }
    let conflicting: Vec<usize> =
        part.iter().filter(|at| conflicts(lines.points[**at], message)).copied().collect();
    if conflicting.len() == dropped { Judged::Stored(conflicting) } else { Judged::Unclear }
}

/// `dropped=3`
fn dropped(message: &str) -> Option<usize> {
    let digits = message.rsplit_once("dropped=")?.1;
    digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())].parse().ok()
}

/// Whether the point has the field, of the type, that `field type conflict: input field "f" on measurement "m" is type
/// float, already exists as type integer` speaks of.
fn conflicts(point: &Point, message: &str) -> bool {
    let measurement = point.measurement.as_str();
    point.fields.iter().any(|(name, value)| {
        let kind = match value {
            FieldValue::Integer(_) => "integer",
            FieldValue::Float(_) => "float",
            FieldValue::Text(_) => "string",
        };
        message.contains(&format!(r#"input field "{name}" on measurement "{measurement}" is type {kind},"#))
    })
}

fn reason(point: &Point, message: &str) -> String {
    let message: String = message.lines().next().unwrap_or_default().chars().take(MAX_REASON).collect();
    format!("{}{} at {}: {message}", point.measurement.as_str(), point.tags, point.time)
}

#[async_trait]
impl WriteSamples for InfluxStore {
    fn name(&self) -> &str {
        &self.name
    }

    async fn write(&self, points: &[Point], _covered: &Positions) -> Result<Written, WriteError> {
        self.fill(points).await
    }

    async fn fill(&self, points: &[Point]) -> Result<Written, WriteError> {
        let mut written = Written::default();
        let mut lines = Lines::default();
        for point in points {
            if !lines.push(point) {
                written.refused.push(reason(point, "it has no field"));
            }
        }
        if lines.points.is_empty() {
            return Ok(written);
        }
        self.ensure_ready().await.map_err(|trouble| self.transient(trouble))?;
        self.write_lines(&lines, &mut written).await?;
        Ok(written)
    }

    /// Keeps none; the first question is the occasion to make database or bucket, so that readers find them. Says once
    /// of one it made that nothing is in it.
    async fn position(&self) -> Result<Option<Positions>, WriteError> {
        if let Err(trouble) = self.ensure_ready().await {
            tracing::debug!(replica = self.name, "not ready yet: {}", trouble.into_message());
        }
        let emptied = self.emptied.swap(false, Ordering::AcqRel);
        Ok(emptied.then(Positions::default))
    }
}
