//! Rows of one series in memory: a column of times and a column for each field.
//!
//! Rows may be pushed in any order and more than once an instant; [`Block::normalise`] sorts them and folds rows of
//! one instant into one, where the newest value of each field wins (as in InfluxDB). Columns are dense: a row that
//! lacks a field holds a placeholder there and `false` in `present`.

use std::ops::Range;
use std::sync::Arc;

use model::FieldValue;

/// Number of a (measurement, field) in the catalogue.
pub(crate) type FieldId = u16;

const NANOS_PER_DAY: i64 = 86_400_000_000_000;

/// Number of the UTC day an instant lies in.
pub(crate) fn day_of(time: i64) -> i32 {
    // At most 106,752 days either side of 1970.
    time.div_euclid(NANOS_PER_DAY) as i32
}

/// First instant of a day; saturates in the day that holds the smallest instant.
pub(crate) fn day_start(day: i32) -> i64 {
    i64::from(day).saturating_mul(NANOS_PER_DAY)
}

/// The values of a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    Float(Vec<f64>),
    Integer(Vec<i64>),
    Text(Vec<Arc<str>>),
}

impl Values {
    fn like(value: &FieldValue) -> Self {
        match value {
            FieldValue::Float(_) => Self::Float(Vec::new()),
            FieldValue::Integer(_) => Self::Integer(Vec::new()),
            FieldValue::Text(_) => Self::Text(Vec::new()),
        }
    }

    fn empty_like(&self) -> Self {
        match self {
            Self::Float(_) => Self::Float(Vec::new()),
            Self::Integer(_) => Self::Integer(Vec::new()),
            Self::Text(_) => Self::Text(Vec::new()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Integer(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    fn fill_to(&mut self, rows: usize) {
        match self {
            Self::Float(values) => values.resize(rows, 0.0),
            Self::Integer(values) => values.resize(rows, 0),
            Self::Text(values) => values.resize_with(rows, || Arc::from("")),
        }
    }

    /// Pushes a value of the column's own type; the catalogue has refused every other before.
    fn push(&mut self, value: &FieldValue) {
        match (self, value) {
            (Self::Float(values), FieldValue::Float(value)) => values.push(*value),
            (Self::Integer(values), FieldValue::Integer(value)) => values.push(*value),
            (Self::Text(values), FieldValue::Text(value)) => values.push(value.clone()),
            (column, _) => column.fill_to(column.len() + 1),
        }
    }

    fn truncate(&mut self, rows: usize) {
        match self {
            Self::Float(values) => values.truncate(rows),
            Self::Integer(values) => values.truncate(rows),
            Self::Text(values) => values.truncate(rows),
        }
    }

    fn gather(&self, rows: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::Float(values) => Self::Float(rows.map(|row| values[row]).collect()),
            Self::Integer(values) => Self::Integer(rows.map(|row| values[row]).collect()),
            Self::Text(values) => Self::Text(rows.map(|row| values[row].clone()).collect()),
        }
    }

    fn extend(&mut self, other: &Self) {
        match (self, other) {
            (Self::Float(mine), Self::Float(theirs)) => mine.extend_from_slice(theirs),
            (Self::Integer(mine), Self::Integer(theirs)) => mine.extend_from_slice(theirs),
            (Self::Text(mine), Self::Text(theirs)) => mine.extend_from_slice(theirs),
            (mine, theirs) => mine.fill_to(mine.len() + theirs.len()),
        }
    }

    fn get(&self, row: usize) -> FieldValue {
        match self {
            Self::Float(values) => FieldValue::Float(values[row]),
            Self::Integer(values) => FieldValue::Integer(values[row]),
            Self::Text(values) => FieldValue::Text(values[row].clone()),
        }
    }
}

/// One field's column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) field: FieldId,
    /// Which rows have the field; `None` when all do.
    pub(crate) present: Option<Vec<bool>>,
    pub(crate) values: Values,
}

impl Column {
    fn absent(field: FieldId, mut values: Values, rows: usize) -> Self {
        values.fill_to(rows);
        Self { field, present: (rows > 0).then(|| vec![false; rows]), values }
    }

    pub(crate) fn has(&self, row: usize) -> bool {
        self.present.as_ref().is_none_or(|present| present[row])
    }

    /// The value in a row, `None` where the row lacks the field.
    pub(crate) fn get(&self, row: usize) -> Option<FieldValue> {
        self.has(row).then(|| self.values.get(row))
    }

    fn push(&mut self, value: &FieldValue) {
        self.values.push(value);
        if let Some(present) = &mut self.present {
            present.push(true);
        }
    }

    fn pad_to(&mut self, rows: usize) {
        let have = self.values.len();
        if have < rows {
            self.present.get_or_insert_with(|| vec![true; have]).resize(rows, false);
            self.values.fill_to(rows);
        }
    }

    fn drop_last(&mut self, rows: usize) {
        self.values.truncate(rows);
        if let Some(present) = &mut self.present {
            present.truncate(rows);
        }
    }

    fn extend(&mut self, other: &Self) {
        let have = self.values.len();
        self.values.extend(&other.values);
        if self.present.is_none() && other.present.is_none() {
            return;
        }
        let present = self.present.get_or_insert_with(|| vec![true; have]);
        match &other.present {
            Some(theirs) => present.extend_from_slice(theirs),
            None => present.resize(have + other.values.len(), true),
        }
    }

    fn gather(&self, rows: &[usize]) -> Self {
        let present = self.present.as_ref().map(|present| rows.iter().map(|row| present[*row]).collect());
        let values = self.values.gather(rows.iter().copied());
        Self { field: self.field, present: present.filter(|p: &Vec<bool>| p.contains(&false)), values }
    }
}

/// Rows of one series.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Block {
    pub(crate) times: Vec<i64>,
    pub(crate) columns: Vec<Column>,
    /// Whether a row arrived out of order or a second time.
    disordered: bool,
}

impl Block {
    /// A block from sorted, unique times and columns as long as they are.
    pub(crate) fn from_sorted(times: Vec<i64>, columns: Vec<Column>) -> Self {
        Self { times, columns, disordered: false }
    }

