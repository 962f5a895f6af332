//! From the head to the file: chunks, new series and fields, and the positions they cover, in one transaction.
//!
//! A day of a series is written in parts. A new part takes in the parts before it that are at most twice its size, so
//! that each row is rewritten a logarithmic number of times however small the flushes are; when a series goes on to
//! its next day, the day before is put together into one part.

use model::{Labels, Measurement, Positions};
use redb::{ReadableTable, Table, WriteTransaction};

use super::block::{Block, day_of};
use super::catalog::{Catalog, FieldEntry, FieldKind, SeriesId};
use super::chunk;
use super::file::{CHUNKS, FIELDS, File, FileError, POSITIONS, SERIES};
use super::head::Frozen;

type Chunks<'txn> = Table<'txn, (u32, i32, u32), &'static [u8]>;

/// Writes a frozen head.
pub(super) fn write(file: &File, frozen: &Frozen) -> Result<(), FileError> {
    file.write(|transaction| {
        write_catalog(transaction, frozen)?;
        let mut chunks = transaction.open_table(CHUNKS)?;
        let mut ids: Vec<_> = frozen.blocks.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(block) = frozen.blocks.get(&id) else { continue };
            write_series(&mut chunks, id, block)?;
        }
        write_positions(transaction, &frozen.covered)
    })
}

fn write_catalog(transaction: &WriteTransaction, frozen: &Frozen) -> Result<(), redb::Error> {
    let mut series = transaction.open_table(SERIES)?;
    for (id, measurement, tags) in &frozen.new_series {
        series.insert(id, (*measurement as u8, &encode_tags(tags)[..]))?;
    }
    let mut fields = transaction.open_table(FIELDS)?;
    for (id, entry) in &frozen.new_fields {
        fields.insert(id, (entry.measurement as u8, entry.kind as u8, &*entry.name))?;
    }
    Ok(())
}

fn write_positions(transaction: &WriteTransaction, covered: &Positions) -> Result<(), redb::Error> {
    let mut positions = transaction.open_table(POSITIONS)?;
    positions.retain(|partition, _| covered.0.contains_key(partition))?;
    for (partition, offset) in &covered.0 {
        positions.insert(&**partition, offset)?;
    }
    Ok(())
}

fn write_series(chunks: &mut Chunks<'_>, id: SeriesId, block: &Block) -> Result<(), redb::Error> {
    let mut rows = block.clone();
    rows.normalise();
    let mut earlier_days = None;
    for (day, newest) in rows.days() {
        let began = write_day(chunks, id, day, newest)?;
        if began && earlier_days.is_none() {
            earlier_days = Some(day);
        }
    }
    match earlier_days {
        Some(day) => seal_before(chunks, id, day),
        None => Ok(()),
    }
}

/// Writes rows of one day as its newest part; says whether they are the first of this day.
fn write_day(chunks: &mut Chunks<'_>, id: SeriesId, day: i32, newest: Block) -> Result<bool, redb::Error> {
    let parts = parts_of(chunks, id, day)?;
    let mut rows = newest.rows();
    let mut keep = parts.len();
    while keep > 0 && parts[keep - 1].1 <= 2 * rows {
        keep -= 1;
        rows += parts[keep].1;
    }
    let part = parts.get(keep).or(parts.last()).map_or(0, |(part, _)| *part + u32::from(keep == parts.len()));
    merge_into(chunks, (id, day, part), &parts[keep..], Some(newest))?;
    Ok(parts.is_empty())
}

/// Puts the newest day before `day` together into one part.
fn seal_before(chunks: &mut Chunks<'_>, id: SeriesId, day: i32) -> Result<(), redb::Error> {
    let before = chunks.range((id, i32::MIN, 0)..(id, day, 0))?.next_back().transpose()?;
    let Some(day) = before.map(|(key, _)| key.value().1) else { return Ok(()) };
    let parts = parts_of(chunks, id, day)?;
    if parts.len() < 2 || parts.iter().any(|(_, rows)| *rows == UNREADABLE) {
        return Ok(());
    }
    merge_into(chunks, (id, day, parts[0].0), &parts, None)
}

/// Taken for the rows of a part that cannot be read: it is never merged, and its checksum tells whoever reads it.
const UNREADABLE: usize = usize::MAX / 4;

