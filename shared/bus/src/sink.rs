//! Publishing to a Knative broker, or to anything else that takes CloudEvents by HTTP.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use ohx_events::envelope::text_extension;
use ohx_events::{Event, http_binding};
use serde::Deserialize;
use url::Url;

use crate::deliver::transport;
use crate::{Bus, BusError};

/// How many events are on their way at once.
const CONCURRENCY: usize = 16;

/// What Knative's `K_CE_OVERRIDES` asks for: extensions that every event gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Overrides {
    #[serde(default)]
    extensions: BTreeMap<String, String>,
}

/// A text that is no `K_CE_OVERRIDES`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OverridesError {
    /// It is not of the shape that a SinkBinding writes.
    #[error("it should be JSON such as {{\"extensions\":{{\"cluster\":\"north\"}}}}")]
    Shape,
    /// An extension has a name that CloudEvents does not allow (1.0, "Naming conventions"), or that of an attribute.
    #[error("{0:?} cannot be an extension: lower-case letters and digits, and no attribute's own name")]
    Name(String),
}

impl FromStr for Overrides {
    type Err = OverridesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let overrides: Self = serde_json::from_str(text).map_err(|_| OverridesError::Shape)?;
        let attributes = [
            "id",
            "source",
            "specversion",
            "type",
            "datacontenttype",
            "dataschema",
            "subject",
            "time",
            "data",
        ];
        let plain = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        let odd = overrides.extensions.keys().find(|n| !plain(n) || attributes.contains(&n.as_str()));
        match odd {
            Some(name) => Err(OverridesError::Name(name.clone())),
            None => Ok(overrides),
        }
    }
}

/// The address that Knative injects as `K_SINK`, and how to post there. A SinkBinding also mounts a token where the cluster's
/// eventing asks for authentication, and may ask for extensions.
#[derive(Clone)]
pub struct Sink {
    client: reqwest::Client,
    url: Url,
    token: Option<PathBuf>,
    overrides: Overrides,
}

/// The token is a path; the address may hold credentials.
impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("host", &self.url.host_str()).field("token", &self.token).finish()
    }
}

impl Sink {
    /// Posts to `url`. The client should have a timeout and should not follow redirects.
    pub const fn new(client: reqwest::Client, url: Url) -> Self {
        Self { client, url, token: None, overrides: Overrides { extensions: BTreeMap::new() } }
    }

    /// Shows the token in this file with every event. It is read for each: whoever mounts it renews it.
    #[must_use]
    pub fn with_token_file(mut self, file: PathBuf) -> Self {
        self.token = Some(file);
        self
    }

    /// Gives every event these extensions, in place of its own of the same name.
    #[must_use]
    pub fn with_overrides(mut self, overrides: Overrides) -> Self {
        self.overrides = overrides;
        self
    }

    /// Posts an event; gives the answer, whatever it is.
    ///
    /// # Errors
    /// [`BusError::Encode`]; [`BusError::Unavailable`] where there was no answer, or the token cannot be read.
    pub(crate) async fn post(&self, mut event: Event) -> Result<reqwest::Response, BusError> {
        for (name, value) in &self.overrides.extensions {
            event.set_extension(name, value.as_str());
        }
        // A broker that traces as well goes on with the trace of the request, and would else begin one of its own.
        let trace = text_extension(&event, "traceparent").map(str::to_owned);
        let (headers, body) = http_binding::to_binary(event).map_err(|e| BusError::Encode(e.to_string()))?;
        let mut request = self.client.post(self.url.clone()).headers(headers).body(body);
        if let Some(trace) = trace {
            request = request.header("traceparent", trace);
        }
        if let Some(file) = &self.token {
            request = request.bearer_auth(token(file).await?);
        }
        request.send().await.map_err(|e| BusError::Unavailable(transport(&e)))
    }
}

/// The token of the moment.
async fn token(file: &Path) -> Result<String, BusError> {
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
    let problem = match read {
        Ok(Ok(text)) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(Ok(_)) => "it is empty".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "reading it was cut off".to_owned(),
    };
    Err(BusError::Unavailable(format!("the token for the broker, {}: {problem}", file.display())))
}

/// Posts events to a [`Sink`]. Delivery, retries and dead letters are the broker's.
#[derive(Debug, Clone)]
pub struct SinkBus(Sink);

impl SinkBus {
    /// Publishes to `sink`. Knative's in-memory channel answers only after delivery with all its retries, so the
    /// client's timeout should be generous.
    pub const fn new(sink: Sink) -> Self {
        Self(sink)
    }

    async fn post(&self, event: Event) -> Result<(), BusError> {
        let status = self.0.post(event).await?.status();
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
        let answer = self.0.client.request(reqwest::Method::OPTIONS, self.0.url.clone()).send().await;
        answer.map(|_| ()).map_err(|e| BusError::Unavailable(transport(&e)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sink_binding_writes_is_read_and_the_rest_is_refused() {
        let extensions = |text: &str| text.parse::<Overrides>().map(|o| o.extensions.len());
        assert_eq!(extensions(r#"{"extensions":{"cluster":"north","tier":"1"}}"#), Ok(2));
        assert_eq!(extensions("{}"), Ok(0));
        for shape in ["", "cluster", r#"{"extensions":[]}"#, r#"{"extensions":{"n":1}}"#] {
            assert_eq!(extensions(shape), Err(OverridesError::Shape), "{shape}");
        }
        for name in ["", "Cluster", "my-cluster", "ce_x", "id", "type", "data"] {
            let text = serde_json::json!({"extensions": {name: "x"}}).to_string();
            assert_eq!(extensions(&text), Err(OverridesError::Name(name.to_owned())));
        }
    }
}
