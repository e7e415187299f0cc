//! Where PostgreSQL differs from SQLite.

use std::collections::BTreeSet;

use ohx_domain::{Instant, LinkId, Record};
use ohx_store::{NewRequest, Result};

use crate::Engine;
use crate::sql::{Transaction, bounds, unavailable};

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

/// The function that gives the least of its arguments.
macro_rules! least {
    () => {
        "LEAST"
    };
}

/// Bytes as hexadecimal text, in lower case.
macro_rules! to_hex {
    ($column:literal) => {
        concat!("encode(", $column, ", 'hex')")
    };
}

/// Hexadecimal text as bytes.
macro_rules! from_hex {
    ($text:literal) => {
        concat!("decode(", $text, ", 'hex')")
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

fn texts<T: ToString>(all: impl Iterator<Item = T>) -> Vec<String> {
    all.map(|one| one.to_string()).collect()
}

/// Locks links until the transaction ends, for what is decided about their requests.
pub(crate) async fn lock_links(tx: &mut Transaction, links: &BTreeSet<LinkId>) -> Result<()> {
    sqlx::query("SELECT 1 FROM links WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE")
        .bind(texts(links.iter()))
        .execute(&mut **tx)
        .await
        .map_err(unavailable)?;
    Ok(())
}

/// Adds many requests in one statement.
pub(crate) async fn insert_requests(tx: &mut Transaction, new: &[&NewRequest], now: i64) -> Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let (starts, ends): (Vec<_>, Vec<_>) = new.iter().map(|request| bounds(&request.query)).unzip();
    sqlx::query(
        "INSERT INTO requests (id, sync, link, record, query_start, query_end, reason, state, requested_at, updated_at)
         SELECT id, sync, link, record, query_start, query_end, reason, 'requested', $8, $8
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[])
             AS new (id, sync, link, record, query_start, query_end, reason)",
    )
    .bind(texts(new.iter().map(|request| request.id)))
    .bind(texts(new.iter().map(|request| request.sync)))
    .bind(texts(new.iter().map(|request| request.link)))
    .bind(texts(new.iter().map(|request| request.record.as_str())))
    .bind(starts)
    .bind(ends)
    .bind(texts(new.iter().map(|request| request.reason.as_str())))
    .bind(now)
    .execute(&mut **tx)
    .await
    .map_err(unavailable)?;
    Ok(())
}

/// Sets many cursors in one statement, where there are none.
pub(crate) async fn init_cursors(tx: &mut Transaction, all: &[&(LinkId, Record, Instant)]) -> Result<()> {
    sqlx::query(
        "INSERT INTO coverage AS c (link, record, cursor)
         SELECT link, record, cursor FROM UNNEST($1::text[], $2::text[], $3::bigint[]) AS new (link, record, cursor)
         ON CONFLICT (link, record) DO UPDATE SET cursor = excluded.cursor WHERE c.cursor IS NULL",
    )
    .bind(texts(all.iter().map(|(link, ..)| link)))
    .bind(texts(all.iter().map(|(_, record, _)| record.as_str())))
    .bind(all.iter().map(|(.., cursor)| cursor.as_microsecond()).collect::<Vec<i64>>())
    .execute(&mut **tx)
    .await
    .map_err(unavailable)?;
    Ok(())
}
