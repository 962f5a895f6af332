//! `grey`.

/// Its name.
pub const NAME: &str = "grey";
