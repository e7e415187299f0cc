//! What went wrong, without the values it went wrong with.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use ohx_store::StoreError;
use sqlx::error::ErrorKind;

/// The text of a database error.
///
/// The error itself is dropped: PostgreSQL adds the offending row to it ("Failing row contains …"), and `Debug` of
/// sqlx's type would print that into a log.
struct DatabaseText(String);

impl fmt::Display for DatabaseText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DatabaseText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for DatabaseText {}

fn text(error: &dyn fmt::Display) -> Box<dyn Error + Send + Sync> {
    Box::new(DatabaseText(error.to_string()))
}

/// The database is out of reach, or refused.
pub(crate) fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(match &error {
        sqlx::Error::PoolTimedOut => text(
            &"no connection could be had in time: check that it is running and reachable \
             at DATABASE_URL, and that it allows enough connections",
        ),
        other => text(other),
    })
}

/// The schema could not be brought up to date.
pub(crate) fn migration_failed(error: sqlx::migrate::MigrateError) -> StoreError {
    use sqlx::migrate::MigrateError::Execute;
    match error {
        // Not reached at all: trying again may help, which is not so for a schema that does not fit.
        Execute(error @ (sqlx::Error::PoolTimedOut | sqlx::Error::Io(_))) => unavailable(error),
        other => StoreError::Migration(text(&other)),
    }
}

/// As [`unavailable`], but a broken rule of the schema is a conflict of `what`.
pub(crate) fn conflict_or_unavailable(what: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| {
        let broken = match &error {
            sqlx::Error::Database(e) => {
                matches!(e.kind(), ErrorKind::UniqueViolation | ErrorKind::CheckViolation)
            }
            _ => false,
        };
        if broken { conflict(what) } else { unavailable(error) }
    }
}

/// `what` breaks a rule of what is stored.
pub(crate) fn conflict(what: impl Into<Cow<'static, str>>) -> StoreError {
    StoreError::Conflict { what: what.into() }
}

/// `id` is not there.
pub(crate) fn not_found(what: &'static str, id: impl fmt::Display) -> StoreError {
    StoreError::NotFound { what, id: id.to_string() }
}
