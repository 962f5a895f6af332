//! A chunk: the rows of one series in one day as bytes. The layout is drawn in `tsdb/FORMAT.md`.
//!
//! A chunk is read-only once written and carries a checksum, so that a damaged one is named instead of believed.

use std::sync::Arc;

use pco::ChunkConfig;
use pco::standalone::{simple_compress, simple_decompress};
use xxhash_rust::xxh3::xxh3_64;

use super::block::{Block, Column, FieldId, Values};

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + 4 + 8 + 8;
const CHECKSUM_BYTES: usize = 4;
/// Below this many values the fixed cost of pco is larger than what it saves.
const PCO_FROM_VALUES: usize = 24;
/// Measured: level 8 costs twice the time for 1 % of the bytes of business metrics.
const PCO_LEVEL: usize = 4;

const RAW: u8 = 0;
const PCO: u8 = 1;
const REGULAR: u8 = 2;

const FLOAT: u8 = 0;
const INTEGER: u8 = 1;
const TEXT: u8 = 2;

/// Why bytes are not a chunk.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("chunk is damaged: {0}")]
pub(super) struct Damaged(&'static str);

/// What stands at the head of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) rows: usize,
    pub(super) first: i64,
    pub(super) last: i64,
}

/// The bytes of a normalised block that is not empty.
pub(super) fn encode(block: &Block) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + block.rows() * (1 + block.columns.len()) * 2);
    out.push(VERSION);
    out.extend_from_slice(&(block.rows() as u32).to_le_bytes());
    out.extend_from_slice(&block.times.first().copied().unwrap_or_default().to_le_bytes());
    out.extend_from_slice(&block.times.last().copied().unwrap_or_default().to_le_bytes());
    put_times(&mut out, &block.times);
    out.extend_from_slice(&(block.columns.len() as u16).to_le_bytes());
    for column in &block.columns {
        put_column(&mut out, column);
    }
    let checksum = xxh3_64(&out) as u32;
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// Reads a chunk's header without looking at the rest.
pub(super) fn header(bytes: &[u8]) -> Result<Header, Damaged> {
    let mut input = Input(bytes);
    if input.u8()? != VERSION {
        return Err(Damaged("unknown version"));
    }
    Ok(Header { rows: input.u32()? as usize, first: input.i64()?, last: input.i64()? })
}

/// Reads a chunk's rows, of the wanted fields only.
pub(super) fn decode(bytes: &[u8], wanted: impl Fn(FieldId) -> bool) -> Result<Block, Damaged> {
    let body_len = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(Damaged("too short"))?;
    let (body, checksum) = bytes.split_at(body_len);
    if (xxh3_64(body) as u32).to_le_bytes() != *checksum {
        return Err(Damaged("checksum differs"));
    }
    let header = header(body)?;
    let mut input = Input(body.get(HEADER_BYTES..).ok_or(Damaged("too short"))?);
    let times = take_times(&mut input, header)?;
    let count = input.u16()?;
    let mut columns = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        columns.extend(take_column(&mut input, header.rows, &wanted)?);
    }
    Ok(Block::from_sorted(times, columns))
}

fn config() -> ChunkConfig {
    ChunkConfig::default().with_compression_level(PCO_LEVEL)
}

fn put_times(out: &mut Vec<u8>, times: &[i64]) {
    let step = times.get(1).map_or(0, |second| second.wrapping_sub(times[0]));
    if times.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step) {
        out.push(REGULAR);
        put_bytes(out, &step.to_le_bytes());
        return;
    }
    put_numbers(out, times, i64::to_le_bytes);
}

fn take_times(input: &mut Input<'_>, header: Header) -> Result<Vec<i64>, Damaged> {
    let codec = input.u8()?;
    let bytes = input.bytes()?;
    if codec != REGULAR {
        return take_numbers(codec, bytes, header.rows, i64::from_le_bytes);
    }
    let step = Input(bytes).i64()?;
    let rows = i64::try_from(header.rows).map_err(|_| Damaged("too many rows"))?;
    Ok((0..rows).map(|row| header.first.wrapping_add(row.wrapping_mul(step))).collect())
}

