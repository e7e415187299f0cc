//! The coverage ledger: the steps that concern one table. Adding is in `requests`, completing in `progress`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use ohx_domain::{Instant, LinkId, Record, Request, RequestId, RunId, SyncId};
use ohx_store::{
    Acknowledgement, Coverage, Ledger, NewRequest, OpenRequests, Progress, Requested, RequestsOfRecord,
    Result,
};

use super::columns::Columns;
use super::errors::not_found;
use super::requests::{TABLE, request, request_columns};
use super::values::{micros, text};
use super::{Statement, sql, unavailable};
use crate::{Db, Engine};

fn requests(rows: &[<Db as sqlx::Database>::Row]) -> Result<Vec<Request>> {
    rows.iter().map(|row| request(&Columns::new(row, TABLE))).collect()
}

impl Engine {
    /// Changes an open request. One that has ended stays as it is; one that was never there is an error.
    async fn change_open_request(&self, id: RequestId, change: Statement<'_>) -> Result<()> {
        if change.execute(self.writer()).await.map_err(unavailable)?.rows_affected() == 0 {
            let known = sql("SELECT id FROM requests WHERE id = $1").bind(id.to_string());
            let known = known.fetch_optional(self.reader()).await.map_err(unavailable)?;
            known.ok_or_else(|| not_found("request", id))?;
        }
        Ok(())
    }
}

#[async_trait]
impl Ledger for Engine {
    async fn request(&self, new: &NewRequest, now: Instant) -> Result<Requested> {
        self.add_request(new, now).await
    }

    async fn request_by_id(&self, id: RequestId) -> Result<Option<Request>> {
        let one =
            sql(concat!("SELECT ", request_columns!(), " FROM requests WHERE id = $1")).bind(id.to_string());
        let row = one.fetch_optional(self.reader()).await.map_err(unavailable)?;
        row.map(|row| request(&Columns::new(&row, TABLE))).transpose()
    }

    async fn begin_fetch(&self, id: RequestId, now: Instant) -> Result<Option<Request>> {
        let rows = sql(concat!(
            "UPDATE requests SET state = 'fetching', attempts = attempts + 1, updated_at = $2
             WHERE id = $1 AND state IN ('requested', 'fetching', 'fetched') RETURNING ",
            request_columns!()
        ))
        .bind(id.to_string())
        .bind(micros(now))
        .fetch_all(self.writer())
        .await
        .map_err(unavailable)?;
        Ok(requests(&rows)?.pop())
    }

    async fn fetched(
        &self,
        id: RequestId,
        run: RunId,
        parts: u32,
        until: Option<Instant>,
        now: Instant,
    ) -> Result<Progress> {
        self.note_fetched(id, run, parts, until, now).await
    }

    async fn acknowledge(&self, ack: &Acknowledgement, now: Instant) -> Result<Progress> {
        self.note_acknowledged(ack, now).await
    }

