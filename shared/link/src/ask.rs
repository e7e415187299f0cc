//! Asking for readings: a row in the ledger first, then the event. Should the event be lost, the row is a hole that
//! the next nightly run sees.

use std::time::Duration;

use ohx_domain::{Link, Query, Record, Request, RequestId, SyncId, SyncReason};
use ohx_events::plain::SyncRequested;
use ohx_events::{Envelope, Priority, types};
use ohx_runtime::trace::traceparent;
use ohx_store::{NewRequest, Requested};

use crate::{Links, Result};

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

const fn priority(reason: SyncReason) -> Priority {
    match reason {
        SyncReason::Notification | SyncReason::Removal | SyncReason::Manual | SyncReason::Import => {
            Priority::High
        }
        SyncReason::Backfill => Priority::Normal,
        SyncReason::Nightly => Priority::Low,
    }
}

impl Links {
    /// Asks for readings of a link.
    ///
    /// # Errors
    /// [`crate::LinkError::Store`], [`crate::LinkError::Bus`].
    pub async fn ask(&self, link: &Link, asking: &Asking) -> Result<Asked> {
        let now = self.parts.clock.now();
        let new = NewRequest {
            id: RequestId::new(),
            sync: asking.sync,
            link: link.id,
            record: asking.record.clone(),
            query: asking.query,
            reason: asking.reason,
        };
        if let Requested::Merged(into) = self.parts.store.request(&new, now).await? {
            return Ok(Asked::Merged(into));
        }
        let request = self.parts.store.request_by_id(new.id).await?;
        if let Some(request) = request {
            self.announce(link, &request, asking.source, asking.delay).await?;
        }
        Ok(Asked::Requested(new.id))
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
        let envelope = Envelope {
            // Begun again, it is another event: a broker that drops repetitions must not drop this one.
            id: format!("{}.{}", request.id, request.attempts),
            event_type: types::SYNC_REQUESTED,
            source,
            link: link.id,
            sync: Some(request.sync),
            priority: priority(request.reason),
            time: self.parts.clock.now(),
            traceparent: traceparent(),
        };
        let event = envelope.plain(&SyncRequested {
            request: request.id,
            provider: link.provider.clone(),
            record: request.record.clone(),
            query: request.query,
            reason: request.reason,
        })?;
        if delay.is_zero() {
            self.parts.bus.publish(vec![event]).await?;
        } else {
            self.parts.bus.publish_after(event, delay).await?;
        }
        Ok(())
    }
}
