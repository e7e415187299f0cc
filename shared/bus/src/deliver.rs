//! Calling functions: over HTTP, or in the same process, with one reading of their answers.
//!
//! What an answer means is what Knative eventing makes of it, so that a function behaves alike behind either: a 2xx is
//! done, and its body has to be empty, because a body would be a reply event and none of ours replies; 404, 408, 409,
//! 429, 5xx and silence are tried again; everything else is refused for good. But for 401, 403 and redirects, which no function
//! answers to an event: a mesh, a gateway or a broker with a token does, while its rules are wrong, and the queue must not be
//! emptied into the dead letters meanwhile.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, Method, Request, Response};
use cloudevents::AttributesReader as _;
use futures_util::{FutureExt as _, StreamExt as _};
use ohx_domain::{Clock as _, Instant, SystemClock};
use ohx_events::{Event, Function, envelope, http_binding, subscribers};
use tower::ServiceExt as _;
use url::Url;

use crate::sink::Sink;
use crate::{Bury, BusError, Deliver, Verdict};

/// The longest wait that a function's `Retry-After` is honoured for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// How long keeping a dead letter may take: within what Lambda leaves for settling a batch.
const BURIAL: Duration = Duration::from_secs(3);

/// How much of an answer's body is read, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// How much of an answer's own words becomes the reason, in characters.
const MAX_REASON: usize = 300;

/// Calls functions by HTTP, one URL each.
#[derive(Debug, Clone)]
pub struct HttpDeliver {
    client: reqwest::Client,
    urls: BTreeMap<Function, Url>,
}

impl HttpDeliver {
    /// Posts to `urls`. The client should have a timeout and should not follow redirects: a redirect is an answer
    /// like any other, and means a wrong URL.
    pub const fn new(client: reqwest::Client, urls: BTreeMap<Function, Url>) -> Self {
        Self { client, urls }
    }
}

#[async_trait]
impl Deliver for HttpDeliver {
    async fn deliver(&self, to: Function, event: &Event) -> Verdict {
        let Some(url) = self.urls.get(&to) else {
            return later(format!("no URL is configured for the function {to}"));
        };
        let (headers, body) = match http_binding::to_binary(event.clone()) {
            Ok(parts) => parts,
            Err(error) => return Verdict::Reject { reason: error.to_string() },
        };
        match self.client.post(url.clone()).headers(headers).body(body).send().await {
            Ok(answer) => judge(Response::<reqwest::Body>::from(answer).map(Body::new)).await,
            Err(error) => later(transport(&error)),
        }
    }
}

/// Hands events from queues to a Knative broker, which knows who listens: retries after its 2xx are the broker's.
///
/// An event that several functions listen to is in the queue of each; the broker gets the copy of the first of them,
/// and the others are done at once.
#[derive(Debug, Clone)]
pub struct SinkDeliver(Sink);

impl SinkDeliver {
    /// Posts to `sink`.
    pub const fn new(sink: Sink) -> Self {
        Self(sink)
    }
}

#[async_trait]
impl Deliver for SinkDeliver {
    async fn deliver(&self, to: Function, event: &Event) -> Verdict {
        let listeners = subscribers(event.ty());
        if listeners.contains(&to) && listeners.first() != Some(&to) {
            return Verdict::Done;
        }
        match self.0.post(event.clone()).await {
            // What a broker says beside its 2xx is not a reply of a function.
            Ok(answer) if answer.status().is_success() => Verdict::Done,
            Ok(answer) => judge(Response::<reqwest::Body>::from(answer).map(Body::new)).await,
            Err(BusError::Unavailable(reason)) => later(reason),
            Err(error) => Verdict::Reject { reason: error.to_string() },
        }
    }
}

/// Calls functions that live in this process.
#[derive(Debug, Clone)]
pub struct RouterDeliver {
    routers: BTreeMap<Function, Router>,
}

impl RouterDeliver {
    /// Hands events to `routers`, as `POST /` each.
    pub const fn new(routers: BTreeMap<Function, Router>) -> Self {
        Self { routers }
    }
}

