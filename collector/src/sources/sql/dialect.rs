//! How the databases' statements are written, as far as it matters for finding parameters.

/// The lexical rules of a database. Everything a dialect does not name is common: texts in `'..'` with `''` inside,
/// names or texts in `".."`, comments `-- ..` and `/* .. */`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// First words of statements that read, in capitals.
    pub(crate) reading: &'static [&'static str],
    /// `\` takes the next character's meaning in every `'..'` and `".."`.
    pub(crate) backslashes: bool,
    /// It does so in `E'..'`.
    pub(crate) escape_texts: bool,
    /// Texts in `$tag$ .. $tag$`.
    pub(crate) dollar_texts: bool,
    /// Names in backticks.
    pub(crate) backticks: bool,
    /// Names in `[..]`.
    pub(crate) brackets: bool,
    /// Comments from `#` to the end of the line.
    pub(crate) hash_comments: bool,
    /// `--` begins a comment only before white space or the end.
    pub(crate) spaced_dashes: bool,
    /// Comments within comments.
    pub(crate) nested_comments: bool,
    /// What begins a parameter of the database's own before digits (`$1`); nobody would bind it, so it is refused.
    pub(crate) numbered: &'static [char],
    /// What begins one before a name (`@start`).
    pub(crate) named: &'static [char],
    /// What is one by itself (`?`).
    pub(crate) bare: &'static [char],
}

impl Dialect {
    /// What most databases understand: for a statement whose database is not known.
    pub(crate) const COMMON: Self = Self {
        reading: &["SELECT", "WITH", "VALUES", "TABLE", "SHOW"],
        backslashes: false,
        escape_texts: false,
        dollar_texts: true,
        backticks: true,
        brackets: false,
        hash_comments: false,
        spaced_dashes: false,
        nested_comments: false,
        numbered: &['$'],
        named: &[],
        bare: &[],
    };
}
