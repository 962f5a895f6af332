//! SQL on SQLite.

mod config;

pub use config::SqliteConfig;
