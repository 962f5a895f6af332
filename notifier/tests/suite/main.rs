//! The notifier from transitions to messages, against a clock that is driven and providers that misbehave.

mod bench;
mod durability;
mod email;
mod fake_smtp;
mod grouping;
mod messages;
mod running;
mod validation;
mod webhook;
