//! The RESTful interface: one handler, so that every answer, errors included, is FHIR.

use axum::body::to_bytes;
use axum::extract::{Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use ohx_domain::Instant;
use serde_json::json;

use super::faults::Hit;
use super::outcome::Refused;
use super::search::{Condition, Search};
use super::store::Written;
use super::{FhirServer, State, TYPES, bundle};
use crate::drop_reply::drop_reply;

const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";

/// A type that this server knows, as its own constant.
///
/// # Errors
/// 404.
pub(super) fn known_type(name: &str) -> Result<&'static str, Refused> {
    let unknown =
        || Refused::new(StatusCode::NOT_FOUND, "not-supported", "this server does not know this type");
    TYPES.into_iter().find(|known| *known == name).ok_or_else(unknown)
}

/// A successful answer.
struct Answer {
    status: StatusCode,
    text: String,
    location: Option<String>,
    etag: Option<u64>,
    modified: Option<Instant>,
}

impl Answer {
    fn text(text: String) -> Self {
        Self { status: StatusCode::OK, text, location: None, etag: None, modified: None }
    }
}

/// Everything under `/fhir`.
pub(super) async fn handle(Shared(server): Shared<FhirServer>, request: Request) -> Response {
    let (hit, latency) = {
        let mut state = server.state();
        *state.stats.calls.entry(request.method().to_string()).or_insert(0) += 1;
        (state.faults.next_hit(), state.faults.latency)
    };
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let response = match hit {
        Some(Hit::Unavailable { retry_after }) => {
            let mut refused = Refused::new(StatusCode::SERVICE_UNAVAILABLE, "transient", "try again later");
            refused.retry_after = Some(retry_after);
            refusal(&refused)
        }
        Some(Hit::Http(status)) => http_status(status).into_response(),
        Some(Hit::Html(status)) => {
            let page =
                "<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>";
            (http_status(status), Html(page)).into_response()
        }
        Some(Hit::Drop) => {
            // Carried out, whatever comes of it; nobody will know.
            let _ = server.answer(request).await;
            return drop_reply();
        }
        None => match server.answer(request).await {
            Ok(answer) => success(answer),
            Err(refused) => refusal(&refused),
        },
    };
    *server.state().stats.answers.entry(response.status().as_u16()).or_insert(0) += 1;
    response
}

fn http_status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY)
}

fn success(answer: Answer) -> Response {
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, FHIR_JSON.to_owned());
    if let Some(version) = answer.etag {
        set(header::ETAG, format!("W/\"{version}\""));
    }
    if let Some(location) = answer.location {
        set(header::LOCATION, location);
    }
    if let Some(at) = answer.modified {
        set(header::LAST_MODIFIED, at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    }
    (answer.status, headers, answer.text).into_response()
}

