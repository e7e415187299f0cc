//! Notifications against a broker and a database that are slow, and from where they may not come.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::ConnectInfo;
use cloudevents::Event;
use http::{Request, StatusCode};
use ohx_bus::{Bus, BusError};
use ohx_domain::{Account, Clock as _, Link, LinkId, ManualClock, ProviderApp, Request as Row};
use ohx_link::{Links, TokenPair, account_digest};
use ohx_runtime::parts::Parts;
use ohx_seal::{Keyring, generate_key};
use ohx_store::{Connection, OpenRequests};
use ohx_webhook::ForwardedHops;
use secrecy::ExposeSecret as _;
use sqlx::Connection as _;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

const ACCOUNT: &str = "363";

/// What the broker does.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Takes,
    Refuses,
    /// Takes what it is given as soon as somebody gives it a permit.
    Stalls,
}

struct Broker {
    mood: Mutex<Mood>,
    permits: Semaphore,
    taken: Mutex<Vec<Event>>,
}

impl Broker {
    fn taken(&self) -> usize {
        self.taken.lock().unwrap().len()
    }
}

#[async_trait]
impl Bus for Broker {
    async fn publish(&self, events: Vec<Event>) -> Result<(), BusError> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Refuses => return Err(BusError::Unavailable("away".into())),
            Mood::Stalls => self.permits.acquire().await.unwrap().forget(),
            Mood::Takes => {}
        }
        self.taken.lock().unwrap().extend(events);
        Ok(())
    }

    async fn publish_after(&self, event: Event, _: Duration) -> Result<(), BusError> {
        self.publish(vec![event]).await
    }

    async fn ping(&self) -> Result<(), BusError> {
        Ok(())
    }
}

struct World {
    clock: Arc<ManualClock>,
    broker: Arc<Broker>,
    links: Links,
    link: LinkId,
    path: String,
    database: String,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(mood: Mood, notify_from: &[&str]) -> Self {
        let clock = Arc::new(ManualClock::new("2026-11-21T08:00:00Z".parse().unwrap()));
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}?mode=rwc", folder.path().join("ohx.db").display());
        let store: ohx_store::SharedStore =
            Arc::new(ohx_store_sqlite::SqliteStore::open(&database).await.unwrap());
        store.migrate().await.unwrap();
        let broker =
            Arc::new(Broker { mood: Mutex::new(mood), permits: Semaphore::new(0), taken: Mutex::default() });
        let keys = format!("k:{}", generate_key().expose_secret());
        let links = Links::new(Parts {
            store,
            bus: broker.clone(),
            keyring: Arc::new(Keyring::parse(&keys.into()).unwrap()),
            clock: clock.clone(),
            http: ohx_runtime::outbound::client(Duration::from_secs(30)).unwrap(),
            public_url: "http://127.0.0.1:1".parse().unwrap(),
            identifier_base: "https://ohx.test/ns".into(),
        });
        let link = connect(&links, notify_from).await;
        let path = links.callback(&links.open(link).await.unwrap()).path().to_owned();
        Self { clock, broker, links, link, path, database, _folder: folder }
    }

    /// One notification of a weighing; gives the answer. The answer has to come while broker and database stand still.
    async fn notify(&self) -> StatusCode {
        self.notify_from("203.0.113.9:4711", 0, None).await
    }

    async fn notify_from(&self, peer: &str, hops: usize, forwarded: Option<&str>) -> StatusCode {
        let at = self.clock.now().as_second();
        let form = format!("userid={ACCOUNT}&appli=1&startdate={}&enddate={at}", at - 60);
        let mut request = Request::post(&self.path)
            .header("content-type", "application/x-www-form-urlencoded")
            .extension(ConnectInfo::<SocketAddr>(peer.parse().unwrap()));
        if let Some(forwarded) = forwarded {
            request = request.header("x-forwarded-for", forwarded);
        }
        let router = ohx_webhook::router(self.links.clone(), ForwardedHops(hops));
        let answering = router.oneshot(request.body(axum::body::Body::from(form)).unwrap());
        // Withings' own deadline.
        let answer = tokio::time::timeout(Duration::from_secs(2), answering).await;
        answer.expect("an answer within the provider's deadline").unwrap().status()
    }

    /// The rows that are open.
    async fn rows(&self) -> Vec<Row> {
        let filter = OpenRequests { link: Some(self.link), idle_since: None, after: None, limit: 100 };
        self.links.parts().store.open_requests(&filter).await.unwrap()
    }
}