    async fn note(&self, id: RequestId, note: &str, now: Instant) -> Result<()> {
        let change = sql("UPDATE requests SET note = $2, updated_at = $3
             WHERE id = $1 AND state IN ('requested', 'fetching', 'fetched')");
        self.change_open_request(id, change.bind(id.to_string()).bind(text(note)).bind(micros(now))).await
    }

    async fn fail(&self, id: RequestId, note: &str, now: Instant) -> Result<()> {
        let change = sql("UPDATE requests SET state = 'failed', note = $2, updated_at = $3
             WHERE id = $1 AND state IN ('requested', 'fetching', 'fetched')");
        self.change_open_request(id, change.bind(id.to_string()).bind(text(note)).bind(micros(now))).await
    }

    async fn coverage(&self, link: LinkId, record: &Record) -> Result<Coverage> {
        let row = sql("SELECT published, cursor, reread FROM coverage WHERE link = $1 AND record = $2")
            .bind(link.to_string())
            .bind(record.as_str())
            .fetch_optional(self.reader())
            .await
            .map_err(unavailable)?;
        let Some(row) = row else { return Ok(Coverage::default()) };
        let row = Columns::new(&row, "coverage");
        Ok(Coverage {
            published: row.parse("published")?,
            cursor: row.instant_optional("cursor")?,
            reread: row.instant_optional("reread")?,
        })
    }

    async fn init_cursor(&self, link: LinkId, record: &Record, cursor: Instant) -> Result<()> {
        sql("INSERT INTO coverage AS c (link, record, cursor) VALUES ($1, $2, $3)
             ON CONFLICT (link, record) DO UPDATE SET cursor = excluded.cursor WHERE c.cursor IS NULL")
        .bind(link.to_string())
        .bind(record.as_str())
        .bind(micros(cursor))
        .execute(self.writer())
        .await
        .map_err(unavailable)?;
        Ok(())
    }

    async fn open_requests(&self, filter: &OpenRequests) -> Result<Vec<Request>> {
        let rows = sql(concat!(
            "SELECT ",
            request_columns!(),
            " FROM requests WHERE state IN ('requested', 'fetching', 'fetched') AND id > $1
                 AND ($2 IS NULL OR link = $2) AND ($3 IS NULL OR updated_at <= $3)
             ORDER BY id LIMIT $4"
        ))
        .bind(filter.after.map_or_else(String::new, |id| id.to_string()))
        .bind(filter.link.map(|id| id.to_string()))
        .bind(filter.idle_since.map(micros))
        .bind(i64::from(filter.limit.clamp(1, 1000)))
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        requests(&rows)
    }

    async fn requests_of_record(&self, filter: &RequestsOfRecord) -> Result<Vec<Request>> {
        let all = sql(concat!(
            "SELECT ",
            request_columns!(),
            " FROM requests WHERE link = $1 AND record = $2
                 AND ((query_end IS NOT NULL AND query_start < $4 AND query_end > $3)
                     OR (query_end IS NULL AND updated_at > $3))
             ORDER BY id DESC LIMIT $5"
        ))
        .bind(filter.link.to_string())
        .bind(filter.record.as_str())
        .bind(micros(filter.within.start))
        .bind(micros(filter.within.end))
        .bind(i64::from(filter.limit.clamp(1, 1000)));
        requests(&all.fetch_all(self.reader()).await.map_err(unavailable)?)
    }

    async fn requests_of_sync(&self, sync: SyncId) -> Result<Vec<Request>> {
        let all = sql(concat!("SELECT ", request_columns!(), " FROM requests WHERE sync = $1 ORDER BY id"));
        requests(&all.bind(sync.to_string()).fetch_all(self.reader()).await.map_err(unavailable)?)
    }

    async fn skips_of_sync(&self, sync: SyncId) -> Result<BTreeMap<Record, BTreeMap<String, u64>>> {
        let rows = sql("SELECT r.record, s.reason, CAST(SUM(s.count) AS BIGINT) AS count
             FROM requests r JOIN request_skips s ON s.request = r.id
             WHERE r.sync = $1 GROUP BY r.record, s.reason")
        .bind(sync.to_string())
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        let mut skips = BTreeMap::<Record, BTreeMap<String, u64>>::new();
        for row in &rows {
            let row = Columns::new(row, "request_skips");
            skips.entry(row.parse("record")?).or_default().insert(row.get("reason")?, row.count("count")?);
        }
        Ok(skips)
    }

    async fn prune(&self, before: Instant) -> Result<u64> {
        // Runs, acknowledgements and skips go with their request. In order and past locked rows, as two may prune at once.
        let pruned = sql(concat!(
            "DELETE FROM requests WHERE id IN
                 (SELECT id FROM requests WHERE state IN ('published', 'failed') AND updated_at < $1 ORDER BY id",
            skip_locked!(),
            ")"
        ))
        .bind(micros(before))
        .execute(self.writer())
        .await
        .map_err(unavailable)?;
        Ok(pruned.rows_affected())
    }
}