fn put_column(out: &mut Vec<u8>, column: &Column) {
    out.extend_from_slice(&column.field.to_le_bytes());
    out.push(match column.values {
        Values::Float(_) => FLOAT,
        Values::Integer(_) => INTEGER,
        Values::Text(_) => TEXT,
    });
    put_bytes(out, &column.present.as_deref().map(to_bits).unwrap_or_default());
    let has = |row: usize| column.has(row);
    match &column.values {
        Values::Float(values) => put_numbers(out, &only(values, has), f64::to_le_bytes),
        Values::Integer(values) => put_numbers(out, &only(values, has), i64::to_le_bytes),
        Values::Text(values) => {
            let mut texts = Vec::new();
            only(values, has).iter().for_each(|text| put_bytes(&mut texts, text.as_bytes()));
            out.push(RAW);
            put_bytes(out, &texts);
        }
    }
}

fn take_column(
    input: &mut Input<'_>,
    rows: usize,
    wanted: &impl Fn(FieldId) -> bool,
) -> Result<Option<Column>, Damaged> {
    let field = input.u16()?;
    let kind = input.u8()?;
    let bits = input.bytes()?;
    let codec = input.u8()?;
    let bytes = input.bytes()?;
    if !wanted(field) {
        return Ok(None);
    }
    let present = if bits.is_empty() { None } else { Some(from_bits(bits, rows)?) };
    let count = present.as_ref().map_or(rows, |present| present.iter().filter(|has| **has).count());
    let present_ref = present.as_deref();
    let values = match kind {
        FLOAT => {
            Values::Float(spread(take_numbers(codec, bytes, count, f64::from_le_bytes)?, present_ref, 0.0))
        }
        INTEGER => {
            Values::Integer(spread(take_numbers(codec, bytes, count, i64::from_le_bytes)?, present_ref, 0))
        }
        TEXT => Values::Text(spread(take_texts(bytes, count)?, present_ref, Arc::from(""))),
        _ => return Err(Damaged("unknown type of a column")),
    };
    Ok(Some(Column { field, present, values }))
}

fn put_numbers<T: pco::data_types::Number>(out: &mut Vec<u8>, values: &[T], to_bytes: fn(T) -> [u8; 8]) {
    if values.len() >= PCO_FROM_VALUES
        && let Ok(packed) = simple_compress(values, &config())
    {
        out.push(PCO);
        put_bytes(out, &packed);
        return;
    }
    out.push(RAW);
    let raw: Vec<u8> = values.iter().flat_map(|value| to_bytes(*value)).collect();
    put_bytes(out, &raw);
}

fn take_numbers<T: pco::data_types::Number>(
    codec: u8,
    bytes: &[u8],
    count: usize,
    from_bytes: fn([u8; 8]) -> T,
) -> Result<Vec<T>, Damaged> {
    let values = match codec {
        PCO => simple_decompress(bytes).map_err(|_| Damaged("numbers cannot be unpacked"))?,
        RAW => bytes.as_chunks::<8>().0.iter().map(|raw| from_bytes(*raw)).collect(),
        _ => return Err(Damaged("unknown packing of numbers")),
    };
    if values.len() == count { Ok(values) } else { Err(Damaged("wrong number of values")) }
}

fn take_texts(bytes: &[u8], count: usize) -> Result<Vec<Arc<str>>, Damaged> {
    let mut input = Input(bytes);
    let text = |bytes| std::str::from_utf8(bytes).map(Arc::from).map_err(|_| Damaged("text is not UTF-8"));
    (0..count).map(|_| input.bytes().and_then(text)).collect()
}

fn only<T: Clone>(values: &[T], has: impl Fn(usize) -> bool) -> Vec<T> {
    values.iter().enumerate().filter(|(row, _)| has(*row)).map(|(_, value)| value.clone()).collect()
}

