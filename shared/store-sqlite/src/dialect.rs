//! Where SQLite differs from PostgreSQL. Its one lock is held by `BEGIN IMMEDIATE` from the start: no rows to lock.

use std::collections::BTreeSet;

use ohx_domain::{Instant, LinkId, Record};
use ohx_store::{NewRequest, Result};

use crate::Engine;
use crate::sql::{Transaction, bounds, unavailable};

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

/// The function that gives the least of its arguments.
macro_rules! least {
    () => {
        "MIN"
    };
}

/// Bytes as hexadecimal text, in lower case.
macro_rules! to_hex {
    ($column:literal) => {
        concat!("lower(hex(", $column, "))")
    };
}

/// Hexadecimal text as bytes.
macro_rules! from_hex {
    ($text:literal) => {
        concat!("unhex(", $text, ")")
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

/// Locks links until the transaction ends. There is only one writer anyway.
#[expect(clippy::unused_async, reason = "PostgreSQL's has to ask the server")]
pub(crate) async fn lock_links(_: &mut Transaction, _: &BTreeSet<LinkId>) -> Result<()> {
    Ok(())
}

/// Adds many requests. A statement in the same process costs no way to a server: one a row.
pub(crate) async fn insert_requests(tx: &mut Transaction, new: &[&NewRequest], now: i64) -> Result<()> {
    for request in new {
        let (start, end) = bounds(&request.query);
        sqlx::query(
            "INSERT INTO requests (id, sync, link, record, query_start, query_end, reason, state, requested_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'requested', $8, $8)",
        )
        .bind(request.id.to_string())
        .bind(request.sync.to_string())
        .bind(request.link.to_string())
        .bind(request.record.as_str())
        .bind(start)
        .bind(end)
        .bind(request.reason.as_str())
        .bind(now)
        .execute(&mut **tx)
        .await
        .map_err(unavailable)?;
    }
    Ok(())
}

/// Sets many cursors, where there are none.
pub(crate) async fn init_cursors(tx: &mut Transaction, all: &[&(LinkId, Record, Instant)]) -> Result<()> {
    for (link, record, cursor) in all {
        sqlx::query(
            "INSERT INTO coverage AS c (link, record, cursor) VALUES ($1, $2, $3)
             ON CONFLICT (link, record) DO UPDATE SET cursor = excluded.cursor WHERE c.cursor IS NULL",
        )
        .bind(link.to_string())
        .bind(record.as_str())
        .bind(cursor.as_microsecond())
        .execute(&mut **tx)
        .await
        .map_err(unavailable)?;
    }
    Ok(())
}
