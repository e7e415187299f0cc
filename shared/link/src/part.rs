//! Readings on their way to `transform` and `publish`: sealed, and opened again.

use ohx_domain::{Interval, Request, RunId, SyncReason};
use ohx_events::envelope::{MAX_SEALED, request_of, sealed_data, set_only_copy};
use ohx_events::sealed::FetchedPart;
use ohx_events::{Envelope, Event, Priority, types};
use ohx_providers::Part;
use ohx_runtime::EventFailure;
use ohx_runtime::trace::traceparent;

use crate::{LinkError, Links, OpenLink, Result};

/// Where a part belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The row of the ledger.
    pub request: &'a Request,
    /// The run of it.
    pub run: RunId,
    /// Its number in the run, from 0.
    pub number: u32,
    /// How urgent it is.
    pub priority: Priority,
    /// The function that sends it.
    pub source: &'static str,
    /// Whether what is not in it was taken back: it is all that the request's window holds.
    pub all: Option<Interval>,
}

impl Links {
    /// A part as an event that only this link's key opens.
    ///
    /// # Errors
    /// [`LinkError::TooLarge`], [`LinkError::Event`].
    pub fn part_event(&self, open: &OpenLink, place: Place<'_>, part: Part) -> Result<Event> {
        let Place { request, run, number, priority, source, all } = place;
        let fetched = FetchedPart {
            request: request.id,
            run,
            part: number,
            provider: open.link.provider.clone(),
            record: request.record.clone(),
            covers: part.covers,
            removed: all,
            page: part.text.into_inner(),
        };
        let envelope = Envelope {
            id: format!("{}.{run}.{number}", request.id),
            event_type: types::RECORDS_FETCHED,
            source,
            link: open.link.id,
            sync: Some(request.sync),
            priority,
            time: self.parts.clock.now(),
            traceparent: traceparent(),
        };
        let (mut event, size) = envelope.sealed(&open.key, &fetched)?;
        if size > MAX_SEALED {
            return Err(LinkError::TooLarge { record: request.record.clone(), size });
        }
        if request.reason == SyncReason::Import {
            set_only_copy(&mut event);
        }
        Ok(event)
    }

    /// What an event brings of a link, opened. `None` where it was sealed under an earlier consent, whose key is gone: its
    /// request ended with that, and what was missing has been asked for again.
    ///
    /// # Errors
    /// [`EventFailure::Reject`] where it does not open for another reason; [`EventFailure::Retry`] with the database.
    pub async fn opened(
        &self,
        event: &Event,
        open: &OpenLink,
    ) -> std::result::Result<Option<Vec<u8>>, EventFailure> {
        let failed = match sealed_data(event, &open.key) {
            Ok(opened) => return Ok(Some(opened)),
            Err(failed) => failed,
        };
        if let Some(request) = request_of(event) {
            let known = self.parts.store.request_by_id(request).await?;
            if known.is_some_and(|known| known.link == open.link.id && !known.state.is_open()) {
                tracing::info!(link = %open.link.id, %request, "sealed under an earlier consent: asked for again since");
                return Ok(None);
            }
        }
        Err(failed.into())
    }
}
