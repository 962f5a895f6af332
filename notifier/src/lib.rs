//! From alert transitions to messages.

pub mod channels;
pub mod config;
