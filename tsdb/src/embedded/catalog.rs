//! Which series and fields there are, and their numbers. Held in memory whole; [`super::flush`] makes new ones durable
//! together with the first chunk that uses them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::{FieldValue, Labels, Matcher, Measurement, Point};

use super::block::FieldId;

/// Number of a series in the catalogue. Not used twice while a chunk refers to it.
pub(super) type SeriesId = u32;

/// The type of a field; the first value ever written decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldKind {
    Float = 0,
    Integer = 1,
    Text = 2,
}

impl FieldKind {
    fn of(value: &FieldValue) -> Self {
        match value {
            FieldValue::Float(_) => Self::Float,
            FieldValue::Integer(_) => Self::Integer,
            FieldValue::Text(_) => Self::Text,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        [Self::Float, Self::Integer, Self::Text].into_iter().find(|kind| *kind as u8 == code)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Integer => "integer",
            Self::Text => "text",
        }
    }
}

/// One series.
#[derive(Clone, Debug)]
pub(super) struct SeriesEntry {
    pub(super) measurement: Measurement,
    pub(super) tags: Labels,
    /// Whether the file knows it.
    pub(super) durable: bool,
}

/// One field of a measurement.
#[derive(Clone, Debug)]
pub(super) struct FieldEntry {
    pub(super) measurement: Measurement,
    pub(super) name: Arc<str>,
    pub(super) kind: FieldKind,
    /// Whether the file knows it.
    pub(super) durable: bool,
}

/// The series and fields of a store.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    series: BTreeMap<SeriesId, SeriesEntry>,
    next_series: SeriesId,
    measurements: [MeasurementIndex; Measurement::ALL.len()],
    fields: Vec<FieldEntry>,
}

#[derive(Debug, Default)]
struct MeasurementIndex {
    ids: HashMap<Labels, SeriesId>,
    by_metric: HashMap<Arc<str>, Vec<SeriesId>>,
    fields: Vec<FieldId>,
}

impl Catalog {
    /// Adds what the file holds.
    pub(super) fn load_series(&mut self, id: SeriesId, measurement: Measurement, tags: Labels) {
        self.insert_series(id, SeriesEntry { measurement, tags, durable: true });
    }

    /// Adds what the file holds; fields come in the order of their numbers.
    pub(super) fn load_field(&mut self, entry: FieldEntry) {
        self.insert_field(entry);
    }

    /// The number of a point's series, a new one when it is new.
    pub(super) fn series_id(&mut self, measurement: Measurement, tags: &Labels) -> SeriesId {
        if let Some(id) = self.index(measurement).ids.get(tags) {
            return *id;
        }
        let id = self.next_series;
        self.insert_series(id, SeriesEntry { measurement, tags: tags.clone(), durable: false });
        id
    }

    /// The numbers of a point's fields in `ids`.
    ///
    /// # Errors
    /// A sentence naming the field: when a value is not finite, its type is not the field's, there is no field, or
    /// there are too many.
    pub(super) fn field_ids(&mut self, point: &Point, ids: &mut Vec<FieldId>) -> Result<(), String> {
        ids.clear();
        let at = || format!("{}{} at {}", point.measurement.as_str(), point.tags, point.time);
        for (name, value) in &point.fields {
            if matches!(value, FieldValue::Float(number) if !number.is_finite()) {
                return Err(format!("field `{name}` of {} is not finite", at()));
            }
            let kind = FieldKind::of(value);
            let id = match self.field(point.measurement, name) {
                Some(id) => id,
                None => self.new_field(point.measurement, name, kind).ok_or_else(|| {
                    format!(
                        "field `{name}` of {} is one too many: a store holds {} fields",
                        at(),
                        FieldId::MAX
                    )
                })?,
            };
            let known = self.fields[usize::from(id)].kind;
            if known != kind {
                let (got, want) = (kind.as_str(), known.as_str());
                return Err(format!("field `{name}` of {} is {got}, but the field's type is {want}", at()));
            }
            ids.push(id);
        }
        if ids.is_empty() { Err(format!("point {} has no field", at())) } else { Ok(()) }
    }

    /// The number of a field.
    pub(super) fn field(&self, measurement: Measurement, name: &Arc<str>) -> Option<FieldId> {
        let known = &self.index(measurement).fields;
        let entry = |id: &&FieldId| &self.fields[usize::from(**id)];
        let same = known.iter().find(|id| Arc::ptr_eq(&entry(id).name, name));
        same.or_else(|| known.iter().find(|id| entry(id).name == *name)).copied()
    }

