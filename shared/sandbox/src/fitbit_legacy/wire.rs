//! What stands in front of every call for data: the end of the service, faults, tokens, and each person's hour.

use axum::body::Bytes;
use axum::extract::{OriginalUri, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

use super::faults::{Instead, Retired};
use super::{Simulator, notify, read};
use crate::drop_reply::drop_reply;
use crate::faults::take;

/// An error in the API's own shape.
#[derive(Debug, Clone)]
pub(super) struct Refusal(pub(super) u16, pub(super) String);

impl Refusal {
    pub(super) fn new(status: u16, error_type: &str) -> Self {
        Self(status, error_type.to_owned())
    }

    pub(super) fn validation() -> Self {
        Self::new(400, "validation")
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "not_found")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, error_type) = self;
        let message = format!("{error_type}: refused by the sandbox");
        let error = json!({ "errorType": error_type, "fieldName": "n/a", "message": message });
        (code(status), axum::Json(json!({ "errors": [error], "success": false }))).into_response()
    }
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY)
}

fn google(status: u16, name: &str) -> Response {
    let message = "The caller does not have permission";
    let error = json!({ "error": { "code": status, "message": message, "status": name } });
    (code(status), axum::Json(error)).into_response()
}

/// The answer of a service that has ended; `None` where this call is still answered.
pub(super) fn ended(how: Option<Retired>, for_data: bool) -> Option<Response> {
    Some(match how? {
        Retired::Forbidden => google(403, "PERMISSION_DENIED"),
        Retired::Unauthenticated if for_data => google(401, "UNAUTHENTICATED"),
        Retired::Unauthenticated => return None,
        Retired::NotFound => {
            (StatusCode::NOT_FOUND, Html("<html><body>404. That is an error.</body></html>")).into_response()
        }
        Retired::Gone => StatusCode::GONE.into_response(),
        Retired::Moved => {
            (StatusCode::FOUND, [(header::LOCATION, "https://support.example/")]).into_response()
        }
        Retired::Silence => drop_reply(),
    })
}

/// What an answer is made of.
pub(super) enum Answer {
    /// JSON text.
    Json(String),
    /// The same with another status than 200.
    Status(u16, String),
    /// Nothing.
    Empty(u16),
}

/// All of the API.
pub(super) async fn api(
    Shared(sim): Shared<Simulator>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    _body: Bytes,
) -> Response {
    let path = uri.path().trim_start_matches('/');
    let (instead, retired) = {
        let mut state = sim.state();
        let kind = read::kind_of(path);
        *state.stats.calls.entry(kind.to_owned()).or_insert(0) += 1;
        state.stats.languages += u64::from(headers.contains_key(header::ACCEPT_LANGUAGE));
        (state.faults.instead.next(), state.faults.retired)
    };
    if let Some(ended) = ended(retired, true) {
        return ended;
    }
    let (refused, limit) = match sim.authenticate(&headers) {
        Err(refused) => return refused.into_response(),
        Ok(caller) => {
            let limit = sim.count(&caller.person);
            let result = match instead {
                Some(Instead::Html(status)) => {
                    return (code(status), Html("<html><body>Bad gateway</body></html>")).into_response();
                }
                Some(Instead::Google(status, name)) => return google(status, &name),
                Some(Instead::Error(status, error_type)) => Err(Refusal(status, error_type)),
                Some(Instead::TooMany) => Err(Refusal::new(429, "system")),
                None if limit.over => {
                    sim.state().stats.over_quota += 1;
                    Err(Refusal::new(429, "system"))
                }
                None if method == Method::GET => {
                    read::read(&sim, &caller, path, uri.query().unwrap_or_default())
                }
                None => notify::subscriptions(&sim, &caller, &method, path, &headers),
            };
            (result, limit)
        }
    };
    let mut response = match refused {
        Ok(Answer::Json(text)) => json_text(StatusCode::OK, &sim, text),
        Ok(Answer::Status(status, text)) => json_text(code(status), &sim, text),
        Ok(Answer::Empty(status)) => code(status).into_response(),
        Err(refusal) => refusal.into_response(),
    };
    let too_many = response.status() == StatusCode::TOO_MANY_REQUESTS;
    let reset = limit.reset.to_string();
    for (name, value) in [
        ("Fitbit-Rate-Limit-Limit", limit.limit.to_string()),
        ("Fitbit-Rate-Limit-Remaining", limit.remaining.to_string()),
        ("Fitbit-Rate-Limit-Reset", reset.clone()),
        ("Retry-After", reset),
    ] {
        let value = header::HeaderValue::from_str(&value);
        if let (Ok(name), Ok(value)) = (header::HeaderName::from_bytes(name.as_bytes()), value)
            && (name != header::RETRY_AFTER || too_many)
        {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn json_text(status: StatusCode, sim: &Simulator, mut text: String) -> Response {
    if take(&mut sim.state().faults.truncate) {
        text.truncate(text.len() / 2);
    }
    (status, [(header::CONTENT_TYPE, "application/json;charset=UTF-8")], text).into_response()
}

/// A person's calls of this hour.
struct Limit {
    limit: u64,
    remaining: u64,
    /// Seconds until the top of the hour.
    reset: i64,
    over: bool,
}

impl Simulator {
    fn count(&self, person: &str) -> Limit {
        let now = self.now().as_second();
        let limit = self.0.config.requests_per_hour;
        let mut state = self.state();
        let mut used = 0;
        if let Some(account) = state.persons.get_mut(person) {
            let hour = now.div_euclid(3600);
            if account.hour.0 != hour {
                account.hour = (hour, 0);
            }
            account.hour.1 += 1;
            used = account.hour.1;
        }
        Limit {
            limit,
            remaining: limit.saturating_sub(used),
            reset: 3600 - now.rem_euclid(3600),
            over: used > limit,
        }
    }
}
