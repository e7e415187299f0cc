//! Grants that a provider refuses, and apps of which it refuses many at once.

use std::time::Duration;

use ohx_domain::{Instant, LinkId, ProviderName};
use ohx_store::{OutageGate, Refusals, Result, Witnesses};

use super::columns::Columns;
use super::values::{duration, micros};
use super::{sql, unavailable};
use crate::Engine;

const TABLE: &str = "outages";

pub(super) async fn note(
    engine: &Engine,
    link: LinkId,
    version: i64,
    now: Instant,
    witnesses: Witnesses,
) -> Result<Option<Refusals>> {
    let mut tx = engine.begin().await?;
    let rows = sql("UPDATE links SET refused_since = COALESCE(refused_since, $3), refused_at = $3
         WHERE id = $1 AND token_version = $2 AND state = 'active' RETURNING provider, refused_since")
    .bind(link.to_string())
    .bind(version)
    .bind(micros(now))
    .fetch_all(&mut *tx)
    .await
    .map_err(unavailable)?;
    let Some(row) = rows.first() else { return Ok(None) };
    let row = Columns::new(row, "links");
    let (provider, since): (&str, Instant) = (row.get("provider")?, row.instant("refused_since")?);
    // Bounded: an app may have a million links, and only the first few decide.
    let counts = sql("SELECT
             (SELECT COUNT(*) FROM (SELECT 1 AS one FROM links
                 WHERE provider = $1 AND refused_at >= $2 AND state = 'active' LIMIT 1000) AS a) AS refused,
             (SELECT COUNT(*) FROM (SELECT 1 AS one FROM links
                 WHERE provider = $1 AND refreshed_at >= $2 AND refreshed_at <= $5 AND refused_at IS NULL
                 LIMIT 1000) AS b) AS refreshed,
             (SELECT COUNT(*) FROM (SELECT 1 AS one FROM links
                 WHERE provider = $1 AND refreshed_at > $3 AND refreshed_at <= $5 AND refused_at IS NULL AND id <> $4
                 LIMIT 1) AS c) AS vouched,
             (SELECT COUNT(*) FROM (SELECT 1 AS one FROM links
                 WHERE provider = $1 AND state = 'active' LIMIT 1000) AS d) AS active,
             (SELECT since FROM outages WHERE app = $1) AS outage")
    .bind(provider)
    .bind(micros(witnesses.since))
    .bind(micros(since))
    .bind(link.to_string())
    .bind(micros(witnesses.settled))
    .fetch_one(&mut *tx)
    .await
    .map_err(unavailable)?;
    let counts = Columns::new(&counts, "links");
    let refusals = Refusals {
        since,
        refused: counts.count("refused")?,
        refreshed: counts.count("refreshed")?,
        vouched: counts.get::<i64>("vouched")? > 0,
        active: counts.count("active")?,
        outage: counts.instant_optional("outage")?,
    };
    tx.commit().await.map_err(unavailable)?;
    Ok(Some(refusals))
}

pub(super) async fn trust(engine: &Engine, link: LinkId) -> Result<bool> {
    let mut tx = engine.begin().await?;
    let rows =
        sql("UPDATE links SET refused_since = NULL, refused_at = NULL WHERE id = $1 RETURNING provider")
            .bind(link.to_string())
            .fetch_all(&mut *tx)
            .await
            .map_err(unavailable)?;
    let mut ended = false;
    if let Some(row) = rows.first() {
        let provider: &str = Columns::new(row, "links").get("provider")?;
        let end = sql("DELETE FROM outages WHERE app = $1").bind(provider).execute(&mut *tx).await;
        ended = end.map_err(unavailable)?.rows_affected() == 1;
        if ended {
            // Past those that somebody is busy with: two who wait for each other's rows would wait for ever.
            sql(concat!(
                "UPDATE links SET refused_since = NULL, refused_at = NULL WHERE id IN
                     (SELECT id FROM links WHERE provider = $1 AND refused_at IS NOT NULL ORDER BY id",
                skip_locked!(),
                ")"
            ))
            .bind(provider)
            .execute(&mut *tx)
            .await
            .map_err(unavailable)?;
        }
    }
    tx.commit().await.map_err(unavailable)?;
    Ok(ended)
}

pub(super) async fn gate(
    engine: &Engine,
    app: &ProviderName,
    now: Instant,
    pause: Duration,
) -> Result<OutageGate> {
    let known = sql("SELECT look_at FROM outages WHERE app = $1")
        .bind(app.as_str())
        .fetch_optional(engine.reader())
        .await
        .map_err(unavailable)?;
    let Some(known) = known else { return Ok(OutageGate::Open) };
    let look_at = Columns::new(&known, TABLE).instant("look_at")?;
    let wait = Duration::try_from(look_at.duration_since(now)).unwrap_or(Duration::ZERO);
    if !wait.is_zero() {
        return Ok(OutageGate::Wait(wait));
    }
    let taken = sql("UPDATE outages SET look_at = $2 WHERE app = $1 AND look_at <= $3")
        .bind(app.as_str())
        .bind(micros(now).saturating_add(duration(pause)))
        .bind(micros(now))
        .execute(engine.writer())
        .await
        .map_err(unavailable)?;
    Ok(if taken.rows_affected() == 1 { OutageGate::Probe } else { OutageGate::Wait(pause) })
}

pub(super) async fn begin(
    engine: &Engine,
    app: &ProviderName,
    now: Instant,
    pause: Duration,
) -> Result<bool> {
    let begun =
        sql("INSERT INTO outages (app, since, look_at) VALUES ($1, $2, $3) ON CONFLICT (app) DO NOTHING")
            .bind(app.as_str())
            .bind(micros(now))
            .bind(micros(now).saturating_add(duration(pause)))
            .execute(engine.writer())
            .await
            .map_err(unavailable)?;
    Ok(begun.rows_affected() == 1)
}
