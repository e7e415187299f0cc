//! `relay`: delivers events from the queues of Redis or SQS to the functions' addresses, or to a Knative broker.
//!
//! It exists because scale-to-zero functions are pushed to, and because a queue's own connectors lose events. Several
//! relays share the load; what one leaves behind when it dies, another takes up.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use ohx_bus::{Bury, BusError};
use ohx_domain::Clock;
use ohx_events::envelope::{link_of, request_of};
use ohx_events::{Event, Function};
use ohx_runtime::settings::{SettingError, Settings};
use ohx_store::{DeadLetter, SharedStore};
use url::Url;

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
            event.id = letter.key,
            event.r#type = letter.event_type,
            function = letter.function,
            reason,
            attempts,
            "given up"
        );
        self.store.bury(&letter).await.map_err(|e| BusError::Unavailable(e.to_string()))
    }
}

/// The functions' addresses: `OHX_FETCH_URL`, `OHX_TRANSFORM_URL`, `OHX_PUBLISH_URL`, `OHX_DEVICES_URL`,
/// `OHX_NIGHTLY_URL`.
///
/// # Errors
/// One is missing or no address.
pub fn addresses(settings: &Settings) -> Result<BTreeMap<Function, Url>, SettingError> {
    let expected = "the function's address, such as http://fetch.ohx.svc.cluster.local";
    let name = |function| match function {
        Function::Nightly => "OHX_NIGHTLY_URL",
        Function::Fetch => "OHX_FETCH_URL",
        Function::Transform => "OHX_TRANSFORM_URL",
        Function::Publish => "OHX_PUBLISH_URL",
        Function::Devices => "OHX_DEVICES_URL",
    };
    Function::ALL
        .into_iter()
        .map(|function| Ok((function, settings.url(name(function), expected)?)))
        .collect()
}
