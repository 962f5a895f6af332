//! What SQL databases share: the query language `sql`, bounded answers, and the settings every server has.
//!
//! A database is a file beside this one with its `Dialect`, its session and its types. Only the database itself knows
//! whether a statement reads: each source opens sessions that refuse everything else.

mod answer;
mod dialect;
mod lexer;
mod section;
mod statement;
mod tls;

pub(super) use answer::{Answer, MAX_COLUMNS};
pub(super) use dialect::Dialect;
pub(super) use lexer::{Lexer, Token};
pub(super) use section::{Section, Server, default_max_concurrent, timeouts};
pub(super) use statement::{MAX_BYTES, Rendered, Statement, parameter, unknown_parameter};
pub use tls::{DatabaseTls, TlsMode};

use super::QueryType;
use crate::Query;
use crate::validate::Problem;

/// A `sql` query is its statement. Which database it is for is not known here: what is found holds for most of them.
impl QueryType for String {
    fn language(&self) -> &'static str {
        "sql"
    }

    fn validate(&self) -> Vec<Problem> {
        validate(self, &Dialect::COMMON)
    }

    fn asks_for_window(&self) -> bool {
        let mentions = || self.contains(":end") || self.contains(":start");
        Statement::parse(self, &Dialect::COMMON).map_or_else(|_| mentions(), |it| it.asks_for_window())
    }
}

/// Checks a query for a database.
pub(super) fn validate_query(query: &Query, dialect: &Dialect) -> Vec<Problem> {
    match query {
        Query::Sql(sql) => validate(sql, dialect),
        other => other.as_type().validate(),
    }
}

fn validate(sql: &str, dialect: &Dialect) -> Vec<Problem> {
    let wrong = Statement::parse(sql, dialect).err();
    wrong.map(|message| Problem::new(["query", "sql"], message)).into_iter().collect()
}
