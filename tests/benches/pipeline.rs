//! What one process spends on readings: `fetch`, `transform` and `publish` over PostgreSQL and the in-process bus, against a
//! provider and an EHR that run in another process and so cost this one nothing. Users and Observations for each second of
//! processor time, HTTP calls and connections for each user.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant as Stopwatch};

use axum::serve::ListenerExt as _;
use ohx_bus::memory::{MemoryBus, MemoryConfig};
use ohx_bus::retry::RetryPolicy;
use ohx_bus::{Bury, BusError};
use ohx_domain::{
    Clock as _, EhrEndpoint, Interval, Link, LinkId, ProviderApp, Query, SyncId, SyncReason, SystemClock,
};
use ohx_events::{Event, Function};
use ohx_link::{Asking, Links, TokenPair, account_digest};
use ohx_providers::{App, Provider};
use ohx_runtime::parts::Parts;
use ohx_sandbox::fhir::FhirServer;
use ohx_sandbox::withings::{Config, Measure, NewGroup, Person, Simulator};
use ohx_seal::Keyring;
use ohx_store::{Connection, SharedStore};

const USERS: u64 = 400;
const GROUPS: i64 = 20;
const AT_ONCE: usize = 32;
const ROUNDS: usize = 3;
const KEYS: &str = "k1:c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlISE=";
const REDIRECT: &str = "http://127.0.0.1:1/oauth/callback/withings";
const VERIFIER: &str = "a-verifier-of-forty-three-characters-at-least";

fn main() {
    let outside = std::env::args().any(|argument| argument == "outside");
    let threads = if outside { 1 } else { 2 };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
    match outside {
        true => runtime.block_on(be_the_outside()),
        false => runtime.block_on(measure()),
    }
}

/// The provider and the EHR, until the parent is gone.
async fn be_the_outside() {
    let http = ohx_runtime::outbound::client(Duration::from_secs(30)).unwrap();
    let mut config = Config::new("client-1", "s3cr3t", &[REDIRECT]);
    config.requests_per_minute = 10_000_000;
    let withings = Simulator::new(config, Arc::new(SystemClock), http);
    let now = SystemClock.now().as_second();
    for id in 1..=USERS {
        let (name, timezone) = (format!("Patient {id}"), "Europe/Vienna".to_owned());
        withings.add_person(Person { id, name, timezone }).unwrap();
        withings.add_groups(id, groups(now)).unwrap();
    }
    let server = FhirServer::new(Arc::new(SystemClock));
    let counts = [(), ()].map(|()| Arc::new(AtomicUsize::new(0)));
    let addresses =
        [serve(withings.router(), counts[0].clone()).await, serve(server.router(), counts[1].clone()).await];
    let told = {
        let (server, withings, counts) = (server.clone(), withings.clone(), counts.clone());
        move || {
            let written: u64 =
                server.stats().calls.iter().filter(|(n, _)| !n.contains('/')).map(|(_, c)| c).sum();
            let opened: usize = counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
            let stored = server.snapshot();
            serde_json::json!({
                "provider": withings.stats().calls.values().sum::<u64>(),
                "ehr": written,
                "connections": opened,
                "observations": stored.resources.get("Observation").copied().unwrap_or(0),
                "doubles": stored.doubles,
            })
        }
    };
    let router = axum::Router::new().route("/", axum::routing::get(async move || axum::Json(told())));
    let told = serve(router, Arc::default()).await;
    println!("{} {} {told}", addresses[0], addresses[1]);
    // The parent holds the other end.
    let parent = tokio::task::spawn_blocking(|| std::io::stdin().lock().lines().next().is_some());
    let _ended = parent.await;
}

