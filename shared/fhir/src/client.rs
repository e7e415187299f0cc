//! One EHR endpoint, and how it is spoken to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use ohx_domain::{Clock, EhrEndpoint, Instant, SystemClock};
use reqwest::RequestBuilder;
use reqwest::header::{ACCEPT, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use secrecy::{ExposeSecret as _, SecretString};
use tracing::{Instrument as _, field};
use url::Url;

use crate::auth::Authorization;
use crate::state::State;
use crate::{Credentials, EhrError};

/// The FHIR media type (FHIR R5 http.html, section 3.2.0.1.13).
pub(crate) const FHIR_JSON: &str = "application/fhir+json";

/// The largest answer that is read, in bytes. A lookup of 500 resources with `_elements` takes about 200 kB; a server
/// that ignores `_elements` sends the readings along.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// The longest `Retry-After` that is passed on.
const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

/// What is said of a call that was not answered before its timeout.
pub(crate) const TOO_SLOW: &str = "no answer in time";

/// A FHIR server that readings are written to. Cheap to clone; clones share what they learn about the server.
#[derive(Clone)]
pub struct EhrClient {
    pub(crate) http: reqwest::Client,
    pub(crate) endpoint: EhrEndpoint,
    auth: Arc<Authorization>,
    clock: Arc<dyn Clock>,
    pub(crate) state: Arc<State>,
}

impl fmt::Debug for EhrClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EhrClient").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// An answer that is neither a refusal of the credentials nor a plea for patience.
pub(crate) struct Answer {
    /// The HTTP status: 2xx, or 4xx without 401, 403, 408, 423, 425 and 429, or 501.
    pub(crate) status: u16,
    /// Where what was written is, if the server says so.
    pub(crate) location: Option<String>,
    /// The body; it may hold health data.
    pub(crate) body: String,
}

impl EhrClient {
    /// A client for `endpoint`. `http` sets the timeouts; `credentials` hold what the endpoint's `auth` asks for.
    pub fn new(http: reqwest::Client, endpoint: EhrEndpoint, credentials: Credentials) -> Self {
        let state = Arc::new(State::new(endpoint.batch_size.clamp(1, 500)));
        let auth = Arc::new(Authorization::new(credentials));
        Self { http, endpoint, auth, clock: Arc::new(SystemClock), state }
    }

    /// The time.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Uses another clock. It serves to know when a token ends, and to read a `Retry-After` that is a date, where the answer
    /// has no `Date` itself.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The endpoint as configured.
    pub fn endpoint(&self) -> &EhrEndpoint {
        &self.endpoint
    }

    /// The FHIR base URL with `path` appended.
    pub(crate) fn url(&self, path: &[&str]) -> Url {
        let mut url = self.endpoint.base_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Sends a request and sorts the answer. An access token that the endpoint refuses is renewed, once, and the request
    /// sent again.
    pub(crate) async fn send(&self, call: &'static str, request: RequestBuilder) -> Result<Answer, EhrError> {
        let again = if self.endpoint.auth.uses_oauth() { request.try_clone() } else { None };
        let token = self.auth.bearer(self, None).await?;
        let mut response = self.exchange(call, request, token.as_ref()).await?;
        if response.status().as_u16() == 401
            && let Some(again) = again
        {
            let token = self.auth.bearer(self, token.as_ref()).await?;
            response = self.exchange(call, again, token.as_ref()).await?;
        }
        let status = response.status().as_u16();
        match status {
            401 | 403 => {
                return Err(EhrError::Unauthorized { ehr: self.endpoint.name.clone(), call, status });
            }
            300..=399 => {
                let problem =
                    format!("it redirects (HTTP {status}): set base_url to the address it redirects to");
                return Err(self.not_fhir(call, problem));
            }
            408 | 423 | 425 | 429 | 500 | 502..=599 => {
                return Err(self.busy(call, status, response.headers()));
            }
            _ => {}
        }
        let location =
            response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        Ok(Answer { status, location, body: self.read(call, response).await? })
    }

    async fn exchange(
        &self,
        call: &'static str,
        mut request: RequestBuilder,
        token: Option<&SecretString>,
    ) -> Result<reqwest::Response, EhrError> {
        request = request.header(ACCEPT, FHIR_JSON);
        if let Some(token) = token {
            request = request.bearer_auth(token.expose_secret());
        }
        // Its level keeps it out of the logs; the paths of an EHR hold identifiers, so they are not told.
        let span = tracing::trace_span!(
            "ehr",
            ehr = %self.endpoint.name,
            call,
            status = field::Empty,
            otel.kind = "client",
            otel.status_code = field::Empty,
        );
        let answer = request.send().instrument(span.clone()).await;
        match &answer {
            Ok(answer) => span.record("status", answer.status().as_u16()),
            Err(_) => span.record("otel.status_code", "ERROR"),
        };
        answer.map_err(|error| self.transport(call, &error))
    }

    /// An answer that asks for patience.
    pub(crate) fn busy(&self, call: &'static str, status: u16, headers: &HeaderMap) -> EhrError {
        EhrError::Unavailable {
            ehr: self.endpoint.name.clone(),
            call,
            problem: format!("HTTP {status}"),
            retry_after: self.retry_after(headers),
            // What a gateway says, which knows as little.
            in_doubt: matches!(status, 408 | 502 | 504),
        }
    }

    pub(crate) async fn read(
        &self,
        call: &'static str,
        mut response: reqwest::Response,
    ) -> Result<String, EhrError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport(call, &error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(self.not_fhir(call, format!("its answer is over {} MiB", MAX_ANSWER >> 20)));
            }
            body.extend_from_slice(&chunk);
        }
        String::from_utf8(body).map_err(|_| self.not_fhir(call, "its answer is not UTF-8".into()))
    }

    /// A failure without an answer. reqwest's own text may hold the URL, and with it identifiers: only its kind is told.
    pub(crate) fn transport(&self, call: &'static str, error: &reqwest::Error) -> EhrError {
        let kind = if error.is_timeout() {
            TOO_SLOW
        } else if error.is_connect() {
            "no connection (address, TLS or firewall)"
        } else {
            "the connection broke"
        };
        self.unavailable(call, kind.into(), !error.is_connect())
    }

    pub(crate) fn unavailable(&self, call: &'static str, problem: String, in_doubt: bool) -> EhrError {
        EhrError::Unavailable { ehr: self.endpoint.name.clone(), call, problem, retry_after: None, in_doubt }
    }

    pub(crate) fn not_fhir(&self, call: &'static str, problem: String) -> EhrError {
        EhrError::NotFhir { ehr: self.endpoint.name.clone(), call, problem }
    }

    pub(crate) fn unsupported(&self, problem: String) -> EhrError {
        EhrError::Unsupported { ehr: self.endpoint.name.clone(), problem }
    }

    /// `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date, which is read against the answer's own `Date`, so
    /// that two clocks that disagree do no harm.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = match text.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let until = http_date(text)?;
                let now = headers.get(DATE).and_then(|date| http_date(date.to_str().ok()?));
                let now = now.unwrap_or_else(|| self.clock.now());
                Duration::try_from(until.duration_since(now)).unwrap_or_default()
            }
        };
        Some(wait.min(MAX_WAIT))
    }
}

