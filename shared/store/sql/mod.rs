//! The store in SQL, written once for every SQL engine.
//!
//! This folder is no crate. `ohx-store-postgres` and `ohx-store-sqlite` include it by path, and each gives it:
//!   * `crate::Db`, the sqlx database;
//!   * `crate::Engine`, its store, with `reader()`, `writer()`, `begin()` and `migrate_schema()`;
//!   * `crate::dialect`, the little in which the engines differ: three macros for pieces of SQL, and `serialize()`.
//!
//! A generic implementation over `sqlx::Database` would say the same with a page of bounds on every function; two
//! copies would drift apart. Each statement is one constant text, so that no value can get into it but by binding.
//!
//! The rules of every statement here:
//!   * What reads and then writes does so in one transaction from `Engine::begin`, under a row lock (PostgreSQL) or
//!     the lock of the one writer (SQLite). Nothing inside it goes to a pool again.
//!   * Locks are taken in one order: `serialize`, then the request or link, then its coverage, then
//!     the counts of outcomes. So no deadlocks.
//!   * A statement with `RETURNING` is read to its end: SQLite commits when the statement is done.

mod access;
mod audit;
mod columns;
mod configuration;
mod dead_letters;
mod erasures;
mod errors;
mod gauges;
mod idempotency;
mod ledger;
mod links;
mod mappings;
mod outcomes;
mod overview;
mod planning;
mod progress;
mod quotas;
mod refusals;
mod requests;
mod rewrap;
mod secrets;
mod signing;
mod values;

pub(crate) use errors::{migration_failed, unavailable};
pub(crate) use requests::bounds;

use sqlx::Database;
use sqlx::query::Query;

use crate::Db;

/// A transaction of this engine.
pub(crate) type Transaction = sqlx::Transaction<'static, Db>;

/// A statement with what is bound to it.
type Statement<'q> = Query<'q, Db, <Db as Database>::Arguments>;

/// A statement, whose type does not have to be inferred.
fn sql<'q>(text: &'static str) -> Statement<'q> {
    sqlx::query(text)
}
