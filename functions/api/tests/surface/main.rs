//! How the API speaks: versions, problems, pages, ETags, keys of idempotency, progress, and its description.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod described;
mod idempotency;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, header};
use ohx_bus::memory::{MemoryBus, MemoryConfig};
use ohx_domain::{Clock as _, EhrEndpoint, ManualClock, ProviderApp};
use ohx_link::Links;
use ohx_runtime::parts::Parts;
use ohx_seal::{Keyring, generate_key};
use ohx_store::SharedStore;
use ohx_store_sqlite::SqliteStore;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const KEY: &str = "an-api-key-for-tests-of-32-characters-or-more";
const LINKS: &str = "/api/base/provider-links/";

/// The API over a store in memory, with one provider app and one EHR endpoint.
pub(crate) struct Api {
    pub(crate) router: Router,
    pub(crate) store: SharedStore,
    pub(crate) clock: Arc<ManualClock>,
}

/// An answer: status, headers, JSON.
pub(crate) type Answer = (u16, HeaderMap, Value);

impl Api {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(ManualClock::new("2026-11-21T08:00:00Z".parse().unwrap()));
        let store: SharedStore = Arc::new(SqliteStore::open("sqlite::memory:").await.unwrap());
        store.migrate().await.unwrap();
        let app = ProviderApp {
            name: "withings".parse().unwrap(),
            kind: "withings".into(),
            client_id: "test".into(),
            base_urls: BTreeMap::new(),
            scopes: Vec::new(),
            records: Vec::new(),
            requests_per_minute: None,
            options: BTreeMap::new(),
            notify_from: Vec::new(),
        };
        store.put_provider(&app, None, clock.now()).await.unwrap();
        let clinic = EhrEndpoint::new("clinic".parse().unwrap(), "http://127.0.0.1:1/fhir".parse().unwrap());
        store.put_ehr(&clinic, None, clock.now()).await.unwrap();
        let keys = format!("k:{}", generate_key().expose_secret());
        let links = Links::new(Parts {
            store: store.clone(),
            bus: Arc::new(MemoryBus::new(MemoryConfig::default())),
            keyring: Arc::new(Keyring::parse(&keys.into()).unwrap()),
            clock: clock.clone(),
            http: ohx_runtime::outbound::client(Duration::from_secs(1)).unwrap(),
            public_url: "http://127.0.0.1:1".parse().unwrap(),
            identifier_base: "https://ohx.test/ns".into(),
        });
        let router = ohx_api::router(links.clone(), &SecretString::from(KEY));
        let router = ohx_runtime::wrap("api", router, links.parts().ready());
        Self { router, store, clock }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), 16 << 20).await.unwrap();
        if status.is_client_error() || status.is_server_error() {
            assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json", "{status}");
            let problem: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem["status"], status.as_u16());
        }
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        (status.as_u16(), headers, body)
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::AUTHORIZATION, format!("Bearer {KEY}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], None).await
    }

    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.call(Method::POST, path, headers, Some(body)).await
    }
}

pub(crate) fn new_link(patient: &str) -> Value {
    json!({"provider": "withings", "ehr": "clinic", "patient": patient})
}

#[tokio::test]
async fn the_version_is_asked_for_by_accept() {
    let api = Api::new().await;
    for accept in ["application/json; version=1", "application/json", "*/*"] {
        let (status, headers, _) = api.call(Method::GET, LINKS, &[("accept", accept)], None).await;
        assert_eq!(
            (status, &headers[header::CONTENT_TYPE]),
            (200, &"application/json; version=1".parse().unwrap())
        );
    }
    let (status, _, problem) =
        api.call(Method::GET, LINKS, &[("accept", "application/json; version=2")], None).await;
    assert_eq!(status, 406, "{problem}");
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let api = Api::new().await;
    assert_eq!(api.get("/api/base/nothing/").await.0, 404);
    let (status, headers, problem) = api.call(Method::DELETE, LINKS, &[], None).await;
    assert_eq!(status, 405, "{problem}");
    assert!(headers[header::ALLOW].to_str().unwrap().contains("POST"));
    let (status, _, problem) = api.get(&format!("{LINKS}?limit=x")).await;
    assert_eq!((status, &problem["errors"][0]["parameter"]), (400, &json!("limit")));
    for bad in
        ["?limit=0", "?limit=1001", "?cursor=x", "?state=gone", "?patient=x", "?other=1", "?limit=1&limit=2"]
    {
        assert_eq!(api.get(&format!("{LINKS}{bad}")).await.0, 400, "{bad}");
    }
    let mut body = new_link("Patient/p1");
    body["backfill_days"] = json!("many");
    let (status, _, problem) = api.post(LINKS, &[], &body).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("#/backfill_days")), "{problem}");
    let raw = |kind: &str, body: Vec<u8>| {
        Request::builder()
            .method(Method::POST)
            .uri(LINKS)
            .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body))
            .unwrap()
    };
    assert_eq!(api.send(raw("text/plain", b"{}".to_vec())).await.0, 415);
    assert_eq!(api.send(raw("application/json", b"{".to_vec())).await.0, 400);
    assert_eq!(api.send(raw("application/json", vec![b' '; 3 << 20])).await.0, 413);
    assert_eq!(api.get(&format!("{LINKS}%FF/")).await.0, 400);
    let anonymous = Request::builder().uri(LINKS).body(Body::empty()).unwrap();
    assert_eq!(api.send(anonymous).await.0, 401);
}

#[tokio::test]
async fn every_link_is_on_one_page() {
    let api = Api::new().await;
    for n in 0..5 {
        assert_eq!(api.post(LINKS, &[], &new_link(&format!("Patient/p{n}"))).await.0, 201);
    }
    let (mut path, mut seen) = (format!("{LINKS}?limit=2"), Vec::new());
    loop {
        let (status, _, page) = api.get(&path).await;
        assert_eq!(status, 200, "{page}");
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|l| l["patient"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        path = format!("{LINKS}?limit=2&cursor={next}");
    }
    assert_eq!(seen, ["Patient/p0", "Patient/p1", "Patient/p2", "Patient/p3", "Patient/p4"]);
    for list in ["base/providers", "base/provider-types", "publishers/ehr-endpoints", "transformers/mappings"]
    {
        let (status, _, page) = api.get(&format!("/api/{list}/?limit=1")).await;
        assert_eq!((status, page["items"].as_array().unwrap().len()), (200, 1), "{page}");
    }
}

#[tokio::test]
async fn a_consent_begins_and_comes_back() {
    let api = Api::new().await;
    let (_, _, link) = api.post(LINKS, &[], &new_link("Patient/p1")).await;
    let id = link["id"].as_str().unwrap();
    for name in ["initiate_oauth2", "connect-address"] {
        let (status, _, said) = api.call(Method::POST, &format!("{LINKS}{id}/{name}/"), &[], None).await;
        assert_eq!((status, said["connect_url"].is_string()), (200, true), "{said}");
    }
    let path = format!("{LINKS}withings/oauth2_callback/?code=c&state=s");
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let (status, headers, _) = api.send(request).await;
    assert_eq!(
        (status, headers[header::LOCATION].to_str().unwrap()),
        (303, "http://127.0.0.1:1/oauth/callback/withings?code=c&state=s")
    );
}
