//! The notifier from transitions to messages, against a clock that is driven and providers that misbehave.

#[cfg(test)]
#[expect(unreachable_pub, reason = "black-box tests use the same file")]
#[path = "../../../tests/support/accept.rs"]
mod accept;
#[cfg(test)]
mod acknowledge;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod email;
#[cfg(test)]
#[expect(dead_code, unreachable_pub, reason = "black-box tests use the same file")]
#[path = "../../../tests/support/fake_smtp.rs"]
mod fake_smtp;
#[cfg(test)]
#[expect(dead_code, unreachable_pub, reason = "black-box tests use the same file")]
#[path = "../../../tests/support/fake_twilio.rs"]
mod fake_twilio;
#[cfg(test)]
mod grouping;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod running;
#[cfg(test)]
mod twilio;
#[cfg(test)]
mod twilio_unknown;
#[cfg(test)]
mod validation;
#[cfg(test)]
mod webhook;
