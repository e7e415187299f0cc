//! `fetch` against the simulated Withings: what goes on, and what holds up nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cloudevents::{AttributesReader as _, Event};
use http::{Request, StatusCode};
use ohx_bus::{Bury as _, Bus, BusError};
use ohx_domain::{
    Clock as _, Instant, Interval, Link, LinkId, ManualClock, ProviderApp, Query, Request as Row, RequestId,
    RequestState, RunId, SyncId, SyncReason,
};
use ohx_events::envelope::{parse_opened, sealed_data, set_only_copy, without_data};
use ohx_events::http_binding::to_binary;
use ohx_events::sealed::FetchedPart;
use ohx_events::{Envelope, Function, Priority, types};
use ohx_link::{Asked, Asking, Links, TokenPair, account_digest};
use ohx_runtime::bury::StoreBury;
use ohx_runtime::parts::Parts;
use ohx_sandbox::withings::{Config, Fault, Person, Simulator};
use ohx_seal::{Keyring, generate_key};
use ohx_store::Connection;
use secrecy::ExposeSecret as _;
use tower::ServiceExt as _;

const PERSON: u64 = 1000;
const REDIRECT: &str = "http://127.0.0.1:1/oauth/callback/withings";
const VERIFIER: &str = "a-verifier-of-forty-three-characters-at-least";

mod turns;

/// A bus that keeps what is published.
#[derive(Default)]
struct Kept {
    now: Mutex<Vec<Event>>,
    /// What is to come later, and when.
    later: Mutex<Vec<(Event, Duration)>>,
    cannot_wait: AtomicBool,
    holds_since: Mutex<Option<Instant>>,
}

#[async_trait]
impl Bus for Kept {
    async fn publish(&self, events: Vec<Event>) -> Result<(), BusError> {
        self.now.lock().unwrap().extend(events);
        Ok(())
    }

    async fn publish_after(&self, event: Event, delay: Duration) -> Result<(), BusError> {
        self.later.lock().unwrap().push((event, delay));
        Ok(())
    }

    async fn holds_since(&self) -> Result<Option<Instant>, BusError> {
        Ok(*self.holds_since.lock().unwrap())
    }

    fn can_wait(&self) -> bool {
        !self.cannot_wait.load(Ordering::Relaxed)
    }

    async fn ping(&self) -> Result<(), BusError> {
        Ok(())
    }
}

struct World {
    withings: Simulator,
    clock: Arc<ManualClock>,
    kept: Arc<Kept>,
    links: Links,
    link: LinkId,
    _folder: tempfile::TempDir,
}

impl World {
    /// A connected link of a person with ten days of a past.
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new("2026-11-21T08:00:00Z".parse().unwrap()));
        let http = ohx_runtime::outbound::client(Duration::from_secs(30)).unwrap();
        let mut config = Config::new("client-1", "s3cr3t", &[REDIRECT]);
        config.requests_per_minute = 100_000;
        let withings = Simulator::new(config, clock.clone(), http.clone());
        let (name, timezone) = ("Ada".to_owned(), "Europe/Vienna".to_owned());
        withings.add_person(Person { id: PERSON, name, timezone }).unwrap();
        withings.seed_daily(PERSON, 10).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(ohx_sandbox::serve(listener, withings.router(), std::future::pending()));

        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("ohx.db").display());
        let store: ohx_store::SharedStore =
            Arc::new(ohx_store_sqlite::SqliteStore::open(&url).await.unwrap());
        store.migrate().await.unwrap();
        let kept = Arc::new(Kept::default());
        let keys = format!("k:{}", generate_key().expose_secret());
        let links = Links::new(Parts {
            store,
            bus: kept.clone(),
            keyring: Arc::new(Keyring::parse(&keys.into()).unwrap()),
            clock: clock.clone(),
            http: http.clone(),
            public_url: "http://127.0.0.1:1".parse().unwrap(),
            identifier_base: "https://ohx.test/ns".into(),
        });
        let link = connect(&links, &http, &base).await;
        Self { withings, clock, kept, links, link, _folder: folder }
    }

    /// Asks for the last days of a record and lets `fetch` do it; gives its answer and the row.
    async fn fetch(&self, record: &str) -> (StatusCode, Row) {
        self.fetch_for(record, SyncReason::Manual).await
    }

    async fn fetch_for(&self, record: &str, reason: SyncReason) -> (StatusCode, Row) {
        self.fetch_after(record, reason, async |_| {}).await
    }

    /// The same, when something else has been done about the row.
    async fn fetch_after(
        &self,
        record: &str,
        reason: SyncReason,
        before: impl AsyncFnOnce(RequestId),
    ) -> (StatusCode, Row) {
        let now = self.clock.now();
        let link = self.links.get(self.link).await.unwrap();
        let asking = Asking {
            record: record.parse().unwrap(),
            query: Query::Window(Interval { start: now - Duration::from_secs(9 * 86_400), end: now }),
            reason,
            sync: SyncId::new(),
            source: "test",
            delay: Duration::ZERO,
        };
        let Asked::Requested(id) = self.links.ask(&link, &asking).await.unwrap() else { panic!("merged") };
        let event = self.kept.now.lock().unwrap().pop().unwrap();
        assert_eq!(event.ty(), types::SYNC_REQUESTED);
        before(id).await;
        (
            self.deliver(event).await.status(),
            self.links.parts().store.request_by_id(id).await.unwrap().unwrap(),
        )
    }

    /// Hands an event to `fetch`.
    async fn deliver(&self, event: Event) -> http::Response<axum::body::Body> {
        let (headers, body) = to_binary(event).unwrap();
        let mut request = Request::post("/").body(axum::body::Body::from(body)).unwrap();
        *request.headers_mut() = headers;
        ohx_fetch::router(self.links.clone()).oneshot(request).await.unwrap()
    }

    /// The parts that were sent on, opened.
    async fn parts(&self) -> Vec<FetchedPart> {
        let open = self.links.open(self.link).await.unwrap();
        let events = std::mem::take(&mut *self.kept.now.lock().unwrap());
        let opened = events.iter().map(|event| {
            assert_eq!(event.ty(), types::RECORDS_FETCHED);
            parse_opened(event, &sealed_data(event, &open.key).unwrap()).unwrap()
        });
        opened.collect()
    }
}

