//! Dead letters: one row for each thing that a function gave up.

use async_trait::async_trait;
use ohx_domain::LinkId;
use ohx_store::{DeadLetter, DeadLetters, Result};

use super::columns::Columns;
use super::values::{micros, text};
use super::{sql, unavailable};
use crate::Engine;

fn letter(row: &Columns<'_>) -> Result<DeadLetter> {
    Ok(DeadLetter {
        key: row.get("key")?,
        event_type: row.get("event_type")?,
        function: row.get("function")?,
        link: row.parse_optional("link")?,
        request: row.parse_optional("request")?,
        reason: row.get("reason")?,
        // A sum; it may outgrow what one letter can say.
        attempts: u32::try_from(row.get::<i64>("attempts")?).unwrap_or(u32::MAX),
        at: row.instant("at")?,
    })
}

#[async_trait]
impl DeadLetters for Engine {
    async fn bury(&self, letter: &DeadLetter) -> Result<()> {
        sql("INSERT INTO dead_letters AS d (key, function, event_type, link, request, reason, attempts, at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (key, function) DO UPDATE SET event_type = excluded.event_type, link = excluded.link,
                 request = excluded.request, reason = excluded.reason, attempts = d.attempts + excluded.attempts,
                 at = excluded.at")
            .bind(text(&letter.key))
            .bind(text(&letter.function))
            .bind(text(&letter.event_type))
            .bind(letter.link.map(|id| id.to_string()))
            .bind(letter.request.map(|id| id.to_string()))
            .bind(text(&letter.reason))
            .bind(i64::from(letter.attempts))
            .bind(micros(letter.at))
            .execute(self.writer())
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    async fn dead_letters(&self, link: Option<LinkId>, limit: u32) -> Result<Vec<DeadLetter>> {
        let rows =
            sql("SELECT key, function, event_type, link, request, reason, attempts, at FROM dead_letters
             WHERE $1 IS NULL OR link = $1 ORDER BY at DESC, key DESC, function DESC LIMIT $2")
            .bind(link.map(|id| id.to_string()))
            .bind(i64::from(limit))
            .fetch_all(self.reader())
            .await
            .map_err(unavailable)?;
        rows.iter().map(|row| letter(&Columns::new(row, "dead_letters"))).collect()
    }

    async fn unbury(&self, key: &str, function: &str) -> Result<bool> {
        let remove = sql("DELETE FROM dead_letters WHERE key = $1 AND function = $2")
            .bind(text(key))
            .bind(text(function));
        Ok(remove.execute(self.writer()).await.map_err(unavailable)?.rows_affected() == 1)
    }
}