    /// Every field's name.
    pub(super) fn field_names(&self) -> BTreeMap<FieldId, Arc<str>> {
        let numbered = self.fields.iter().enumerate();
        numbered.filter_map(|(id, entry)| Some((FieldId::try_from(id).ok()?, entry.name.clone()))).collect()
    }

    /// Every series' number.
    pub(super) fn series_ids(&self) -> impl Iterator<Item = SeriesId> {
        self.series.keys().copied()
    }

    /// Series of a measurement whose tags, `ignored` left out, meet every matcher.
    pub(super) fn matching<'a>(
        &'a self,
        measurement: Measurement,
        matchers: &'a [Matcher],
        ignored: Option<&'a str>,
    ) -> impl Iterator<Item = (SeriesId, &'a Labels)> {
        let index = self.index(measurement);
        let metric = matchers.iter().find(|matcher| &*matcher.tag == "metric" && !matcher.value.is_empty());
        let of_metric =
            metric.map(|metric| index.by_metric.get(&metric.value).map_or(&[][..], Vec::as_slice));
        let candidates: Box<dyn Iterator<Item = SeriesId> + 'a> = match of_metric {
            Some(ids) => Box::new(ids.iter().copied()),
            None => Box::new(index.ids.values().copied()),
        };
        candidates.filter_map(move |id| {
            let tags = &self.series.get(&id)?.tags;
            let tag = |name: &str| if ignored == Some(name) { "" } else { tags.get(name).unwrap_or("") };
            matchers.iter().all(|matcher| tag(&matcher.tag) == &*matcher.value).then_some((id, tags))
        })
    }

    /// Series and fields the file does not know yet, of those given.
    pub(super) fn new_series(
        &self,
        ids: impl Iterator<Item = SeriesId>,
    ) -> Vec<(SeriesId, Measurement, Labels)> {
        let entry = |id| self.series.get(&id).filter(|entry| !entry.durable).map(|entry| (id, entry));
        ids.filter_map(entry).map(|(id, entry)| (id, entry.measurement, entry.tags.clone())).collect()
    }

    /// Fields the file does not know yet.
    pub(super) fn new_fields(&self) -> Vec<(FieldId, FieldEntry)> {
        let numbered = self.fields.iter().enumerate().filter(|(_, entry)| !entry.durable);
        numbered.filter_map(|(id, entry)| Some((FieldId::try_from(id).ok()?, entry.clone()))).collect()
    }

    /// Notes that the file knows these now.
    pub(super) fn set_durable(
        &mut self,
        series: impl Iterator<Item = SeriesId>,
        fields: impl Iterator<Item = FieldId>,
    ) {
        for id in series {
            if let Some(entry) = self.series.get_mut(&id) {
                entry.durable = true;
            }
        }
        for id in fields {
            if let Some(entry) = self.fields.get_mut(usize::from(id)) {
                entry.durable = true;
            }
        }
    }

    /// Notes that the file does not know the series any more; `remove` takes it out of the catalogue too.
    pub(super) fn forget(&mut self, id: SeriesId, remove: bool) {
        if !remove {
            if let Some(entry) = self.series.get_mut(&id) {
                entry.durable = false;
            }
            return;
        }
        let Some(entry) = self.series.remove(&id) else { return };
        let index = &mut self.measurements[entry.measurement as usize];
        index.ids.remove(&entry.tags);
        if let Some(metric) = entry.tags.get("metric")
            && let Some(ids) = index.by_metric.get_mut(metric)
        {
            ids.retain(|have| *have != id);
        }
    }

    fn index(&self, measurement: Measurement) -> &MeasurementIndex {
        &self.measurements[measurement as usize]
    }

    fn insert_series(&mut self, id: SeriesId, entry: SeriesEntry) {
        self.next_series = self.next_series.max(id.saturating_add(1));
        let index = &mut self.measurements[entry.measurement as usize];
        index.ids.insert(entry.tags.clone(), id);
        if let Some(metric) = entry.tags.get("metric") {
            index.by_metric.entry(metric.into()).or_default().push(id);
        }
        self.series.insert(id, entry);
    }

    fn new_field(&mut self, measurement: Measurement, name: &Arc<str>, kind: FieldKind) -> Option<FieldId> {
        self.insert_field(FieldEntry { measurement, name: name.clone(), kind, durable: false })
    }

    fn insert_field(&mut self, entry: FieldEntry) -> Option<FieldId> {
        let id = FieldId::try_from(self.fields.len()).ok().filter(|id| *id < FieldId::MAX)?;
        self.measurements[entry.measurement as usize].fields.push(id);
        self.fields.push(entry);
        Some(id)
    }
}
