//! The audit log. Who appends holds a lock from the reading of the head to the end of the transaction: the chain never forks.

use async_trait::async_trait;
use ohx_domain::Instant;
use ohx_store::{AUDIT_BEGINNING, Audit, AuditEntry, AuditFilter, AuditHead, NewAudit, Result};

use super::columns::Columns;
use super::values::{lock, micros, text};
use super::{sql, unavailable};
use crate::{Engine, dialect};

const TABLE: &str = "audit_log";

macro_rules! columns {
    () => {
        "seq, at, actor, action, subject, detail, previous, hash"
    };
}

fn entry(row: &Columns<'_>) -> Result<AuditEntry> {
    Ok(AuditEntry {
        seq: row.get("seq")?,
        at: row.instant("at")?,
        what: NewAudit {
            actor: row.get("actor")?,
            action: row.get("action")?,
            subject: row.get("subject")?,
            detail: row.get("detail")?,
        },
        previous: row.digest("previous")?,
        hash: row.digest("hash")?,
    })
}

fn head(row: &Columns<'_>) -> Result<AuditHead> {
    Ok(AuditHead { seq: row.get("seq")?, hash: row.digest("hash")? })
}

const HEAD: &str = "SELECT seq, hash FROM audit_head WHERE id = 1";

#[async_trait]
impl Audit for Engine {
    async fn append_audit(&self, new: &NewAudit, at: Instant) -> Result<AuditEntry> {
        // As it will be read: what is hashed is what is stored.
        let what = NewAudit {
            actor: text(&new.actor).into_owned(),
            action: text(&new.action).into_owned(),
            subject: text(&new.subject).into_owned(),
            detail: text(&new.detail).into_owned(),
        };
        let mut tx = self.begin().await?;
        dialect::serialize(&mut tx, lock(TABLE)).await?;
        let row = sql(HEAD).fetch_optional(&mut *tx).await.map_err(unavailable)?;
        let before = row.map(|row| head(&Columns::new(&row, "audit_head"))).transpose()?;
        let before = before.unwrap_or(AuditHead { seq: 0, hash: AUDIT_BEGINNING });
        let entry = AuditEntry::following(before.hash, before.seq + 1, what, at);
        sql("INSERT INTO audit_log (seq, at, actor, action, subject, detail, previous, hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
        .bind(entry.seq)
        .bind(micros(entry.at))
        .bind(&entry.what.actor)
        .bind(&entry.what.action)
        .bind(&entry.what.subject)
        .bind(&entry.what.detail)
        .bind(&entry.previous[..])
        .bind(&entry.hash[..])
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
        sql("INSERT INTO audit_head (id, seq, hash) VALUES (1, $1, $2)
             ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash")
        .bind(entry.seq)
        .bind(&entry.hash[..])
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)?;
        Ok(entry)
    }

    async fn audit_entries(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>> {
        let rows = sql(concat!(
            "SELECT ",
            columns!(),
            " FROM audit_log
             WHERE seq < $1 AND ($2 IS NULL OR actor = $2) AND ($3 IS NULL OR subject = $3)
             ORDER BY seq DESC LIMIT $4"
        ))
        .bind(filter.before.unwrap_or(i64::MAX))
        .bind(filter.actor.as_deref())
        .bind(filter.subject.as_deref())
        .bind(i64::from(filter.limit.clamp(1, 1000)))
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        rows.iter().map(|row| entry(&Columns::new(row, TABLE))).collect()
    }

    async fn audit_after(&self, seq: i64, limit: u32) -> Result<Vec<AuditEntry>> {
        let rows =
            sql(concat!("SELECT ", columns!(), " FROM audit_log WHERE seq > $1 ORDER BY seq LIMIT $2"))
                .bind(seq)
                .bind(i64::from(limit.clamp(1, 1000)))
                .fetch_all(self.reader())
                .await
                .map_err(unavailable)?;
        rows.iter().map(|row| entry(&Columns::new(row, TABLE))).collect()
    }

    async fn audit_head(&self) -> Result<AuditHead> {
        let row = sql(HEAD).fetch_optional(self.reader()).await.map_err(unavailable)?;
        row.map_or(Ok(AuditHead::NONE), |row| head(&Columns::new(&row, "audit_head")))
    }
}
