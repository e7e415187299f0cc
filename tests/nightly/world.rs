//! Functions on a clock that is moved by hand, a bus that keeps its events until they are due, and many links.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use cloudevents::AttributesReader as _;
use http::StatusCode;
use ohx_bus::{Bus, BusError};
use ohx_domain::{Clock, Instant, Link, LinkId, ManualClock, ProviderApp, PushState, Sensitive};
use ohx_events::http_binding::to_binary;
use ohx_events::{Event, Priority};
use ohx_link::{Links, Patience, TokenPair, account_digest, secrets};
use ohx_runtime::parts::Parts;
use ohx_seal::Keyring;
use ohx_store::{Connection, SharedStore};
use tower::ServiceExt as _;

const KEYS: &str = "k1:c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlISE=";
/// When it is night.
const NIGHT: &str = "2026-11-21T02:30:00Z";

/// An event that waits: when it is due, how urgent it is, and its place among its equals.
#[derive(Debug)]
pub(crate) struct Waiting(Instant, Priority, u64, Event);

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1, self.2).cmp(&(other.0, other.1, other.2))
    }
}

/// A bus on the moved clock.
pub(crate) struct Queue {
    clock: Arc<ManualClock>,
    events: Mutex<(u64, BinaryHeap<Reverse<Waiting>>)>,
}

impl Queue {
    fn add(&self, event: Event, delay: Duration) {
        let due = self.clock.now() + delay;
        let mut events = self.events.lock().unwrap();
        events.0 += 1;
        let number = events.0;
        events.1.push(Reverse(Waiting(due, Priority::of(&event), number, event)));
    }

    /// The next event, and when it is due.
    pub(crate) fn next(&self) -> Option<(Instant, Event)> {
        self.events.lock().unwrap().1.pop().map(|Reverse(Waiting(due, _, _, event))| (due, event))
    }

    /// All events, whenever they are due.
    pub(crate) fn all(&self) -> Vec<Event> {
        std::iter::from_fn(|| self.next()).map(|(_, event)| event).collect()
    }

    /// When the next one is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.events.lock().unwrap().1.peek().map(|Reverse(waiting)| waiting.0)
    }
}

#[async_trait]
impl Bus for Queue {
    async fn publish(&self, events: Vec<Event>) -> Result<(), BusError> {
        events.into_iter().for_each(|event| self.add(event, Duration::ZERO));
        Ok(())
    }

    async fn publish_after(&self, event: Event, delay: Duration) -> Result<(), BusError> {
        self.add(event, delay);
        Ok(())
    }

    async fn ping(&self) -> Result<(), BusError> {
        Ok(())
    }
}

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) links: Links,
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(NIGHT.parse().unwrap()))
}

impl World {
    /// A store with one Withings app, which may make so many calls a minute.
    pub(crate) async fn new(store: SharedStore, clock: Arc<ManualClock>, api: &str, per_minute: u32) -> Self {
        store.migrate().await.unwrap();
        let queue = Arc::new(Queue { clock: clock.clone(), events: Mutex::default() });
        let parts = Parts {
            store,
            bus: queue.clone(),
            keyring: Arc::new(Keyring::parse(&KEYS.to_owned().into()).unwrap()),
            clock: clock.clone(),
            http: ohx_runtime::outbound::client(Duration::from_secs(30)).unwrap(),
            public_url: "http://127.0.0.1:1".parse().unwrap(),
            identifier_base: "https://ohx.test/ns".into(),
        };
        // The clock does not move by itself: there is nothing to wait for on the spot.
        let patience = Patience { first: Duration::ZERO, under_way: Duration::ZERO };
        let links = Links::new(parts).with_patience(patience);
        let world = Self { clock, queue, links };
        let app: ProviderApp = serde_json::from_value(serde_json::json!({
            "name": "withings", "type": "withings", "client_id": "client-1", "records": ["getmeas"],
            "requests_per_minute": per_minute, "base_urls": { "api": api, "consent": api }
        }))
        .unwrap();
        let parts = world.links.parts();
        let secret = [(secrets::CLIENT.to_owned(), "s3cr3t".into())].into();
        let secret = secrets::seal(&parts.keyring, &app.name, &secret).unwrap();
        parts.store.put_provider(&app, Some(&secret), parts.clock.now()).await.unwrap();
        world
    }

    /// A link that was connected just now, of a person whose calls need no new token for a day. Notifications are in order.
    pub(crate) async fn link(&self, number: u32) -> LinkId {
        self.link_to("withings", number).await
    }

    /// One more app, named like its type.
    pub(crate) async fn app(&self, kind: &str) {
        let app = serde_json::json!({ "name": kind, "type": kind, "client_id": "client-1" });
        let app: ProviderApp = serde_json::from_value(app).unwrap();
        let parts = self.links.parts();
        let secret = [(secrets::CLIENT.to_owned(), "s3cr3t".into())].into();
        let secret = secrets::seal(&parts.keyring, &app.name, &secret).unwrap();
        parts.store.put_provider(&app, Some(&secret), parts.clock.now()).await.unwrap();
    }

    /// As [`World::link`], at another app.
    pub(crate) async fn link_to(&self, provider: &str, number: u32) -> LinkId {
        let (parts, now) = (self.links.parts(), self.clock.now());
        let (provider, ehr) = (provider.parse().unwrap(), "clinic".parse().unwrap());
        let patient = format!("Patient/p{number}").parse().unwrap();
        let link = Link::pending(provider, ehr, patient, 10, now);
        parts.store.insert_link(&link).await.unwrap();
        let (key, data_key) = parts.keyring.new_data_key(&link.id.to_string()).unwrap();
        let account = Sensitive::new(number.to_string());
        let pair =
            TokenPair { access: format!("access-{number}").into(), refresh: "refresh".to_owned().into() };
        let connection = Connection {
            account_digest: account_digest(&link.provider, &account),
            sealed_account: self.links.seal_account(link.id, &key, &account).unwrap(),
            account,
            scopes: Vec::new(),
            data_key,
            sealed_tokens: pair.seal(link.id, &key).unwrap(),
            tokens_expire_at: now + Duration::from_secs(86_400),
            at: now,
            history_start: None,
        };
        parts.store.connect(link.id, &connection).await.unwrap();
        parts.store.set_push_state(link.id, &PushState::Subscribed { checked: now }).await.unwrap();
        link.id
    }

    pub(crate) async fn deliver(&self, to: Router, event: &Event) -> StatusCode {
        let (headers, body) = to_binary(event.clone()).unwrap();
        let mut request = http::Request::post("/").body(axum::body::Body::from(body)).unwrap();
        *request.headers_mut() = headers;
        to.oneshot(request).await.unwrap().status()
    }

    /// Lets `nightly` run.
    pub(crate) async fn night(&self) -> StatusCode {
        self.night_of(&serde_json::json!({})).await
    }

    /// The same, by a ping that says this.
    pub(crate) async fn night_of(&self, ping: &serde_json::Value) -> StatusCode {
        let envelope = ohx_events::Envelope {
            id: format!("nightly.{}", self.clock.now()),
            event_type: ohx_events::types::PING,
            source: "ohx",
            link: LinkId::new(),
            sync: None,
            priority: Priority::Low,
            time: self.clock.now(),
            traceparent: None,
        };
        let event = envelope.plain(ping).unwrap();
        assert!(!event.id().is_empty());
        self.deliver(ohx_nightly::router(self.links.clone()), &event).await
    }
}
