//! The pages about links, dead letters and the audit log, over an API that answers what a test says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::browser::Browser;
use crate::exchange::{KEY, LINK};

const LETTER: &str = "01a200ad-0000-7000-8000-000000000009";

#[derive(Default)]
struct Said {
    answers: BTreeMap<String, (u16, Value)>,
    /// Method, path with query, and body.
    asked: Vec<(String, String, Value)>,
}

/// An API that answers `METHOD /path` with what it was told to.
#[derive(Clone)]
struct Canned(Arc<Mutex<Said>>);

impl Canned {
    async fn start() -> (Self, Browser) {
        let canned = Self(Arc::default());
        canned.says(
            "GET /api/base/providers/",
            200,
            &page(json!([{"name": "withings", "type": "withings"}])),
        );
        canned.says("GET /api/publishers/ehr-endpoints/", 200, &page(json!([{"name": "clinic"}])));
        canned.says("GET /api/publishers/dead-letters/", 200, &page(json!([])));
        canned.says("GET /api/base/provider-links/", 200, &page(json!([link("active")])));
        canned.says(&format!("GET /api/base/provider-links/{LINK}/"), 200, &link("active"));
        canned.says("GET /api/ingestors/syncs/", 200, &page(json!([])));
        canned.says("GET /api/ingestors/coverage/", 200, &page(json!([])));
        let router = Router::new().fallback(answer).with_state(canned.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut browser = Browser::of(&url, "https://ohx.example");
        browser.sign_in(KEY).await;
        (canned, browser)
    }

    fn says(&self, call: &str, status: u16, body: &Value) {
        self.0.lock().unwrap().answers.insert(call.to_owned(), (status, body.clone()));
    }

    /// What was asked with this method last: path with query, and body.
    fn last(&self, method: &str) -> (String, Value) {
        let said = self.0.lock().unwrap();
        let (_, path, body) = said.asked.iter().rfind(|(m, ..)| m == method).expect("such a call").clone();
        (path, body)
    }

    fn count(&self, method: &str) -> usize {
        self.0.lock().unwrap().asked.iter().filter(|(m, ..)| m == method).count()
    }
}

async fn answer(State(canned): State<Canned>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let path = parts.uri.path_and_query().unwrap().to_string();
    let mut said = canned.0.lock().unwrap();
    said.asked.push((parts.method.to_string(), path, serde_json::from_slice(&body).unwrap_or(Value::Null)));
    match said.answers.get(&format!("{} {}", parts.method, parts.uri.path())) {
        Some((204, _)) => StatusCode::NO_CONTENT.into_response(),
        Some((status, body)) => (StatusCode::from_u16(*status).unwrap(), Json(body.clone())).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({"detail": "not known"}))).into_response(),
    }
}

fn page(items: Value) -> Value {
    json!({"items": items, "next": null})
}

fn link(state: &str) -> Value {
    json!({"id": LINK, "provider": "withings", "ehr": "clinic", "patient": "Patient/p1", "state": state,
        "state_reason": "the grant was revoked <b>", "state_since": "2026-11-20T08:00:00Z", "backfill_days": 30, "scopes": [],
        "push": {"mode": "subscribed", "checked": "2026-11-20T08:00:00Z"}, "history_start": "2026-11-01T00:00:00Z",
        "created_at": "2026-11-01T00:00:00Z", "connected_at": "2026-11-01T00:00:00Z"})
}

fn letter(reason: &str) -> Value {
    json!({"id": LETTER, "key": "k", "event_type": "org.openhealthexchange.resources.mapped.v1", "function": "publish",
        "link": LINK, "reason": reason, "attempts": 3, "at": "2026-11-20T08:00:00Z"})
}

fn overview() -> Value {
    json!({"at": "2026-11-21T10:00:00Z", "fresh_within_hours": 36, "providers": [],
        "published": {"from": "2026-11-14T10:00:00Z", "step_seconds": 21600, "series": []}})
}

const REFUSED: &str = "this is for integrator; the caller's role is link-creator";