fn spread<T: Clone>(values: Vec<T>, present: Option<&[bool]>, placeholder: T) -> Vec<T> {
    let Some(present) = present else { return values };
    let mut values = values.into_iter();
    present
        .iter()
        .map(|has| if *has { values.next() } else { None }.unwrap_or_else(|| placeholder.clone()))
        .collect()
}

fn to_bits(present: &[bool]) -> Vec<u8> {
    present
        .chunks(8)
        .map(|eight| eight.iter().rev().fold(0, |byte, has| byte << 1 | u8::from(*has)))
        .collect()
}

fn from_bits(bits: &[u8], rows: usize) -> Result<Vec<bool>, Damaged> {
    if bits.len() != rows.div_ceil(8) {
        return Err(Damaged("wrong number of presence bits"));
    }
    Ok((0..rows).map(|row| bits[row / 8] >> (row % 8) & 1 == 1).collect())
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Bytes yet to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Damaged("too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        self.take(N)?.try_into().map_err(|_| Damaged("too short"))
    }

    fn u8(&mut self) -> Result<u8, Damaged> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, Damaged> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Damaged> {
        self.array().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64, Damaged> {
        self.array().map(i64::from_le_bytes)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let count = self.u32()? as usize;
        self.take(count)
    }
}

#[cfg(test)]
mod tests {
    use model::FieldValue;
    use proptest::prelude::*;

    use super::*;

    fn value(kind: u16, seed: i64) -> FieldValue {
        match kind % 3 {
            0 => FieldValue::Float(seed as f64 / 100.0),
            1 => FieldValue::Integer(seed),
            _ => FieldValue::Text(format!("é{seed}").into()),
        }
    }

    fn rows() -> impl Strategy<Value = Vec<(i64, Vec<(u16, i64)>)>> {
        let fields = prop::collection::vec((0u16..6, any::<i64>()), 0..5);
        let times =
            prop_oneof![any::<i64>(), 0i64..200, (0i64..2000).prop_map(|minute| minute * 60_000_000_000)];
        prop::collection::vec((times, fields), 1..80)
    }

    fn block(rows: &[(i64, Vec<(u16, i64)>)]) -> Block {
        let mut block = Block::default();
        for (time, fields) in rows {
            let fields: Vec<_> = fields.iter().map(|(id, seed)| (*id, value(*id, *seed))).collect();
            block.push(*time, fields.iter().map(|(id, value)| (*id, value)));
        }
        block.normalise();
        block
    }

    proptest! {
        #[test]
        fn a_chunk_reads_back_what_was_written(rows in rows()) {
            let block = block(&rows);
            let bytes = encode(&block);
            prop_assert_eq!(header(&bytes).map(|h| h.rows), Ok(block.rows()));
            prop_assert_eq!(decode(&bytes, |_| true), Ok(block));
        }

        #[test]
        fn a_flipped_bit_is_found(rows in rows(), at: prop::sample::Index, bit in 0u8..8) {
            let mut bytes = encode(&block(&rows));
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode(&bytes, |_| true).is_err());
        }

        #[test]
        fn rubbish_is_no_chunk(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode(&bytes, |_| true).is_err());
        }
    }

    #[test]
    fn only_wanted_columns_are_unpacked() {
        let bytes = encode(&block(&[(0, vec![(0, 1), (1, 2)]), (1, vec![(1, 3)])]));
        let got = decode(&bytes, |field| field == 1).expect("chunk");
        assert_eq!(got.columns.iter().map(|c| c.field).collect::<Vec<_>>(), [1]);
        assert_eq!(got.columns[0].values, Values::Integer(vec![2, 3]));
    }

    #[test]
    fn a_day_of_minutes_costs_a_few_bytes_a_point() {
        let minute = |i: i64| (i * 60_000_000_000, vec![(0, 10_000 + (i * i) % 977), (1, 0)]);
        let day: Vec<_> = (0..1440).map(minute).collect();
        let bytes = encode(&block(&day)).len();
        assert!(bytes < 1440 * 2, "{bytes} bytes");
    }
}