/// An HTTP date (RFC 9110, section 5.6.7).
pub(crate) fn http_date(text: &str) -> Option<Instant> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ohx_domain::ManualClock;

    fn client(base: &str) -> EhrClient {
        let json = format!(r#"{{"name":"main","base_url":"{base}"}}"#);
        #[expect(clippy::disallowed_methods, reason = "a test's own client")]
        EhrClient::new(reqwest::Client::new(), serde_json::from_str(&json).unwrap(), Credentials::none())
            .with_clock(Arc::new(ManualClock::new("2026-11-21T10:00:00Z".parse().unwrap())))
    }

    #[test]
    fn a_base_url_with_and_without_a_slash_is_the_same() {
        for base in ["http://ehr.example/fhir", "http://ehr.example/fhir/"] {
            assert_eq!(client(base).url(&["Observation", "_search"]).path(), "/fhir/Observation/_search");
            assert_eq!(client(base).url(&[]).path().trim_end_matches('/'), "/fhir");
        }
        assert_eq!(client("http://ehr.example").url(&["metadata"]).path(), "/metadata");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let client = client("http://ehr.example");
        let wait = |retry: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, retry.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            client.retry_after(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("30", None), Some(30));
        assert_eq!(wait("999999999", None), Some(86400));
        assert_eq!(wait("Sat, 21 Nov 2026 10:02:00 GMT", None), Some(120));
        assert_eq!(wait("Sat, 21 Nov 2026 09:00:00 GMT", None), Some(0));
        // The server's clock is an hour ahead: its own Date says what it means.
        assert_eq!(wait("Sat, 21 Nov 2026 11:00:05 GMT", Some("Sat, 21 Nov 2026 11:00:00 GMT")), Some(5));
        assert_eq!(wait("soon", None), None);
    }
}
