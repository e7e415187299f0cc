//! The ledger, a page of links at a time.

use std::collections::BTreeSet;

use async_trait::async_trait;
use ohx_domain::{Instant, LinkId, Record, Request, RequestId};
use ohx_store::{Coverage, NewRequest, Planning, Result, WorkAhead};

use super::columns::Columns;
use super::requests::{TABLE, request, request_columns};
use super::values::micros;
use super::{sql, unavailable};
use crate::{Engine, dialect};

#[async_trait]
impl Planning for Engine {
    async fn open_requests_between(&self, first: LinkId, last: LinkId) -> Result<Vec<Request>> {
        let rows = sql(concat!(
            "SELECT ",
            request_columns!(),
            " FROM requests WHERE link >= $1 AND link <= $2 AND state IN ('requested', 'fetching', 'fetched')
             ORDER BY link, id"
        ))
        .bind(first.to_string())
        .bind(last.to_string())
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        rows.iter().map(|row| request(&Columns::new(row, TABLE))).collect()
    }

    async fn coverage_between(&self, first: LinkId, last: LinkId) -> Result<Vec<(LinkId, Record, Coverage)>> {
        let rows = sql(
            "SELECT link, record, published, cursor, reread FROM coverage WHERE link >= $1 AND link <= $2
             ORDER BY link, record",
        )
        .bind(first.to_string())
        .bind(last.to_string())
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        let coverage = |row| {
            let row = Columns::new(row, "coverage");
            let known = Coverage {
                published: row.parse("published")?,
                cursor: row.instant_optional("cursor")?,
                reread: row.instant_optional("reread")?,
            };
            Ok((row.parse("link")?, row.parse("record")?, known))
        };
        rows.iter().map(coverage).collect()
    }

    async fn init_cursors(&self, cursors: &[(LinkId, Record, Instant)]) -> Result<()> {
        if cursors.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        // In order: two planners of the same links must not wait for each other in a circle.
        let mut cursors: Vec<_> = cursors.iter().collect();
        cursors.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        dialect::init_cursors(&mut tx, &cursors).await?;
        tx.commit().await.map_err(unavailable)
    }

    async fn plan(
        &self,
        new: &[NewRequest],
        known: &BTreeSet<RequestId>,
        now: Instant,
    ) -> Result<BTreeSet<LinkId>> {
        let links: BTreeSet<LinkId> = new.iter().map(|request| request.link).collect();
        let (Some(first), Some(last)) = (links.first(), links.last()) else { return Ok(BTreeSet::new()) };
        let mut tx = self.begin().await?;
        dialect::lock_links(&mut tx, &links).await?;
        let rows = sql("SELECT id, link FROM requests
             WHERE link >= $1 AND link <= $2 AND state IN ('requested', 'fetching', 'fetched')")
        .bind(first.to_string())
        .bind(last.to_string())
        .fetch_all(&mut *tx)
        .await
        .map_err(unavailable)?;
        let mut taken = BTreeSet::new();
        for row in &rows {
            let row = Columns::new(row, TABLE);
            let link: LinkId = row.parse("link")?;
            if links.contains(&link) && !known.contains(&row.parse("id")?) {
                taken.insert(link);
            }
        }
        let free: Vec<_> = new.iter().filter(|request| !taken.contains(&request.link)).collect();
        dialect::insert_requests(&mut tx, &free, micros(now)).await?;
        tx.commit().await.map_err(unavailable)?;
        Ok(taken)
    }

    async fn work_ahead(&self) -> Result<Vec<WorkAhead>> {
        let rows = sql("SELECT provider, CAST(SUM(links) AS BIGINT) AS links, CAST(SUM(waiting) AS BIGINT) AS waiting
             FROM (SELECT provider, COUNT(*) AS links, 0 AS waiting FROM links WHERE state = 'active' GROUP BY provider
                   UNION ALL
                   SELECT l.provider, 0, COUNT(*) FROM requests r JOIN links l ON l.id = r.link
                   WHERE r.state IN ('requested', 'fetching') GROUP BY l.provider) AS ahead
             GROUP BY provider ORDER BY provider")
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        let ahead = |row| {
            let row = Columns::new(row, "links");
            Ok(WorkAhead {
                provider: row.parse("provider")?,
                links: row.count("links")?,
                waiting: row.count("waiting")?,
            })
        };
        rows.iter().map(ahead).collect()
    }
}
