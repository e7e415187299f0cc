//! The ends of links: what is destroyed and what is left to do are written together.

use async_trait::async_trait;
use ohx_domain::{Instant, LinkId};
use ohx_store::{Erasure, ErasureReport, Erasures, Result};

use super::columns::Columns;
use super::errors::{conflict_or_unavailable, not_found};
use super::values::{json, micros, text};
use super::{sql, unavailable};
use crate::{Engine, dialect};

const TABLE: &str = "erasures";

fn erasure(row: &Columns<'_>) -> Result<Erasure> {
    Ok(Erasure {
        link: row.parse("link")?,
        seq: row.count("seq")?,
        version: row.get("version")?,
        report: row.json("report")?,
        sealed_grant: row.get("sealed_grant")?,
        begun_at: row.instant("begun_at")?,
        updated_at: row.instant("updated_at")?,
        done_at: row.instant_optional("done_at")?,
    })
}

#[async_trait]
impl Erasures for Engine {
    async fn begin_erasure(
        &self,
        link: LinkId,
        report: &ErasureReport,
        sealed_grant: Option<&[u8]>,
        now: Instant,
    ) -> Result<Erasure> {
        let mut tx = self.begin().await?;
        // The link's row is the lock: of two who end one link at once the second finds it ended, and gets the first one's row.
        let changed = sql("UPDATE links SET state = 'disconnected', state_reason = $2, state_code = NULL, state_since = NULL,
                 data_key = NULL, sealed_tokens = NULL, tokens_expire_at = NULL, sealed_account = NULL, account_digest = NULL
             WHERE id = $1 AND state <> 'disconnected'")
        .bind(link.to_string())
        .bind(text(&report.reason))
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
        if changed.rows_affected() == 0 {
            let known =
                sql(concat!("SELECT id FROM links WHERE id = $1", for_update!())).bind(link.to_string());
            if known.fetch_optional(&mut *tx).await.map_err(unavailable)?.is_none() {
                return Err(not_found("link", link));
            }
            let last = sql("SELECT link, seq, version, report, sealed_grant, begun_at, updated_at, done_at
                 FROM erasures WHERE link = $1 ORDER BY seq DESC LIMIT 1")
            .bind(link.to_string());
            if let Some(row) = last.fetch_optional(&mut *tx).await.map_err(unavailable)? {
                return erasure(&Columns::new(&row, TABLE));
            }
        }
        let rows =
            sql("INSERT INTO erasures (link, seq, version, report, sealed_grant, begun_at, updated_at)
             SELECT $1, COALESCE(MAX(seq), 0) + 1, 1, $2, $3, $4, $4 FROM erasures WHERE link = $1
             RETURNING link, seq, version, report, sealed_grant, begun_at, updated_at, done_at")
            .bind(link.to_string())
            .bind(json(report, TABLE, "report")?)
            .bind(sealed_grant)
            .bind(micros(now))
            .fetch_all(&mut *tx)
            .await
            .map_err(conflict_or_unavailable("the end of a link"))?;
        let begun = rows.first().ok_or_else(|| not_found("link", link))?;
        let begun = erasure(&Columns::new(begun, TABLE))?;
        tx.commit().await.map_err(unavailable)?;
        dialect::forget(self).await;
        Ok(begun)
    }

    async fn erasure(&self, link: LinkId) -> Result<Option<Erasure>> {
        let row = sql("SELECT link, seq, version, report, sealed_grant, begun_at, updated_at, done_at
             FROM erasures WHERE link = $1 ORDER BY seq DESC LIMIT 1")
        .bind(link.to_string())
        .fetch_optional(self.reader())
        .await
        .map_err(unavailable)?;
        row.map(|row| erasure(&Columns::new(&row, TABLE))).transpose()
    }

    async fn save_erasure(&self, erasure: &Erasure, now: Instant) -> Result<bool> {
        let saved = sql("UPDATE erasures SET version = version + 1, report = $4, sealed_grant = $5, updated_at = $6, done_at = $7
             WHERE link = $1 AND seq = $2 AND version = $3")
        .bind(erasure.link.to_string())
        .bind(i64::from(erasure.seq))
        .bind(erasure.version)
        .bind(json(&erasure.report, TABLE, "report")?)
        .bind(erasure.sealed_grant.as_deref())
        .bind(micros(now))
        .bind(erasure.done_at.map(micros))
        .execute(self.writer())
        .await
        .map_err(unavailable)?;
        if erasure.sealed_grant.is_none() {
            dialect::forget(self).await;
        }
        Ok(saved.rows_affected() == 1)
    }

    async fn open_erasures(&self, after: Option<LinkId>, limit: u32) -> Result<Vec<LinkId>> {
        let rows = sql(
            "SELECT DISTINCT link FROM erasures WHERE done_at IS NULL AND link > $1 ORDER BY link LIMIT $2",
        )
        .bind(after.map_or_else(String::new, |id| id.to_string()))
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        rows.iter().map(|row| Columns::new(row, TABLE).parse("link")).collect()
    }
}
