//! Publishing to a Knative broker, or to anything else that takes CloudEvents by HTTP.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use ohx_events::{Event, http_binding};
use url::Url;

use crate::deliver::transport;
use crate::{Bus, BusError};

/// How many events are on their way at once.
const CONCURRENCY: usize = 16;

/// Posts events to the address that Knative injects as `K_SINK`. Delivery, retries and dead letters are the broker's.
#[derive(Debug, Clone)]
pub struct SinkBus {
    client: reqwest::Client,
    url: Url,
}

impl SinkBus {
    /// Publishes to `url`. Knative's in-memory channel answers only after delivery with all its retries, so the
    /// client's timeout should be generous.
    pub const fn new(client: reqwest::Client, url: Url) -> Self {
        Self { client, url }
    }

    async fn post(&self, event: Event) -> Result<(), BusError> {
        let (headers, body) = http_binding::to_binary(event).map_err(|e| BusError::Encode(e.to_string()))?;
        let answer = self.client.post(self.url.clone()).headers(headers).body(body).send().await;
        let status = answer.map_err(|e| BusError::Unavailable(transport(&e)))?.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(BusError::Unavailable(format!("HTTP {}", status.as_u16())))
        }
    }
}

#[async_trait]
impl Bus for SinkBus {
    /// Posts each event by itself (brokers refuse batches). All are tried; where any fails, the caller publishes all
    /// of them again, and handlers are idempotent.
    async fn publish(&self, events: Vec<Event>) -> Result<(), BusError> {
        // The futures are made before the stream, not in it: a closure in the stream would borrow for one lifetime
        // only, which the compiler cannot square with the boxed future.
        let posts: Vec<_> = events.into_iter().map(|event| self.post(event)).collect();
        let outcomes: Vec<_> =
            futures_util::stream::iter(posts).buffer_unordered(CONCURRENCY).collect().await;
        outcomes.into_iter().collect()
    }

    /// Posts at once: a Knative broker cannot wait.
    async fn publish_after(&self, event: Event, _delay: Duration) -> Result<(), BusError> {
        self.post(event).await
    }

    fn can_wait(&self) -> bool {
        false
    }

    /// Any HTTP answer counts: a broker's ingress answers 405 to everything but POST.
    async fn ping(&self) -> Result<(), BusError> {
        let answer = self.client.request(reqwest::Method::OPTIONS, self.url.clone()).send().await;
        answer.map(|_| ()).map_err(|e| BusError::Unavailable(transport(&e)))
    }
}
