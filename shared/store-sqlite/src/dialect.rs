//! Where SQLite differs from PostgreSQL. Its one lock is held by `BEGIN IMMEDIATE` from the start: no rows to lock.

use ohx_store::Result;

use crate::Engine;
use crate::sql::Transaction;

/// Locks the rows that are read until the transaction ends.
macro_rules! for_update {
    () => {
        ""
    };
}

/// Locks the rows that are read, and leaves out those that somebody else has locked.
macro_rules! skip_locked {
    () => {
        ""
    };
}

/// The function that gives the greatest of its arguments.
macro_rules! greatest {
    () => {
        "MAX"
    };
}

/// Waits until no other transaction holds `lock`, and holds it until this one ends. There is only one writer anyway.
#[expect(clippy::unused_async, reason = "PostgreSQL's has to ask the server")]
pub(crate) async fn serialize(_: &mut Transaction, _: i64) -> Result<()> {
    Ok(())
}

/// Called after secrets were destroyed: moves the write-ahead log, which still has them, into the file and empties it.
/// Where readers are in the way this happens later by itself.
pub(crate) async fn forget(engine: &Engine) {
    let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(engine.writer()).await;
}
