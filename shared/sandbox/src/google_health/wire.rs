//! Errors in Google's shape, and what stands in front of every API call: faults, the token and the quota.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

use super::faults::Instead;
use super::types::Type;
use super::{Simulator, points};

/// A refusal: HTTP status, `error.status` and reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) u16, pub(super) &'static str, pub(super) &'static str);

impl Refusal {
    pub(super) const UNAUTHENTICATED: Self = Self(401, "UNAUTHENTICATED", "");
    pub(super) const NO_SCOPE: Self = Self(403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT");
    pub(super) const NOT_LINKED: Self = Self(400, "FAILED_PRECONDITION", "ACCOUNT_NOT_LINKED");
    pub(super) const TOO_MANY: Self = Self(429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED");
    pub(super) const DEADLINE: Self = Self(504, "DEADLINE_EXCEEDED", "");
    pub(super) const NOT_FOUND: Self = Self(404, "NOT_FOUND", "");

    /// 400, with a reason or without.
    pub(super) const fn invalid(reason: &'static str) -> Self {
        Self(400, "INVALID_ARGUMENT", reason)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(code, status, reason) = self;
        let mut error = json!({ "code": code, "message": "The sandbox refuses.", "status": status });
        if let (Some(error), false) = (error.as_object_mut(), reason.is_empty()) {
            let detail = json!({
                "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason,
                "domain": "health.googleapis.com", "metadata": {},
            });
            error.insert("details".into(), json!([detail]));
        }
        (http_status(code), axum::Json(json!({ "error": error }))).into_response()
    }
}

pub(super) fn http_status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The bearer token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(str::to_owned)
}

/// What a user's call asks for.
enum Asked {
    Identity,
    Settings,
    Devices,
    List(&'static Type),
    Get(&'static Type, String),
    Reconcile(&'static Type),
    DailyRollUp(&'static Type),
}

impl Asked {
    fn read(method: &Method, rest: &str) -> Result<Self, Refusal> {
        let get = method == Method::GET;
        let parts: Vec<&str> = rest.split('/').collect();
        match parts.as_slice() {
            ["identity"] if get => Ok(Self::Identity),
            ["settings"] if get => Ok(Self::Settings),
            ["pairedDevices"] if get => Ok(Self::Devices),
            ["dataTypes", name, tail @ ..] => {
                let known =
                    Type::named(name).ok_or(Refusal::invalid("INVALID_PARENT_DATA_TYPE_COLLECTION"))?;
                match tail {
                    ["dataPoints"] if get => Ok(Self::List(known)),
                    ["dataPoints", id] if get => Ok(Self::Get(known, (*id).to_owned())),
                    ["dataPoints:reconcile"] if get => Ok(Self::Reconcile(known)),
                    ["dataPoints:dailyRollUp"] if !get => Ok(Self::DailyRollUp(known)),
                    _ => Err(Refusal::NOT_FOUND),
                }
            }
            _ => Err(Refusal::NOT_FOUND),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Identity => "identity".to_owned(),
            Self::Settings => "settings".to_owned(),
            Self::Devices => "pairedDevices".to_owned(),
            Self::List(known) => format!("{} list", known.name),
            Self::Get(known, _) => format!("{} get", known.name),
            Self::Reconcile(known) => format!("{} reconcile", known.name),
            Self::DailyRollUp(known) => format!("{} dailyRollUp", known.name),
        }
    }

    /// The scope that it needs; any of Google Health's opens the identity.
    fn scope(&self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Settings | Self::Devices => Some("settings"),
            Self::List(known) | Self::Get(known, _) | Self::Reconcile(known) | Self::DailyRollUp(known) => {
                Some(known.scope)
            }
        }
    }
}

/// Everything below `/v4/users/me`.
pub(super) async fn api(
    Shared(sim): Shared<Simulator>,
    method: Method,
    Path(rest): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let latency = sim.state().faults.latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let asked = Asked::read(&method, &rest);
    let instead = {
        let mut state = sim.state();
        let name = asked.as_ref().map_or_else(|_| "unknown".to_owned(), Asked::name);
        *state.stats.calls.entry(name).or_insert(0) += 1;
        state.faults.instead.next()
    };
    match instead {
        Some(Instead::Html(status)) => {
            let page = "<html><head><title>Error</title></head><body><h1>Server Error</h1></body></html>";
            return (http_status(status), Html(page)).into_response();
        }
        Some(Instead::Status(429)) => {
            sim.state().stats.over_quota += 1;
            return Refusal::TOO_MANY.into_response();
        }
        Some(Instead::Status(500)) => return Refusal(500, "INTERNAL", "").into_response(),
        Some(Instead::Status(503)) => return Refusal(503, "UNAVAILABLE", "").into_response(),
        Some(Instead::Status(504)) => return Refusal::DEADLINE.into_response(),
        Some(Instead::Status(status)) => return http_status(status).into_response(),
        None => {}
    }
    let query =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    match asked.and_then(|asked| answer(&sim, &asked, bearer(&headers).as_deref(), &query, &body)) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], text).into_response(),
        Err(refusal) => {
            let mut state = sim.state();
            match refusal.0 {
                401 => state.stats.unauthorized += 1,
                400 => state.stats.bad_requests += 1,
                429 => state.stats.over_quota += 1,
                _ => {}
            }
            refusal.into_response()
        }
    }
}

fn answer(
    sim: &Simulator,
    asked: &Asked,
    bearer: Option<&str>,
    query: &BTreeMap<String, String>,
    body: &[u8],
) -> Result<String, Refusal> {
    let caller = sim.authenticate(bearer)?;
    sim.count(caller.person)?;
    if let Some(scope) = asked.scope() {
        caller.needs(scope)?;
    }
    let now = sim.now().as_second();
    let mut state = sim.state();
    let account = state.persons.get(&caller.person).ok_or(Refusal::UNAUTHENTICATED)?;
    if !account.person.linked {
        return Err(Refusal::NOT_LINKED);
    }
    let person = &account.person;
    let user = format!("users/{}", person.id);
    Ok(match asked {
        Asked::Identity => {
            let mut identity = json!({ "name": "users/me/identity", "healthUserId": person.id.to_string() });
            if let (Some(identity), Some(legacy)) = (identity.as_object_mut(), &person.legacy_id) {
                identity.insert("legacyUserId".into(), legacy.as_str().into());
            }
            identity.to_string()
        }
        Asked::Settings => json!({
            "name": format!("{user}/settings"), "timeZone": person.timezone,
            "utcOffset": points::offset(&account.zone, now), "weightUnit": "WEIGHT_UNIT_KILOGRAMS",
            "distanceUnit": "DISTANCE_UNIT_KILOMETERS", "temperatureUnit": "TEMPERATURE_UNIT_CELSIUS",
            "languageLocale": "en_GB",
        })
        .to_string(),
        Asked::Devices => devices(&user, query, now)?.to_string(),
        Asked::Get(known, id) => {
            let point = account.of(known.name).iter().find(|point| point.id == *id);
            points::written(account, known, point.ok_or(Refusal::NOT_FOUND)?, false)
        }
        Asked::List(known) => {
            let walk = points::Walk::read(account, known, query, false, &sim.0.config)?;
            walk.page(&mut state, caller.person)?
        }
        Asked::Reconcile(known) => {
            let walk = points::Walk::read(account, known, query, true, &sim.0.config)?;
            walk.page(&mut state, caller.person)?
        }
        Asked::DailyRollUp(known) => points::daily_roll_up(account, known, body)?,
    })
}

/// A band and a scale, five to a page unless asked otherwise.
fn devices(user: &str, query: &BTreeMap<String, String>, now: i64) -> Result<Value, Refusal> {
    let device = |id: &str, kind: &str, product: &str, level: u8, battery: &str| {
        json!({
            "name": format!("{user}/pairedDevices/{id}"), "deviceType": kind, "deviceVersion": product,
            "batteryStatus": battery, "batteryLevel": level, "lastSyncTime": points::instant(now - 420),
            "macAddress": "AABBCCDDEEFF", "features": ["STEPS", "HEART_RATE", "SPO2", "SLEEP"],
        })
    };
    let all = [
        device("123", "TRACKER", super::data::BAND, 84, "High"),
        device("124", "SCALE", super::data::SCALE, 31, "Medium"),
    ];
    let number = |name: &str| query.get(name).map(|text| text.parse::<usize>()).transpose();
    let wrong = |_| Refusal::invalid("");
    let size = number("pageSize").map_err(wrong)?.filter(|n| *n > 0).unwrap_or(5).min(100);
    let start = number("pageToken").map_err(wrong)?.unwrap_or(0);
    let page: Vec<&Value> = all.iter().skip(start).take(size).collect();
    let more = start + size < all.len();
    let token = if more { (start + size).to_string() } else { String::new() };
    Ok(json!({ "pairedDevices": page, "nextPageToken": token }))
}

impl Simulator {
    /// Counts a user's call of the last minute.
    fn count(&self, person: u64) -> Result<(), Refusal> {
        let now = self.now();
        let mut state = self.state();
        let calls = state.quota.entry(person).or_default();
        while calls.front().is_some_and(|at| now.duration_since(*at).as_secs() >= 60) {
            calls.pop_front();
        }
        if calls.len() >= self.0.config.requests_per_minute {
            return Err(Refusal::TOO_MANY);
        }
        calls.push_back(now);
        Ok(())
    }
}
