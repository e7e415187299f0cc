//! Calls that are done once.

use async_trait::async_trait;
use ohx_domain::Instant;
use ohx_store::{Begun, Idempotency, NewCall, Result};

use super::columns::Columns;
use super::values::{micros, text};
use super::{sql, unavailable};
use crate::Engine;

const TABLE: &str = "idempotency";

#[async_trait]
impl Idempotency for Engine {
    async fn begin_call(&self, call: &NewCall<'_>, now: Instant) -> Result<Begun> {
        let mut tx = self.begin().await?;
        let expired = sql("DELETE FROM idempotency WHERE expires_at <= $1").bind(micros(now));
        expired.execute(&mut *tx).await.map_err(unavailable)?;
        // One of several at once adds the row; the others wait for it to be there.
        let added = sql("INSERT INTO idempotency (digest, fingerprint, holder, until, expires_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (digest) DO NOTHING")
        .bind(&call.digest[..])
        .bind(&call.fingerprint[..])
        .bind(text(call.holder))
        .bind(micros(call.until))
        .bind(micros(call.expires_at))
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
        let begun = if added.rows_affected() == 1 {
            Begun::Yours
        } else {
            let row = sql(concat!(
                "SELECT fingerprint, until, answer FROM idempotency WHERE digest = $1",
                for_update!()
            ))
            .bind(&call.digest[..])
            .fetch_optional(&mut *tx)
            .await
            .map_err(unavailable)?;
            // Given up between the two statements: the caller has to ask again in a moment.
            let Some(row) = row else { return Ok(Begun::UnderWay(now)) };
            let row = Columns::new(&row, TABLE);
            let (fingerprint, answer): (Vec<u8>, Option<Vec<u8>>) =
                (row.get("fingerprint")?, row.get("answer")?);
            let until = row.instant("until")?;
            if fingerprint != call.fingerprint {
                Begun::Another
            } else if let Some(answer) = answer {
                Begun::Answered(answer)
            } else if until > now {
                Begun::UnderWay(until)
            } else {
                sql("UPDATE idempotency SET holder = $2, until = $3, expires_at = $4 WHERE digest = $1")
                    .bind(&call.digest[..])
                    .bind(text(call.holder))
                    .bind(micros(call.until))
                    .bind(micros(call.expires_at))
                    .execute(&mut *tx)
                    .await
                    .map_err(unavailable)?;
                Begun::Yours
            }
        };
        tx.commit().await.map_err(unavailable)?;
        Ok(begun)
    }

    async fn finish_call(&self, digest: &[u8; 32], holder: &str, sealed_answer: &[u8]) -> Result<bool> {
        let kept =
            sql("UPDATE idempotency SET answer = $3 WHERE digest = $1 AND holder = $2 AND answer IS NULL")
                .bind(&digest[..])
                .bind(text(holder))
                .bind(sealed_answer)
                .execute(self.writer())
                .await
                .map_err(unavailable)?;
        Ok(kept.rows_affected() == 1)
    }

    async fn give_up_call(&self, digest: &[u8; 32], holder: &str) -> Result<bool> {
        let gone = sql("DELETE FROM idempotency WHERE digest = $1 AND holder = $2 AND answer IS NULL")
            .bind(&digest[..])
            .bind(text(holder))
            .execute(self.writer())
            .await
            .map_err(unavailable)?;
        Ok(gone.rows_affected() == 1)
    }
}
