//! Keeping the dead letters of whoever delivers from a queue.

use std::sync::Arc;

use async_trait::async_trait;
use ohx_bus::{Bury, BusError};
use ohx_domain::Clock;
use ohx_events::envelope::{link_of, request_of, shown_id, shown_type};
use ohx_events::{Event, Function};
use ohx_store::{DeadLetter, SharedStore};

/// Keeps what could not be delivered in the store: the envelope and the reason.
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
        self.store.bury(&letter).await.map_err(|e| BusError::Unavailable(e.to_string()))
    }
}
