//! The channel types: one file each.

pub mod email;
pub mod webhook;
