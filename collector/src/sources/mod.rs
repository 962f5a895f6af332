//! The source types: one file each.

pub mod http;
pub mod sql;
