//! From parts to coverage: the step at which "fetched" and "acknowledged" meet.
//!
//! `fetched` and `acknowledge` come from different processes, in any order, more than once. Each locks the request's
//! row, writes what it knows, and then asks whether the run is complete. Because of the lock one of them is the last,
//! and sees everything; because the state changes under the same lock, only one of them completes the request.

use ohx_domain::{
    Instant, Interval, Intervals, LinkId, Query, Record, RequestId, RequestState, RunId, SyncReason,
};
use ohx_store::{Acknowledgement, Progress, Result};

use super::columns::Columns;
use super::dead_letters;
use super::errors::conflict_or_unavailable;
use super::outcomes;
use super::requests::{TABLE, query};
use super::values::{count, later, micros, text};
use super::{Transaction, sql, unavailable};
use crate::Engine;

const SECOND: i64 = 1_000_000;

/// An open request whose row is locked until the transaction ends.
struct Held {
    id: RequestId,
    link: LinkId,
    record: Record,
    query: Query,
}

/// A request as a step finds it.
enum Found {
    Open(Held),
    /// Nothing is to be done: unknown, or ended.
    Not(Progress),
}

async fn hold(tx: &mut Transaction, id: RequestId) -> Result<Found> {
    let row = sql(concat!(
        "SELECT link, record, query_start, query_end, state FROM requests WHERE id = $1",
        for_update!()
    ))
    .bind(id.to_string())
    .fetch_optional(&mut **tx)
    .await
    .map_err(unavailable)?;
    let Some(row) = row else { return Ok(Found::Not(Progress::Unknown)) };
    let row = Columns::new(&row, TABLE);
    if !row.read("state", RequestState::parse)?.is_open() {
        return Ok(Found::Not(Progress::AlreadyDone));
    }
    Ok(Found::Open(Held { id, link: row.parse("link")?, record: row.parse("record")?, query: query(&row)? }))
}