async fn connect(links: &Links, notify_from: &[&str]) -> LinkId {
    let parts = links.parts();
    let app = ProviderApp {
        name: "withings".parse().unwrap(),
        kind: "withings".into(),
        client_id: "client-1".into(),
        base_urls: BTreeMap::new(),
        scopes: Vec::new(),
        records: vec!["getmeas".parse().unwrap()],
        requests_per_minute: None,
        notify_from: notify_from.iter().map(|network| network.parse().unwrap()).collect(),
        options: BTreeMap::new(),
    };
    let secrets = [(ohx_link::secrets::CLIENT.to_owned(), "s3cr3t".into())].into();
    let secret = ohx_link::secrets::seal(&parts.keyring, &app.name, &secrets).unwrap();
    parts.store.put_provider(&app, Some(&secret), parts.clock.now()).await.unwrap();
    let (ehr, patient) = ("clinic".parse().unwrap(), "Patient/p1".parse().unwrap());
    let link = Link::pending(app.name.clone(), ehr, patient, 30, parts.clock.now());
    parts.store.insert_link(&link).await.unwrap();
    let (key, data_key) = parts.keyring.new_data_key(&link.id.to_string()).unwrap();
    let account = Account::new(ACCOUNT.to_owned());
    let pair = TokenPair { access: "a".into(), refresh: "r".into() };
    let connection = Connection {
        account_digest: account_digest(&link.provider, &account),
        sealed_account: links.seal_account(link.id, &key, &account).unwrap(),
        account,
        scopes: Vec::new(),
        data_key,
        sealed_tokens: pair.seal(link.id, &key).unwrap(),
        tokens_expire_at: parts.clock.now() + Duration::from_secs(10_800),
        at: parts.clock.now(),
        history_start: None,
    };
    parts.store.connect(link.id, &connection).await.unwrap();
    link.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_broker_does_not_make_the_answer_late() {
    let world = World::new(Mood::Stalls, &[]).await;
    assert_eq!(world.notify().await, StatusCode::OK);
    assert_eq!(
        (world.rows().await.len(), world.broker.taken()),
        (1, 0),
        "the ledger has it, the broker not yet"
    );
    // The work went on behind the answer.
    world.broker.permits.add_permits(1);
    let arrived = async {
        while world.broker.taken() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), arrived).await.expect("the event, once the broker is well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_database_is_told_in_time_and_nothing_is_claimed() {
    let world = World::new(Mood::Takes, &[]).await;
    let mut other = sqlx::SqliteConnection::connect(&world.database).await.unwrap();
    let locked = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert_eq!(world.notify().await, StatusCode::SERVICE_UNAVAILABLE);
    locked.rollback().await.unwrap();
    // The provider comes again.
    assert_eq!(world.notify().await, StatusCode::OK);
    assert_eq!(world.rows().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_refused_is_sent_when_the_provider_comes_again() {
    let world = World::new(Mood::Refuses, &[]).await;
    assert_eq!(world.notify().await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((world.rows().await.len(), world.broker.taken()), (1, 0));
    *world.broker.mood.lock().unwrap() = Mood::Takes;
    // Withings' third round.
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.notify().await, StatusCode::OK);
    assert_eq!((world.rows().await.len(), world.broker.taken()), (1, 1), "one row, and its event");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_one_row_and_one_event() {
    let world = World::new(Mood::Takes, &[]).await;
    for _ in 0..8 {
        assert_eq!(world.notify().await, StatusCode::OK);
        world.clock.advance(Duration::from_millis(300));
    }
    assert_eq!((world.rows().await.len(), world.broker.taken()), (1, 1));
    // A replay after the row was begun asks again: reading the same twice does no harm.
    let row = world.rows().await.remove(0);
    world.links.parts().store.begin_fetch(row.id, world.clock.now()).await.unwrap();
    assert_eq!(world.notify().await, StatusCode::OK);
    assert_eq!((world.rows().await.len(), world.broker.taken()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_come_from_the_networks_that_the_app_names() {
    let world = World::new(Mood::Takes, &["203.0.113.0/24", "2001:db8::/32"]).await;
    let inside = [
        ("203.0.113.9:1", 0, None),
        ("[::ffff:203.0.113.9]:1", 0, None),
        ("10.0.0.1:1", 1, Some("198.51.100.1, 203.0.113.77")),
        ("10.0.0.1:1", 2, Some("2001:db8::7, 10.0.0.2")),
    ];
    for (peer, hops, forwarded) in inside {
        assert_eq!(world.notify_from(peer, hops, forwarded).await, StatusCode::OK, "{peer} {forwarded:?}");
    }
    let row = world.rows().await.remove(0);
    let outside = [
        ("198.51.100.1:1", 0, None),
        // Anybody can write a header.
        ("198.51.100.1:1", 0, Some("203.0.113.9")),
        ("10.0.0.1:1", 1, Some("203.0.113.9, 198.51.100.1")),
        ("203.0.113.9:1", 1, None),
    ];
    for (peer, hops, forwarded) in outside {
        let status = world.notify_from(peer, hops, forwarded).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{peer} {forwarded:?}");
    }
    assert_eq!((world.rows().await, world.broker.taken()), (vec![row], 1), "nothing was asked for");
    // Whoever tries the address before subscribing may come from elsewhere.
    let request = Request::head(&world.path).body(axum::body::Body::empty()).unwrap();
    let router = ohx_webhook::router(world.links.clone(), ForwardedHops(0));
    assert_eq!(router.oneshot(request).await.unwrap().status(), StatusCode::OK);
}
