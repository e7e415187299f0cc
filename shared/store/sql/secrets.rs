//! Tickets, tokens and leases: each decided by one statement, so that exactly one process wins.

use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::{Instant, LinkId, ProviderName};
use ohx_store::{OutageGate, Refusals, Result, Secrets, StoredTokens, Ticket, TicketKind, Witnesses};

use super::columns::Columns;
use super::errors::conflict_or_unavailable;
use super::values::{duration, micros};
use super::{refusals, sql, unavailable};
use crate::Engine;

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
        let row = sql(
            "SELECT sealed_tokens, tokens_expire_at, token_version, refreshed_at, refused_since, refused_at
             FROM links WHERE id = $1 AND sealed_tokens IS NOT NULL",
        )
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
                refreshed_at: row.instant_optional("refreshed_at")?,
                refused: row.instant_optional("refused_since")?.zip(row.instant_optional("refused_at")?),
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
        now: Instant,
    ) -> Result<bool> {
        // Without tokens there is nothing to replace: a refresh that was under way must not undo a disconnection.
        let replaced = sql("UPDATE links
             SET sealed_tokens = $3, tokens_expire_at = $4, token_version = token_version + 1, refreshed_at = $5
             WHERE id = $1 AND token_version = $2 AND sealed_tokens IS NOT NULL")
        .bind(link.to_string())
        .bind(version)
        .bind(sealed)
        .bind(micros(expires_at))
        .bind(micros(now))
        .execute(self.writer())
        .await
        .map_err(unavailable)?;
        Ok(replaced.rows_affected() == 1)
    }

    async fn note_refusal(
        &self,
        link: LinkId,
        version: i64,
        now: Instant,
        witnesses: Witnesses,
    ) -> Result<Option<Refusals>> {
        refusals::note(self, link, version, now, witnesses).await
    }

    async fn trust(&self, link: LinkId) -> Result<bool> {
        refusals::trust(self, link).await
    }

    async fn outage_gate(&self, app: &ProviderName, now: Instant, pause: Duration) -> Result<OutageGate> {
        refusals::gate(self, app, now, pause).await
    }

    async fn begin_outage(&self, app: &ProviderName, now: Instant, pause: Duration) -> Result<bool> {
        refusals::begin(self, app, now, pause).await
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

    async fn extend_lease(&self, name: &str, holder: &str, ttl: Duration, now: Instant) -> Result<bool> {
        let extended = sql("UPDATE leases SET expires_at = $3 WHERE name = $1 AND holder = $2")
            .bind(name)
            .bind(holder)
            .bind(micros(now).saturating_add(duration(ttl)))
            .execute(self.writer())
            .await
            .map_err(unavailable)?;
        Ok(extended.rows_affected() == 1)
    }

    async fn release_lease(&self, name: &str, holder: &str) -> Result<()> {
        let release = sql("DELETE FROM leases WHERE name = $1 AND holder = $2").bind(name).bind(holder);
        release.execute(self.writer()).await.map_err(unavailable)?;
        Ok(())
    }
}
