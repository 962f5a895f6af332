//! The channel types: one file each, and this one visible list.
//!
//! A new type is a file beside this one, a variant of [`ChannelConfig`] and an arm of `ChannelConfig::as_type`. What
//! a type can do stands in its own file, as its `ChannelType`.

use std::sync::Arc;

use model::{Clock, Secret};

use crate::channel::Channel;
use crate::config::{ChannelConfig, ReceiverConfig};
use crate::validate::Problems;

pub mod email;
pub mod webhook;

impl ChannelConfig {
    /// The type behind the variant.
    pub(crate) fn as_type(&self) -> &dyn ChannelType {
        match self {
            Self::Email(config) => config,
            Self::Webhook(config) => config,
        }
    }
}

/// What a channel type's configuration can do. Implemented in the type's own file.
pub(crate) trait ChannelType {
    /// The type's name in configuration, database and metrics: the variant in snake case.
    fn kind(&self) -> &'static str;

    /// Whom it reaches; each gets a delivery of its own. Holds no secret.
    fn recipients(&self) -> Vec<String>;

    /// Notes what a schema cannot see. `path` is the place of the type's own section.
    fn check(&self, path: &[String], problems: &mut Problems);

    /// Makes the channel. Connects to nothing; secret files may be read.
    ///
    /// # Errors
    /// What is wrong, such as a secret file that cannot be read.
    fn build(&self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Channel>, String>;
}

/// Name of a channel's type.
pub fn kind(config: &ChannelConfig) -> &'static str {
    config.as_type().kind()
}

/// Whom a channel reaches.
pub fn recipients(config: &ChannelConfig) -> Vec<String> {
    config.as_type().recipients()
}

/// Notes what is wrong with a channel beyond its schema.
pub(crate) fn check(config: &ChannelConfig, path: &[String], problems: &mut Problems) {
    let path: Vec<String> = path.iter().cloned().chain([kind(config).to_owned()]).collect();
    config.as_type().check(&path, problems);
}

/// Makes the channel.
///
/// # Errors
/// What is wrong, such as a secret file that cannot be read.
pub fn build(config: &ChannelConfig, clock: Arc<dyn Clock>) -> Result<Arc<dyn Channel>, String> {
    config.as_type().build(clock)
}

/// The channels of a receiver with their names: receiver, type and number among those of its type (`ops/email/0`).
pub fn slots(receiver: &ReceiverConfig) -> impl Iterator<Item = (String, &ChannelConfig)> {
    receiver.channels.iter().enumerate().map(|(index, channel)| {
        let number = receiver.channels[..index].iter().filter(|c| kind(c) == kind(channel)).count();
        (format!("{}/{}/{number}", receiver.name, kind(channel)), channel)
    })
}

/// A secret given in place or in a file; white space around a file's content is not part of it.
///
/// # Errors
/// A sentence naming the file.
pub(crate) fn read_secret(plain: Option<&Secret>, file: Option<&str>) -> Result<Option<Secret>, String> {
    match (plain, file) {
        (Some(secret), _) => Ok(Some(secret.clone())),
        (None, Some(path)) => std::fs::read_to_string(path)
            .map(|text| Some(Secret::new(text.trim())))
            .map_err(|error| format!("cannot read the secret file {path}: {error}")),
        (None, None) => Ok(None),
    }
}

/// An error with its causes, in one line.
pub(crate) fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.replace(['\r', '\n'], " ").chars().take(500).collect()
}

/// Runs a future until a deadline in monotonic time; `None` when it passed.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    limit: std::time::Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let sleep = clock.sleep(limit);
    tokio::select! {
        biased;
        value = future => Some(value),
        () = sleep => None,
    }
}
