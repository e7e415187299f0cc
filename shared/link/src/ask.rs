//! Asking for readings: a row in the ledger first, then the event. Should the event be lost, the row is a hole that
//! the next nightly run sees.

use std::time::Duration;

use ohx_domain::{Link, Query, Record, Request, RequestId, SyncId, SyncReason};
use ohx_events::plain::SyncRequested;
use ohx_events::{Envelope, Event, types};
use ohx_runtime::trace::traceparent;
use ohx_store::{NewRequest, Requested};

use crate::{Class, Links, Result};

/// A row that nobody has begun after so long may have lost its event: who asks for the same sends it once more.
const TOLD_AGAIN: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Asking {
    /// Which record.
    pub record: Record,
    /// What of it.
    pub query: Query,
    /// Why.
    pub reason: SyncReason,
    /// The sync it belongs to.
    pub sync: SyncId,
    /// The function that asks.
    pub source: &'static str,
    /// How long the event may wait, for others to be merged into it.
    pub delay: Duration,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A new row, and its event is on its way.
    Requested(RequestId),
    /// An earlier row, whose event is on its way already, covers it now.
    Merged(RequestId),
}

impl Links {
    /// Asks for readings of a link.
    ///
    /// # Errors
    /// [`crate::LinkError::Store`], [`crate::LinkError::Bus`].
    pub async fn ask(&self, link: &Link, asking: &Asking) -> Result<Asked> {
        let (asked, untold) = self.enter(link, asking).await?;
        if let Some(request) = untold {
            self.announce(link, &request, asking.source, asking.delay).await?;
        }
        Ok(asked)
    }

    /// Asks in the ledger only: gives the row whose event is to be sent with [`Links::announce`], if one is. From here on
    /// what is asked for cannot be lost, only come late.
    ///
    /// # Errors
    /// [`crate::LinkError::Store`].
    pub async fn enter(&self, link: &Link, asking: &Asking) -> Result<(Asked, Option<Request>)> {
        let now = self.parts.clock.now();
        let new = NewRequest {
            id: RequestId::new(),
            sync: asking.sync,
            link: link.id,
            record: asking.record.clone(),
            query: asking.query,
            reason: asking.reason,
        };
        match self.parts.store.request(&new, now).await? {
            Requested::Merged(into) => {
                let row = self.parts.store.request_by_id(into).await?;
                let untold = row.filter(|row| row.requested_at + asking.delay + TOLD_AGAIN <= now);
                Ok((Asked::Merged(into), untold))
            }
            _ => Ok((Asked::Requested(new.id), self.parts.store.request_by_id(new.id).await?)),
        }
    }

    /// Publishes the event of a row that is in the ledger: a new one, or one that was left unfinished.
    ///
    /// # Errors
    /// [`crate::LinkError::Bus`].
    pub async fn announce(
        &self,
        link: &Link,
        request: &Request,
        source: &'static str,
        delay: Duration,
    ) -> Result<()> {
        let event = self.sync_event(link, request, source)?;
        if delay.is_zero() {
            self.parts.bus.publish(vec![event]).await?;
        } else {
            self.parts.bus.publish_after(event, delay).await?;
        }
        Ok(())
    }

    /// The event of a row that is in the ledger, for who publishes many at once.
    ///
    /// # Errors
    /// [`crate::LinkError::Event`].
    pub fn sync_event(&self, link: &Link, request: &Request, source: &'static str) -> Result<Event> {
        let envelope = Envelope {
            // Begun again, it is another event: a broker that drops repetitions must not drop this one.
            id: format!("{}.{}", request.id, request.attempts),
            event_type: types::SYNC_REQUESTED,
            source,
            link: link.id,
            sync: Some(request.sync),
            priority: Class::of(request.reason).priority(),
            time: self.parts.clock.now(),
            traceparent: traceparent(),
        };
        let data = SyncRequested {
            request: request.id,
            provider: link.provider.clone(),
            record: request.record.clone(),
            query: request.query,
            reason: request.reason,
        };
        Ok(envelope.plain(&data)?)
    }
}