fn refusal(refused: &Refused) -> Response {
    let body = refused.outcome().to_string();
    let mut response = (refused.status, [(header::CONTENT_TYPE, FHIR_JSON)], body).into_response();
    if let Some(seconds) = refused.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if refused.status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

impl FhirServer {
    async fn answer(&self, request: Request) -> Result<Answer, Refused> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let path = path.strip_prefix("/fhir").unwrap_or(path).trim_matches('/').to_owned();
        if path == "metadata" && parts.method == Method::GET {
            return Ok(Answer::text(self.capabilities()));
        }
        self.authorize(&parts)?;
        let body = to_bytes(body, self.body_limit).await.map_err(|_| {
            let text = "the body is longer than this server takes";
            Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "too-long", text)
        })?;
        let body = std::str::from_utf8(&body).map_err(|_| Refused::malformed("the body is not UTF-8"))?;
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let base = format!("http://{host}/fhir");
        let segments: Vec<&str> = path.split('/').collect();
        let now = self.now();
        let mut state = self.state();
        match (parts.method.as_str(), segments.as_slice()) {
            ("POST", [""]) => bundle::run(&mut state, body, &base, now).map(Answer::text),
            ("GET", [kind]) => {
                search(&state, known_type(kind)?, parts.uri.query().unwrap_or_default(), "", &base)
            }
            ("POST", [kind, "_search"]) => {
                search(&state, known_type(kind)?, parts.uri.query().unwrap_or_default(), body, &base)
            }
            ("GET", [kind, id]) => {
                let key = (known_type(kind)?.to_owned(), (*id).to_owned());
                let stored = state.store.get(&key).ok_or_else(Refused::not_found)?;
                let (etag, modified) = (Some(stored.version), Some(stored.updated));
                Ok(Answer { etag, modified, ..Answer::text(stored.text.clone()) })
            }
            ("POST", [kind]) => {
                let condition = text_header(&parts, "if-none-exist").map(Condition::parse).transpose()?;
                let State { store, faults, .. } = &mut *state;
                let written = store.create(known_type(kind)?, body, condition.as_ref(), now, faults)?;
                Ok(after_write(&state, written, &parts, &base))
            }
            ("PUT", [kind, id]) => {
                let key = (known_type(kind)?.to_owned(), (*id).to_owned());
                let State { store, faults, .. } = &mut *state;
                let written = store.update(key, body, text_header(&parts, "if-match"), now, faults)?;
                Ok(after_write(&state, written, &parts, &base))
            }
            _ => {
                let text = "this server does not do this";
                Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, "not-supported", text))
            }
        }
    }

    fn authorize(&self, parts: &Parts) -> Result<(), Refused> {
        let Some(token) = &self.bearer else {
            return Ok(());
        };
        let given = text_header(parts, "authorization").and_then(|value| value.strip_prefix("Bearer "));
        if given == Some(token) {
            return Ok(());
        }
        Err(Refused::new(StatusCode::UNAUTHORIZED, "login", "a valid bearer token is required"))
    }

    fn capabilities(&self) -> String {
        let resources: Vec<_> = TYPES
            .iter()
            .map(|kind| {
                json!({
                    "type": kind,
                    "interaction": [
                        { "code": "read" }, { "code": "create" }, { "code": "update" }, { "code": "search-type" },
                    ],
                    "versioning": "versioned-update",
                    "updateCreate": true,
                    "conditionalCreate": true,
                    "conditionalUpdate": false,
                    "searchParam": [
                        { "name": "identifier", "type": "token" },
                        { "name": "_id", "type": "token" },
                        { "name": "code", "type": "token" },
                        { "name": "status", "type": "token" },
                        { "name": "subject", "type": "reference" },
                        { "name": "patient", "type": "reference" },
                    ],
                })
            })
            .collect();
        json!({
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": self.now().to_string(),
            "kind": "instance",
            "software": { "name": "Open Health Exchange sandbox" },
            "fhirVersion": self.version,
            "format": ["application/fhir+json"],
            "rest": [{
                "mode": "server",
                "resource": resources,
                "interaction": [{ "code": "batch" }, { "code": "transaction" }],
            }],
        })
        .to_string()
    }
}

fn text_header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok())
}

fn search(state: &State, kind: &str, query: &str, body: &str, base: &str) -> Result<Answer, Refused> {
    let parse = |text: &str| url::form_urlencoded::parse(text.as_bytes()).into_owned().collect::<Vec<_>>();
    let pairs = parse(query).into_iter().chain(parse(body)).collect();
    Search::parse(pairs)?.run(&state.store, kind, base).map(Answer::text)
}

fn after_write(state: &State, written: Written, parts: &Parts, base: &str) -> Answer {
    let Written { status, key, version } = written;
    let stored = state.store.get(&key);
    let prefer = text_header(parts, "prefer").unwrap_or_default();
    let text = match stored {
        Some(stored) if !prefer.contains("return=minimal") => stored.text.clone(),
        _ => String::new(),
    };
    Answer {
        status,
        text,
        location: Some(format!("{base}/{}/{}/_history/{version}", key.0, key.1)),
        etag: Some(version),
        modified: stored.map(|stored| stored.updated),
    }
}