/// Parts of a day, oldest first, each with its number of rows.
fn parts_of(chunks: &Chunks<'_>, id: SeriesId, day: i32) -> Result<Vec<(u32, usize)>, redb::Error> {
    let mut parts = Vec::new();
    for entry in chunks.range((id, day, 0)..=(id, day, u32::MAX))? {
        let (key, bytes) = entry?;
        let rows = chunk::decode(bytes.value(), |_| false).map_or(UNREADABLE, |block| block.rows());
        parts.push((key.value().2, rows));
    }
    Ok(parts)
}

fn merge_into(
    chunks: &mut Chunks<'_>,
    key: (u32, i32, u32),
    parts: &[(u32, usize)],
    newest: Option<Block>,
) -> Result<(), redb::Error> {
    let mut merged = Block::default();
    for (part, _) in parts {
        let bytes = chunks.remove((key.0, key.1, *part))?;
        let block = bytes.map(|bytes| chunk::decode(bytes.value(), |_| true));
        if let Some(block) = block.transpose().map_err(damaged)? {
            merged.append(&block);
        }
    }
    if let Some(newest) = newest {
        merged.append(&newest);
    }
    merged.normalise();
    if !merged.is_empty() {
        chunks.insert(key, &chunk::encode(&merged)[..])?;
    }
    Ok(())
}

fn damaged(error: chunk::Damaged) -> redb::Error {
    redb::Error::Corrupted(error.to_string())
}

/// Drops every chunk of the days before the one that holds `before`. Returns how many went and which series have none
/// left and are not in `held`; those leave the file's catalogue too.
pub(super) fn expire(
    file: &File,
    before: i64,
    series: &[SeriesId],
    held: impl Fn(SeriesId) -> bool,
) -> Result<(usize, Vec<SeriesId>), FileError> {
    file.write(|transaction| {
        let mut chunks = transaction.open_table(CHUNKS)?;
        let mut catalog = transaction.open_table(SERIES)?;
        let (mut dropped, mut gone) = (0, Vec::new());
        for id in series.iter().copied() {
            let first_kept = (id, day_of(before), 0);
            let old: Vec<_> = chunks
                .range((id, i32::MIN, 0)..first_kept)?
                .map(|entry| entry.map(|(key, _)| key.value()))
                .collect::<Result<_, _>>()?;
            for key in &old {
                chunks.remove(key)?;
            }
            dropped += old.len();
            let empty = chunks.range(first_kept..=(id, i32::MAX, u32::MAX))?.next().is_none();
            if empty && !held(id) {
                catalog.remove(id)?;
                gone.push(id);
            }
        }
        Ok((dropped, gone))
    })
}

/// What the file knows: series, fields, positions.
pub(super) fn load(file: &File) -> Result<(Catalog, Positions), FileError> {
    let loaded = file.read(|transaction| {
        let mut catalog = Catalog::default();
        let mut unknown = false;
        for entry in transaction.open_table(SERIES)?.iter()? {
            let (id, value) = entry?;
            let (measurement, tags) = value.value();
            match (measurement_of(measurement), decode_tags(tags)) {
                (Some(measurement), Some(tags)) => catalog.load_series(id.value(), measurement, tags),
                _ => unknown = true,
            }
        }
        for entry in transaction.open_table(FIELDS)?.iter()? {
            let (_, value) = entry?;
            let (measurement, kind, name) = value.value();
            match (measurement_of(measurement), FieldKind::from_code(kind)) {
                (Some(measurement), Some(kind)) => {
                    catalog.load_field(FieldEntry { measurement, name: name.into(), kind, durable: true });
                }
                _ => unknown = true,
            }
        }
        let mut positions = Positions::default();
        for entry in transaction.open_table(POSITIONS)?.iter()? {
            let (partition, offset) = entry?;
            positions.0.insert(partition.value().into(), offset.value());
        }
        Ok((!unknown).then_some((catalog, positions)))
    })?;
    loaded.ok_or_else(|| file.failed("its catalogue is damaged: move the file away and start again"))
}

fn measurement_of(code: u8) -> Option<Measurement> {
    Measurement::ALL.into_iter().find(|measurement| *measurement as u8 == code)
}

fn encode_tags(tags: &Labels) -> Vec<u8> {
    let mut out = Vec::new();
    for text in tags.iter().flat_map(|(name, value)| [name, value]) {
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

fn decode_tags(mut bytes: &[u8]) -> Option<Labels> {
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        let (len, rest) = bytes.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        texts.push(std::str::from_utf8(text).ok()?);
        bytes = rest;
    }
    let (pairs, rest) = texts.as_chunks::<2>();
    rest.is_empty().then(|| Labels::new(pairs.iter().map(|[name, value]| (*name, *value))))
}
