//! Signing keys. What follows from which keys there are is decided under one lock: a key may not be there yet.

use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::{Instant, SigningAlgorithm};
use ohx_store::{NewSigningKey, Result, Signing, StoredSigningKey};

use super::columns::Columns;
use super::errors::{conflict, conflict_or_unavailable, not_found};
use super::values::{duration, lock, micros};
use super::{Transaction, sql, unavailable};
use crate::{Engine, dialect};

const TABLE: &str = "signing_keys";

fn key(row: &Columns<'_>) -> Result<StoredSigningKey> {
    Ok(StoredSigningKey {
        kid: row.get("kid")?,
        algorithm: row.read("algorithm", SigningAlgorithm::parse)?,
        sealed: row.get("sealed_key")?,
        public_jwk: row.get("public_jwk")?,
        created_at: row.instant("created_at")?,
        signs_from: row.instant("signs_from")?,
        retired_at: row.instant_optional("retired_at")?,
    })
}

/// How many keys of an algorithm are shown, but for one.
async fn others_shown(tx: &mut Transaction, algorithm: &str, kid: &str, now: Instant) -> Result<i64> {
    let row = sql("SELECT COUNT(*) AS others FROM signing_keys
         WHERE algorithm = $1 AND kid <> $2 AND (retired_at IS NULL OR retired_at > $3)")
    .bind(algorithm)
    .bind(kid)
    .bind(micros(now))
    .fetch_one(&mut **tx)
    .await
    .map_err(unavailable)?;
    Columns::new(&row, TABLE).get("others")
}

/// Destroys what nothing is signed with any more.
async fn destroy(tx: &mut Transaction, now: Instant) -> Result<bool> {
    let destroyed =
        sql("UPDATE signing_keys SET sealed_key = NULL WHERE retired_at <= $1 AND sealed_key IS NOT NULL")
            .bind(micros(now))
            .execute(&mut **tx)
            .await
            .map_err(unavailable)?;
    Ok(destroyed.rows_affected() > 0)
}

#[async_trait]
impl Signing for Engine {
    async fn add_signing_key(
        &self,
        key: &NewSigningKey,
        overlap: Duration,
        only_first: bool,
        now: Instant,
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        dialect::serialize(&mut tx, lock(TABLE)).await?;
        let algorithm = key.algorithm.as_str();
        let first = others_shown(&mut tx, algorithm, &key.kid, now).await? == 0;
        if only_first && !first {
            return Ok(false);
        }
        let now_micros = micros(now);
        let signs_from = if first { now_micros } else { now_micros.saturating_add(duration(overlap)) };
        sql("UPDATE signing_keys SET retired_at = $2 WHERE algorithm = $1 AND retired_at IS NULL")
            .bind(algorithm)
            .bind(signs_from.saturating_add(duration(overlap)))
            .execute(&mut *tx)
            .await
            .map_err(unavailable)?;
        sql("INSERT INTO signing_keys (kid, algorithm, sealed_key, public_jwk, created_at, signs_from)
             VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(&key.kid)
        .bind(algorithm)
        .bind(&key.sealed)
        .bind(&key.public_jwk)
        .bind(now_micros)
        .bind(signs_from)
        .execute(&mut *tx)
        .await
        .map_err(conflict_or_unavailable("a new signing key's id"))?;
        let destroyed = destroy(&mut tx, now).await?;
        tx.commit().await.map_err(unavailable)?;
        if destroyed {
            dialect::forget(self).await;
        }
        Ok(true)
    }

    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>> {
        let rows = sql("SELECT kid, algorithm, sealed_key, public_jwk, created_at, signs_from, retired_at
             FROM signing_keys ORDER BY created_at, kid")
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        rows.iter().map(|row| key(&Columns::new(row, TABLE))).collect()
    }

    async fn retire_signing_key(&self, kid: &str, now: Instant) -> Result<()> {
        let mut tx = self.begin().await?;
        dialect::serialize(&mut tx, lock(TABLE)).await?;
        let row = sql("SELECT algorithm FROM signing_keys WHERE kid = $1")
            .bind(kid)
            .fetch_optional(&mut *tx)
            .await
            .map_err(unavailable)?
            .ok_or_else(|| not_found("signing key", kid))?;
        let algorithm: String = Columns::new(&row, TABLE).get("algorithm")?;
        if others_shown(&mut tx, &algorithm, kid, now).await? == 0 {
            return Err(conflict(format!("retiring {kid}, the only key for {algorithm},")));
        }
        // One that was retired earlier stays so.
        sql("UPDATE signing_keys SET retired_at = $2 WHERE kid = $1 AND (retired_at IS NULL OR retired_at > $2)")
            .bind(kid)
            .bind(micros(now))
            .execute(&mut *tx)
            .await
            .map_err(unavailable)?;
        // Was it to take the place of others, the newest of them stays after all.
        sql("UPDATE signing_keys SET retired_at = NULL WHERE kid =
                 (SELECT kid FROM signing_keys WHERE algorithm = $1 AND retired_at > $2
                  ORDER BY signs_from DESC, kid LIMIT 1)
             AND NOT EXISTS (SELECT 1 FROM signing_keys WHERE algorithm = $1 AND retired_at IS NULL)")
        .bind(&algorithm)
        .bind(micros(now))
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
        destroy(&mut tx, now).await?;
        tx.commit().await.map_err(unavailable)?;
        dialect::forget(self).await;
        Ok(())
    }
}
