//! Where PostgreSQL differs from SQLite.

use ohx_store::Result;

use crate::Engine;
use crate::sql::{Transaction, unavailable};

/// Locks the rows that are read until the transaction ends.
macro_rules! for_update {
    () => {
        " FOR UPDATE"
    };
}

/// Locks the rows that are read, and leaves out those that somebody else has locked.
macro_rules! skip_locked {
    () => {
        " FOR UPDATE SKIP LOCKED"
    };
}

/// The function that gives the greatest of its arguments.
macro_rules! greatest {
    () => {
        "GREATEST"
    };
}

/// Waits until no other transaction holds `lock`, and holds it until this one ends: for what is decided about rows
/// that may not exist yet.
pub(crate) async fn serialize(tx: &mut Transaction, lock: i64) -> Result<()> {
    let query = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(lock);
    query.execute(&mut **tx).await.map_err(unavailable)?;
    Ok(())
}

/// Called after secrets were destroyed. PostgreSQL reclaims old versions of a row by itself (autovacuum).
pub(crate) async fn forget(_: &Engine) {}
