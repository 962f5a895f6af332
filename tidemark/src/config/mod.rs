//! The configuration: read, checked as a whole, and handed out as an immutable snapshot.
//!
//! A file goes through: tree with places, `${NAME}`, schema, names and meaning, serde. Every mistake is reported at
//! once with its line and column; a file with any error yields no [`Config`], so that a bad one never replaces a good
//! one. Nothing here is durable and nothing waits.

mod compose;
mod expand;
mod explain;
mod file;
mod finding;
mod http;
mod judging;
mod meaning;
mod metrics;
mod nearest;
mod paths;
mod pipeline;
mod quote;
mod read;
mod scalar;
mod schema;
mod size;
mod storage;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tree;
mod zone;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use collector::{SamplerSpec, SourceConfig};
use detector::settings::{CalendarConfig, Settings};
use model::Language;
use notifier::config::{NotifierConfig, ReceiverConfig, RouteConfig};

pub(crate) use file::ConfigFile;
pub(crate) use finding::{Findings, Level};
pub(crate) use nearest::hint;
pub(crate) use pipeline::Checked;
pub(crate) use schema::schema;
pub(crate) use zone::argument as zone_argument;

/// A configuration that passed every check. Immutable; paths in it are absolute or relative to the working folder.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    path: PathBuf,
    file: Arc<ConfigFile>,
    revision: u64,
}

impl Config {
    /// Reads and checks a file, `${NAME}` from this process's environment.
    ///
    /// # Errors
    /// Everything found in it, when any of that is an error.
    pub(crate) fn load(path: &Path) -> Result<Self, Findings> {
        Self::check(path).map(|(config, _)| config)
    }

    /// As [`Config::load`], and the warnings with it.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn check(path: &Path) -> Result<(Self, Findings), Findings> {
        let Checked { good, findings } = pipeline::check_file(path, &|name| std::env::var(name).ok());
        match good {
            Some((file, revision)) => {
                Ok((Self { path: path.to_owned(), file: Arc::new(file), revision }, findings))
            }
            None => Err(findings),
        }
    }

    /// The data folder a file names, whatever else is wrong in it: what commands need to find the running process.
    ///
    /// # Errors
    /// When the file cannot be read as YAML.
    pub(crate) fn data_dir_of(path: &Path) -> Result<PathBuf, Findings> {
        pipeline::data_dir(path, &|name| std::env::var(name).ok())
    }

    /// The file it came from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The sections as they stand.
    pub(crate) fn file(&self) -> &ConfigFile {
        &self.file
    }

    /// Hash of the content after expansion, the content of secret files included. The same content gives the same
    /// number in every process.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The folder of everything Tidemark keeps.
    pub(crate) fn data_dir(&self) -> PathBuf {
        pipeline::folder(&self.path).join(&self.file.data_dir)
    }

    /// Zone where nothing else is said.
    pub(crate) fn timezone(&self) -> Tz {
        self.file.timezone.0
    }

    /// Language where nothing else is said.
    pub(crate) fn language(&self) -> Language {
        self.file.language
    }

    /// How long a stop waits for deliveries in flight.
    pub(crate) fn shutdown_timeout(&self) -> Duration {
        self.file.shutdown_timeout.into()
    }

    /// Sources by name.
    pub(crate) fn sources(&self) -> BTreeMap<String, SourceConfig> {
        self.file.sources.clone()
    }

    /// The collector's share, in the order of the file.
    pub(crate) fn samplers(&self) -> Vec<SamplerSpec> {
        self.file.metrics.iter().map(|metric| metric.sampler(self.timezone())).collect()
    }

    /// The detector's share: one for each metric.
    pub(crate) fn judging(&self) -> Vec<Arc<Settings>> {
        let of = |metric: &metrics::MetricConfig| metric.settings(self.timezone(), self.revision);
        self.file.metrics.iter().flat_map(of).collect()
    }

    /// The notifier's share. Without receivers everything goes to one that has no channel.
    pub(crate) fn notifier(&self) -> NotifierConfig {
        let file = &self.file;
        let mut receivers = file.receivers.clone();
        let mut route = file.route.clone().unwrap_or_default();
        if receivers.is_empty() {
            receivers.push(nobody());
            route = RouteConfig { receiver: Some(NOBODY.to_owned()), ..RouteConfig::default() };
        }
        NotifierConfig {
            route,
            receivers,
            inhibit_rules: file.inhibit_rules.clone(),
            time_intervals: file.time_intervals.clone(),
            language: file.language,
            timezone: self.timezone(),
            external_url: file.http.own_url(),
            alert_max_age: file.alert_max_age.into(),
            shutdown_timeout: file.shutdown_timeout.into(),
            ..NotifierConfig::default()
        }
    }

    /// Promotions and holidays.
    pub(crate) fn calendar(&self) -> &CalendarConfig {
        &self.file.calendar
    }
}

/// Name of the receiver that stands in when none is configured.
const NOBODY: &str = "nobody";

fn nobody() -> ReceiverConfig {
    ReceiverConfig {
        name: NOBODY.to_owned(),
        channels: Vec::new(),
        language: None,
        send_resolved: true,
        rate_limit: notifier::config::RateLimitConfig::default(),
    }
}
