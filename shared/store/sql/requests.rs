//! Rows of the ledger: reading, adding and merging them.

use ohx_domain::{Counts, Instant, Interval, LinkId, Query, Request, RequestId, RequestState, SyncReason};
use ohx_store::{NewRequest, Requested, Result, StoreError};

use super::columns::Columns;
use super::dead_letters;
use super::errors::conflict_or_unavailable;
use super::values::{lock, micros};
use super::{Transaction, sql, unavailable};
use crate::{Engine, dialect};

pub(super) const TABLE: &str = "requests";

/// The columns that [`request`] reads.
macro_rules! request_columns {
    () => {
        "id, sync, link, record, query_start, query_end, reason, state, note, attempts, created, updated, unchanged, \
         rejected, skipped, requested_at, updated_at"
    };
}
pub(super) use request_columns;

/// One row.
pub(super) fn request(row: &Columns<'_>) -> Result<Request> {
    Ok(Request {
        id: row.parse("id")?,
        sync: row.parse("sync")?,
        link: row.parse("link")?,
        record: row.parse("record")?,
        query: query(row)?,
        reason: row.read("reason", SyncReason::parse)?,
        state: row.read("state", RequestState::parse)?,
        note: row.get("note")?,
        attempts: row.count("attempts")?,
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
}

/// What a row asks.
pub(super) fn query(row: &Columns<'_>) -> Result<Query> {
    let start = row.instant("query_start")?;
    match row.instant_optional("query_end")? {
        None => Ok(Query::Since { since: start }),
        Some(end) => Interval::new(start, end)
            .map(Query::Window)
            .ok_or(StoreError::Corrupt { table: TABLE, column: "query_end" }),
    }
}

/// `query_start` and `query_end`. A window shorter than a microsecond is stored as one microsecond, not as none.
pub(crate) fn bounds(query: &Query) -> (i64, Option<i64>) {
    match query {
        Query::Since { since } => (micros(*since), None),
        Query::Window(w) => (micros(w.start), Some(micros(w.end).max(micros(w.start).saturating_add(1)))),
    }
}

/// Both in one, where one reading of the provider can answer both: windows that overlap or touch, or two "since".
fn merged(a: Query, b: Query) -> Option<Query> {
    match (a, b) {
        (Query::Since { since: a }, Query::Since { since: b }) => Some(Query::Since { since: a.min(b) }),
        (Query::Window(a), Query::Window(b)) if a.start <= b.end && b.start <= a.end => {
            Interval::new(a.start.min(b.start), a.end.max(b.end)).map(Query::Window)
        }
        _ => None,
    }
}

/// Ends what was asked of a link under an earlier consent: what of it is on its way is sealed with a key that is gone, and
/// whoever works on it may be about to give it up. In the transaction of the new consent, so that whoever plans after it
/// counts none of this as asked. What the provider said to be removed stays open: no plan would ask for it again.
pub(super) async fn close_open(tx: &mut Transaction, link: LinkId, now: Instant) -> Result<()> {
    let closed = sql("UPDATE requests SET state = 'failed', note = $3, updated_at = $2
         WHERE link = $1 AND state IN ('requested', 'fetching', 'fetched') AND reason <> 'removal' RETURNING id")
    .bind(link.to_string())
    .bind(micros(now))
    .bind("the patient consented anew, and what is missing is asked for again")
    .fetch_all(&mut **tx)
    .await
    .map_err(unavailable)?;
    for row in &closed {
        dead_letters::settle(tx, Columns::new(row, TABLE).parse("id")?).await?;
    }
    Ok(())
}

/// The lock under which notifications of one link and record are merged.
fn burst_lock(new: &NewRequest) -> i64 {
    lock(&format!("{} {}", new.link, new.record))
}

impl Engine {
    /// Adds a row, or merges it into one that nobody has begun.
    pub(super) async fn add_request(&self, new: &NewRequest, now: Instant) -> Result<Requested> {
        let mut tx = self.begin().await?;
        if new.reason == SyncReason::Notification {
            // Two notifications at once must not both find nothing to merge into.
            dialect::serialize(&mut tx, burst_lock(new)).await?;
            if let Some(id) = merge(&mut tx, new).await? {
                tx.commit().await.map_err(unavailable)?;
                return Ok(Requested::Merged(id));
            }
        }
        let (start, end) = bounds(&new.query);
        sql("INSERT INTO requests (id, sync, link, record, query_start, query_end, reason, state, requested_at,
                 updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'requested', $8, $8)")
            .bind(new.id.to_string())
            .bind(new.sync.to_string())
            .bind(new.link.to_string())
            .bind(new.record.as_str())
            .bind(start)
            .bind(end)
            .bind(new.reason.as_str())
            .bind(micros(now))
            .execute(&mut *tx)
            .await
            .map_err(conflict_or_unavailable("a new request's id"))?;
        tx.commit().await.map_err(unavailable)?;
        Ok(Requested::Created)
    }
}

/// Widens the oldest fitting row. `updated_at` stays: a row whose event was lost has to become idle, and be asked for
/// again, even while notifications keep coming.
async fn merge(tx: &mut Transaction, new: &NewRequest) -> Result<Option<RequestId>> {
    let rows = sql(concat!(
        "SELECT id, query_start, query_end FROM requests
         WHERE link = $1 AND record = $2 AND reason = 'notification' AND state = 'requested' ORDER BY id",
        for_update!()
    ))
    .bind(new.link.to_string())
    .bind(new.record.as_str())
    .fetch_all(&mut **tx)
    .await
    .map_err(unavailable)?;
    for row in &rows {
        let row = Columns::new(row, TABLE);
        let Some(both) = merged(query(&row)?, new.query) else { continue };
        let id: RequestId = row.parse("id")?;
        let (start, end) = bounds(&both);
        sql("UPDATE requests SET query_start = $2, query_end = $3 WHERE id = $1")
            .bind(id.to_string())
            .bind(start)
            .bind(end)
            .execute(&mut **tx)
            .await
            .map_err(unavailable)?;
        return Ok(Some(id));
    }
    Ok(None)
}
