//! Tokens: refreshed once however many processes need one, stored before they are used, never lost to a bad line.
//! Over both stores, against the simulated Withings, whose old refresh token dies when the new access token is used.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod belief;
mod model;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ohx_bus::{Bus, BusError};
use ohx_domain::{Clock as _, Interval, Link, LinkId, LinkState, ManualClock, ProviderApp, Query};
use ohx_events::Event;
use ohx_link::{LinkError, Links, ticket};
use ohx_providers::Page;
use ohx_runtime::parts::Parts;
use ohx_sandbox::withings::Fault;
use ohx_seal::{Keyring, generate_key};
use ohx_store::SharedStore;
use ohx_tests::outside::{CLIENT_SECRET, Outside, http};
use ohx_tests::{patient, services};
use secrecy::ExposeSecret as _;

const THREE_HOURS: Duration = Duration::from_secs(3 * 3600);

/// Keeps what is published.
#[derive(Default)]
struct Recorder(Mutex<Vec<Event>>);

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

macro_rules! both_stores {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::Engine::Sqlite).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::Engine::Postgres).await;
            })+
        }
    };
}
use both_stores;

both_stores!(
    many_processes_refresh_once,
    a_lost_answer_to_a_refresh_is_asked_for_again,
    a_refused_token_is_refreshed_once,
    an_idle_link_is_kept_alive,
    an_outage_is_no_revocation,
);

#[derive(Clone, Copy)]
enum Engine {
    Sqlite,
    Postgres,
}

