//! The mapping routes: what is taken, what is refused and how that is told, and what nothing is kept of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod activations;
mod documents;
mod preview;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use ohx_bus::memory::{MemoryBus, MemoryConfig};
use ohx_domain::{Clock as _, EhrEndpoint, ManualClock};
use ohx_link::Links;
use ohx_runtime::parts::Parts;
use ohx_seal::{Keyring, generate_key};
use ohx_store::SharedStore;
use ohx_store_sqlite::SqliteStore;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const KEY: &str = "an-api-key-for-tests-of-32-characters-or-more";
pub(crate) const AT: &str = "/api/transformers/mappings/";
pub(crate) const GETMEAS: &str = "/api/transformers/mappings/withings/getmeas/";

pub(crate) struct Api {
    router: Router,
    pub(crate) store: SharedStore,
    pub(crate) clock: Arc<ManualClock>,
    key: &'static str,
}

impl Api {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(ManualClock::new("2026-11-21T08:00:00Z".parse().unwrap()));
        let store: SharedStore = Arc::new(SqliteStore::open("sqlite::memory:").await.unwrap());
        store.migrate().await.unwrap();
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
        Self { router: ohx_api::router(links, &SecretString::from(KEY)), store, clock, key: KEY }
    }

    /// Status, content type and text.
    pub(crate) async fn answer(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> (StatusCode, String, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let kind = response.headers().get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap().to_owned());
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 16 << 20).await.unwrap();
        (status, kind.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, _, text) = self.answer(Method::GET, path, String::new()).await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The items of a list's first page.
    pub(crate) async fn list(&self, path: &str) -> Value {
        self.get(path).await["items"].take()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, kind, text) = self.answer(Method::POST, path, body.to_string()).await;
        let refused = status.is_client_error() || status.is_server_error();
        assert_eq!(kind == "application/problem+json", refused, "{status} {kind}");
        (status.as_u16(), serde_json::from_str(&text).unwrap())
    }

    /// Saves a variant of the program's own document.
    pub(crate) async fn save(&self, version: u32) {
        let (status, said) = self.post(AT, &json!({"document": document(version)})).await;
        assert_eq!(status, 201, "{said}");
    }

    pub(crate) async fn activate(&self, body: Value) -> (u16, Value) {
        self.post(&format!("{GETMEAS}activations/"), &body).await
    }

    /// What is kept: saved versions and activations.
    pub(crate) async fn rows(&self) -> (Value, Value) {
        (self.get(GETMEAS).await, self.get(&format!("{GETMEAS}activations/")).await)
    }
}

/// The program's own document under another version, with another text for weights.
pub(crate) fn document(version: u32) -> String {
    ohx_mapping::builtin("withings", "getmeas")
        .unwrap()
        .replacen("version: 1\n", &format!("version: {version}\n"), 1)
        .replace("Body weight", "Weight of the body")
}

#[tokio::test]
async fn nothing_is_told_without_the_key() {
    let api = Api { key: "another-key", ..Api::new().await };
    for (method, path) in [
        (Method::GET, AT.to_owned()),
        (Method::POST, format!("{AT}preview/")),
        (Method::GET, format!("{GETMEAS}versions/1/")),
        (Method::POST, format!("{GETMEAS}activations/")),
    ] {
        assert_eq!(api.answer(method, &path, "{}".into()).await.0, StatusCode::UNAUTHORIZED, "{path}");
    }
}