#[tokio::test]
async fn the_first_page_says_what_to_do_next() {
    let (canned, mut browser) = Canned::start().await;
    let address = "GET /api/metrics/overview/";
    canned.says(address, 200, &overview());
    let body = browser.get("/console/").await.body;
    assert!(body.contains("Nothing is set up yet") && body.contains(r#"href="/console/set-up/""#), "{body}");
    let none = json!({"pending": 0, "active": 0, "reauthorization_required": 0, "disconnected": 0});
    let mut one = overview();
    one["providers"] =
        json!([{"provider": "withings", "links": none, "flow": {"fresh": 0, "stale": 0, "failing": 0}}]);
    canned.says(address, 200, &one);
    let body = browser.get("/console/").await.body;
    assert!(
        body.contains("No patient is connected yet") && body.contains(r#"href="/console/links/new/""#),
        "{body}"
    );
    one["providers"][0]["links"]["active"] = json!(2);
    one["published"]["series"] = json!([{"provider": "withings", "counts": [0, 1200]}]);
    canned.says(address, 200, &one);
    let body = browser.get("/console/?span=month").await.body;
    assert!(body.contains(r#"<strong id="published">1200</strong>"#), "{body}");
    assert!(
        body.contains(r#"<rect class="s0""#) && !body.contains("style="),
        "the policy stops styles: {body}"
    );
    assert!(canned.0.lock().unwrap().asked.iter().any(|(_, path, _)| path.ends_with("?span=month")));
    // Whoever may not see the whole begins with their links.
    canned.says(address, 403, &json!({"detail": REFUSED}));
    assert_eq!(browser.get("/console/").await.location(), "/console/links/");
}

#[tokio::test]
async fn what_a_role_may_not_see_says_so() {
    let (canned, mut browser) = Canned::start().await;
    for (api, path) in [
        ("GET /api/publishers/dead-letters/", "/console/dead-letters/"),
        ("GET /api/base/audit/", "/console/audit/"),
    ] {
        canned.says(api, 403, &json!({"detail": REFUSED}));
        let shown = browser.get(path).await;
        assert_eq!(shown.status, StatusCode::FORBIDDEN);
        assert!(
            shown.body.contains("Your key may not do this") && shown.body.contains("role is link-creator")
        );
    }
    // A list of EHR endpoints that may not be seen is a field to type in.
    canned.says("GET /api/publishers/ehr-endpoints/", 403, &json!({"detail": REFUSED}));
    assert!(browser.get("/console/links/new/").await.body.contains(r#"<input id="ehr""#));
}

#[tokio::test]
async fn links_are_narrowed_page_by_page_and_names_are_text() {
    let (canned, mut browser) = Canned::start().await;
    let state = json!({"items": [link("reauthorization-required")], "next": "abc="});
    canned.says("GET /api/base/provider-links/", 200, &state);
    let body = browser.get("/console/links/?provider=withings&state=&patient=Patient%2Fp1").await.body;
    assert!(
        body.contains("Consent needed again") && body.contains("The grant was revoked &#60;b&#62;"),
        "{body}"
    );
    assert!(
        body.contains("/console/links/?provider=withings&#38;patient=Patient%2Fp1&#38;cursor=abc%3D"),
        "{body}"
    );
    let asked = canned.0.lock().unwrap().asked.clone();
    let listed = asked.iter().find(|(_, path, _)| path.starts_with("/api/base/provider-links/?")).unwrap();
    assert_eq!(listed.1, "/api/base/provider-links/?limit=25&provider=withings&patient=Patient%2Fp1");
    let refused = json!({"detail": "a patient is as Patient/123"});
    canned.says("GET /api/base/provider-links/", 400, &refused);
    let body = browser.get("/console/links/?patient=x").await.body;
    assert!(
        body.contains("A patient is as Patient/123") && body.contains(r#"aria-invalid="true""#),
        "{body}"
    );
}

#[tokio::test]
async fn a_day_says_why_it_is_not_complete() {
    let (canned, mut browser) = Canned::start().await;
    let spans = json!([
        {"start": "2026-11-01T00:00:00Z", "end": "2026-11-17T08:00:00Z", "state": "published", "attempts": 1, "why": []},
        {"start": "2026-11-17T08:00:00Z", "end": "2026-11-17T09:00:00Z", "state": "refused", "attempts": 1,
         "why": ["read at noon, and the EHR refused 1 reading(s)"]},
        {"start": "2026-11-17T09:00:00Z", "end": "2026-11-21T10:00:00Z", "state": "published", "attempts": 1, "why": []}]);
    let coverage = json!([{"record": "blood-pressure", "published": [], "missing": [], "spans": spans}]);
    canned.says("GET /api/ingestors/coverage/", 200, &page(coverage));
    let body = browser.get(&format!("/console/links/{LINK}/?day=2026-11-17&zone=Europe/Berlin")).await.body;
    assert!(body.contains(">Tuesday </span><span class=\"number\">17</span><span class=\"unseen\"> November: </span><span class=\"sign\" aria-hidden=\"true\">◐"), "{body}");
    assert!(body.contains("20 complete, 1 partly"), "{body}");
    assert!(body.contains("09:00–10:00: refused by the EHR"), "in the zone that was asked for: {body}");
    assert!(body.contains("Read at noon, and the EHR refused 1 reading(s)"), "{body}");
    let asked = canned.last("GET").0;
    assert!(asked.contains("from=2026-10-31T23%3A00%3A00Z&to=2026-11-30T23%3A00%3A00Z"), "{asked}");
    // A zone, a month or a day that is none is no error.
    let shown =
        browser.get(&format!("/console/links/{LINK}/?day=x&zone=Mars&month=2026-77&record=none")).await;
    assert!(shown.status == StatusCode::OK && shown.body.contains("November 2026"), "{}", shown.body);
    assert_eq!(browser.get("/console/links/none/").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn buttons_do_what_they_say_and_only_with_a_token() {
    let (canned, mut browser) = Canned::start().await;
    let path = |action: &str| format!("/console/links/{LINK}/{action}/");
    let posts = |last: &str| format!("POST /api/base/provider-links/{LINK}/{last}/");
    canned.says("POST /api/ingestors/syncs/", 202, &json!({"id": "sync-1"}));
    canned.says(
        &posts("initiate_oauth2"),
        200,
        &json!({"connect_url": "https://ohx.example/oauth/connect/t"}),
    );
    canned.says(&posts("disconnect"), 200, &json!({}));
    canned.says("POST /api/ingestors/syncs/sync-1/cancel/", 200, &json!({}));
    canned.says(&posts("create_fhir_device"), 202, &json!({}));
    for action in ["sync", "connect-address", "disconnect", "devices", "syncs/sync-1/cancel"] {
        let refused = browser.post(&path(action), &[("token", "AAAA")]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{action}");
    }
    for address in ["replay", &format!("{LETTER}/replay"), &format!("{LETTER}/discard")] {
        let refused = browser.post(&format!("/console/dead-letters/{address}/"), &[]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{address}");
    }
    assert_eq!((canned.count("POST"), canned.count("DELETE")), (0, 0), "nothing reached the API");

    let token = browser.get(&path("disconnect")).await.token();
    let fields = [("token", token.as_str()), ("from", "2026-03-01"), ("zone", "Europe/Berlin")];
    let shown = browser.post(&path("sync"), &fields).await;
    assert_eq!(shown.location(), format!("/console/links/{LINK}/syncs/sync-1/"));
    assert_eq!(canned.last("POST").1, json!({"link": LINK, "from": "2026-02-28T23:00:00Z"}));
    let shown = browser.post(&path("sync"), &[("token", &token), ("from", "2026-02-30")]).await;
    assert_eq!(shown.status, StatusCode::BAD_REQUEST);
    let shown = browser.post(&path("connect-address"), &[("token", &token)]).await;
    assert!(shown.body.contains(r#"value="https://ohx.example/oauth/connect/t""#), "{}", shown.body);
    browser.post(&path("disconnect"), &[("token", &token)]).await;
    assert_eq!(canned.last("POST").1, json!({"mark_entered_in_error": false}));
    let shown = browser.post(&path("disconnect"), &[("token", &token), ("mark", "yes")]).await;
    assert_eq!(shown.location(), path("receipt"));
    assert_eq!(canned.last("POST").1, json!({"mark_entered_in_error": true}));
    let shown = browser.post(&path("syncs/sync-1/cancel"), &[("token", &token)]).await;
    assert_eq!(shown.location(), format!("/console/links/{LINK}/?did=cancelled"));
}

#[tokio::test]
async fn a_link_is_made_and_its_address_shown_once() {
    let (canned, mut browser) = Canned::start().await;
    let token = browser.get("/console/links/new/").await.token();
    let mut fields =
        vec![("token", token.as_str()), ("provider", "withings"), ("ehr", "clinic"), ("patient", "p<1")];
    let make = "POST /api/base/provider-links/";
    canned.says(make, 422, &json!({"detail": "patient: a reference is as Patient/123"}));
    let shown = browser.post("/console/links/new/", &fields).await;
    assert_eq!(shown.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        shown.body.contains("Patient: a reference") && shown.body.contains(r#"value="p&#60;1""#),
        "{}",
        shown.body
    );
    fields.push(("backfill_days", "many"));
    assert!(browser.post("/console/links/new/", &fields).await.body.contains("must be a whole number"));
    fields.pop();
    fields.extend([("backfill_days", "7"), ("success_url", "")]);
    canned.says(make, 201, &json!({"id": LINK, "connect_url": "https://ohx.example/oauth/connect/t"}));
    let shown = browser.post("/console/links/new/", &fields).await;
    assert_eq!(shown.status, StatusCode::CREATED);
    assert!(shown.body.contains(r#"value="https://ohx.example/oauth/connect/t""#), "{}", shown.body);
    let sent = json!({"provider": "withings", "ehr": "clinic", "patient": "p<1", "backfill_days": 7});
    assert_eq!(canned.last("POST").1, sent);
}

#[tokio::test]
async fn letters_are_counted_by_reason_replayed_and_discarded() {
    let (canned, mut browser) = Canned::start().await;
    let letters =
        page(json!([letter("the EHR answered 422 <x>"), letter("the EHR answered 422 <x>"), letter("late")]));
    canned.says("GET /api/publishers/dead-letters/", 200, &letters);
    let body = browser.get("/console/dead-letters/?function=publish").await.body;
    assert!(body.contains("3 by reason") && body.contains("The EHR answered 422 &#60;x&#62;"), "{body}");
    assert!(canned.last("GET").0.contains("function=publish"));
    let one = format!("/console/dead-letters/{LETTER}/");
    let api = format!("/api/publishers/dead-letters/{LETTER}/");
    canned.says(&format!("GET {api}"), 200, &letter("late"));
    let token = browser.get(&one).await.token();
    let many = json!({"replayed": [{"letter": LETTER, "outcome": "asked", "says": "asked again"}],
        "refused": [{"letter": LETTER, "detail": "the link has ended"}], "next": "more"});
    canned.says("POST /api/publishers/dead-letters/replay/", 202, &many);
    let all = [("token", token.as_str()), ("function", ""), ("link", "")];
    let body = browser.post("/console/dead-letters/replay/", &all).await.body;
    assert!(body.contains("1 replayed, 1 not") && body.contains("The link has ended"), "{body}");
    assert_eq!(canned.last("POST").1, json!({"all": true, "limit": 200}));
    let some = [("token", token.as_str()), ("function", "publish"), ("cursor", "more")];
    browser.post("/console/dead-letters/replay/", &some).await;
    assert_eq!(
        canned.last("POST").1,
        json!({"function": "publish", "all": false, "limit": 200, "cursor": "more"})
    );
    let replayed = json!({"letter": LETTER, "outcome": "asked", "says": "asked again"});
    canned.says(&format!("POST {api}replay/"), 202, &replayed);
    let shown = browser.post(&format!("{one}replay/"), &[("token", &token)]).await;
    assert_eq!(shown.location(), format!("{one}?did=asked"));
    canned.says(&format!("DELETE {api}"), 204, &Value::Null);
    let shown = browser.post(&format!("{one}discard/"), &[("token", &token)]).await;
    assert_eq!(shown.location(), "/console/dead-letters/?did=discarded");
    canned.says(&format!("GET {api}"), 404, &json!({"detail": "it may be done by now"}));
    assert_eq!(browser.get(&one).await.location(), "/console/dead-letters/?did=gone");
}

#[tokio::test]
async fn the_audit_log_is_told_entry_by_entry() {
    let (canned, mut browser) = Canned::start().await;
    let entry = json!({"seq": 7, "at": "2026-11-20T08:00:00Z", "actor": "oidc:a&b@issuer", "action": "link.disconnect",
        "subject": format!("link:{LINK}"), "detail": {"ehr": "<clinic>"}, "previous": "00", "hash": "0123456789abcdef"});
    canned.says("GET /api/base/audit/", 200, &json!({"items": [entry], "next": "n"}));
    let body = browser.get("/console/audit/?actor=oidc%3Aa%26b").await.body;
    assert!(body.contains("actor=oidc%3Aa%26b%40issuer") && body.contains("ehr: &#60;clinic&#62;"), "{body}");
    assert!(body.contains(&format!(r#"href="/console/links/{LINK}/""#)) && body.contains("ohx audit verify"));
    assert!(body.contains("0123456789ab<") && body.contains("&#38;cursor=n"), "{body}");
    assert_eq!(canned.last("GET").0, "/api/base/audit/?limit=50&actor=oidc%3Aa%26b");
}
