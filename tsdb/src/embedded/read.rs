//! Reading: chunks of the file and rows of the head put together, revisions laid over first values.
//!
//! A read takes its rows of the head first and a snapshot of the file then, so that rows which move from one to the
//! other in between are seen twice (and folded), never not at all. Days are walked from the newest back, so that the
//! newest `last` rows touch few chunks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use model::{FieldValue, Labels, Matcher, Measurement, SeriesData, SeriesQuery, Timestamp};
use redb::{ReadOnlyTable, ReadTransaction};

use super::block::{Block, FieldId, day_of, day_start};
use super::catalog::SeriesId;
use super::chunk;
use super::file::{CHUNKS, File, FileError};
use super::head::Head;

/// Why a read stops before its end.
enum Stop {
    Database(redb::Error),
    Refused(String),
}

impl<E: Into<redb::Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}

/// One stored series that takes part in a group, with its rows of the head by day.
struct Source {
    id: SeriesId,
    /// Revision; 0 for the first values.
    revision: u32,
    head: BTreeMap<i32, Vec<Block>>,
}

/// What becomes of later revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revisions {
    /// The highest lies over the first values.
    Overlaid,
    /// They stay in their own measurement.
    Apart,
}

/// The query in the store's own numbers.
struct Plan {
    start: i64,
    end: i64,
    last: usize,
    /// `None`: all fields.
    wanted: Option<BTreeSet<FieldId>>,
    names: BTreeMap<FieldId, Arc<str>>,
    /// Tag set -> the series behind it, in order of revision.
    groups: BTreeMap<Labels, Vec<Source>>,
    max_values: usize,
}

/// The measurement that holds later values of one.
pub(crate) const fn revisions_of(measurement: Measurement) -> Option<Measurement> {
    match measurement {
        Measurement::Sample => Some(Measurement::SampleRevision),
        Measurement::Verdict => Some(Measurement::VerdictRevision),
        _ => None,
    }
}

pub(crate) const REVISION: &str = "revision";

/// Series and their rows.
pub(super) fn read(
    head: &RwLock<Head>,
    file: &File,
    query: &SeriesQuery,
    revisions: Revisions,
    max_values: usize,
) -> Result<Vec<SeriesData>, FileError> {
    let plan = plan(&head.read().unwrap_or_else(PoisonError::into_inner), query, revisions, max_values);
    let mut refused = None;
    let rows = file.read(|transaction| match run(transaction, &plan) {
        Ok(rows) => Ok(rows),
        Err(Stop::Database(error)) => Err(error),
        Err(Stop::Refused(why)) => {
            refused = Some(why);
            Ok(Vec::new())
        }
    })?;
    match refused {
        Some(why) => Err(FileError(why)),
        None => Ok(rows),
    }
}

/// Tag sets that match, whatever their time.
pub(super) fn series(head: &RwLock<Head>, measurement: Measurement, matchers: &[Matcher]) -> Vec<Labels> {
    let head = head.read().unwrap_or_else(PoisonError::into_inner);
    let first = head.catalog.matching(measurement, matchers, None).map(|(_, tags)| tags.clone());
    let revised = revisions_of(measurement).into_iter().flat_map(|revisions| {
        let matching = head.catalog.matching(revisions, matchers, Some(REVISION));
        matching.map(|(_, tags)| tags.with([(REVISION, "")]))
    });
    first.chain(revised).collect::<BTreeSet<_>>().into_iter().collect()
}

fn plan(head: &Head, query: &SeriesQuery, revisions: Revisions, max_values: usize) -> Plan {
    let revisions = revisions_of(query.measurement).filter(|_| revisions == Revisions::Overlaid);
    let (start, end) = (query.range.start.as_nanos(), query.range.end.as_nanos());
    let fields_of = |measurement| {
        query
            .fields
            .iter()
            .filter_map(move |name| Some((head.catalog.field(measurement, name)?, name.clone())))
    };
    let asked: BTreeMap<FieldId, Arc<str>> =
        fields_of(query.measurement).chain(revisions.into_iter().flat_map(fields_of)).collect();
    let wanted = (!query.fields.is_empty()).then(|| asked.keys().copied().collect::<BTreeSet<_>>());
    let mut plan =
        Plan { start, end, last: query.last, wanted, names: asked, groups: BTreeMap::new(), max_values };
    for (id, tags) in head.catalog.matching(query.measurement, &query.matchers, None) {
        plan.add_source(head, tags.clone(), id, 0);
    }
    for (id, tags) in
        revisions.into_iter().flat_map(|m| head.catalog.matching(m, &query.matchers, Some(REVISION)))
    {
        let revision = tags.get(REVISION).and_then(|text| text.parse().ok()).unwrap_or(1);
        plan.add_source(head, tags.with([(REVISION, "")]), id, revision);
    }
    if query.fields.is_empty() {
        plan.names = head.catalog.field_names();
    }
    plan.groups.values_mut().for_each(|sources| sources.sort_by_key(|source| source.revision));
    plan
}

impl Plan {
    fn wants(&self, field: FieldId) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&field))
    }

    fn add_source(&mut self, head: &Head, group: Labels, id: SeriesId, revision: u32) {
        let mut days: BTreeMap<i32, Vec<Block>> = BTreeMap::new();
        for block in head.rows(id, self.start, self.end, |field| self.wants(field)) {
            for (day, rows) in block.days() {
                days.entry(day).or_default().push(rows);
            }
        }
        self.groups.entry(group).or_default().push(Source { id, revision, head: days });
    }
}