impl Engine {
    /// A run has read everything. The first word on a run counts.
    pub(super) async fn note_fetched(
        &self,
        id: RequestId,
        run: RunId,
        parts: u32,
        until: Option<Instant>,
        now: Instant,
    ) -> Result<Progress> {
        let mut tx = self.begin().await?;
        let held = match hold(&mut tx, id).await? {
            Found::Open(held) => held,
            Found::Not(progress) => return Ok(progress),
        };
        sql("INSERT INTO request_runs (request, run, parts, until) VALUES ($1, $2, $3, $4)
             ON CONFLICT (request, run) DO NOTHING")
        .bind(id.to_string())
        .bind(run.to_string())
        .bind(i64::from(parts))
        .bind(until.map(micros))
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
        set_state(&mut tx, id, RequestState::Fetched, now).await?;
        let progress = complete(&mut tx, &held, run, now).await?;
        tx.commit().await.map_err(unavailable)?;
        Ok(progress)
    }

    /// One piece was published. The first acknowledgement of a piece counts.
    pub(super) async fn note_acknowledged(&self, ack: &Acknowledgement, now: Instant) -> Result<Progress> {
        let mut tx = self.begin().await?;
        let held = match hold(&mut tx, ack.request).await? {
            Found::Open(held) => held,
            Found::Not(progress) => return Ok(progress),
        };
        let holes: Intervals =
            ack.holes.iter().filter_map(|at| Interval::new(*at, later(*at, SECOND))).collect();
        let added = sql("INSERT INTO request_acks (request, run, part, pieces, piece, holes)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (request, run, part, pieces, piece) DO NOTHING")
        .bind(ack.request.to_string())
        .bind(ack.run.to_string())
        .bind(i64::from(ack.part))
        .bind(i64::from(ack.pieces))
        .bind(i64::from(ack.piece))
        .bind(holes.to_string())
        .execute(&mut *tx)
        .await
        .map_err(conflict_or_unavailable("a piece whose number is not below the number of pieces"))?;
        if added.rows_affected() == 1 {
            sql("UPDATE requests SET created = created + $2, updated = updated + $3, unchanged = unchanged + $4,
                     rejected = rejected + $5, skipped = skipped + $6, updated_at = $7
                 WHERE id = $1")
                .bind(ack.request.to_string())
                .bind(count(ack.counts.created))
                .bind(count(ack.counts.updated))
                .bind(count(ack.counts.unchanged))
                .bind(count(ack.counts.rejected))
                .bind(count(ack.counts.skipped))
                .bind(micros(now))
                .execute(&mut *tx)
                .await
                .map_err(unavailable)?;
            add_skips(&mut tx, ack).await?;
        }
        let progress = complete(&mut tx, &held, ack.run, now).await?;
        if added.rows_affected() == 1 {
            outcomes::add(&mut tx, ack, held.link).await?;
        }
        tx.commit().await.map_err(unavailable)?;
        Ok(progress)
    }
}

/// Adds what the mapping left out to what it had left out before.
async fn add_skips(tx: &mut Transaction, ack: &Acknowledgement) -> Result<()> {
    for (reason, n) in &ack.skipped {
        sql("INSERT INTO request_skips AS s (request, reason, count) VALUES ($1, $2, $3)
             ON CONFLICT (request, reason) DO UPDATE SET count = s.count + excluded.count")
        .bind(ack.request.to_string())
        .bind(text(reason))
        .bind(count(*n))
        .execute(&mut **tx)
        .await
        .map_err(unavailable)?;
    }
    Ok(())
}

async fn set_state(tx: &mut Transaction, id: RequestId, state: RequestState, now: Instant) -> Result<()> {
    sql("UPDATE requests SET state = $2, updated_at = $3 WHERE id = $1")
        .bind(id.to_string())
        .bind(state.as_str())
        .bind(micros(now))
        .execute(&mut **tx)
        .await
        .map_err(unavailable)?;
    Ok(())
}

/// Completes the request if this run is whole.
async fn complete(tx: &mut Transaction, held: &Held, run: RunId, now: Instant) -> Result<Progress> {
    let known = sql("SELECT parts, until FROM request_runs WHERE request = $1 AND run = $2")
        .bind(held.id.to_string())
        .bind(run.to_string())
        .fetch_optional(&mut **tx)
        .await
        .map_err(unavailable)?;
    let Some(known) = known else { return Ok(Progress::Open) };
    let known = Columns::new(&known, "request_runs");
    let parts: i64 = known.get("parts")?;

    // A part is whole when all pieces of one way of cutting it are there; the schema keeps `piece` below `pieces`.
    let whole = sql("SELECT COUNT(DISTINCT part) AS parts FROM
             (SELECT part FROM request_acks WHERE request = $1 AND run = $2 AND part < $3
              GROUP BY part, pieces HAVING COUNT(*) = pieces) AS whole")
    .bind(held.id.to_string())
    .bind(run.to_string())
    .bind(parts)
    .fetch_one(&mut **tx)
    .await
    .map_err(unavailable)?;
    if Columns::new(&whole, "request_acks").get::<i64>("parts")? < parts {
        return Ok(Progress::Open);
    }

    set_state(tx, held.id, RequestState::Published, now).await?;
    let holes = holes(tx, held.id, run).await?;
    cover(tx, held, known.instant_optional("until")?, &holes, now).await?;
    note_reread(tx, held).await?;
    dead_letters::settle(tx, held.id).await?;
    Ok(Progress::Completed)
}

/// What of this run the EHR refused.
async fn holes(tx: &mut Transaction, id: RequestId, run: RunId) -> Result<Intervals> {
    let rows = sql("SELECT holes FROM request_acks WHERE request = $1 AND run = $2 AND holes <> ''")
        .bind(id.to_string())
        .bind(run.to_string())
        .fetch_all(&mut **tx)
        .await
        .map_err(unavailable)?;
    let mut all = Intervals::new();
    for row in &rows {
        let some: Intervals = Columns::new(row, "request_acks").parse("holes")?;
        some.iter().for_each(|hole| all.insert(*hole));
    }
    Ok(all)
}

/// Adds what a complete run has brought, less its holes.
async fn cover(
    tx: &mut Transaction,
    held: &Held,
    until: Option<Instant>,
    holes: &Intervals,
    now: Instant,
) -> Result<()> {
    // Two requests of one link and record may complete at once, before the row exists: so it is made, then locked.
    sql("INSERT INTO coverage (link, record) VALUES ($1, $2) ON CONFLICT (link, record) DO NOTHING")
        .bind(held.link.to_string())
        .bind(held.record.as_str())
        .execute(&mut **tx)
        .await
        .map_err(unavailable)?;
    let row =
        sql(concat!("SELECT published, cursor FROM coverage WHERE link = $1 AND record = $2", for_update!()))
            .bind(held.link.to_string())
            .bind(held.record.as_str())
            .fetch_one(&mut **tx)
            .await
            .map_err(unavailable)?;
    let row = Columns::new(&row, "coverage");
    let mut published: Intervals = row.parse("published")?;
    let mut cursor = row.instant_optional("cursor")?;

    let brought = match held.query {
        // Nothing can be known of what is later than the provider's clock when it was asked.
        Query::Window(w) => Interval::new(w.start, until.map_or(w.end, |until| w.end.min(until))),
        Query::Since { since } => until.and_then(|until| Interval::new(since, until)),
    };
    if let Some(brought) = brought {
        published.insert(brought);
    }
    holes.iter().for_each(|hole| published.remove(*hole));
    if let (Query::Since { since }, Some(until)) = (held.query, until) {
        // What began after the cursor leaves a gap before it. Moving the cursor would hide that for ever.
        if cursor.is_none_or(|cursor| since <= cursor) {
            cursor = cursor.max(Some(until));
        }
    }

    sql("UPDATE coverage SET published = $3, cursor = $4, published_at = $5 WHERE link = $1 AND record = $2")
        .bind(held.link.to_string())
        .bind(held.record.as_str())
        .bind(published.to_string())
        .bind(cursor.map(micros))
        .bind(micros(now))
        .execute(&mut **tx)
        .await
        .map_err(unavailable)?;
    Ok(())
}

/// Notes that a nightly run has read again all that it wanted, once the last of its windows is complete. With anything of the
/// record on its way or given up it has not: the next night begins where the last whole one did.
async fn note_reread(tx: &mut Transaction, held: &Held) -> Result<()> {
    let row = sql("SELECT sync, reason, requested_at FROM requests WHERE id = $1")
        .bind(held.id.to_string())
        .fetch_one(&mut **tx)
        .await
        .map_err(unavailable)?;
    let row = Columns::new(&row, "requests");
    let nightly = row.get::<String>("reason")? == SyncReason::Nightly.as_str();
    if !nightly || !matches!(held.query, Query::Window(_)) {
        return Ok(());
    }
    sql("UPDATE coverage SET reread = $3
         WHERE link = $1 AND record = $2 AND (reread IS NULL OR reread < $3)
           AND NOT EXISTS (SELECT 1 FROM requests AS other
                           WHERE other.link = $1 AND other.record = $2
                             AND (other.state IN ('requested', 'fetching', 'fetched')
                               OR (other.state = 'failed' AND other.sync = $4)))")
    .bind(held.link.to_string())
    .bind(held.record.as_str())
    .bind(row.get::<i64>("requested_at")?)
    .bind(row.get::<String>("sync")?)
    .execute(&mut **tx)
    .await
    .map_err(unavailable)?;
    Ok(())
}
