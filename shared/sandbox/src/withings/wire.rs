//! The envelope around every answer, and what stands in front of every API call: faults and the quota.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::faults::Instead;
use super::{Simulator, State, activity, heart, measure, notify, oauth, sleep};
use crate::drop_reply::drop_reply;

/// One API call: the parameters of its body and its query string, and its bearer token.
pub(super) struct Call {
    params: BTreeMap<String, String>,
    pub(super) bearer: Option<String>,
}

impl Call {
    fn parse(uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Self {
        let parse = |text| url::form_urlencoded::parse(text).into_owned();
        let params = parse(uri.query().unwrap_or_default().as_bytes()).chain(parse(body)).collect();
        let bearer = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .map(str::to_owned);
        Self { params, bearer }
    }

    /// A parameter; an empty one counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A parameter that must be a number where it is there.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.get(name).map(|text| text.parse().map_err(|_| Refusal::INVALID)).transpose()
    }
}

/// An envelope with a status other than 0, in an HTTP 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) i64, pub(super) &'static str);

impl Refusal {
    /// Also what a dead code or refresh token gets.
    pub(super) const INVALID: Self = Self(503, "Invalid Params");
    pub(super) const UNAUTHORIZED: Self = Self(401, "The access token provided is invalid");
    pub(super) const NO_SCOPE: Self = Self(277, "Not authorized: insufficient scope");
    pub(super) const NOT_IMPLEMENTED: Self = Self(2554, "Not implemented");
    pub(super) const TOO_MANY: Self = Self(601, "Too Many Requests");
}

/// What a service answers where it does not refuse.
pub(super) enum Answer {
    /// The body of an envelope.
    Body(Value),
    /// The whole response as text, well-formed or not.
    Text(String),
    /// Nothing: the connection closes.
    Dropped,
}

impl Answer {
    /// The envelope around a body that is written as it is, to the last digit.
    pub(super) fn json(body: &impl Serialize) -> Result<Self, Refusal> {
        let body = serde_json::to_string(body).map_err(|_| Refusal::INVALID)?;
        Ok(Self::Text(format!(r#"{{"status":0,"body":{body}}}"#)))
    }
}

/// All of the API: every path and action.
pub(super) async fn api(
    Shared(sim): Shared<Simulator>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call::parse(&uri, &headers, &body);
    let path = uri.path();
    let action = call.get("action").unwrap_or_default();
    let latency = sim.state().faults.latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let instead = {
        let mut state = sim.state();
        state.count(path, action);
        state.faults.next_instead(action)
    };
    let result = match instead {
        Some(Instead::Http(status)) => return http_status(status).into_response(),
        Some(Instead::Html(status)) => {
            let page =
                "<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>";
            return (http_status(status), Html(page)).into_response();
        }
        Some(Instead::TooMany) => Err(Refusal::TOO_MANY),
        Some(Instead::Refused(status)) => Err(Refusal(status, "Refused")),
        None if !sim.within_quota() => Err(Refusal::TOO_MANY),
        None => match path {
            "/v2/oauth2" => oauth::tokens(&sim, action, &call),
            "/v2/signature" => oauth::signature(&sim, action, &call),
            "/v2/user" => measure::user(&sim, action, &call),
            "/measure" => measure::measure(&sim, action, &call),
            "/v2/measure" => activity::measure(&sim, action, &call),
            "/v2/sleep" => sleep::sleep(&sim, action, &call),
            "/v2/heart" => heart::heart(&sim, action, &call),
            _ => notify::notify(&sim, action, &call).await,
        },
    };
    answer(&sim, result)
}

fn answer(sim: &Simulator, result: Result<Answer, Refusal>) -> Response {
    let envelope = match result {
        Ok(Answer::Dropped) => return drop_reply(),
        Ok(Answer::Text(text)) => {
            return ([(header::CONTENT_TYPE, "application/json")], text).into_response();
        }
        Ok(Answer::Body(body)) => json!({ "status": 0, "body": body }),
        Err(Refusal(status, why)) => {
            let mut state = sim.state();
            state.answers += 1;
            match status {
                401 => state.stats.unauthorized += 1,
                601 => state.stats.over_quota += 1,
                _ => {}
            }
            json!({
                "status": status,
                "body": {},
                "error": format!("XRequestID: {:016x} {why}", state.answers),
            })
        }
    };
    axum::Json(envelope).into_response()
}

fn http_status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY)
}

impl State {
    fn count(&mut self, path: &str, action: &str) {
        const ACTIONS: [&str; 13] = [
            "requesttoken",
            "revoke",
            "getnonce",
            "getmeas",
            "getactivity",
            "getworkouts",
            "getintradayactivity",
            "getsummary",
            "getdevice",
            "subscribe",
            "list",
            "get",
            "update",
        ];
        let service = path.trim_start_matches('/').trim_start_matches("v2/");
        let action = if ACTIONS.contains(&action) { action } else { "other" };
        *self.stats.calls.entry(format!("{service}/{action}")).or_insert(0) += 1;
    }

    /// A field that is now a number, now a text: from one answer to the next.
    pub(super) fn number_or_text(&mut self, number: i64) -> Value {
        self.answers += 1;
        if self.answers.is_multiple_of(2) { json!(number.to_string()) } else { json!(number) }
    }
}

impl Simulator {
    /// Counts a call against the client's minute. A refused one costs nothing.
    fn within_quota(&self) -> bool {
        let now = self.now();
        let mut state = self.state();
        while state.quota.front().is_some_and(|at| now.duration_since(*at).as_secs() >= 60) {
            state.quota.pop_front();
        }
        let free = state.quota.len() < self.0.config.requests_per_minute;
        if free {
            state.quota.push_back(now);
        }
        free
    }
}