#[async_trait]
impl Deliver for RouterDeliver {
    async fn deliver(&self, to: Function, event: &Event) -> Verdict {
        let Some(router) = self.routers.get(&to) else {
            return later(format!("the function {to} does not run in this process"));
        };
        let (headers, body) = match http_binding::to_binary(event.clone()) {
            Ok(parts) => parts,
            Err(error) => return Verdict::Reject { reason: error.to_string() },
        };
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        let call = async {
            match router.clone().oneshot(request).await {
                Ok(answer) => judge(answer).await,
                Err(never) => match never {},
            }
        };
        let panicked = |_| later(format!("the function {to} panicked"));
        AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(panicked)
    }
}

/// One attempt at delivery, by an engine: bounded by `timeout`, and with a panic read as "again".
pub async fn attempt(deliver: &dyn Deliver, to: Function, event: &Event, timeout: Duration) -> Verdict {
    let call = AssertUnwindSafe(deliver.deliver(to, event)).catch_unwind();
    match tokio::time::timeout(timeout, call).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) => later(format!("the delivery to {to} panicked")),
        Err(_) => later(format!("{to} gave no answer within {timeout:?}")),
    }
}

/// Buries an event, for an engine: without its data, and with a panic or a delay read as a failure.
///
/// # Errors
/// What [`Bury::bury`] returned, or [`BusError::Unavailable`].
pub async fn bury(
    graves: &dyn Bury,
    to: Function,
    event: &Event,
    reason: &str,
    attempts: u32,
) -> Result<(), BusError> {
    let bare = envelope::without_data(event);
    let call = AssertUnwindSafe(graves.bury(to, &bare, reason, attempts)).catch_unwind();
    match tokio::time::timeout(BURIAL, call).await {
        Ok(Ok(kept)) => kept,
        Ok(Err(_)) => Err(BusError::Unavailable("keeping the dead letter panicked".into())),
        Err(_) => Err(BusError::Unavailable(format!("keeping the dead letter took longer than {BURIAL:?}"))),
    }
}

fn later(reason: String) -> Verdict {
    Verdict::Retry { after: None, reason }
}

/// What an answer means.
async fn judge(answer: Response<Body>) -> Verdict {
    let (parts, body) = answer.into_parts();
    let status = parts.status;
    if status.is_success() {
        return match read(body, 1).await {
            Ok(body) if body.is_empty() => Verdict::Done,
            Ok(_) => later(format!("HTTP {} with a body, which is not a reply event", status.as_u16())),
            Err(_) => later(format!("HTTP {}, but the answer broke off", status.as_u16())),
        };
    }
    let body = read(body, MAX_BODY).await.unwrap_or_default();
    let reason = problem(&parts.headers, &body).unwrap_or_else(|| format!("HTTP {}", status.as_u16()));
    if status.is_server_error() || matches!(status.as_u16(), 300..=399 | 401 | 403 | 404 | 408 | 409 | 429) {
        Verdict::Retry { after: retry_after(&parts.headers), reason }
    } else {
        Verdict::Reject { reason }
    }
}

/// The body, read until at least `enough` bytes are there or it ends; never much more than that.
async fn read(body: Body, enough: usize) -> Result<Vec<u8>, axum::Error> {
    let mut frames = body.into_data_stream();
    let mut read = Vec::new();
    while read.len() < enough {
        match frames.next().await {
            Some(frame) => {
                let frame = frame?;
                read.extend_from_slice(&frame[..frame.len().min(MAX_BODY)]);
            }
            None => break,
        }
    }
    Ok(read)
}

/// What a problem document (RFC 9457) says about itself, on one line.
fn problem(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let says = content_type.trim_start().to_ascii_lowercase().starts_with("application/problem+json");
    if says { what_a_problem_says(body) } else { None }
}

