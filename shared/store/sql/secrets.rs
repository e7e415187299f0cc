//! Tickets, tokens, leases and quotas: each decided by one statement, so that exactly one process wins.

use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::{Instant, LinkId};
use ohx_store::{Quota, Rate, Result, Secrets, StoredTokens, Ticket, TicketKind};

use super::columns::Columns;
use super::errors::conflict_or_unavailable;
use super::values::{duration, micros};
use super::{sql, unavailable};
use crate::Engine;

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

#[async_trait]
impl Secrets for Engine {
    async fn put_ticket(&self, ticket: &Ticket, now: Instant) -> Result<()> {
        let mut tx = self.begin().await?;
        // In order and past locked rows: two cleanings at once must not wait for each other in a circle.
        sql(concat!(
            "DELETE FROM tickets WHERE digest IN
                 (SELECT digest FROM tickets WHERE expires_at <= $1 ORDER BY digest",
            skip_locked!(),
            ")"
        ))
        .bind(micros(now))
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
        sql("INSERT INTO tickets (digest, kind, link, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(&ticket.digest[..])
            .bind(ticket.kind.as_str())
            .bind(ticket.link.to_string())
            .bind(micros(ticket.expires_at))
            .execute(&mut *tx)
            .await
            .map_err(conflict_or_unavailable("a new ticket's digest"))?;
        tx.commit().await.map_err(unavailable)
    }

    async fn take_ticket(&self, digest: &[u8; 32], kind: TicketKind, now: Instant) -> Result<Option<LinkId>> {
        let rows =
            sql("DELETE FROM tickets WHERE digest = $1 AND kind = $2 AND expires_at > $3 RETURNING link")
                .bind(&digest[..])
                .bind(kind.as_str())
                .bind(micros(now))
                .fetch_all(self.writer())
                .await
                .map_err(unavailable)?;
        rows.first().map(|row| Columns::new(row, "tickets").parse("link")).transpose()
    }

    async fn peek_ticket(&self, digest: &[u8; 32], kind: TicketKind, now: Instant) -> Result<Option<LinkId>> {
        let row = sql("SELECT link FROM tickets WHERE digest = $1 AND kind = $2 AND expires_at > $3")
            .bind(&digest[..])
            .bind(kind.as_str())
            .bind(micros(now))
            .fetch_optional(self.reader())
            .await
            .map_err(unavailable)?;
        row.map(|row| Columns::new(&row, "tickets").parse("link")).transpose()
    }

    async fn tokens(&self, link: LinkId) -> Result<Option<StoredTokens>> {
        let row = sql("SELECT sealed_tokens, tokens_expire_at, token_version FROM links
             WHERE id = $1 AND sealed_tokens IS NOT NULL")
        .bind(link.to_string())
        .fetch_optional(self.reader())
        .await
        .map_err(unavailable)?;
        row.map(|row| {
            let row = Columns::new(&row, "links");
            Ok(StoredTokens {
                sealed: row.get("sealed_tokens")?,
                expires_at: row.instant("tokens_expire_at")?,
                version: row.get("token_version")?,
            })
        })
        .transpose()
    }

    async fn replace_tokens(
        &self,
        link: LinkId,
        version: i64,
        sealed: &[u8],
        expires_at: Instant,
    ) -> Result<bool> {
        // Without tokens there is nothing to replace: a refresh that was under way must not undo a disconnection.
        let replaced = sql("UPDATE links
             SET sealed_tokens = $3, tokens_expire_at = $4, token_version = token_version + 1
             WHERE id = $1 AND token_version = $2 AND sealed_tokens IS NOT NULL")
        .bind(link.to_string())
        .bind(version)
        .bind(sealed)
        .bind(micros(expires_at))
        .execute(self.writer())
        .await
        .map_err(unavailable)?;
        Ok(replaced.rows_affected() == 1)
    }

    async fn acquire_lease(&self, name: &str, holder: &str, ttl: Duration, now: Instant) -> Result<bool> {
        let taken = sql("INSERT INTO leases AS l (name, holder, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
             WHERE l.holder = excluded.holder OR l.expires_at <= $4")
        .bind(name)
        .bind(holder)
        .bind(micros(now).saturating_add(duration(ttl)))
        .bind(micros(now))
        .execute(self.writer())
        .await
        .map_err(unavailable)?;
        Ok(taken.rows_affected() == 1)
    }

    async fn release_lease(&self, name: &str, holder: &str) -> Result<()> {
        let release = sql("DELETE FROM leases WHERE name = $1 AND holder = $2").bind(name).bind(holder);
        release.execute(self.writer()).await.map_err(unavailable)?;
        Ok(())
    }

    async fn take_quota(&self, bucket: &str, rate: Rate, now: Instant) -> Result<Quota> {
        let Gcra { interval, tolerance } = Gcra::new(rate);
        // `due_at` is when the next call would be due at an even pace; a call may come `tolerance` before that. A
        // drained bucket is one whose whole burst is used up at `drained_until`, whatever the rate is by then.
        let taken = sql(concat!(
            "INSERT INTO quotas AS q (bucket, due_at) VALUES ($1, $2 + $3)
             ON CONFLICT (bucket) DO UPDATE SET due_at = $3 + ",
            greatest!(),
            "($2, q.due_at, COALESCE(q.drained_until + $4, q.due_at))
             WHERE ",
            greatest!(),
            "(q.due_at, COALESCE(q.drained_until + $4, q.due_at)) - $4 <= $2"
        ))
        .bind(bucket)
        .bind(micros(now))
        .bind(interval)
        .bind(tolerance)
        .execute(self.writer())
        .await
        .map_err(unavailable)?;
        if taken.rows_affected() == 1 {
            return Ok(Quota::Granted);
        }
        // Another process may have taken a call in between. Then the wait is longer by that, which is the truth now.
        let row = sql(concat!(
            "SELECT ",
            greatest!(),
            "(due_at, COALESCE(drained_until + $2, due_at)) - $2 AS free_at FROM quotas WHERE bucket = $1"
        ))
        .bind(bucket)
        .bind(tolerance)
        .fetch_one(self.reader())
        .await
        .map_err(unavailable)?;
        let wait = Columns::new(&row, "quotas").get::<i64>("free_at")?.saturating_sub(micros(now));
        Ok(Quota::Wait(Duration::from_micros(u64::try_from(wait).unwrap_or(0).max(1))))
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
}
