//! The algorithms, all of them, in one list.
//!
//! A new algorithm is one file beside this one and one line in [`ALGORITHMS`]. Its name is what reasons
//! (`evidence[].algorithm`) and the setting `algorithms` call it.

use crate::algorithm::Algorithm;
use crate::settings::Settings;

/// One entry of the list.
#[derive(Clone, Copy, Debug)]
pub struct Registered {
    /// The name.
    pub name: &'static str,
    /// Whether a metric that names no algorithms gets it.
    pub shipped: bool,
    /// Makes one for a series of a metric with these settings.
    pub make: fn(&Settings) -> Box<dyn Algorithm>,
}

/// Every algorithm there is. The first admitted one that expects a value gives the verdict its expectation and band.
pub const ALGORITHMS: &[Registered] = &[];

/// The algorithms a series of a metric with these settings is judged by, in the order of [`ALGORITHMS`].
pub fn for_settings(settings: &Settings) -> Vec<Box<dyn Algorithm>> {
    let chosen = |entry: &&Registered| match settings.algorithms.as_slice() {
        [] => entry.shipped,
        names => names.iter().any(|name| name == entry.name),
    };
    ALGORITHMS.iter().filter(chosen).map(|entry| (entry.make)(settings)).collect()
}
