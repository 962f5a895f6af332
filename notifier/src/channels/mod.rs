//! The channel types: one file each, and this one visible list.
//!
//! A new type is a file beside this one and its entry in the list. What a type is and can do stands in its own file, as
//! its `ChannelType` (`registry.rs`).

use model::{Clock, Secret};

use crate::config::ReceiverConfig;
use registry::TypeEntry;

pub mod email;
mod http;
mod registry;
pub mod twilio;
pub mod twilio_call;
pub mod twilio_sms;
pub mod webhook;

/// Every channel type.
const TYPES: &[TypeEntry] = &[
    TypeEntry::of::<email::EmailConfig>(),
    TypeEntry::of::<webhook::WebhookConfig>(),
    TypeEntry::of::<twilio_sms::TwilioSmsConfig>(),
    TypeEntry::of::<twilio_call::TwilioCallConfig>(),
];

pub use registry::ChannelConfig;
pub(crate) use registry::ChannelType;

/// The channels of a receiver with their names: receiver, type and number among those of its type (`ops/email/0`).
pub fn slots(receiver: &ReceiverConfig) -> impl Iterator<Item = (String, &ChannelConfig)> {
    receiver.channels.iter().enumerate().map(|(index, channel)| {
        let number = receiver.channels[..index].iter().filter(|c| c.kind() == channel.kind()).count();
        (format!("{}/{}/{number}", receiver.name, channel.kind()), channel)
    })
}

/// A secret given in place or in a file.
///
/// # Errors
/// A sentence naming the file.
pub(crate) fn read_secret(plain: Option<&Secret>, file: Option<&str>) -> Result<Option<Secret>, String> {
    Secret::given_or_in(plain, file, |path| std::fs::File::open(path)).map_err(|error| error.to_string())
}

/// An error with its causes, in one line of bounded length.
pub(crate) fn one_line(error: &dyn std::error::Error) -> String {
    model::causes(error).replace(['\r', '\n'], " ").chars().take(500).collect()
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
