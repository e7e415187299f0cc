//! What became of resources, counted since the beginning.
//!
//! Requests know it, too, but they are removed after a month, and summing them up would read them all. So each acknowledgement
//! adds to a counter of its own, in the same transaction. A counter is the sum of a few rows: writers take one by their
//! request, and so hardly ever wait for each other. It is the last thing that the transaction locks.

use ohx_domain::LinkId;
use ohx_store::{Acknowledgement, Outcomes, Result};

use super::columns::Columns;
use super::values::{count, lock};
use super::{Transaction, sql, unavailable};
use crate::Engine;

/// The rows of one counter.
const SLOTS: i64 = 16;

/// Adds what an acknowledgement that is new brought. One of no link is not counted: nobody knows whose it is.
pub(super) async fn add(tx: &mut Transaction, ack: &Acknowledgement, link: LinkId) -> Result<()> {
    let counts = ack.counts;
    if counts.created + counts.updated + counts.unchanged + counts.rejected == 0 {
        return Ok(());
    }
    // In one order, as two writers may share a slot.
    sql("WITH counted (outcome, n) AS (VALUES
             ('created', CAST($3 AS BIGINT)), ('updated', CAST($4 AS BIGINT)),
             ('unchanged', CAST($5 AS BIGINT)), ('rejected', CAST($6 AS BIGINT)))
         INSERT INTO outcomes AS o (provider, outcome, slot, n)
         SELECT l.provider, c.outcome, CAST($2 AS BIGINT), c.n FROM links l, counted c
         WHERE l.id = $1 AND c.n > 0 ORDER BY c.outcome
         ON CONFLICT (provider, outcome, slot) DO UPDATE SET n = o.n + excluded.n")
    .bind(link.to_string())
    .bind(lock(&ack.request.to_string()).rem_euclid(SLOTS))
    .bind(count(counts.created))
    .bind(count(counts.updated))
    .bind(count(counts.unchanged))
    .bind(count(counts.rejected))
    .execute(&mut **tx)
    .await
    .map_err(unavailable)?;
    Ok(())
}

impl Engine {
    /// Every counter.
    pub(super) async fn sum_outcomes(&self) -> Result<Vec<Outcomes>> {
        let rows = sql("SELECT provider, outcome, CAST(SUM(n) AS BIGINT) AS resources FROM outcomes
             GROUP BY provider, outcome ORDER BY provider, outcome");
        let rows = rows.fetch_all(self.reader()).await.map_err(unavailable)?;
        let one = |row| {
            let row = Columns::new(row, "outcomes");
            Ok(Outcomes {
                provider: row.parse("provider")?,
                outcome: row.get("outcome")?,
                resources: row.count("resources")?,
            })
        };
        rows.iter().map(one).collect()
    }
}
