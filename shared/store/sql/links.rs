//! Links: consents, states and what is destroyed when they end.

use async_trait::async_trait;
use ohx_domain::{Destination, EhrName, Instant, Link, LinkId, LinkState, PatientReference, PushState};
use ohx_store::{Connection, ConsentNeed, LinkFilter, Links, Result};

use super::columns::Columns;
use super::errors::{conflict, conflict_or_unavailable, not_found};
use super::values::{json, later, micros, text};
use super::{sql, unavailable};
use crate::{Engine, dialect};

const TABLE: &str = "links";
const DAY: i64 = 86_400_000_000;

macro_rules! columns {
    () => {
        "id, provider, ehr, patient, also, state, state_reason, backfill_days, scopes, history_start, push, data_key, \
         created_at, connected_at, state_code, state_since, created_by, success_url, error_url"
    };
}

fn link(row: &Columns<'_>) -> Result<Link> {
    Ok(Link {
        id: row.parse("id")?,
        provider: row.parse("provider")?,
        ehr: row.parse("ehr")?,
        patient: row.parse("patient")?,
        also: row.json("also")?,
        state: row.read("state", LinkState::parse)?,
        state_reason: row.get("state_reason")?,
        state_code: row.get("state_code")?,
        state_since: row.instant_optional("state_since")?,
        backfill_days: row.count("backfill_days")?,
        account: None,
        scopes: row.json("scopes")?,
        history_start: row.instant_optional("history_start")?,
        push: row.json("push")?,
        data_key: row.get("data_key")?,
        created_at: row.instant("created_at")?,
        connected_at: row.instant_optional("connected_at")?,
        created_by: row.get("created_by")?,
        success_url: row.get("success_url")?,
        error_url: row.get("error_url")?,
    })
}

/// Everywhere that the readings of a link go.
fn destinations(row: &Columns<'_>) -> Result<Vec<Destination>> {
    let mut all: Vec<Destination> = row.json("also")?;
    all.push(Destination { ehr: row.parse("ehr")?, patient: row.parse("patient")? });
    Ok(all)
}

/// The lock that decides between two consents with the same account. Different accounts may share it by chance.
fn account_lock(account_digest: &[u8; 32]) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = *account_digest;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl Engine {
    async fn change_link(&self, id: LinkId, change: super::Statement<'_>) -> Result<()> {
        let changed = change.execute(self.writer()).await.map_err(unavailable)?;
        if changed.rows_affected() == 0 { Err(not_found("link", id)) } else { Ok(()) }
    }
}

