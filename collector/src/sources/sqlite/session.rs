//! A read-only connection to a SQLite file, and one query on it. Everything here blocks.
//!
//! Read-only four times over: the file is opened so, `query_only` is set, an authorizer refuses everything but reading,
//! and a statement that is not read-only is refused after it is prepared. A query ends soon after its [`Cancel`] is set:
//! SQLite asks every thousand steps whether to go on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono_tz::Tz;
use model::Window;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement};

use crate::params::{Form, civil_text};
use crate::sources::sql::{Answer, MAX_BYTES, MAX_COLUMNS, parameter, unknown_parameter};
use crate::text::shown;
use crate::{Cell, Rows, SourceError};

/// SQLite steps between two looks at the cancellation.
const STEPS: i32 = 1_000;
/// How long opening and probing wait for a locked file; a query waits as long as its timeout.
const BUSY: Duration = Duration::from_millis(500);
/// The longest text or blob SQLite itself makes.
const MAX_VALUE_BYTES: i32 = 16 << 20;

/// Set to end a query.
#[derive(Clone, Debug, Default)]
pub(super) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// One query.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) sql: String,
    pub(super) window: Window,
    pub(super) zone: Tz,
    pub(super) max_rows: usize,
    pub(super) timeout: Duration,
}

/// Opens a file for reading and nothing else.
pub(super) fn open(path: &Path) -> Result<Connection, SourceError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if !path.is_file() {
        return Err(SourceError::unreachable(format!("{} is not there or no file", path.display())));
    }
    let describe = |e: rusqlite::Error| error(path, &e);
    let mut connection = Connection::open_with_flags(path, flags).map_err(describe)?;
    let limits = [
        (Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, MAX_BYTES as i32),
        (Limit::SQLITE_LIMIT_COLUMN, MAX_COLUMNS as i32),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
    ];
    for (limit, value) in limits {
        connection.set_limit(limit, value).map_err(describe)?;
    }
    connection.busy_timeout(BUSY).map_err(describe)?;
    connection.pragma_update(None, "query_only", true).map_err(describe)?;
    connection.authorizer(Some(authorize)).map_err(describe)?;
    Ok(connection)
}

fn authorize(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => Authorization::Allow,
        AuthAction::Function { function_name } if !function_name.eq_ignore_ascii_case("load_extension") => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

/// What the file is, for a probe.
pub(super) fn describe(path: &Path) -> Result<String, SourceError> {
    let connection = open(path)?;
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type IN ('table', 'view')";
    let tables: i64 = connection.query_row(sql, [], |row| row.get(0)).map_err(|e| error(path, &e))?;
    Ok(format!("SQLite {}, {tables} tables and views", rusqlite::version()))
}

/// Runs a query.
pub(super) fn run(
    connection: &mut Connection,
    path: &Path,
    job: &Job,
    cancel: &Cancel,
) -> Result<Rows, SourceError> {
    let stop = cancel.clone();
    let describe = |e: rusqlite::Error| error(path, &e);
    connection.busy_timeout(job.timeout).map_err(describe)?;
    connection.progress_handler(STEPS, Some(move || stop.is_set())).map_err(describe)?;
    let mut statement = connection.prepare(&job.sql).map_err(describe)?;
    if !statement.readonly() {
        return Err(SourceError::permanent("statement writes: only reading is allowed"));
    }
    bind(&mut statement, job, path)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut answer = Answer::new(columns, job.max_rows)?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(describe)? {
        answer.push(|at| cell(row.get_ref(at).map_err(|e| e.to_string())?))?;
    }
    Ok(answer.finish())
}

fn bind(statement: &mut Statement<'_>, job: &Job, path: &Path) -> Result<(), SourceError> {
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index).unwrap_or("?").to_owned();
        let param = parameter(&name).ok_or_else(|| SourceError::permanent(unknown_parameter(&name)))?;
        let at = param.at(job.window);
        let value = match param.form {
            Form::Instant | Form::Text => Value::Text(civil_text(at, job.zone)),
            Form::Millis => Value::Integer(at.as_millis()),
            Form::Secs => Value::Integer(at.as_secs()),
        };
        statement.raw_bind_parameter(index, value).map_err(|e| error(path, &e))?;
    }
    Ok(())
}

fn cell(value: ValueRef<'_>) -> Result<Cell, String> {
    match value {
        ValueRef::Null => Ok(Cell::Null),
        ValueRef::Integer(number) => Ok(Cell::Int(number)),
        ValueRef::Real(number) => Ok(Cell::Float(number)),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Ok(Cell::Text(text.to_owned())),
            Err(_) => Err("text is not UTF-8".to_owned()),
        },
        ValueRef::Blob(_) => Err("a blob is neither number nor label".to_owned()),
    }
}

fn error(path: &Path, error: &rusqlite::Error) -> SourceError {
    let message = format!("{}: {}", path.display(), shown(&error.to_string(), 400));
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => SourceError::unreachable(message),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::SchemaChanged) => {
            SourceError::transient(message)
        }
        Some(ErrorCode::AuthorizationForStatementDenied) => {
            SourceError::permanent(format!("{message}: only reading is allowed"))
        }
        Some(ErrorCode::OperationInterrupted) => {
            SourceError::timeout(format!("{}: query was cancelled", path.display()))
        }
        _ => SourceError::permanent(message),
    }
}
