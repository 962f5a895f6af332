//! The notifier from transitions to messages, against a clock that is driven and providers that misbehave.

#[cfg(test)]
mod bench;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod email;
#[cfg(test)]
mod fake_smtp;
#[cfg(test)]
mod grouping;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod running;
#[cfg(test)]
mod validation;
#[cfg(test)]
mod webhook;
