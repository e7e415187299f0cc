//! What is missing and why: coverage, dead letters, and what a sync or a replay does about it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod coverage;
mod history;
mod letters;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, header};
use ohx_bus::{Bus, BusError};
use ohx_domain::{
    Clock as _, Instant, Interval, Link, LinkId, ManualClock, ProviderApp, Query, Record, RequestId, RunId,
    Sensitive, SyncId, SyncReason,
};
use ohx_events::Event;
use ohx_link::Links;
use ohx_runtime::parts::Parts;
use ohx_seal::{Keyring, generate_key};
use ohx_store::{Acknowledgement, Connection, DeadLetter, NewRequest, SharedStore};
use ohx_store_sqlite::SqliteStore;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tower::ServiceExt as _;

const KEY: &str = "an-api-key-for-tests-of-32-characters-or-more";

/// Keeps what is published.
#[derive(Default)]
pub(crate) struct Recorder(Mutex<Vec<Event>>);

#[async_trait]
impl Bus for Recorder {
    async fn publish(&self, events: Vec<Event>) -> Result<(), BusError> {
        self.0.lock().unwrap().extend(events);
        Ok(())
    }

    async fn publish_after(&self, event: Event, _: Duration) -> Result<(), BusError> {
        self.publish(vec![event]).await
    }

    async fn ping(&self) -> Result<(), BusError> {
        Ok(())
    }
}

pub(crate) fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

pub(crate) fn window(start: &str, end: &str) -> Interval {
    Interval::new(at(start), at(end)).unwrap()
}

pub(crate) fn getmeas() -> Record {
    "getmeas".parse().unwrap()
}

/// The API over a store in memory, at 08:00 of a Saturday.
pub(crate) struct Api {
    router: Router,
    pub(crate) store: SharedStore,
    pub(crate) clock: Arc<ManualClock>,
    bus: Arc<Recorder>,
}

impl Api {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(at("2026-11-21T08:00:00Z")));
        let store: SharedStore = Arc::new(SqliteStore::open("sqlite::memory:").await.unwrap());
        store.migrate().await.unwrap();
        let app = |name: &str| ProviderApp {
            name: name.parse().unwrap(),
            kind: name.into(),
            client_id: "test".into(),
            base_urls: BTreeMap::new(),
            scopes: Vec::new(),
            records: Vec::new(),
            requests_per_minute: None,
            options: BTreeMap::new(),
            notify_from: Vec::new(),
        };
        for name in ["withings", "omron"] {
            store.put_provider(&app(name), None, clock.now()).await.unwrap();
        }
        let keys = format!("k:{}", generate_key().expose_secret());
        let bus = Arc::new(Recorder::default());
        let links = Links::new(Parts {
            store: store.clone(),
            bus: bus.clone(),
            keyring: Arc::new(Keyring::parse(&keys.into()).unwrap()),
            clock: clock.clone(),
            http: ohx_runtime::outbound::client(Duration::from_secs(1)).unwrap(),
            public_url: "http://127.0.0.1:1".parse().unwrap(),
            identifier_base: "https://ohx.test/ns".into(),
        });
        Self { router: ohx_api::router(links, &SecretString::from(KEY)), store, clock, bus }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> (u16, HeaderMap, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), 16 << 20).await.unwrap();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        (status, headers, body)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, _, body) = self.call(Method::GET, path, &Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The items of a list's first page.
    pub(crate) async fn list(&self, path: &str) -> Value {
        self.get(path).await["items"].take()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, _, body) = self.call(Method::POST, path, body).await;
        (status, body)
    }

    /// What was published since the last time, by type and id.
    pub(crate) fn published(&self) -> Vec<(String, String)> {
        use cloudevents::AttributesReader as _;
        let events = std::mem::take(&mut *self.bus.0.lock().unwrap());
        events.iter().map(|event| (event.ty().to_owned(), event.id().to_owned())).collect()
    }

    /// A link that is connected since the evening before, with 30 days of history.
    pub(crate) async fn link(&self, provider: &str) -> LinkId {
        let (ehr, patient) = ("clinic".parse().unwrap(), "Patient/p1".parse().unwrap());
        let link = Link::pending(provider.parse().unwrap(), ehr, patient, 30, at("2026-11-20T20:00:00Z"));
        self.store.insert_link(&link).await.unwrap();
        let connection = Connection {
            account: Sensitive::new("account".to_owned()),
            account_digest: [1; 32],
            sealed_account: vec![1],
            scopes: Vec::new(),
            data_key: vec![1],
            sealed_tokens: vec![1],
            tokens_expire_at: at("2026-11-22T00:00:00Z"),
            at: at("2026-11-20T20:00:00Z"),
            history_start: None,
        };
        self.store.connect(link.id, &connection).await.unwrap();
        link.id
    }

    pub(crate) async fn request(&self, link: LinkId, window: Interval, reason: SyncReason) -> RequestId {
        let (id, sync) = (RequestId::new(), SyncId::new());
        let new = NewRequest { id, sync, link, record: getmeas(), query: Query::Window(window), reason };
        self.store.request(&new, self.clock.now()).await.unwrap();
        id
    }

    /// Brings all of a request to the EHR, which refuses what was taken at `holes`.
    pub(crate) async fn publish(&self, request: RequestId, holes: &[Instant]) {
        let (run, now) = (RunId::new(), self.clock.now());
        self.store.begin_fetch(request, now).await.unwrap().expect("it is open");
        self.store.fetched(request, run, 1, None, now).await.unwrap();
        let counts = ohx_domain::Counts { created: 5, rejected: holes.len() as u64, ..Default::default() };
        let ack = Acknowledgement {
            request,
            run,
            part: 0,
            piece: 0,
            pieces: 1,
            counts,
            skipped: BTreeMap::new(),
            holes: holes.to_vec(),
        };
        self.store.acknowledge(&ack, now).await.unwrap();
    }

    pub(crate) async fn bury(&self, letter: DeadLetter) {
        self.store.bury(&letter).await.unwrap();
    }
}

/// A letter of an event of a request.
pub(crate) fn letter(
    link: LinkId,
    request: Option<RequestId>,
    event_type: &str,
    function: &str,
) -> DeadLetter {
    let id = request.map_or_else(|| SyncId::new().to_string(), |request| request.to_string());
    DeadLetter {
        key: format!("{id}.1.{function}"),
        event_type: event_type.to_owned(),
        function: function.to_owned(),
        link: Some(link),
        request,
        reason: "the EHR was away".to_owned(),
        attempts: 12,
        at: at("2026-11-21T07:00:00Z"),
    }
}
