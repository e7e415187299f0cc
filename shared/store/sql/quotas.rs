//! Quotas: each decided by one statement, so that all processes together keep to them.

use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::Instant;
use ohx_store::{Quotas, Rate, Result, Take, Taken};

use super::columns::Columns;
use super::values::{duration, later, micros};
use super::{Statement, sql, unavailable};
use crate::Engine;

const TABLE: &str = "quotas";
const MINUTE: i64 = 60_000_000;

/// The generic cell rate algorithm (ITU-T I.371, annex A), in microseconds.
struct Gcra {
    /// Between two calls at an even pace, rounded up: never faster than the provider allows.
    interval: i64,
    /// How far ahead of the even pace a burst may run.
    tolerance: i64,
}

impl Gcra {
    fn new(rate: Rate) -> Self {
        let per_minute = i64::from(rate.per_minute.max(1));
        let interval = (MINUTE + per_minute - 1) / per_minute;
        Self { interval, tolerance: interval.saturating_mul(i64::from(rate.burst.max(1)) - 1) }
    }
}

/// The one or two buckets that a call is taken out of, as `wanted`: the name, and in microseconds the interval, the tolerance of
/// the whole burst, and what of it is for this call. The second comes first, so that the row that all share is locked for
/// the shortest time. Binds $2 to $9.
macro_rules! wanted {
    () => {
        "WITH wanted (bucket, pace, whole, mine) AS (VALUES
             (CAST($6 AS TEXT), CAST($7 AS BIGINT), CAST($8 AS BIGINT), CAST($9 AS BIGINT)),
             (CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS BIGINT), CAST($5 AS BIGINT))) "
    };
}

/// When a bucket's next call would be due at an even pace. A drained bucket is one whose whole burst is used up at
/// `drained_until`, whatever the rate is by then.
macro_rules! due {
    ($bucket:literal, $wanted:literal) => {
        concat!(
            greatest!(),
            "(",
            $bucket,
            ".due_at, COALESCE(",
            $bucket,
            ".drained_until + ",
            $wanted,
            ".whole, ",
            $bucket,
            ".due_at))"
        )
    };
}

fn bind<'q>(statement: Statement<'q>, take: Option<&'q Take<'_>>) -> Statement<'q> {
    let Some(take) = take else {
        return statement.bind(None::<&str>).bind(None::<i64>).bind(None::<i64>).bind(None::<i64>);
    };
    let Gcra { interval, tolerance } = Gcra::new(take.rate);
    let mine = tolerance.saturating_sub(interval.saturating_mul(i64::from(take.kept))).max(0);
    statement.bind(take.bucket).bind(interval).bind(tolerance).bind(mine)
}

#[async_trait]
impl Quotas for Engine {
    async fn take_quotas(&self, one: &Take<'_>, other: Option<&Take<'_>>, now: Instant) -> Result<Taken> {
        let take = sql(concat!(
            wanted!(),
            "INSERT INTO quotas AS q (bucket, due_at)
             SELECT w.bucket, $1 + w.pace FROM wanted w
             WHERE w.bucket IS NOT NULL AND NOT EXISTS
                 (SELECT 1 FROM wanted x JOIN quotas h ON h.bucket = x.bucket WHERE ",
            due!("h", "x"),
            " - x.mine > $1)
             ON CONFLICT (bucket) DO UPDATE SET due_at =
                 (SELECT w.pace + ",
            greatest!(),
            "($1, ",
            due!("q", "w"),
            ") FROM wanted w WHERE w.bucket = q.bucket)
             WHERE EXISTS (SELECT 1 FROM wanted w WHERE w.bucket = q.bucket AND ",
            due!("q", "w"),
            " - w.mine <= $1)"
        ));
        let take = bind(bind(take.bind(micros(now)), Some(one)), other);
        let taken = take.execute(self.writer()).await.map_err(unavailable)?.rows_affected();
        if taken == 1 + u64::from(other.is_some()) {
            return Ok(Taken::Granted);
        }
        // Another process may have taken a call in between. Then the wait is longer by that, which is the truth now.
        let free = sql(concat!(
            wanted!(),
            "SELECT x.bucket, ",
            due!("h", "x"),
            " - x.mine - $1 AS wait FROM wanted x JOIN quotas h ON h.bucket = x.bucket ORDER BY wait DESC LIMIT 1"
        ));
        let free = bind(bind(free.bind(micros(now)), Some(one)), other);
        let row = free.fetch_optional(self.reader()).await.map_err(unavailable)?;
        let (mut wait, mut longest) = (0, one.bucket);
        if let Some(row) = &row {
            let row = Columns::new(row, TABLE);
            (wait, longest) = (row.get::<i64>("wait")?, row.get("bucket")?);
        }
        let wait = Duration::from_micros(u64::try_from(wait).unwrap_or(0).max(1));
        Ok(Taken::Wait { wait, other: longest != one.bucket })
    }

    async fn drain_quota(&self, bucket: &str, until: Instant) -> Result<()> {
        // Of two drains the later end counts: answers of one provider may arrive out of order.
        sql(concat!(
            "INSERT INTO quotas AS q (bucket, due_at, drained_until) VALUES ($1, $2, $2)
             ON CONFLICT (bucket) DO UPDATE
             SET drained_until = ",
            greatest!(),
            "(excluded.drained_until, COALESCE(q.drained_until, excluded.drained_until))"
        ))
        .bind(bucket)
        .bind(micros(until))
        .execute(self.writer())
        .await
        .map_err(unavailable)?;
        Ok(())
    }

    async fn next_place(
        &self,
        queue: &str,
        every: Duration,
        from: Instant,
        horizon: Instant,
    ) -> Result<Instant> {
        let every = duration(every);
        // `due_at` is the end of the queue.
        let rows = sql(concat!(
            "INSERT INTO quotas AS q (bucket, due_at) VALUES ($1, $2 + $3)
             ON CONFLICT (bucket) DO UPDATE SET due_at = $3 + ",
            least!(),
            "($4, ",
            greatest!(),
            "($2, q.due_at)) RETURNING due_at"
        ))
        .bind(queue)
        .bind(micros(from).min(micros(horizon)))
        .bind(every)
        .bind(micros(horizon))
        .fetch_all(self.writer())
        .await
        .map_err(unavailable)?;
        let end = rows.first().map(|row| Columns::new(row, TABLE).instant("due_at")).transpose()?;
        Ok(end.map_or(from, |end| later(end, -every)))
    }

    async fn prune_quotas(&self, before: Instant) -> Result<u64> {
        // Past locked rows: somebody who takes two calls at once must not be waited for in a circle.
        let pruned = sql(concat!(
            "DELETE FROM quotas WHERE bucket IN
                 (SELECT bucket FROM quotas WHERE due_at < $1 AND COALESCE(drained_until, $1 - 1) < $1
                  ORDER BY bucket",
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
