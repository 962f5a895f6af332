//! The notifier from transitions to messages, against a clock that is driven and providers that misbehave.

mod bench;
mod durability;
mod grouping;