    pub(crate) fn rows(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Adds a row; returns by how many bytes the block grew.
    pub(crate) fn push<'v>(
        &mut self,
        time: i64,
        fields: impl Iterator<Item = (FieldId, &'v FieldValue)>,
    ) -> usize {
        let rows = self.times.len();
        let mut bytes = 8;
        self.disordered |= self.times.last().is_some_and(|last| *last >= time);
        for (nth, (field, value)) in fields.enumerate() {
            let column = self.column_mut(field, nth, value, rows, &mut bytes);
            column.drop_last(rows);
            column.push(value);
            bytes += if let FieldValue::Text(text) = value { text.len() + 16 } else { 0 };
        }
        self.times.push(time);
        for column in &mut self.columns {
            column.pad_to(rows + 1);
        }
        bytes + 9 * self.columns.len()
    }

    fn column_mut(
        &mut self,
        field: FieldId,
        nth: usize,
        value: &FieldValue,
        rows: usize,
        bytes: &mut usize,
    ) -> &mut Column {
        let guess = self.columns.get(nth).is_some_and(|column| column.field == field);
        let at = if guess { Some(nth) } else { self.columns.iter().position(|c| c.field == field) };
        let at = at.unwrap_or_else(|| {
            *bytes += 9 * rows;
            self.columns.push(Column::absent(field, Values::like(value), rows));
            self.columns.len() - 1
        });
        &mut self.columns[at]
    }

    /// Adds the rows of a newer block behind these.
    pub(crate) fn append(&mut self, newer: &Self) {
        let (Some(first), before) = (newer.times.first(), self.times.len()) else { return };
        self.disordered |= newer.disordered || self.times.last().is_some_and(|last| last >= first);
        self.times.extend_from_slice(&newer.times);
        for theirs in &newer.columns {
            match self.columns.iter_mut().find(|mine| mine.field == theirs.field) {
                Some(mine) => mine.extend(theirs),
                None => {
                    let mut mine = Column::absent(theirs.field, theirs.values.empty_like(), before);
                    mine.extend(theirs);
                    self.columns.push(mine);
                }
            }
        }
        let rows = self.times.len();
        self.columns.iter_mut().for_each(|column| column.pad_to(rows));
    }

    /// Sorts the rows and makes instants unique: of rows of one instant each field keeps its newest value.
    pub(crate) fn normalise(&mut self) {
        if !self.disordered {
            return;
        }
        let mut order: Vec<usize> = (0..self.times.len()).collect();
        order.sort_by_key(|row| self.times[*row]);
        let groups: Vec<&[usize]> = order.chunk_by(|a, b| self.times[*a] == self.times[*b]).collect();
        let columns = self.columns.iter().map(|column| {
            let newest = |group: &&[usize]| {
                let newest_with = group.iter().rev().find(|row| column.has(**row));
                newest_with.or(group.last()).copied().unwrap_or_default()
            };
            column.gather(&groups.iter().map(newest).collect::<Vec<_>>())
        });
        let columns = columns.collect();
        let times = groups.iter().filter_map(|group| group.first()).map(|row| self.times[*row]).collect();
        *self = Self { times, columns, disordered: false };
    }

    /// The rows with `start <= time < end`, of the wanted columns, normalised.
    pub(crate) fn within(&self, start: i64, end: i64, wanted: impl Fn(FieldId) -> bool) -> Self {
        let rows: Vec<usize> = if self.disordered {
            (0..self.times.len()).filter(|row| (start..end).contains(&self.times[*row])).collect()
        } else {
            self.span(start, end).collect()
        };
        let mut block = self.gather(&rows, wanted);
        block.normalise();
        block
    }

    /// Which rows of a normalised block have `start <= time < end`.
    pub(crate) fn span(&self, start: i64, end: i64) -> Range<usize> {
        let first = self.times.partition_point(|time| *time < start);
        first..self.times.partition_point(|time| *time < end).max(first)
    }

    /// The rows of these numbers, of the wanted columns.
    pub(crate) fn gather(&self, rows: &[usize], wanted: impl Fn(FieldId) -> bool) -> Self {
        let columns = self.columns.iter().filter(|column| wanted(column.field));
        Self {
            times: rows.iter().map(|row| self.times[*row]).collect(),
            columns: columns.map(|column| column.gather(rows)).collect(),
            disordered: self.disordered,
        }
    }

    /// A normalised block cut at midnights UTC.
    pub(crate) fn days(&self) -> Vec<(i32, Self)> {
        let mut days = Vec::new();
        let mut from = 0;
        while let Some(first) = self.times.get(from) {
            let day = day_of(*first);
            let to = from + self.times[from..].partition_point(|time| day_of(*time) == day);
            let rows: Vec<usize> = (from..to).collect();
            days.push((day, self.gather(&rows, |_| true)));
            from = to;
        }
        days
    }

    /// Lays newer rows over these: a row of `over` replaces the whole row of its instant. Both normalised.
    pub(crate) fn overlay(&mut self, over: &Self) {
        if over.is_empty() {
            return;
        }
        let stays = |row: &usize| over.times.binary_search(&self.times[*row]).is_err();
        let rows: Vec<usize> = (0..self.times.len()).filter(stays).collect();
        let mut kept = self.gather(&rows, |_| true);
        kept.append(over);
        kept.normalise();
        *self = kept;
    }

    /// Leaves out columns nobody has and rows that have no column.
    pub(crate) fn drop_hollow(&mut self) {
        self.columns.retain(|column| column.present.as_ref().is_none_or(|present| present.contains(&true)));
        if self.columns.iter().any(|column| column.present.is_none()) {
            return;
        }
        let has_some = |row: &usize| self.columns.iter().any(|column| column.has(*row));
        let rows: Vec<usize> = (0..self.times.len()).filter(has_some).collect();
        if rows.len() < self.times.len() {
            *self = self.gather(&rows, |_| true);
        }
    }
}
