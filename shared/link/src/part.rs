//! Readings on their way to `transform`: one part of a provider's page, sealed.

use ohx_domain::{Interval, Request, RunId};
use ohx_events::envelope::MAX_SEALED;
use ohx_events::sealed::FetchedPart;
use ohx_events::{Envelope, Event, Priority, types};
use ohx_providers::Part;
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
        let (event, size) = envelope.sealed(&open.key, &fetched)?;
        if size > MAX_SEALED {
            return Err(LinkError::TooLarge { record: request.record.clone(), size });
        }
        Ok(event)
    }
}