/// A person's consent, without a browser.
async fn connect(links: &Links, http: &reqwest::Client, withings: &str) -> LinkId {
    let parts = links.parts();
    let app = ProviderApp {
        name: "withings".parse().unwrap(),
        kind: "withings".into(),
        client_id: "client-1".into(),
        base_urls: ["api", "consent"].map(|name| (name.to_owned(), withings.parse().unwrap())).into(),
        scopes: Vec::new(),
        records: Vec::new(),
        requests_per_minute: Some(100_000),
        notify_from: Vec::new(),
        options: BTreeMap::new(),
    };
    let secrets = [(ohx_link::secrets::CLIENT.to_owned(), "s3cr3t".into())].into();
    let secret = ohx_link::secrets::seal(&parts.keyring, &app.name, &secrets).unwrap();
    parts.store.put_provider(&app, Some(&secret), parts.clock.now()).await.unwrap();
    let (ehr, patient) = ("clinic".parse().unwrap(), "Patient/p1".parse().unwrap());
    let link = Link::pending(app.name.clone(), ehr, patient, 30, parts.clock.now());
    parts.store.insert_link(&link).await.unwrap();
    let (app, adapter) = links.app(&app.name).await.unwrap();
    let redirect = REDIRECT.parse().unwrap();
    let consent = adapter.authorize_url(&app, &redirect, "s", &VERIFIER.into()).unwrap();
    let form: Vec<_> =
        consent.query_pairs().into_owned().chain([("user".to_owned(), PERSON.to_string())]).collect();
    let decide = format!("{withings}/oauth2_user/authorize2");
    let back = http.post(decide).form(&form).send().await.unwrap();
    let back = url::Url::parse(back.headers()["location"].to_str().unwrap()).unwrap();
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let grant = adapter.exchange_code(&app, &code.into(), &redirect, &VERIFIER.into()).await.unwrap();
    let (key, data_key) = parts.keyring.new_data_key(&link.id.to_string()).unwrap();
    let account = grant.account.clone().unwrap();
    let connection = Connection {
        account_digest: account_digest(&link.provider, &account),
        sealed_account: links.seal_account(link.id, &key, &account).unwrap(),
        account,
        scopes: grant.scopes.clone(),
        data_key,
        sealed_tokens: TokenPair::of(&grant, None).unwrap().seal(link.id, &key).unwrap(),
        tokens_expire_at: parts.clock.now() + grant.expires_in,
        at: parts.clock.now(),
        history_start: None,
    };
    parts.store.connect(link.id, &connection).await.unwrap();
    link.id
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_go_on_with_the_times_they_cover() {
    let world = World::new().await;
    let (status, row) = world.fetch("getintradayactivity").await;
    assert_eq!((status, row.state), (StatusCode::NO_CONTENT, RequestState::Fetched), "{:?}", row.note);
    let parts = world.parts().await;
    assert!(!parts.is_empty());
    for part in &parts {
        let covers = part.covers.unwrap();
        assert_eq!((covers.start.as_second() % 3600, covers.end.as_second() % 3600), (0, 0));
    }
    for record in ["getactivity", "sleep-get"] {
        let (_, row) = world.fetch(record).await;
        assert_eq!(row.state, RequestState::Fetched, "{record}: {:?}", row.note);
        let parts = world.parts().await;
        assert!(!parts.is_empty() && parts.iter().all(|part| part.covers.is_none()), "{record}");
    }

    // Each ECG with its signal is one part.
    let (_, row) = world.fetch("heart-get").await;
    assert_eq!(row.state, RequestState::Fetched);
    let ecgs = world.withings.ecgs(PERSON).unwrap();
    assert_eq!(world.parts().await.len(), ecgs.iter().filter(|ecg| !ecg.signal.is_empty()).count());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_ends_its_request_and_no_other() {
    let world = World::new().await;
    for (record, action, status) in [("getworkouts", "getworkouts", 277), ("heart-get", "get", 2555)] {
        world.withings.inject(Fault::RefuseAction { action: action.into(), status, calls: 1 });
        let before = world.withings.stats();
        let (answer, row) = world.fetch(record).await;
        // Done: nothing is retried, and nothing is a dead letter.
        assert_eq!((answer, row.state), (StatusCode::NO_CONTENT, RequestState::Failed), "{record}");
        let note = row.note.unwrap();
        assert!(note.contains(&format!("status {status}")) && note.contains("scope"), "{note}");
        assert_eq!(world.withings.stats().refreshes, before.refreshes, "the token is not to blame");
        world.parts().await;
        let (answer, row) = world.fetch("sleep-getsummary").await;
        assert_eq!((answer, row.state), (StatusCode::NO_CONTENT, RequestState::Fetched), "{:?}", row.note);
        assert!(!world.parts().await.is_empty());
    }
    // What fails for another reason is told as before.
    world.withings.inject(Fault::RefuseAction { action: "getworkouts".into(), status: 503, calls: 1 });
    let (answer, row) = world.fetch("getworkouts").await;
    assert!(answer.is_client_error() && row.state == RequestState::Failed, "{answer}");
    world.withings.inject(Fault::RefuseAction { action: "getworkouts".into(), status: 522, calls: 1 });
    let (answer, row) = world.fetch("getworkouts").await;
    assert!(answer.is_server_error() && row.state == RequestState::Fetching, "{answer}");
}

/// What a process left behind that ended in the middle of an import: nobody can be asked, and the row says what to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_readings_that_were_brought_ends_without_a_call() {
    let world = World::new().await;
    let before = world.withings.stats();
    let (answer, row) = world.fetch_for("getmeas", SyncReason::Import).await;
    assert_eq!((answer, row.state), (StatusCode::NO_CONTENT, RequestState::Failed));
    assert!(row.note.unwrap().contains("bring the same again"));
    assert_eq!(world.withings.stats(), before, "the provider is not asked");
}

/// What a bus holds is tried until the EHR is there again. A nightly run that comes by meanwhile does not end its row.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_readings_that_are_on_their_way_stays_open() {
    let world = World::new().await;
    let sent_on = async |id| {
        let (store, now) = (&world.links.parts().store, world.clock.now());
        store.begin_fetch(id, now).await.unwrap().unwrap();
        store.fetched(id, RunId::new(), 1, None, now).await.unwrap();
        world.clock.advance(Duration::from_secs(13 * 86_400));
    };
    let ask = async || world.fetch_after("getmeas", SyncReason::Import, sent_on).await;
    let (answer, row) = ask().await;
    assert_eq!((answer, row.state), (StatusCode::NO_CONTENT, RequestState::Fetched));
    // One that forgets with its process has begun anew since.
    *world.kept.holds_since.lock().unwrap() = Some(world.clock.now() + Duration::from_secs(86_400));
    let (answer, row) = ask().await;
    assert_eq!((answer, row.state), (StatusCode::NO_CONTENT, RequestState::Failed));
}