/// A connected link, and several processes' worth of everything that works with it.
struct World {
    outside: Outside,
    clock: Arc<ManualClock>,
    processes: Vec<Links>,
    events: Arc<Recorder>,
    link: LinkId,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(engine: Engine, processes: usize) -> Self {
        let clock = Arc::new(ManualClock::new("2026-11-21T08:00:00Z".parse().unwrap()));
        let outside = Outside::at(clock.clone(), |config| config.requests_per_minute = 100_000).await;
        outside.person(1, "Ada");
        let folder = tempfile::tempdir().unwrap();
        let url = match engine {
            Engine::Sqlite => format!("sqlite://{}?mode=rwc", folder.path().join("ohx.db").display()),
            Engine::Postgres => services::database().await,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let public: url::Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let keys = format!("k:{}", generate_key().expose_secret());
        let keyring = Arc::new(Keyring::parse(&keys.into()).unwrap());
        let events = Arc::new(Recorder::default());
        let mut all = Vec::new();
        for _ in 0..processes {
            let store: SharedStore = match engine {
                Engine::Sqlite => Arc::new(ohx_store_sqlite::SqliteStore::open(&url).await.unwrap()),
                Engine::Postgres => Arc::new(ohx_store_postgres::PostgresStore::connect(&url).unwrap()),
            };
            store.migrate().await.unwrap();
            all.push(Links::new(Parts {
                store,
                bus: events.clone(),
                keyring: keyring.clone(),
                clock: clock.clone(),
                http: http(),
                public_url: public.clone(),
                identifier_base: "https://ohx.test/ns".into(),
            }));
        }
        configure(&outside, &all[0]).await;
        let router = ohx_oauth::router(all[0].clone(), ohx_oauth::PageDays::default());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let link = connect(&outside, &all[0], 1).await;
        Self { outside, clock, processes: all, events, link, _folder: folder }
    }

    /// Connects another person.
    async fn another(&self, person: u64) -> LinkId {
        self.outside.person(person, "Eve");
        connect(&self.outside, &self.processes[0], person).await
    }

    /// The events of a type that were published.
    fn published(&self, event_type: &str) -> Vec<Event> {
        use cloudevents::AttributesReader as _;
        self.events.0.lock().unwrap().iter().filter(|event| event.ty() == event_type).cloned().collect()
    }

    /// Reads a day through one of the processes.
    async fn read(&self, process: usize) -> Result<Page, LinkError> {
        read(&self.processes[process], self.link, self.clock.now()).await
    }

    async fn state(&self) -> LinkState {
        self.processes[0].get(self.link).await.unwrap().state
    }
}

async fn read(links: &Links, link: LinkId, now: ohx_domain::Instant) -> Result<Page, LinkError> {
    let open = links.open(link).await?;
    let (app, provider) = links.app(&open.link.provider).await?;
    let query = Query::Window(Interval { start: now - Duration::from_secs(86_400), end: now });
    let record = "getmeas".parse().unwrap();
    let call = |token| {
        let (app, provider, query, record) = (&app, provider.as_ref(), &query, &record);
        async move { provider.fetch(app, &token, record, query, None).await }
    };
    links.call(&open, &app, provider.as_ref(), call).await
}

async fn configure(outside: &Outside, links: &Links) {
    let parts = links.parts();
    let base = |name: &str| (name.to_owned(), outside.withings_url.parse().unwrap());
    let app = ProviderApp {
        name: "withings".parse().unwrap(),
        kind: "withings".into(),
        client_id: "ohx-test".into(),
        base_urls: [base("api"), base("consent")].into(),
        scopes: Vec::new(),
        records: Vec::new(),
        requests_per_minute: Some(100_000),
        options: BTreeMap::new(),
        notify_from: Vec::new(),
    };
    let secrets = [(ohx_link::secrets::CLIENT.to_owned(), CLIENT_SECRET.into())].into();
    let secret = ohx_link::secrets::seal(&parts.keyring, &app.name, &secrets).unwrap();
    parts.store.put_provider(&app, Some(&secret), parts.clock.now()).await.unwrap();
}

async fn connect(outside: &Outside, links: &Links, person: u64) -> LinkId {
    let parts = links.parts();
    let (ehr, patient) = ("clinic".parse().unwrap(), format!("Patient/p{person}").parse().unwrap());
    let link = Link::pending("withings".parse().unwrap(), ehr, patient, 30, parts.clock.now());
    parts.store.insert_link(&link).await.unwrap();
    let address = ticket::connect_address(parts, link.id).await.unwrap();
    let (status, page) = patient::consent(outside, address.as_str(), &person.to_string()).await;
    assert_eq!(status, 200, "{page}");
    link.id
}

async fn many_processes_refresh_once(engine: Engine) {
    let world = Arc::new(World::new(engine, 4).await);
    world.read(0).await.unwrap();
    for round in 1..=3 {
        world.clock.advance(THREE_HOURS);
        let readers = (0..40).map(|n| {
            let world = world.clone();
            tokio::spawn(async move { world.read(n % 4).await.map(drop) })
        });
        for reader in readers.collect::<Vec<_>>() {
            reader.await.unwrap().unwrap();
        }
        let stats = world.outside.withings.stats();
        assert_eq!(stats.refreshes, round, "{stats:?}");
        assert_eq!((stats.grants_refused, stats.unauthorized), (0, 0), "{stats:?}");
    }
    assert_eq!(world.state().await, LinkState::Active);
}

async fn a_lost_answer_to_a_refresh_is_asked_for_again(engine: Engine) {
    let world = World::new(engine, 1).await;
    world.clock.advance(THREE_HOURS);
    world.outside.withings.inject(Fault::DropReplyAfterRefresh);
    world.read(0).await.unwrap();
    assert_eq!(world.outside.withings.stats().refreshes, 2, "the old refresh token was still good");
    assert_eq!(world.state().await, LinkState::Active);
    // And what was stored is the pair that works: the next refresh does too.
    world.clock.advance(THREE_HOURS);
    world.read(0).await.unwrap();
}

/// The provider's clock and ours differ: it refuses a token that we take for good.
async fn a_refused_token_is_refreshed_once(engine: Engine) {
    let world = World::new(engine, 1).await;
    world.read(0).await.unwrap();
    let store = &world.processes[0].parts().store;
    let stored = store.tokens(world.link).await.unwrap().unwrap();
    let later = stored.expires_at + Duration::from_secs(86_400);
    let now = world.clock.now();
    assert!(store.replace_tokens(world.link, stored.version, &stored.sealed, later, now).await.unwrap());
    world.clock.advance(THREE_HOURS);
    world.read(0).await.unwrap();
    let stats = world.outside.withings.stats();
    assert_eq!((stats.unauthorized, stats.refreshes), (1, 1), "{stats:?}");
}

async fn an_idle_link_is_kept_alive(engine: Engine) {
    let world = World::new(engine, 1).await;
    let links = &world.processes[0];
    let day = Duration::from_secs(86_400);
    for (days, refreshed) in [(24, false), (2, true), (24, false), (2, true)] {
        world.clock.advance(day * days);
        let open = links.open(world.link).await.unwrap();
        assert_eq!(links.keep_alive(&open).await.unwrap(), refreshed, "after {days} more days");
    }
    let stats = world.outside.withings.stats();
    assert_eq!((stats.refreshes, stats.grants_refused), (2, 0), "{stats:?}");
    world.read(0).await.unwrap();
}

async fn an_outage_is_no_revocation(engine: Engine) {
    let world = World::new(engine, 1).await;
    world.clock.advance(THREE_HOURS);
    for status in [403, 500, 502, 503] {
        world.outside.withings.inject(Fault::HttpStatus { status, calls: 4 });
        world.read(0).await.unwrap_err();
        world.outside.withings.clear_faults();
        assert_eq!(world.state().await, LinkState::Active, "HTTP {status}");
    }
    world.read(0).await.unwrap();
}
