//! Reading series: first values and revisions are asked for apart and laid over one another as the embedded store does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use model::{FieldValue, Labels, Matcher, Measurement, ReadSeries, SeriesData, SeriesQuery, StoreError};
use serde_json::Value;

use super::InfluxStore;
use super::influxql::{select, show_fields, show_series};
use super::line::restored;
use super::rows::{self, Part};
use super::trouble::Trouble;
use crate::embedded::block::{Block, FieldId};
use crate::embedded::{REVISION, revisions_of, to_series};

/// A read that would bring more values, or a listing that would bring more series, is refused.
const MAX_VALUES: usize = 20_000_000;
const MAX_SERIES: usize = 1_000_000;

/// What was read so far.
#[derive(Default)]
struct Found {
    /// Field type by statement and name.
    kinds: BTreeMap<String, String>,
    fields: BTreeMap<String, FieldId>,
    /// Tags without revision -> revision -> rows.
    groups: BTreeMap<Labels, BTreeMap<u32, Block>>,
    values: usize,
}

impl Found {
    /// Takes a part of the answer to `SHOW FIELD KEYS` and, as the second statement, a `SELECT`.
    fn take(
        &mut self,
        statement: usize,
        part: &Part,
        wanted: &BTreeSet<&str>,
        revised: bool,
    ) -> Result<(), String> {
        if statement > 0 {
            return self.take_rows(part, wanted, revised);
        }
        self.take_kinds(part);
        Ok(())
    }

    fn take_kinds(&mut self, part: &Part) {
        for row in &part.values {
            if let [Value::String(field), Value::String(kind)] = row.as_slice() {
                self.kinds.insert(field.clone(), kind.clone());
            }
        }
    }

    /// Rows of a part; of the columns only the wanted, though a row without any of them still replaces.
    fn take_rows(&mut self, part: &Part, wanted: &BTreeSet<&str>, revised: bool) -> Result<(), String> {
        let mut tags = part.labels();
        let mut revision = 0;
        if revised {
            revision = tags.get(REVISION).and_then(|text| text.parse().ok()).unwrap_or(1);
            tags = tags.with([(REVISION, "")]);
        }
        let mut columns = Vec::new();
        for (at, name) in part.columns.iter().enumerate().skip(1) {
            let name = restored(name).into_owned();
            if (!wanted.is_empty() && !wanted.contains(&*name)) || !self.kinds.contains_key(&name) {
                continue;
            }
            let next = FieldId::try_from(self.fields.len()).map_err(|_| "there are too many fields")?;
            let id = *self.fields.entry(name.clone()).or_insert(next);
            columns.push((at, id, self.kinds[&name].clone()));
        }
        self.values += part.values.len() * (1 + columns.len());
        if self.values > MAX_VALUES {
            return Err(format!(
                "it would bring more than {MAX_VALUES} values: ask for less time or fewer series"
            ));
        }
        let group = self.groups.entry(tags).or_default();
        let block = group.entry(revision).or_default();
        for row in &part.values {
            let time = row.first().and_then(Value::as_i64).ok_or("a row has no time")?;
            let fields: Vec<(FieldId, FieldValue)> =
                columns.iter().filter_map(|(at, id, kind)| Some((*id, cell(row.get(*at)?, kind)?))).collect();
            block.push(time, fields.iter().map(|(id, value)| (*id, value)));
        }
        Ok(())
    }

    /// How many rows of revisions may hide a first value and hold no wanted field.
    fn hiding(&self) -> usize {
        let rows = |group: &BTreeMap<u32, Block>| group.values().map(Block::rows).sum();
        self.groups.values().map(rows).max().unwrap_or(0)
    }

    fn into_series(self, last: usize) -> Vec<SeriesData> {
        let names = self.fields.into_iter().map(|(name, id)| (id, Arc::from(name))).collect();
        let mut found = Vec::new();
        for (tags, revisions) in self.groups {
            let mut rows = Block::default();
            for (_, mut block) in revisions {
                block.normalise();
                rows.overlay(&block);
            }
            rows.drop_hollow();
            if last > 0 && rows.rows() > last {
                rows = rows.gather(&(rows.rows() - last..rows.rows()).collect::<Vec<_>>(), |_| true);
                rows.drop_hollow();
            }
            if !rows.is_empty() && !rows.columns.is_empty() {
                found.push(to_series(tags, &rows, &names));
            }
        }
        found
    }
}

/// A value as its field's type; JSON does not tell a whole float from an integer.
fn cell(value: &Value, kind: &str) -> Option<FieldValue> {
    match kind {
        "float" => value.as_f64().map(FieldValue::Float),
        "integer" => value.as_i64().map(FieldValue::Integer),
        "string" => value.as_str().map(|text| FieldValue::Text(text.into())),
        _ => None,
    }
}

