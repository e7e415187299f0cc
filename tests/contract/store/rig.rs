//! A database of one test's own, and stores on it.

use std::future::Future;
use std::sync::Arc;

use ohx_store::SharedStore;
use ohx_store_postgres::PostgresStore;
use ohx_store_sqlite::SqliteStore;
use sqlx::Connection as _;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// An empty database.
pub(crate) struct Database {
    pub(crate) engine: Engine,
    pub(crate) url: String,
    /// The folder of the file, removed with it.
    _folder: Option<tempfile::TempDir>,
}

impl Database {
    pub(crate) async fn create(engine: Engine) -> Self {
        match engine {
            Engine::Sqlite => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let url = format!("sqlite://{}?mode=rwc", folder.path().join("store.db").display());
                Self { engine, url, _folder: Some(folder) }
            }
            Engine::Postgres => Self { engine, url: ohx_tests::services::database().await, _folder: None },
        }
    }

    /// A store with connections of its own, as another process would have.
    pub(crate) async fn open(&self) -> SharedStore {
        match self.engine {
            Engine::Sqlite => Arc::new(SqliteStore::open(&self.url).await.expect("the file opens")),
            Engine::Postgres => Arc::new(PostgresStore::connect(&self.url).expect("an address")),
        }
    }

    pub(crate) async fn remove(self) {
        if self.engine == Engine::Postgres {
            let (server, name) = self.url.rsplit_once('/').expect("a path");
            let mut server =
                sqlx::PgConnection::connect(&format!("{server}/postgres")).await.expect("the server");
            let drop = sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
            sqlx::query(drop).execute(&mut server).await.expect("dropped");
        }
    }
}

/// What a test works with: one database, two stores on it.
#[derive(Clone)]
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) store: SharedStore,
    pub(crate) other: SharedStore,
    /// The database's address, for what no store offers.
    pub(crate) url: String,
}

impl Rig {
    /// Runs `task` from `n` tasks at the same moment, over both stores in turn, and gives what they gave.
    pub(crate) async fn at_once<T, F>(&self, n: usize, task: impl Fn(SharedStore, usize) -> F) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let gate = Arc::new(Barrier::new(n));
        let mut tasks = JoinSet::new();
        for i in 0..n {
            let store = if i % 2 == 0 { &self.store } else { &self.other };
            let (gate, work) = (Arc::clone(&gate), task(Arc::clone(store), i));
            tasks.spawn(async move {
                gate.wait().await;
                work.await
            });
        }
        tasks.join_all().await
    }
}

/// Runs one test, and removes its database whatever comes of it.
pub(crate) async fn with<F: Future<Output = ()> + Send + 'static>(
    engine: Engine,
    test: impl FnOnce(Rig) -> F,
) {
    let database = Database::create(engine).await;
    let (store, other) = (database.open().await, database.open().await);
    // Both at once: so every test is also one of migrating from two processes.
    let (one, two) = tokio::join!(store.migrate(), other.migrate());
    one.expect("migrated");
    two.expect("migrated by the other");
    let result = tokio::spawn(test(Rig { engine, store, other, url: database.url.clone() })).await;
    database.remove().await;
    if let Err(failed) = result {
        std::panic::resume_unwind(failed.into_panic());
    }
}