/// A dead letter keeps no readings. Of what was brought nobody has them any more: its row says so at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_brought_and_is_given_up_ends_its_row() {
    let world = World::new().await;
    let store = &world.links.parts().store;
    let bury = StoreBury::new(store.clone(), world.clock.clone());
    for (record, brought, state) in
        [("getmeas", true, RequestState::Failed), ("getactivity", false, RequestState::Fetched)]
    {
        let give_up = async |id: RequestId| {
            let now = world.clock.now();
            store.begin_fetch(id, now).await.unwrap().unwrap();
            store.fetched(id, RunId::new(), 1, None, now).await.unwrap();
            let envelope = Envelope {
                id: format!("{id}.part.0"),
                event_type: types::RECORDS_FETCHED,
                source: "api",
                link: world.link,
                sync: None,
                priority: Priority::Normal,
                time: now,
                traceparent: None,
            };
            let mut event = envelope.plain(&()).unwrap();
            if brought {
                set_only_copy(&mut event);
            }
            let bare = without_data(&event);
            bury.bury(Function::Transform, &bare, "the EHR is away", 960).await.unwrap();
            // Another part of it, or the same once more, after the row was pruned.
            let gone = Envelope { id: format!("{}.part.0", RequestId::new()), ..envelope };
            let mut gone = gone.plain(&()).unwrap();
            set_only_copy(&mut gone);
            bury.bury(Function::Transform, &gone, "the EHR is away", 960).await.unwrap();
        };
        let (_, row) = world.fetch_after(record, SyncReason::Import, give_up).await;
        assert_eq!(row.state, state, "{record}: {:?}", row.note);
        let note = row.note.unwrap_or_default();
        assert_eq!(
            note.contains("the EHR is away") && note.contains("bring the same again"),
            brought,
            "{note}"
        );
    }
}