/// Matchers for a measurement of revisions, whose tag `revision` nobody sees; `None` when none can match.
fn without_revision(matchers: &[Matcher]) -> Option<Vec<Matcher>> {
    let (hidden, rest): (Vec<_>, Vec<_>) =
        matchers.iter().cloned().partition(|matcher| &*matcher.tag == REVISION);
    hidden.iter().all(|matcher| matcher.value.is_empty()).then_some(rest)
}

impl InfluxStore {
    /// Asks and hands every part on, all within the deadline.
    async fn each(
        &self,
        statements: &str,
        take: impl FnMut(usize, Part) -> Result<(), String>,
    ) -> Result<(), Trouble> {
        let work = async { rows::each(self.server.query(statements).await?, take).await };
        super::http::within(&*self.clock, self.timeout, work).await?
    }

    async fn read_series(&self, query: &SeriesQuery, overlay: bool) -> Result<Vec<SeriesData>, Trouble> {
        if query.range.start >= query.range.end {
            return Ok(Vec::new());
        }
        let wanted: BTreeSet<&str> = query.fields.iter().map(|field| &**field).collect();
        let mut found = Found::default();
        if let Some(revisions) = revisions_of(query.measurement).filter(|_| overlay)
            && let Some(matchers) = without_revision(&query.matchers)
        {
            let name = revisions.as_str();
            let statements = format!("{}; {}", show_fields(name), select(name, query, &matchers, &[], 0));
            self.each(&statements, |nth, part| found.take(nth, &part, &wanted, true)).await?;
        }
        let limit = if query.last == 0 { 0 } else { query.last.saturating_add(found.hiding()) };
        let fields: Vec<&str> = wanted.iter().copied().collect();
        let name = query.measurement.as_str();
        let select = select(name, query, &query.matchers, &fields, limit);
        let statements = format!("{}; {select}", show_fields(name));
        self.each(&statements, |nth, part| found.take(nth, &part, &wanted, false)).await?;
        Ok(found.into_series(query.last))
    }

    async fn list(
        &self,
        measurement: Measurement,
        matchers: &[Matcher],
        found: &mut BTreeSet<Labels>,
    ) -> Result<(), Trouble> {
        self.each(&show_series(measurement.as_str(), matchers), |_, part| {
            for key in part.values.iter().filter_map(|row| row.first()?.as_str()) {
                found.insert(tags_of(key));
            }
            if found.len() > MAX_SERIES {
                Err(format!("there are more than {MAX_SERIES} series"))
            } else {
                Ok(())
            }
        })
        .await
    }
}

/// Tags of a series' key, `measurement,name=value,..` with backslashes before what is escaped.
fn tags_of(key: &str) -> Labels {
    let mut parts = vec![String::new()];
    let mut pairs: Vec<Vec<String>> = Vec::new();
    let mut chars = key.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = c == '\\' && matches!(chars.peek(), Some(',' | '=' | ' '));
        match c {
            _ if escaped => parts.last_mut().into_iter().for_each(|part| part.extend(chars.next())),
            ',' => pairs.push(std::mem::replace(&mut parts, vec![String::new()])),
            '=' => parts.push(String::new()),
            c => parts.last_mut().into_iter().for_each(|part| part.push(c)),
        }
    }
    pairs.push(parts);
    let tags = pairs.iter().skip(1).filter_map(|pair| match pair.as_slice() {
        [name, value] => Some((restored(name).into_owned(), restored(value).into_owned())),
        _ => None,
    });
    Labels::new(tags)
}

#[async_trait]
impl ReadSeries for InfluxStore {
    async fn read(&self, query: &SeriesQuery) -> Result<Vec<SeriesData>, StoreError> {
        let read = self.read_series(query, true).await;
        read.map_err(|trouble| self.error("read series", trouble.into_message()))
    }

    async fn read_stored(&self, query: &SeriesQuery) -> Result<Vec<SeriesData>, StoreError> {
        let read = self.read_series(query, false).await;
        read.map_err(|trouble| self.error("read stored points", trouble.into_message()))
    }

    async fn series(
        &self,
        measurement: Measurement,
        matchers: &[Matcher],
    ) -> Result<Vec<Labels>, StoreError> {
        let listed = async {
            let mut found = BTreeSet::new();
            self.list(measurement, matchers, &mut found).await?;
            let mut revised = BTreeSet::new();
            if let Some(revisions) = revisions_of(measurement)
                && let Some(matchers) = without_revision(matchers)
            {
                self.list(revisions, &matchers, &mut revised).await?;
            }
            found.extend(revised.iter().map(|tags| tags.with([(REVISION, "")])));
            Ok(found.into_iter().collect())
        };
        listed.await.map_err(|trouble: Trouble| self.error("list series", trouble.into_message()))
    }
}
