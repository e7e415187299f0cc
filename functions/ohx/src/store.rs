//! The store of `ohx`: PostgreSQL, or SQLite on a laptop.

use std::sync::Arc;

use anyhow::Context as _;
use ohx_runtime::{Settings, parts};
use ohx_store::SharedStore;
use ohx_store_sqlite::SqliteStore;

/// The store that `DATABASE_URL` names.
///
/// # Errors
/// The setting is missing or wrong, or the database cannot be opened.
pub(crate) async fn open(settings: &Settings) -> anyhow::Result<SharedStore> {
    match settings.text("DATABASE_URL").filter(|url| url.starts_with("sqlite:")) {
        Some(url) => Ok(Arc::new(SqliteStore::open(url).await.context("DATABASE_URL")?)),
        None => parts::store(settings),
    }
}
