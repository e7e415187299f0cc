//! CloudEvents in, and the reply rules of Knative eventing out.
//!
//! A function behind a Trigger answers an empty 2xx (done), 422 (never again: straight to the dead-letter sink), or
//! 503 and 429 with `Retry-After` (later). A 2xx with a body would count as a failure and repeat the work, so there
//! is no way to answer one from here.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use cloudevents::AttributesReader as _;
use http::StatusCode;
use ohx_events::envelope::{link_of, shown_id, shown_type};
use ohx_events::{Event, EventError, Function, http_binding, subscribers};

use crate::{Problem, metrics};

/// A CloudEvent in binary or structured mode; anything else is answered with 400 and what was expected.
#[derive(Debug, Clone)]
pub struct CloudEvent(pub Event);

impl<S: Send + Sync> FromRequest<S> for CloudEvent {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        match http_binding::from_request(&headers, body.into()) {
            Ok(event) => {
                let span = tracing::Span::current();
                span.record("event.id", shown_id(&event)).record("event.type", shown_type(event.ty()));
                if let Ok(link) = link_of(&event) {
                    span.record("link", tracing::field::display(link));
                }
                Ok(Self(event))
            }
            Err(error) => {
                tracing::warn!(error = %error, "refused a request that is no CloudEvent");
                Err(Problem::new(StatusCode::BAD_REQUEST, error.to_string()).into_response())
            }
        }
    }
}

/// Why an event was not handled. The reason reaches logs and brokers: never a health value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventFailure {
    /// Worth another delivery.
    Retry {
        /// What happened.
        reason: String,
        /// Not before so long.
        after: Option<Duration>,
    },
    /// Nothing has failed, it is not its turn yet: a quota has to be waited for. Where the bus can wait, who says so
    /// publishes the event again and is done; elsewhere it is answered, and the broker delivers again.
    Wait {
        /// What it waits for.
        reason: String,
        /// Not before so long.
        after: Duration,
    },
    /// No delivery will ever succeed.
    Reject {
        /// What happened, and what to do.
        reason: String,
    },
}

impl EventFailure {
    /// Worth another delivery.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { reason: reason.into(), after: None }
    }

    /// Never again.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject { reason: reason.into() }
    }

    /// The reason.
    pub fn reason(&self) -> &str {
        match self {
            Self::Retry { reason, .. } | Self::Wait { reason, .. } | Self::Reject { reason } => reason,
        }
    }
}

impl From<EventError> for EventFailure {
    fn from(error: EventError) -> Self {
        Self::reject(error.to_string())
    }
}

impl From<ohx_store::StoreError> for EventFailure {
    fn from(error: ohx_store::StoreError) -> Self {
        match error {
            ohx_store::StoreError::NotFound { .. } => Self::reject(error.to_string()),
            _ => Self::retry(error.to_string()),
        }
    }
}

impl From<ohx_bus::BusError> for EventFailure {
    fn from(error: ohx_bus::BusError) -> Self {
        Self::retry(error.to_string())
    }
}

/// Refuses an event that `function` does not listen to: a Trigger without its filter would send any.
///
/// # Errors
/// [`EventFailure::Reject`].
pub fn heard(function: Function, event: &Event) -> Result<(), EventFailure> {
    if subscribers(event.ty()).contains(&function) {
        return Ok(());
    }
    Err(EventFailure::reject(format!("{function} does not listen to {}", shown_type(event.ty()))))
}

/// The answer to an event: made only by [`EventReply::of`].
#[derive(Debug)]
pub struct EventReply(Result<(), EventFailure>);

impl EventReply {
    /// The answer of `function` to `event`, counted and, where it failed, logged once.
    pub fn of(function: &'static str, event: &Event, result: Result<(), EventFailure>) -> Self {
        let outcome = match &result {
            Ok(()) => "done",
            Err(EventFailure::Retry { .. }) => "retry",
            Err(EventFailure::Wait { .. }) => "wait",
            Err(EventFailure::Reject { .. }) => "reject",
        };
        metrics::EVENTS.with_label_values(&[function, event_label(event.ty()), outcome]).inc();
        if let Err(failure) = &result {
            tracing::warn!(
                function,
                // What is not ours could be anything, a value or a name.
                event.id = shown_id(event),
                event.r#type = shown_type(event.ty()),
                link = link_of(event).map(|id| id.to_string()).unwrap_or_default(),
                outcome,
                reason = failure.reason(),
                "event not handled"
            );
        }
        Self(result)
    }
}

/// A bounded label: our own types and Knative's ping by name, the rest together.
fn event_label(event_type: &str) -> &str {
    let known =
        event_type.strip_prefix("org.openhealthexchange.").filter(|_| !subscribers(event_type).is_empty());
    match known {
        Some(name) => name,
        None if event_type == ohx_events::types::PING => "ping",
        None => "other",
    }
}

impl IntoResponse for EventReply {
    fn into_response(self) -> Response {
        match self.0 {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(EventFailure::Retry { reason, after }) => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, reason).retry_after(after).into_response()
            }
            Err(EventFailure::Wait { reason, after }) => {
                Problem::new(StatusCode::TOO_MANY_REQUESTS, reason).retry_after(Some(after)).into_response()
            }
            Err(EventFailure::Reject { reason }) => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason).into_response()
            }
        }
    }
}
