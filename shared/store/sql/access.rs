//! The API's keys.

use async_trait::async_trait;
use ohx_domain::{ApiKeyId, Instant, Role};
use ohx_store::{ApiKeys, NewApiKey, Result, StoredApiKey};

use super::columns::Columns;
use super::errors::{conflict_or_unavailable, not_found};
use super::values::{micros, text};
use super::{sql, unavailable};
use crate::Engine;

const TABLE: &str = "api_keys";
const MINUTE: i64 = 60_000_000;

macro_rules! columns {
    () => {
        "id, name, digest, role, ehr, own_links, created_by, created_at, expires_at, last_used_at, revoked_at"
    };
}

fn key(row: &Columns<'_>) -> Result<StoredApiKey> {
    Ok(StoredApiKey {
        key: NewApiKey {
            id: row.parse("id")?,
            name: row.get("name")?,
            digest: row.digest("digest")?,
            role: row.read("role", Role::parse)?,
            ehr: row.parse_optional("ehr")?,
            own_links: row.count::<u8>("own_links")? != 0,
            created_by: row.get("created_by")?,
            expires_at: row.instant_optional("expires_at")?,
        },
        created_at: row.instant("created_at")?,
        last_used_at: row.instant_optional("last_used_at")?,
        revoked_at: row.instant_optional("revoked_at")?,
    })
}

#[async_trait]
impl ApiKeys for Engine {
    async fn add_api_key(&self, key: &NewApiKey, now: Instant) -> Result<()> {
        sql("INSERT INTO api_keys (id, name, digest, role, ehr, own_links, created_by, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(key.id.to_string())
        .bind(text(&key.name))
        .bind(&key.digest[..])
        .bind(key.role.as_str())
        .bind(key.ehr.as_ref().map(|ehr| ehr.as_str()))
        .bind(i64::from(key.own_links))
        .bind(text(&key.created_by))
        .bind(micros(now))
        .bind(key.expires_at.map(micros))
        .execute(self.writer())
        .await
        .map_err(conflict_or_unavailable("a new API key"))?;
        Ok(())
    }

    async fn api_key_by_digest(&self, digest: &[u8; 32]) -> Result<Option<StoredApiKey>> {
        let one = sql(concat!("SELECT ", columns!(), " FROM api_keys WHERE digest = $1")).bind(&digest[..]);
        let row = one.fetch_optional(self.reader()).await.map_err(unavailable)?;
        row.map(|row| key(&Columns::new(&row, TABLE))).transpose()
    }

    async fn api_key(&self, id: ApiKeyId) -> Result<Option<StoredApiKey>> {
        let one = sql(concat!("SELECT ", columns!(), " FROM api_keys WHERE id = $1")).bind(id.to_string());
        let row = one.fetch_optional(self.reader()).await.map_err(unavailable)?;
        row.map(|row| key(&Columns::new(&row, TABLE))).transpose()
    }

    async fn api_keys(&self, after: Option<ApiKeyId>, limit: u32) -> Result<Vec<StoredApiKey>> {
        let rows = sql(concat!("SELECT ", columns!(), " FROM api_keys WHERE id > $1 ORDER BY id LIMIT $2"))
            .bind(after.map_or_else(String::new, |id| id.to_string()))
            .bind(i64::from(limit.clamp(1, 1000)))
            .fetch_all(self.reader())
            .await
            .map_err(unavailable)?;
        rows.iter().map(|row| key(&Columns::new(row, TABLE))).collect()
    }

    async fn note_api_key_use(&self, id: ApiKeyId, now: Instant) -> Result<()> {
        sql("UPDATE api_keys SET last_used_at = $2
             WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $2 - $3)")
        .bind(id.to_string())
        .bind(micros(now))
        .bind(MINUTE)
        .execute(self.writer())
        .await
        .map_err(unavailable)?;
        Ok(())
    }

    async fn revoke_api_key(&self, id: ApiKeyId, now: Instant) -> Result<bool> {
        let revoked = sql("UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
            .bind(id.to_string())
            .bind(micros(now))
            .execute(self.writer())
            .await
            .map_err(unavailable)?;
        match (revoked.rows_affected(), self.api_key(id).await?) {
            (1.., _) => Ok(true),
            (0, Some(_)) => Ok(false),
            (0, None) => Err(not_found("API key", id)),
        }
    }
}
