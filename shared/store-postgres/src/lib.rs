//! The store on PostgreSQL (13 or newer).
//!
//! The statements are in `shared/store/sql`; here is what is PostgreSQL's own: the pool, the migrations, the locks.

#[macro_use]
mod dialect;
#[path = "../../store/sql/mod.rs"]
mod sql;

use std::time::Duration;

use ohx_store::{Result, StoreError};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::sql::{Transaction, migration_failed, unavailable};

const ADDRESS: &str = "postgres://user:password@host:port/database";
/// Few: a function scales by processes, and they share the server's connections (100 by default).
const CONNECTIONS: u32 = 8;
/// How long a call waits for a connection before it says that the database is out of reach.
const ACQUIRE: Duration = Duration::from_secs(5);
/// After how long without use a connection is given back to the server.
const IDLE: Duration = Duration::from_secs(60);

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/postgres");

pub(crate) use PostgresStore as Engine;
pub(crate) type Db = sqlx::Postgres;

/// The store on PostgreSQL. Cheap to clone: clones share the pool of connections.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pool: PgPool,
}

impl PostgresStore {
    /// A store on the database at `url` (`postgres://user:password@host:port/database?sslmode=…`).
    ///
    /// Connects when it is first used, so that a process starts, and can say that it waits, without its database.
    /// Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Address`] where `url` is not the address of a PostgreSQL database.
    pub fn connect(url: &str) -> Result<Self> {
        Self::connect_within(url, Duration::ZERO)
    }

    /// The same; the database itself ends a statement that takes longer than `limit`, where that is not zero. Who stops waiting for
    /// an answer does not end the statement, and would have the next one come on top of it.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`].
    pub fn connect_within(url: &str, limit: Duration) -> Result<Self> {
        let malformed = |why: String| StoreError::Address { expected: ADDRESS, why };
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(malformed("it does not begin with postgres://".to_owned()));
        }
        let mut options: PgConnectOptions =
            url.parse().map_err(|error: sqlx::Error| malformed(error.to_string()))?;
        if options.get_application_name().is_none() {
            options = options.application_name("ohx");
        }
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(IDLE)
            // Not as a parameter of the connection, which poolers refuse.
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if !limit.is_zero() {
                        let set = format!("SET statement_timeout = {}", limit.as_millis());
                        sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(connection).await?;
                    }
                    Ok(())
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// Closes the connections, once those in use have been given back.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    const fn reader(&self) -> &PgPool {
        &self.pool
    }

    const fn writer(&self) -> &PgPool {
        &self.pool
    }

    /// Begins a transaction at the level that the statements are written for, whatever the server's default is: after
    /// a row lock was waited for, the next statement sees what the other transaction wrote.
    async fn begin(&self) -> Result<Transaction> {
        self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await.map_err(unavailable)
    }

    async fn migrate_schema(&self) -> Result<()> {
        let mut connection = self.pool.acquire().await.map_err(unavailable)?;
        // sqlx holds an advisory lock of the session while it migrates, and keeps it where a migration fails or is
        // cancelled. The session ends with this connection, and the lock with it.
        connection.close_on_drop();
        // `run` does the same, but its generic argument keeps the future from being `Send` (rust-lang/rust#100013).
        MIGRATIONS.run_direct(None, &mut *connection, false).await.map_err(migration_failed)
    }
}
