//! Keeping the dead letters of whoever delivers from a queue.

use std::sync::Arc;

use async_trait::async_trait;
use ohx_bus::{Bury, BusError};
use ohx_domain::Clock;
use ohx_events::envelope::{is_only_copy, link_of, request_of, shown_id, shown_type};
use ohx_events::{Event, Function};
use ohx_store::{DeadLetter, SharedStore, StoreError};

/// Keeps what could not be delivered in the store: the envelope and the reason. The request of what nobody could be asked for again ends
/// with it.
pub struct StoreBury {
    store: SharedStore,
    clock: Arc<dyn Clock>,
}

impl StoreBury {
    /// Over a store.
    pub fn new(store: SharedStore, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

#[async_trait]
impl Bury for StoreBury {
    async fn bury(&self, to: Function, event: &Event, reason: &str, attempts: u32) -> Result<(), BusError> {
        use cloudevents::AttributesReader as _;
        let letter = DeadLetter {
            key: event.id().to_owned(),
            event_type: event.ty().to_owned(),
            function: to.as_str().to_owned(),
            link: link_of(event).ok(),
            request: request_of(event),
            reason: reason.to_owned(),
            attempts,
            at: self.clock.now(),
        };
        tracing::warn!(
            // What is not ours could be anything, a value or a name.
            event.id = shown_id(event),
            event.r#type = shown_type(event.ty()),
            function = letter.function,
            reason,
            attempts,
            "given up"
        );
        let unavailable = |e: StoreError| BusError::Unavailable(e.to_string());
        self.store.bury(&letter).await.map_err(unavailable)?;
        let Some(request) = letter.request.filter(|_| is_only_copy(event)) else { return Ok(()) };
        // Nobody holds these readings any more, and nobody could ask for them: who brought them is told. A row that is gone was
        // pruned, or its link erased.
        let note = format!("given up ({reason}); bring the same again");
        match self.store.fail(request, &note, letter.at).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }
}
