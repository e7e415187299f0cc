//! Counts over all links and requests.

use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::{Counts, Instant, LinkId, LinkState, ProviderName, SyncId};
use ohx_store::{Flow, History, Overview, Result, SyncSummary};

use super::columns::Columns;
use super::values::{duration, micros, text};
use super::{sql, unavailable};
use crate::Engine;

#[async_trait]
impl Overview for Engine {
    async fn count_links(&self) -> Result<Vec<(ProviderName, LinkState, u64)>> {
        let rows = sql("SELECT provider, state, COUNT(*) AS links FROM links GROUP BY provider, state
             ORDER BY provider, state");
        let rows = rows.fetch_all(self.reader()).await.map_err(unavailable)?;
        let one = |row| {
            let row = Columns::new(row, "links");
            Ok((row.parse("provider")?, row.read("state", LinkState::parse)?, row.count("links")?))
        };
        rows.iter().map(one).collect()
    }

    async fn count_flow(&self, since: Instant) -> Result<Vec<(ProviderName, Flow, u64)>> {
        let rows = sql("SELECT provider, flow, COUNT(*) AS links FROM (
                 SELECT l.provider, CASE
                     WHEN l.refused_since IS NOT NULL OR EXISTS (
                         SELECT 1 FROM requests f WHERE f.link = l.id AND f.state = 'failed' AND f.updated_at >= $1
                             AND NOT EXISTS (
                                 SELECT 1 FROM requests g WHERE g.link = f.link AND g.record = f.record
                                     AND g.state = 'published' AND g.updated_at >= f.updated_at))
                         THEN 'failing'
                     WHEN EXISTS (
                         SELECT 1 FROM requests p WHERE p.link = l.id AND p.state = 'published' AND p.updated_at >= $1)
                         THEN 'fresh'
                     ELSE 'stale' END AS flow
                 FROM links l WHERE l.state = 'active') AS flows
             GROUP BY provider, flow ORDER BY provider, flow")
        .bind(micros(since))
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        let flow = |text: &str| match text {
            "fresh" => Some(Flow::Fresh),
            "stale" => Some(Flow::Stale),
            "failing" => Some(Flow::Failing),
            _ => None,
        };
        let one = |row| {
            let row = Columns::new(row, "links");
            Ok((row.parse("provider")?, row.read("flow", flow)?, row.count("links")?))
        };
        rows.iter().map(one).collect()
    }

    async fn count_published(&self, from: Instant, step: Duration) -> Result<Vec<(ProviderName, u64, u64)>> {
        let rows = sql("SELECT provider, step, CAST(SUM(resources) AS BIGINT) AS resources FROM (
                 SELECT l.provider, (r.updated_at - $1) / $2 AS step, r.created + r.updated AS resources
                 FROM requests r JOIN links l ON l.id = r.link
                 WHERE r.state = 'published' AND r.updated_at >= $1) AS published
             GROUP BY provider, step ORDER BY provider, step")
        .bind(micros(from))
        .bind(duration(step.max(Duration::from_secs(1))))
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        let one = |row| {
            let row = Columns::new(row, "requests");
            Ok((row.parse("provider")?, row.count("step")?, row.count("resources")?))
        };
        rows.iter().map(one).collect()
    }

    async fn syncs_of_link(
        &self,
        link: LinkId,
        before: Option<SyncId>,
        limit: u32,
    ) -> Result<Vec<SyncSummary>> {
        let rows = sql("SELECT sync, COUNT(*) AS requests,
                 CAST(SUM(CASE WHEN state IN ('requested', 'fetching', 'fetched') THEN 1 ELSE 0 END) AS BIGINT) AS open,
                 CAST(SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END) AS BIGINT) AS failed,
                 CAST(SUM(created) AS BIGINT) AS created, CAST(SUM(updated) AS BIGINT) AS updated,
                 CAST(SUM(unchanged) AS BIGINT) AS unchanged, CAST(SUM(rejected) AS BIGINT) AS rejected,
                 CAST(SUM(skipped) AS BIGINT) AS skipped,
                 MIN(requested_at) AS requested_at, MAX(updated_at) AS updated_at
             FROM requests WHERE link = $1 AND sync < $2 GROUP BY sync ORDER BY sync DESC LIMIT $3")
        .bind(link.to_string())
        // No id begins with a tilde, and all are before it.
        .bind(before.map_or_else(|| "~".to_owned(), |id| id.to_string()))
        .bind(i64::from(limit.clamp(1, 1000)))
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        let one = |row| {
            let row = Columns::new(row, "requests");
            Ok(SyncSummary {
                id: row.parse("sync")?,
                requests: row.count("requests")?,
                open: row.count("open")?,
                failed: row.count("failed")?,
                counts: Counts {
                    created: row.count("created")?,
                    updated: row.count("updated")?,
                    unchanged: row.count("unchanged")?,
                    rejected: row.count("rejected")?,
                    skipped: row.count("skipped")?,
                },
                requested_at: row.instant("requested_at")?,
                updated_at: row.instant("updated_at")?,
            })
        };
        rows.iter().map(one).collect()
    }

    async fn history_of_link(&self, link: LinkId, since: Instant) -> Result<History> {
        let row = sql("SELECT COUNT(*) AS requests,
                 CAST(COALESCE(SUM(CASE WHEN state IN ('requested', 'fetching', 'fetched') THEN 1 ELSE 0 END), 0) AS BIGINT) AS open,
                 CAST(COALESCE(SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END), 0) AS BIGINT) AS failed,
                 CAST(COALESCE(SUM(created), 0) AS BIGINT) AS created,
                 CAST(COALESCE(SUM(updated), 0) AS BIGINT) AS updated,
                 CAST(COALESCE(SUM(unchanged), 0) AS BIGINT) AS unchanged,
                 CAST(COALESCE(SUM(rejected), 0) AS BIGINT) AS rejected,
                 CAST(COALESCE(SUM(skipped), 0) AS BIGINT) AS skipped,
                 (SELECT MAX(updated_at) FROM requests WHERE link = $1 AND state = 'published') AS last_published
             FROM requests WHERE link = $1 AND reason IN ('backfill', 'reconnect') AND requested_at >= $2")
        .bind(link.to_string())
        .bind(micros(since))
        .fetch_one(self.reader())
        .await
        .map_err(unavailable)?;
        let row = Columns::new(&row, "requests");
        Ok(History {
            requests: row.count("requests")?,
            open: row.count("open")?,
            failed: row.count("failed")?,
            counts: Counts {
                created: row.count("created")?,
                updated: row.count("updated")?,
                unchanged: row.count("unchanged")?,
                rejected: row.count("rejected")?,
                skipped: row.count("skipped")?,
            },
            last_published: row.instant_optional("last_published")?,
        })
    }

    async fn cancel_sync(&self, sync: SyncId, note: &str, now: Instant) -> Result<u64> {
        let ended = sql("UPDATE requests SET state = 'failed', note = $3, updated_at = $2
             WHERE sync = $1 AND state IN ('requested', 'fetching', 'fetched') AND reason <> 'removal'")
        .bind(sync.to_string())
        .bind(micros(now))
        .bind(text(note))
        .execute(self.writer())
        .await
        .map_err(unavailable)?;
        Ok(ended.rows_affected())
    }
}
