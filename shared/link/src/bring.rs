//! Readings that are brought: a file that a person exported, or what a gateway heard. They take the way of everything
//! else (sealed events, mapping, identity, the ledger), but for the asking.

use ohx_domain::{
    Instant, Interval, Link, LinkId, LinkState, Query, Record, RequestId, RunId, SyncId, SyncReason,
};
use ohx_events::Priority;
use ohx_providers::Part;
use ohx_providers::beurer::RecordParts;
use ohx_store::{Connection, NewRequest};
use secrecy::SecretString;

use crate::part::Place;
use crate::{LinkError, Links, OpenLink, Result, TokenPair, account_digest};

/// What is brought of one record.
#[derive(Debug)]
pub struct Brought {
    /// Which record.
    pub record: Record,
    /// The times that it covers, for the ledger.
    pub window: Interval,
    /// The readings.
    pub parts: Vec<Part>,
}

impl Brought {
    /// The records of a file or a push; `window` is what a file states as its period.
    pub fn of(records: Vec<RecordParts>, window: Option<Interval>) -> Vec<Self> {
        let one = |parts: RecordParts| {
            let record = parts.record()?;
            Some(Self { record, window: window.unwrap_or(parts.window), parts: parts.parts })
        };
        records.into_iter().filter_map(one).collect()
    }
}

/// The tokens of a link that has none never end.
const NEVER: i64 = 253_402_300_799;

impl Links {
    /// Makes a link active that needs no consent at a provider, because its readings are brought. Its account is the
    /// patient at the EHR: created again, the link brings the same readings under the same identities.
    ///
    /// # Errors
    /// [`LinkError::Seal`], [`LinkError::Store`].
    pub async fn connect_without_consent(&self, link: &Link) -> Result<()> {
        let (id, now) = (link.id, self.parts.clock.now());
        let seal = |source| LinkError::Seal { of: format!("link {id}"), source };
        let (key, data_key) = self.parts.keyring.new_data_key(&id.to_string()).map_err(seal)?;
        let account = ohx_domain::Account::new(format!("brought:{}:{}", link.ehr, link.patient));
        let none = TokenPair { access: SecretString::default(), refresh: SecretString::default() };
        let connection = Connection {
            account_digest: account_digest(&link.provider, &account),
            sealed_account: self.seal_account(id, &key, &account)?,
            account,
            scopes: Vec::new(),
            data_key,
            sealed_tokens: none.seal(id, &key)?,
            tokens_expire_at: Instant::from_second(NEVER).unwrap_or(now),
            at: now,
            history_start: None,
        };
        self.parts.store.connect(id, &connection).await?;
        tracing::info!(link = %id, provider = %link.provider, "active, without a consent");
        Ok(())
    }

    /// Sends readings on that somebody brought, as one sync. The ledger has a row for each record before the first of
    /// them is sent; should anything fail, every row ends as failed and nothing counts as covered: to bring the same
    /// again is safe.
    ///
    /// # Errors
    /// [`LinkError::State`] where the link is not active, [`LinkError::TooLarge`], [`LinkError::Store`],
    /// [`LinkError::Bus`].
    pub async fn bring(
        &self,
        open: &OpenLink,
        brought: Vec<Brought>,
        source: &'static str,
    ) -> Result<SyncId> {
        let (id, state) = (open.link.id, open.link.state);
        if state != LinkState::Active {
            let hint = "readings are brought to active links only";
            return Err(LinkError::State { link: id, state, hint });
        }
        let sync = SyncId::new();
        let mut rows = Vec::with_capacity(brought.len());
        let sent = self.send(id, open, brought, sync, source, &mut rows).await;
        if let Err(error) = &sent {
            for row in rows {
                let note = format!("not sent on: {error}; bring the same again");
                if let Err(failed) = self.parts.store.fail(row, &note, self.parts.clock.now()).await {
                    tracing::warn!(link = %id, request = %row, error = %failed, "the ledger was not told");
                }
            }
        }
        sent.map(|()| sync)
    }

    async fn send(
        &self,
        link: LinkId,
        open: &OpenLink,
        brought: Vec<Brought>,
        sync: SyncId,
        source: &'static str,
        rows: &mut Vec<RequestId>,
    ) -> Result<()> {
        let store = &self.parts.store;
        let (mut events, mut runs) = (Vec::new(), Vec::new());
        for Brought { record, window, parts } in brought {
            let new = NewRequest {
                id: RequestId::new(),
                sync,
                link,
                record,
                query: Query::Window(window),
                reason: SyncReason::Import,
            };
            let now = self.parts.clock.now();
            // Only notifications are merged: this adds a row.
            store.request(&new, now).await?;
            rows.push(new.id);
            let Some(request) = store.begin_fetch(new.id, now).await? else {
                return Err(LinkError::Unknown(link));
            };
            let run = RunId::new();
            let mut number = 0;
            for part in parts {
                let place =
                    Place { request: &request, run, number, priority: Priority::High, source, all: None };
                events.push(self.part_event(open, place, part)?);
                number += 1;
            }
            runs.push((request.id, run, number));
        }
        self.parts.bus.publish(events).await?;
        for (request, run, parts) in runs {
            store.fetched(request, run, parts, None, self.parts.clock.now()).await?;
        }
        Ok(())
    }
}
