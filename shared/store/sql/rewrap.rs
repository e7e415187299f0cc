//! Sealed values under another key: read in pages, replaced only where they are what was read.

use async_trait::async_trait;
use ohx_store::{Result, Rewrap, SealedIn, SealedRow};

use super::columns::Columns;
use super::{sql, unavailable};
use crate::Engine;

/// The statements of a place: reading a page, and replacing one value.
const fn statements(place: SealedIn) -> (&'static str, &'static str) {
    match place {
        SealedIn::Providers => (
            "SELECT name AS place, sealed_secret AS sealed FROM providers
             WHERE sealed_secret IS NOT NULL AND name > $1 ORDER BY name LIMIT $2",
            "UPDATE providers SET sealed_secret = $3 WHERE name = $1 AND sealed_secret = $2",
        ),
        SealedIn::Ehrs => (
            "SELECT name AS place, sealed_secret AS sealed FROM ehrs
             WHERE sealed_secret IS NOT NULL AND name > $1 ORDER BY name LIMIT $2",
            "UPDATE ehrs SET sealed_secret = $3 WHERE name = $1 AND sealed_secret = $2",
        ),
        SealedIn::LinkKeys => (
            "SELECT id AS place, data_key AS sealed FROM links
             WHERE data_key IS NOT NULL AND id > $1 ORDER BY id LIMIT $2",
            "UPDATE links SET data_key = $3 WHERE id = $1 AND data_key = $2",
        ),
        SealedIn::SigningKeys => (
            "SELECT kid AS place, sealed_key AS sealed FROM signing_keys
             WHERE sealed_key IS NOT NULL AND kid > $1 ORDER BY kid LIMIT $2",
            "UPDATE signing_keys SET sealed_key = $3 WHERE kid = $1 AND sealed_key = $2",
        ),
        // Few: those whose provider could not be told yet. Whoever has read the row before has to read it again.
        SealedIn::Erasures => (
            "SELECT place, sealed FROM (
                 SELECT link || '/' || CAST(seq AS TEXT) AS place, sealed_grant AS sealed FROM erasures
                 WHERE sealed_grant IS NOT NULL AND done_at IS NULL) AS open
             WHERE place > $1 ORDER BY place LIMIT $2",
            "UPDATE erasures SET sealed_grant = $3, version = version + 1
             WHERE link || '/' || CAST(seq AS TEXT) = $1 AND done_at IS NULL AND sealed_grant = $2",
        ),
        SealedIn::Answers => (
            concat!(
                "SELECT ",
                to_hex!("digest"),
                " AS place, answer AS sealed FROM idempotency WHERE answer IS NOT NULL AND digest > ",
                from_hex!("$1"),
                " ORDER BY digest LIMIT $2"
            ),
            concat!(
                "UPDATE idempotency SET answer = $3 WHERE digest = ",
                from_hex!("$1"),
                " AND answer = $2"
            ),
        ),
    }
}

#[async_trait]
impl Rewrap for Engine {
    async fn sealed_rows(&self, place: SealedIn, after: &str, limit: u32) -> Result<Vec<SealedRow>> {
        let rows = sql(statements(place).0)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(self.reader())
            .await
            .map_err(unavailable)?;
        let read = |row| {
            let row = Columns::new(row, place.as_str());
            Ok(SealedRow { row: row.get("place")?, sealed: row.get("sealed")? })
        };
        rows.iter().map(read).collect()
    }

    async fn rewrap(&self, place: SealedIn, row: &SealedRow, with: &[u8]) -> Result<bool> {
        let replaced = sql(statements(place).1)
            .bind(&row.row)
            .bind(&row.sealed)
            .bind(with)
            .execute(self.writer())
            .await
            .map_err(unavailable)?;
        Ok(replaced.rows_affected() == 1)
    }
}