async fn serve(router: axum::Router, connections: Arc<AtomicUsize>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let listener = listener.tap_io(move |socket| {
        socket.set_nodelay(true).unwrap();
        connections.fetch_add(1, Ordering::Relaxed);
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Ten weighings on a scale that measures the body's composition, and ten blood pressures.
fn groups(now: i64) -> Vec<NewGroup> {
    let group = |n: i64| NewGroup {
        date: now - 3_600 - n * 43_200,
        attrib: 0,
        category: 1,
        modelid: None,
        measures: match n % 2 {
            0 => vec![
                Measure::new(1, 71_000 + n, -3),
                Measure::new(6, 21_100 + n, -3),
                Measure::new(8, 15_000 + n, -3),
                Measure::new(76, 53_000 + n, -3),
                Measure::new(77, 39_000 + n, -3),
                Measure::new(88, 2_900 + n, -3),
            ],
            _ => vec![Measure::new(9, 78 + n, 0), Measure::new(10, 121 + n, 0), Measure::new(11, 61 + n, 0)],
        },
    };
    (0..GROUPS).map(group).collect()
}

struct Outside {
    child: Child,
    provider: String,
    ehr: String,
    told: String,
    http: reqwest::Client,
}

impl Outside {
    fn start() -> Self {
        let own = std::env::current_exe().unwrap();
        let mut child =
            Command::new(own).arg("outside").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut addresses = line.split_whitespace().map(str::to_owned);
        let mut next = || addresses.next().unwrap();
        let http = ohx_runtime::outbound::client(Duration::from_secs(120)).unwrap();
        Self { provider: next(), ehr: next(), told: next(), child, http }
    }

    async fn tell(&self) -> BTreeMap<String, u64> {
        self.http.get(&self.told).send().await.unwrap().json().await.unwrap()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct NoGraves;

#[async_trait::async_trait]
impl Bury for NoGraves {
    async fn bury(&self, to: Function, _: &Event, reason: &str, _: u32) -> Result<(), BusError> {
        panic!("{to}: {reason}");
    }
}

async fn measure() {
    let outside = Outside::start();
    println!(
        "{USERS} users of {GROUPS} groups of measures each, {AT_ONCE} events at once; the best of {ROUNDS} rounds counts"
    );
    println!(
        "{:<6} {:>9} {:>13} {:>11} {:>15} {:>13} {:>11} {:>10}",
        "round",
        "users/s",
        "observ./s",
        "users/CPU-s",
        "observ./CPU-s",
        "calls a user",
        "connections",
        "peak MiB"
    );
    for round in 1..=ROUNDS {
        run(&outside, round).await;
    }
}

async fn run(outside: &Outside, round: usize) {
    let database = ohx_tests::services::database().await;
    let bus = Arc::new(MemoryBus::new(MemoryConfig { workers: AT_ONCE, ..MemoryConfig::default() }));
    let store: SharedStore = Arc::new(ohx_store_postgres::PostgresStore::connect(&database).unwrap());
    store.migrate().await.unwrap();
    let links = Links::new(Parts {
        store,
        bus: bus.clone(),
        keyring: Arc::new(Keyring::parse(&KEYS.to_owned().into()).unwrap()),
        clock: Arc::new(SystemClock),
        http: ohx_runtime::outbound::client(Duration::from_secs(30)).unwrap(),
        public_url: "http://127.0.0.1:1".parse().unwrap(),
        identifier_base: format!("https://ohx.bench/round-{round}"),
    });
    let connected = connect(&links, outside).await;
    let routers = [
        (Function::Fetch, ohx_fetch::router(links.clone())),
        (Function::Transform, ohx_transform::router(links.clone(), Duration::from_secs(60))),
        (Function::Publish, ohx_publish::router(links.clone())),
    ];
    let deliver = Arc::new(ohx_bus::deliver::RouterDeliver::new(routers.into()));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = {
        let bus = bus.clone();
        tokio::spawn(async move {
            bus.run(deliver, Arc::new(NoGraves), RetryPolicy::default(), async { drop(stopped.await) }).await;
        })
    };

    let before = outside.tell().await;
    let (began, processor) = (Stopwatch::now(), processor_time());
    for link in &connected {
        ask(&links, *link).await;
    }
    while !bus.depth().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (wall, processor) = (began.elapsed().as_secs_f64(), (processor_time() - processor).as_secs_f64());
    let after = outside.tell().await;
    let grown = |name: &str| (after[name] - before.get(name).copied().unwrap_or(0)) as f64;
    let (users, observations) = (USERS as f64, grown("observations"));
    assert_eq!(observations as u64, USERS * 80, "each reading once");
    println!(
        "{round:<6} {:>9.0} {:>13.0} {:>11.0} {:>15.0} {:>13.2} {:>11} {:>10.1}",
        users / wall,
        observations / wall,
        users / processor,
        observations / processor,
        (grown("provider") + grown("ehr")) / users,
        grown("connections"),
        peak() as f64 / 1024.0
    );
    drop(stop);
    running.await.unwrap();
}

async fn ask(links: &Links, link: LinkId) {
    let now = SystemClock.now();
    let link = links.get(link).await.unwrap();
    let asking = Asking {
        record: "getmeas".parse().unwrap(),
        query: Query::Window(Interval { start: now - Duration::from_secs(30 * 86_400), end: now }),
        reason: SyncReason::Backfill,
        sync: SyncId::new(),
        source: "nightly",
        delay: Duration::ZERO,
    };
    links.ask(&link, &asking).await.unwrap();
}

/// Everybody's consent, without a browser.
async fn connect(links: &Links, outside: &Outside) -> Vec<LinkId> {
    let parts = links.parts();
    let now = parts.clock.now();
    let endpoint =
        EhrEndpoint::new("clinic".parse().unwrap(), format!("{}/fhir", outside.ehr).parse().unwrap());
    parts.store.put_ehr(&endpoint, None, now).await.unwrap();
    let app: ProviderApp = serde_json::from_value(serde_json::json!({
        "name": "withings", "type": "withings", "client_id": "client-1", "records": ["getmeas"],
        "requests_per_minute": 10_000_000, "base_urls": { "api": outside.provider, "consent": outside.provider },
    }))
    .unwrap();
    let secrets = [(ohx_link::secrets::CLIENT.to_owned(), "s3cr3t".into())].into();
    let secret = ohx_link::secrets::seal(&parts.keyring, &app.name, &secrets).unwrap();
    parts.store.put_provider(&app, Some(&secret), now).await.unwrap();
    let (app, adapter) = links.app(&app.name).await.unwrap();
    let mut connected = Vec::new();
    for user in 1..=USERS {
        connected.push(consent(links, outside, &app, adapter.as_ref(), user).await);
    }
    connected
}

async fn consent(links: &Links, outside: &Outside, app: &App, adapter: &dyn Provider, user: u64) -> LinkId {
    let parts = links.parts();
    let now = parts.clock.now();
    let patient = format!("Patient/p{user}").parse().unwrap();
    let link = Link::pending(app.config.name.clone(), "clinic".parse().unwrap(), patient, 30, now);
    parts.store.insert_link(&link).await.unwrap();
    let redirect = REDIRECT.parse().unwrap();
    let asked = adapter.authorize_url(app, &redirect, "s", &VERIFIER.into()).unwrap();
    let form: Vec<_> =
        asked.query_pairs().into_owned().chain([("user".to_owned(), user.to_string())]).collect();
    let decide = format!("{}/oauth2_user/authorize2", outside.provider);
    let back = outside.http.post(decide).form(&form).send().await.unwrap();
    let back = url::Url::parse(back.headers()["location"].to_str().unwrap()).unwrap();
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let grant = adapter.exchange_code(app, &code.into(), &redirect, &VERIFIER.into()).await.unwrap();
    let (key, data_key) = parts.keyring.new_data_key(&link.id.to_string()).unwrap();
    let account = grant.account.clone().unwrap();
    let connection = Connection {
        account_digest: account_digest(&link.provider, &account),
        sealed_account: links.seal_account(link.id, &key, &account).unwrap(),
        account,
        scopes: grant.scopes.clone(),
        data_key,
        sealed_tokens: TokenPair::of(&grant, None).unwrap().seal(link.id, &key).unwrap(),
        tokens_expire_at: now + grant.expires_in,
        at: now,
        history_start: None,
    };
    parts.store.connect(link.id, &connection).await.unwrap();
    link.id
}

/// What this process has used of the processors.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // utime and stime, in ticks of a hundredth of a second, counted behind the name in parentheses.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// The most memory that this process has had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