/// The `detail` of a problem document, or else its `title`, on one line and of bounded length; `None` where there is
/// neither.
pub fn what_a_problem_says(body: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(body).ok()?;
    let said = ["detail", "title"].iter().filter_map(|key| document.get(key)?.as_str());
    let line = |text: &str| -> String {
        text.chars().take(MAX_REASON).map(|c| if c.is_control() { ' ' } else { c }).collect()
    };
    said.map(line).find(|text| !text.trim().is_empty())
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a date, which is read against the answer's own `Date` where it has
/// one, so that the two clocks need not agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let until = date(headers, &RETRY_AFTER)?;
        let now = date(headers, &DATE).unwrap_or_else(|| SystemClock.now());
        Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<Instant> {
    let text = headers.get(name)?.to_str().ok()?;
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

/// Why a request got no answer: the class and the innermost cause, without the URL, which may hold credentials.
pub(crate) fn transport(error: &reqwest::Error) -> String {
    let class = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the request failed"
    };
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(|e| e.source()) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| class.to_owned(), |cause| format!("{class}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Body> {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        answer.body(Body::from(body.to_owned())).unwrap()
    }

    #[tokio::test]
    async fn every_status_is_read_as_knative_reads_it_but_those_of_the_way() {
        for status in 200..600_u16 {
            let verdict = judge(answer(status, &[], "")).await;
            let expected = match status {
                200..300 => "done",
                300..=399 | 401 | 403 | 404 | 408 | 409 | 429 | 500.. => "retry",
                _ => "reject",
            };
            let got = match &verdict {
                Verdict::Done => "done",
                Verdict::Retry { reason, .. } => {
                    assert_eq!(*reason, format!("HTTP {status}"));
                    "retry"
                }
                Verdict::Reject { reason } => {
                    assert_eq!(*reason, format!("HTTP {status}"));
                    "reject"
                }
            };
            assert_eq!(got, expected, "{status}");
        }
        assert!(matches!(judge(answer(200, &[], "ok")).await, Verdict::Retry { .. }));
    }

    #[tokio::test]
    async fn a_problem_document_gives_the_reason() {
        let json = [("content-type", "application/problem+json; charset=utf-8")];
        let reason =
            async |headers: &[(&str, &str)], body: &str| match judge(answer(422, headers, body)).await {
                Verdict::Reject { reason } => reason,
                other => panic!("{other:?}"),
            };
        assert_eq!(reason(&json, r#"{"title":"no","detail":"gone\nfor good"}"#).await, "gone for good");
        assert_eq!(reason(&json, r#"{"title":"no","detail":""}"#).await, "no");
        assert_eq!(reason(&json, "{").await, "HTTP 422");
        assert_eq!(reason(&json, r#"{"detail":5}"#).await, "HTTP 422");
        assert_eq!(reason(&[("content-type", "application/json")], r#"{"detail":"no"}"#).await, "HTTP 422");
        let long = reason(&json, &format!(r#"{{"detail":"{}"}}"#, "ä".repeat(1000))).await;
        assert_eq!(long.chars().count(), MAX_REASON);
        let endless = format!(r#"{{"detail":"{}"}}"#, "x".repeat(2 * MAX_BODY));
        assert_eq!(reason(&json, &endless).await, "HTTP 422");
    }

    #[tokio::test]
    async fn retry_after_is_seconds_or_a_date() {
        let after = async |headers: &[(&str, &str)]| match judge(answer(429, headers, "")).await {
            Verdict::Retry { after, .. } => after,
            other => panic!("{other:?}"),
        };
        let seconds = |n| Some(Duration::from_secs(n));
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(after(&[]).await, None);
        assert_eq!(after(&[("retry-after", "7")]).await, seconds(7));
        assert_eq!(after(&[("retry-after", "0")]).await, seconds(0));
        assert_eq!(after(&[("retry-after", "99999999999999999999999")]).await, Some(MAX_RETRY_AFTER));
        assert_eq!(after(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"), date]).await, seconds(30));
        assert_eq!(after(&[("retry-after", "Sun, 06 Nov 1994 08:49:07 GMT"), date]).await, seconds(0));
        assert_eq!(after(&[("retry-after", "Mon, 06 Nov 2090 08:49:07 GMT")]).await, Some(MAX_RETRY_AFTER));
        assert_eq!(after(&[("retry-after", "soon")]).await, None);
        assert_eq!(after(&[("retry-after", "-1")]).await, None);
    }
}