#[async_trait]
impl Links for Engine {
    async fn insert_link(&self, link: &Link) -> Result<()> {
        sql("INSERT INTO links (id, provider, ehr, patient, state, state_reason, backfill_days, scopes,
                 history_start, push, data_key, created_at, connected_at, also, created_by, success_url, error_url)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)")
        .bind(link.id.to_string())
        .bind(link.provider.as_str())
        .bind(link.ehr.as_str())
        .bind(link.patient.as_str())
        .bind(link.state.as_str())
        .bind(link.state_reason.as_deref().map(text))
        .bind(i64::from(link.backfill_days))
        .bind(json(&link.scopes, TABLE, "scopes")?)
        .bind(link.history_start.map(micros))
        .bind(json(&link.push, TABLE, "push")?)
        .bind(link.data_key.as_deref())
        .bind(micros(link.created_at))
        .bind(link.connected_at.map(micros))
        .bind(json(&link.also, TABLE, "also")?)
        .bind(link.created_by.as_deref().map(text))
        .bind(link.success_url.as_deref())
        .bind(link.error_url.as_deref())
        .execute(self.writer())
        .await
        .map_err(conflict_or_unavailable("a new link's id"))?;
        Ok(())
    }

    async fn link(&self, id: LinkId) -> Result<Option<Link>> {
        let one = sql(concat!("SELECT ", columns!(), " FROM links WHERE id = $1")).bind(id.to_string());
        let row = one.fetch_optional(self.reader()).await.map_err(unavailable)?;
        row.map(|row| link(&Columns::new(&row, TABLE))).transpose()
    }

    async fn links(&self, filter: &LinkFilter) -> Result<Vec<Link>> {
        let rows = sql(concat!(
            "SELECT ",
            columns!(),
            " FROM links
             WHERE id > $1 AND ($2 IS NULL OR provider = $2) AND ($3 IS NULL OR patient = $3)
                 AND ($4 IS NULL OR state = $4)
                 AND ($6 IS NULL OR (ehr = $6 AND also = '[]')) AND ($7 IS NULL OR created_by = $7)
             ORDER BY id LIMIT $5"
        ))
        .bind(filter.after.map_or_else(String::new, |id| id.to_string()))
        .bind(filter.provider.as_ref().map(|p| p.as_str()))
        .bind(filter.patient.as_ref().map(PatientReference::as_str))
        .bind(filter.state.map(LinkState::as_str))
        .bind(i64::from(filter.limit.clamp(1, 1000)))
        .bind(filter.within.ehr.as_ref().map(|ehr| ehr.as_str()))
        .bind(filter.within.created_by.as_deref())
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        rows.iter().map(|row| link(&Columns::new(row, TABLE))).collect()
    }

    async fn connect(&self, id: LinkId, connection: &Connection) -> Result<()> {
        let mut tx = self.begin().await?;
        // Two patients may consent with one account at the same moment; neither row exists for the other to lock.
        dialect::serialize(&mut tx, account_lock(&connection.account_digest)).await?;
        let held = sql(concat!(
            "SELECT ehr, patient, also, backfill_days, history_start FROM links WHERE id = $1",
            for_update!()
        ))
        .bind(id.to_string())
        .fetch_optional(&mut *tx)
        .await
        .map_err(unavailable)?
        .ok_or_else(|| not_found("link", id))?;
        let held = Columns::new(&held, TABLE);
        let wanted = destinations(&held)?;
        let others = sql("SELECT ehr, patient, also FROM links
             WHERE account_digest = $1 AND id <> $2 AND state IN ('active', 'reauthorization-required')")
        .bind(&connection.account_digest[..])
        .bind(id.to_string())
        .fetch_all(&mut *tx)
        .await
        .map_err(unavailable)?;
        let mut taken = Vec::new();
        for row in &others {
            taken.extend(destinations(&Columns::new(row, TABLE))?);
        }
        if taken.iter().any(|one| wanted.iter().any(|own| own.ehr == one.ehr && own.patient != one.patient)) {
            let what =
                "the account (a link of another patient at the same EHR holds it: disconnect that one first)";
            return Err(conflict(what));
        }

        let backfill = i64::from(held.count::<u32>("backfill_days")?).saturating_mul(DAY);
        let history_start = held
            .instant_optional("history_start")?
            .or(connection.history_start)
            .unwrap_or_else(|| later(connection.at, -backfill));
        sql("UPDATE links SET state = 'active', state_reason = NULL, state_code = NULL, state_since = $10,
                 refreshed_at = $10, refused_since = NULL, refused_at = NULL, sealed_account = $2, account_digest = $3,
                 scopes = $4, data_key = $5, sealed_tokens = $6, tokens_expire_at = $7,
                 token_version = token_version + 1, history_start = $8, push = $9, connected_at = $10
             WHERE id = $1")
            .bind(id.to_string())
            .bind(&connection.sealed_account[..])
            .bind(&connection.account_digest[..])
            .bind(json(&connection.scopes, TABLE, "scopes")?)
            .bind(&connection.data_key[..])
            .bind(&connection.sealed_tokens[..])
            .bind(micros(connection.tokens_expire_at))
            .bind(micros(history_start))
            .bind(json(&PushState::Unknown, TABLE, "push")?)
            .bind(micros(connection.at))
            .execute(&mut *tx)
            .await
            .map_err(unavailable)?;
        super::requests::close_open(&mut tx, id, connection.at).await?;
        tx.commit().await.map_err(unavailable)
    }

    async fn sealed_account(&self, id: LinkId) -> Result<Option<Vec<u8>>> {
        let one = sql("SELECT sealed_account FROM links WHERE id = $1").bind(id.to_string());
        let row = one.fetch_optional(self.reader()).await.map_err(unavailable)?;
        row.map_or(Ok(None), |row| Columns::new(&row, TABLE).get("sealed_account"))
    }

    async fn links_of_account(&self, account_digest: &[u8; 32]) -> Result<Vec<LinkId>> {
        let rows = sql("SELECT id FROM links
             WHERE account_digest = $1 AND state IN ('active', 'reauthorization-required') ORDER BY id")
        .bind(&account_digest[..])
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        rows.iter().map(|row| Columns::new(row, TABLE).parse("id")).collect()
    }

    async fn require_consent(&self, id: LinkId, version: i64, need: &ConsentNeed<'_>) -> Result<bool> {
        let moved =
            sql("UPDATE links SET state = 'reauthorization-required', state_code = $3, state_reason = $4,
                 state_since = $5
             WHERE id = $1 AND token_version = $2 AND state = 'active'")
            .bind(id.to_string())
            .bind(version)
            .bind(text(need.code))
            .bind(text(need.reason))
            .bind(micros(need.since))
            .execute(self.writer())
            .await
            .map_err(unavailable)?;
        Ok(moved.rows_affected() == 1)
    }

    async fn extend_history(&self, id: LinkId, start: Instant) -> Result<bool> {
        let moved = sql("UPDATE links SET history_start = $2 WHERE id = $1 AND history_start > $2")
            .bind(id.to_string())
            .bind(micros(start))
            .execute(self.writer())
            .await
            .map_err(unavailable)?;
        Ok(moved.rows_affected() == 1)
    }

    async fn set_link_state(&self, id: LinkId, state: LinkState, reason: Option<&str>) -> Result<()> {
        let change = if state == LinkState::Disconnected {
            sql("UPDATE links SET state = $2, state_reason = $3, state_code = NULL, state_since = NULL, data_key = NULL, sealed_tokens = NULL,
                     tokens_expire_at = NULL, sealed_account = NULL, account_digest = NULL
                 WHERE id = $1")
        } else {
            sql(
                "UPDATE links SET state = $2, state_reason = $3, state_code = NULL, state_since = NULL WHERE id = $1",
            )
        };
        self.change_link(id, change.bind(id.to_string()).bind(state.as_str()).bind(reason.map(text))).await?;
        if state == LinkState::Disconnected {
            dialect::forget(self).await;
        }
        Ok(())
    }

    async fn set_push_state(&self, id: LinkId, push: &PushState) -> Result<()> {
        let push = json(push, TABLE, "push")?;
        self.change_link(id, sql("UPDATE links SET push = $2 WHERE id = $1").bind(id.to_string()).bind(push))
            .await
    }

    async fn active_links(&self, after: Option<LinkId>, limit: u32) -> Result<Vec<LinkId>> {
        let rows = sql("SELECT id FROM links WHERE state = 'active' AND id > $1 ORDER BY id LIMIT $2")
            .bind(after.map_or_else(String::new, |id| id.to_string()))
            .bind(i64::from(limit))
            .fetch_all(self.reader())
            .await
            .map_err(unavailable)?;
        rows.iter().map(|row| Columns::new(row, TABLE).parse("id")).collect()
    }

    async fn resolved_patient(
        &self,
        ehr: &EhrName,
        patient: &PatientReference,
    ) -> Result<Option<PatientReference>> {
        let row = sql("SELECT reference FROM resolved_patients WHERE ehr = $1 AND patient = $2")
            .bind(ehr.as_str())
            .bind(patient.as_str())
            .fetch_optional(self.reader())
            .await
            .map_err(unavailable)?;
        row.map(|row| Columns::new(&row, "resolved_patients").parse("reference")).transpose()
    }

    async fn keep_resolved_patient(
        &self,
        ehr: &EhrName,
        patient: &PatientReference,
        reference: &PatientReference,
        at: Instant,
    ) -> Result<()> {
        sql("INSERT INTO resolved_patients (ehr, patient, reference, resolved_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (ehr, patient) DO UPDATE SET reference = excluded.reference, resolved_at = excluded.resolved_at")
        .bind(ehr.as_str())
        .bind(patient.as_str())
        .bind(reference.as_str())
        .bind(micros(at))
        .execute(self.writer())
        .await
        .map_err(unavailable)?;
        Ok(())
    }
}
