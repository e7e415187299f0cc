//! Dead letters: one row for each thing that a function gave up.

use async_trait::async_trait;
use ohx_domain::{LetterId, RequestId, RequestState};
use ohx_store::{BuriedLetter, DeadLetter, DeadLetters, LetterFilter, Replay, Result};

use super::columns::Columns;
use super::values::{micros, text};
use super::{Transaction, sql, unavailable};
use crate::Engine;

macro_rules! columns {
    () => {
        "id, key, function, event_type, link, request, reason, attempts, at, replayed_as, replayed_at"
    };
}

fn buried(row: &Columns<'_>) -> Result<BuriedLetter> {
    let letter = DeadLetter {
        key: row.get("key")?,
        event_type: row.get("event_type")?,
        function: row.get("function")?,
        link: row.parse_optional("link")?,
        request: row.parse_optional("request")?,
        reason: row.get("reason")?,
        // A sum; it may outgrow what one letter can say.
        attempts: u32::try_from(row.get::<i64>("attempts")?).unwrap_or(u32::MAX),
        at: row.instant("at")?,
    };
    let replay = match (row.parse_optional("replayed_as")?, row.instant_optional("replayed_at")?) {
        (Some(request), Some(at)) => Some(Replay { request, at }),
        _ => None,
    };
    Ok(BuriedLetter { id: row.parse("id")?, letter, replay })
}

/// What the keys of a request's own events begin with; the key of a refused resource does not.
fn own_events(request: RequestId) -> String {
    format!("{request}.")
}

/// Forgets what a request that is published has done: the letters of its own events, and those that it was asked in
/// place of.
pub(super) async fn settle(tx: &mut Transaction, request: RequestId) -> Result<()> {
    sql("DELETE FROM dead_letters WHERE replayed_as = $1 OR (request = $1 AND substr(key, 1, 37) = $2)")
        .bind(request.to_string())
        .bind(own_events(request))
        .execute(&mut **tx)
        .await
        .map_err(unavailable)?;
    Ok(())
}

#[async_trait]
impl DeadLetters for Engine {
    async fn bury(&self, letter: &DeadLetter) -> Result<()> {
        let mut tx = self.begin().await?;
        sql("INSERT INTO dead_letters AS d (key, function, event_type, link, request, reason, attempts, at, id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (key, function) DO UPDATE SET event_type = excluded.event_type, link = excluded.link,
                 request = excluded.request, reason = excluded.reason, attempts = d.attempts + excluded.attempts,
                 at = excluded.at, replayed_as = NULL, replayed_at = NULL")
            .bind(text(&letter.key))
            .bind(text(&letter.function))
            .bind(text(&letter.event_type))
            .bind(letter.link.map(|id| id.to_string()))
            .bind(letter.request.map(|id| id.to_string()))
            .bind(text(&letter.reason))
            .bind(i64::from(letter.attempts))
            .bind(micros(letter.at))
            .bind(LetterId::new().to_string())
            .execute(&mut *tx)
            .await
            .map_err(unavailable)?;
        if let Some(request) = letter.request.filter(|r| letter.key.starts_with(&own_events(*r))) {
            // In place of the letters that the request was to settle: each of them an event of an earlier request.
            sql("DELETE FROM dead_letters
                 WHERE replayed_as = $1 AND request <> $1 AND substr(key, 1, 37) = request || '.'")
            .bind(request.to_string())
            .execute(&mut *tx)
            .await
            .map_err(unavailable)?;
        }
        tx.commit().await.map_err(unavailable)
    }

    async fn letters(&self, filter: &LetterFilter) -> Result<Vec<BuriedLetter>> {
        let rows = sql(concat!(
            "SELECT ",
            columns!(),
            " FROM dead_letters
             WHERE ($1 IS NULL OR link = $1) AND ($2 IS NULL OR function = $2)
                 AND ($3 IS NULL OR (at, id) < ($3, $4))
             ORDER BY at DESC, id DESC LIMIT $5"
        ))
        .bind(filter.link.map(|id| id.to_string()))
        .bind(filter.function.as_deref().map(text))
        .bind(filter.after.map(|after| micros(after.at)))
        .bind(filter.after.map(|after| after.id.to_string()))
        .bind(i64::from(filter.limit))
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        rows.iter().map(|row| buried(&Columns::new(row, "dead_letters"))).collect()
    }

    async fn letter(&self, id: LetterId) -> Result<Option<BuriedLetter>> {
        let one =
            sql(concat!("SELECT ", columns!(), " FROM dead_letters WHERE id = $1")).bind(id.to_string());
        let row = one.fetch_optional(self.reader()).await.map_err(unavailable)?;
        row.map(|row| buried(&Columns::new(&row, "dead_letters"))).transpose()
    }

    async fn note_replay(&self, read: &BuriedLetter, replay: Replay) -> Result<bool> {
        let mut tx = self.begin().await?;
        // The step that publishes the request holds this row: it sees our note, or we see that it is done.
        let row = sql(concat!("SELECT state FROM requests WHERE id = $1", for_update!()))
            .bind(replay.request.to_string())
            .fetch_optional(&mut *tx)
            .await
            .map_err(unavailable)?;
        let state =
            row.map(|row| Columns::new(&row, "requests").read("state", RequestState::parse)).transpose()?;
        // A letter that came again has more attempts.
        let note =
            sql("UPDATE dead_letters SET replayed_as = $2, replayed_at = $3 WHERE id = $1 AND attempts = $4")
                .bind(read.id.to_string())
                .bind(replay.request.to_string())
                .bind(micros(replay.at))
                .bind(i64::from(read.letter.attempts));
        let noted = note.execute(&mut *tx).await.map_err(unavailable)?.rows_affected() == 1;
        if noted && state == Some(RequestState::Published) {
            settle(&mut tx, replay.request).await?;
        }
        tx.commit().await.map_err(unavailable)?;
        Ok(noted)
    }

    async fn discard(&self, id: LetterId) -> Result<bool> {
        let remove = sql("DELETE FROM dead_letters WHERE id = $1").bind(id.to_string());
        Ok(remove.execute(self.writer()).await.map_err(unavailable)?.rows_affected() == 1)
    }

    async fn unbury(&self, key: &str, function: &str) -> Result<bool> {
        let remove = sql("DELETE FROM dead_letters WHERE key = $1 AND function = $2")
            .bind(text(key))
            .bind(text(function));
        Ok(remove.execute(self.writer()).await.map_err(unavailable)?.rows_affected() == 1)
    }
}
