//! The store on SQLite: nothing to install, one file.
//!
//! The statements are in `shared/store/sql`; here is what is SQLite's own: one writer, several readers, the
//! migrations. Several processes may share the file, on one machine and a local disk.

#[macro_use]
mod dialect;
#[path = "../../store/sql/mod.rs"]
mod sql;

use std::time::Duration;

use ohx_store::{Result, StoreError};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::sql::{Transaction, migration_failed, unavailable};

const ADDRESS: &str = "sqlite://path?mode=rwc or sqlite::memory:";
/// How many may read at once.
const READERS: u32 = 4;
/// How long a write waits for the writer of another process.
const BUSY: Duration = Duration::from_secs(10);
/// How long to wait before a busy file is tried again.
const AGAIN: Duration = Duration::from_millis(20);
/// How long a call waits for its turn: longer than [`BUSY`], so that what holds a turn up ends first.
const ACQUIRE: Duration = Duration::from_secs(30);

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/sqlite");

pub(crate) use SqliteStore as Engine;
pub(crate) type Db = sqlx::Sqlite;

/// The store on SQLite. Cheap to clone: clones share the connections.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    /// One connection: SQLite has one writer at a time, and waiting in a queue is fairer than trying again.
    writer: SqlitePool,
    /// With a write-ahead log they read the last committed state while the writer writes.
    readers: SqlitePool,
}

impl SqliteStore {
    /// A store in the file of `url`: `sqlite://path?mode=rwc` makes the file if need be, `sqlite::memory:` keeps
    /// everything in memory and loses it with the last clone of the store.
    ///
    /// # Errors
    /// [`StoreError::Address`] where `url` is malformed, [`StoreError::Unavailable`] where the file cannot be opened.
    pub async fn open(url: &str) -> Result<Self> {
        let options: SqliteConnectOptions = url.parse().map_err(|error: sqlx::Error| {
            StoreError::Address { expected: ADDRESS, why: error.to_string() }
        })?;
        // Every commit reaches the disk (FULL): a refresh token that was replaced and then lost cannot be had again.
        // What is deleted is overwritten (secure_delete): a destroyed key is to be gone.
        let options = options
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "ON");
        let pool = SqlitePoolOptions::new()
            .acquire_timeout(ACQUIRE)
            // Nothing is saved by closing a file, and a database in memory would be lost with it.
            .idle_timeout(None)
            .max_lifetime(None);

        let named = |error: sqlx::Error| {
            let text = format!("opening {url:?} failed ({error}): check the path, its rights and ?mode=rwc");
            StoreError::Unavailable(text.into())
        };
        if in_memory(url) {
            // To each connection its own database: so there must be only one.
            let only =
                pool.max_connections(1).connect_with(options.shared_cache(false)).await.map_err(named)?;
            return Ok(Self { writer: only.clone(), readers: only });
        }
        let wal = options.clone().journal_mode(SqliteJournalMode::Wal);
        let writer = first(&pool.clone().max_connections(1), &wal).await.map_err(named)?;
        // The journal mode stays with the file. A reader that may not write cannot come into the writer's way.
        let readers = pool.max_connections(READERS).connect_lazy_with(options.pragma("query_only", "ON"));
        Ok(Self { writer, readers })
    }

    /// Closes the file, once the connections in use have been given back.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    const fn reader(&self) -> &SqlitePool {
        &self.readers
    }

    const fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// Begins a transaction that may write. It takes the write lock at once: one that read first and then wanted to
    /// write could find the file changed by another process, and would have to be given up.
    async fn begin(&self) -> Result<Transaction> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)
    }

    async fn migrate_schema(&self) -> Result<()> {
        // sqlx does not lock SQLite while it migrates. Inside our transaction two processes take turns, and the second
        // finds nothing to do.
        let mut tx = self.begin().await?;
        // `run` does the same, but its generic argument keeps the future from being `Send` (rust-lang/rust#100013).
        MIGRATIONS.run_direct(None, &mut *tx, false).await.map_err(migration_failed)?;
        tx.commit().await.map_err(unavailable)
    }
}

/// Opens the first connection of a pool.
///
/// Changing a new file to a write-ahead log needs it for oneself, and does not wait as a write would: when several
/// processes start at once, all but one are told that it is busy. It is for a moment.
async fn first(pool: &SqlitePoolOptions, options: &SqliteConnectOptions) -> sqlx::Result<SqlitePool> {
    let mut waited = Duration::ZERO;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(sqlx::Error::Database(error)) if is_busy(&*error) && waited < BUSY => {
                tokio::time::sleep(AGAIN).await;
                waited += AGAIN;
            }
            result => return result,
        }
    }
}

/// SQLITE_BUSY and its extended codes, which carry it in the lowest byte.
fn is_busy(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

fn in_memory(url: &str) -> bool {
    let (path, parameters) = url.split_once('?').unwrap_or((url, ""));
    path.ends_with(":memory:") || parameters.split('&').any(|p| p == "mode=memory")
}
