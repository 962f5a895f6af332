//! What is wrong with a configuration, at its place.

/// Something wrong with a part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, from the checked section down: keys and list indices, `["http", "url"]`, `["labels", "0"]`.
    pub path: Vec<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Problem {
    /// At a path that is known when this is written.
    pub fn new<const N: usize>(path: [&str; N], message: impl Into<String>) -> Self {
        Self::at(&path, message)
    }

    /// At a path.
    pub fn at(path: &[&str], message: impl Into<String>) -> Self {
        Self { path: path.iter().map(|part| (*part).to_owned()).collect(), message: message.into() }
    }
}
