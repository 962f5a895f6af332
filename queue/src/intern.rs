//! Texts and series that were read before are handed out again, so that a replay makes few new ones.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use model::{Labels, SeriesKey};

use crate::encode::TextHasher;

/// Texts beyond which everything is forgotten and begun anew: bounds memory when labels churn.
const MOST_TEXTS: usize = 1 << 16;
/// Series beyond which everything is forgotten.
const MOST_SERIES: usize = 1 << 17;

/// The texts and series of the frames read so far.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    texts: HashSet<Arc<str>, BuildHasherDefault<TextHasher>>,
    /// By the addresses of interned texts, which stay the same as long as both maps live.
    series: HashMap<Box<[usize]>, SeriesKey, BuildHasherDefault<TextHasher>>,
    scratch: Vec<usize>,
}

impl Interner {
    /// Forgets everything when it has grown too large. Call between frames.
    pub(crate) fn trim(&mut self) {
        if self.texts.len() > MOST_TEXTS || self.series.len() > MOST_SERIES {
            *self = Self::default();
        }
    }

    /// The text, shared.
    pub(crate) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(text);
        self.texts.insert(Arc::clone(&new));
        new
    }

    /// The series of these interned texts, shared.
    pub(crate) fn series(&mut self, metric: &Arc<str>, labels: &[(&Arc<str>, &Arc<str>)]) -> SeriesKey {
        let address = |text: &Arc<str>| Arc::as_ptr(text).addr();
        self.scratch.clear();
        self.scratch.push(address(metric));
        self.scratch.extend(labels.iter().flat_map(|(name, value)| [address(name), address(value)]));
        if let Some(known) = self.series.get(self.scratch.as_slice()) {
            return known.clone();
        }
        let pairs = labels.iter().map(|(name, value)| (Arc::clone(name), Arc::clone(value)));
        let new = SeriesKey::new(Arc::clone(metric), Labels::new(pairs));
        self.series.insert(self.scratch.as_slice().into(), new.clone());
        new
    }
}
