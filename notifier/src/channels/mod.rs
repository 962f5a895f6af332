//! The channel types: one file each, and this one visible list. Every match here is exhaustive, so that a type that
//! was forgotten does not compile.

use std::sync::Arc;

use model::{Clock, Secret};

use crate::channel::Channel;
use crate::config::{ChannelConfig, ReceiverConfig};
use crate::validate::Problems;

pub mod email;
pub mod webhook;

/// Name of a channel's type.
pub fn kind(config: &ChannelConfig) -> &'static str {
    match config {
        ChannelConfig::Email(_) => email::KIND,
        ChannelConfig::Webhook(_) => webhook::KIND,
    }
}

/// Whom a channel reaches.
pub fn recipients(config: &ChannelConfig) -> Vec<String> {
    match config {
        ChannelConfig::Email(email) => email.to.clone(),
        ChannelConfig::Webhook(webhook) => vec![webhook.host()],
    }
}

/// Notes what is wrong with a channel beyond its schema.
pub(crate) fn check(config: &ChannelConfig, path: &[String], problems: &mut Problems) {
    let path: Vec<String> = path.iter().cloned().chain([kind(config).to_owned()]).collect();
    match config {
        ChannelConfig::Email(email) => email.check(&path, problems),
        ChannelConfig::Webhook(webhook) => webhook.check(&path, problems),
    }
}

/// Makes the channel.
///
/// # Errors
/// What is wrong, such as a secret file that cannot be read.
pub fn build(config: &ChannelConfig, clock: Arc<dyn Clock>) -> Result<Arc<dyn Channel>, String> {
    Ok(match config {
        ChannelConfig::Email(config) => Arc::new(email::Email::new(config.clone(), clock)?),
        ChannelConfig::Webhook(config) => Arc::new(webhook::Webhook::new(config.clone(), clock)?),
    })
}

/// The channels of a receiver with their names: receiver, type and number among those of its type (`ops/email/0`).
pub fn slots(receiver: &ReceiverConfig) -> impl Iterator<Item = (String, &ChannelConfig)> {
    receiver.channels.iter().enumerate().map(|(index, channel)| {
        let number = receiver.channels[..index].iter().filter(|c| kind(c) == kind(channel)).count();
        (format!("{}/{}/{number}", receiver.name, kind(channel)), channel)
    })
}

/// The type in a channel's name.
pub fn kind_of_slot(name: &str) -> &'static str {
    let kind = name.rsplit('/').nth(1).unwrap_or_default();
    [email::KIND, webhook::KIND].into_iter().find(|known| *known == kind).unwrap_or("unknown")
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