fn run(transaction: &ReadTransaction, plan: &Plan) -> Result<Vec<SeriesData>, Stop> {
    let chunks = transaction.open_table(CHUNKS)?;
    let mut values_left = plan.max_values;
    let mut found = Vec::new();
    if plan.start >= plan.end || plan.wanted.as_ref().is_some_and(BTreeSet::is_empty) {
        return Ok(found);
    }
    for (tags, sources) in &plan.groups {
        let rows = read_group(&chunks, plan, sources, &mut values_left)?;
        if !rows.is_empty() {
            found.push(to_series(tags.clone(), &rows, &plan.names));
        }
    }
    Ok(found)
}

/// Rows of a group, oldest first.
fn read_group(
    chunks: &ReadOnlyTable<(u32, i32, u32), &'static [u8]>,
    plan: &Plan,
    sources: &[Source],
    values_left: &mut usize,
) -> Result<Block, Stop> {
    let (mut days, mut rows) = (Vec::new(), 0);
    let mut before = i32::MAX;
    while let Some(day) = newest_day(chunks, plan, sources, before)? {
        let block = read_day(chunks, plan, sources, day)?;
        rows += block.rows();
        *values_left =
            values_left.checked_sub(block.rows() * (1 + block.columns.len())).ok_or_else(|| {
                let limit = plan.max_values;
                Stop::Refused(format!(
                    "it would bring more than {limit} values: ask for less time or fewer series"
                ))
            })?;
        days.push(block);
        if (plan.last > 0 && rows >= plan.last) || day == i32::MIN {
            break;
        }
        before = day;
    }
    let mut all = Block::default();
    days.iter().rev().for_each(|block| all.append(block));
    if plan.last > 0 && all.rows() > plan.last {
        all = all.gather(&(all.rows() - plan.last..all.rows()).collect::<Vec<_>>(), |_| true);
    }
    all.drop_hollow();
    Ok(all)
}

/// The newest day before `before` for which some source has rows.
fn newest_day(
    chunks: &ReadOnlyTable<(u32, i32, u32), &'static [u8]>,
    plan: &Plan,
    sources: &[Source],
    before: i32,
) -> Result<Option<i32>, Stop> {
    let mut newest = None;
    let last_day = day_of(plan.end.saturating_sub(1)).min(before.saturating_sub(1));
    for source in sources {
        let first = (source.id, day_of(plan.start), 0);
        let last = (source.id, last_day, u32::MAX);
        let in_head = source.head.range(..before).next_back().map(|(day, _)| *day);
        let in_file = if first <= last {
            chunks.range(first..=last)?.next_back().transpose()?.map(|(key, _)| key.value().1)
        } else {
            None
        };
        newest = newest.max(in_head).max(in_file);
    }
    Ok(newest)
}

/// Rows of one day: each source's parts in order of writing, then the head; later revisions over earlier ones.
fn read_day(
    chunks: &ReadOnlyTable<(u32, i32, u32), &'static [u8]>,
    plan: &Plan,
    sources: &[Source],
    day: i32,
) -> Result<Block, Stop> {
    let whole = plan.start <= day_start(day) && day_start(day.saturating_add(1)) <= plan.end;
    let mut rows = Block::default();
    for source in sources {
        let mut own = Block::default();
        for entry in chunks.range((source.id, day, 0)..=(source.id, day, u32::MAX))? {
            let (_, bytes) = entry?;
            let damaged = |error| damaged(source.id, day, &error);
            let header = chunk::header(bytes.value()).map_err(damaged)?;
            if header.last < plan.start || header.first >= plan.end {
                continue;
            }
            let part = chunk::decode(bytes.value(), |field| plan.wants(field)).map_err(damaged)?;
            own.append(&part);
        }
        source.head.get(&day).into_iter().flatten().for_each(|block| own.append(block));
        own.normalise();
        if !whole {
            own = own.within(plan.start, plan.end, |_| true);
        }
        rows.overlay(&own);
    }
    rows.drop_hollow();
    Ok(rows)
}

fn damaged(series: SeriesId, day: i32, error: &chunk::Damaged) -> redb::Error {
    let start = Timestamp::from_nanos(day_start(day));
    redb::Error::Corrupted(format!("series {series}, day from {start}: {error}"))
}

pub(crate) fn to_series(tags: Labels, rows: &Block, names: &BTreeMap<FieldId, Arc<str>>) -> SeriesData {
    let times = rows.times.iter().map(|time| Timestamp::from_nanos(*time)).collect();
    let mut columns: BTreeMap<Arc<str>, Vec<Option<FieldValue>>> = BTreeMap::new();
    for column in &rows.columns {
        let Some(name) = names.get(&column.field) else { continue };
        let values = (0..rows.rows()).map(|row| column.get(row));
        match columns.get_mut(name) {
            // First values and revisions number their fields apart; each row has the field in one of the two.
            Some(have) => have.iter_mut().zip(values).for_each(|(have, value)| {
                if let Some(value) = value {
                    *have = Some(value);
                }
            }),
            None => {
                columns.insert(name.clone(), values.collect());
            }
        }
    }
    SeriesData { tags, times, columns }
}
