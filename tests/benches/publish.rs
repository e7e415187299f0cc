//! Readings published a second by one `publish` process into the small FHIR server, at three latencies of the server; HTTP
//! calls for a thousand readings, connections opened, and the process's memory while it does.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant as Stopwatch};

use axum::serve::ListenerExt as _;
use ohx_bus::memory::{MemoryBus, MemoryConfig};
use ohx_domain::{
    Clock as _, EhrEndpoint, EhrName, Identifier, Interval, Link, ProviderApp, Query, RequestId, RunId,
    SyncId, SyncReason, SystemClock,
};
use ohx_events::http_binding::to_binary;
use ohx_events::sealed::{MappedPiece, MappedResource};
use ohx_events::{Envelope, Priority, types};
use ohx_link::{Links, OpenLink};
use ohx_runtime::parts::Parts;
use ohx_sandbox::fhir::{Fault, FhirServer};
use ohx_seal::Keyring;
use ohx_store::{NewRequest, SharedStore};
use serde_json::value::RawValue;

const READINGS: usize = 1000;
const PIECES: usize = 24;
const AT_ONCE: usize = 4;
const KEYS: &str = "k1:c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlISE=";
const BASE: &str = "https://ohx.bench/ns";

#[tokio::main]
async fn main() {
    println!("{PIECES} pieces of {READINGS} readings each, {AT_ONCE} at once, to one publish process");
    println!(
        "{:<10} {:>9} {:>10} {:>10} {:>11} {:>12} {:>9}",
        "latency", "strategy", "readings/s", "calls/1000", "connections", "again, calls", "peak MiB"
    );
    for (latency, strategy) in
        [(0, "update"), (5, "update"), (50, "update"), (0, "conditional-create"), (50, "conditional-create")]
    {
        run(latency, strategy).await;
    }
}

async fn run(latency: u64, strategy: &str) {
    let server = FhirServer::new(Arc::new(SystemClock));
    if latency > 0 {
        server.inject(Fault::Latency { millis: latency });
    }
    let connections = Arc::new(AtomicUsize::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/fhir", listener.local_addr().unwrap()).parse().unwrap();
    let counted = connections.clone();
    let listener = listener.tap_io(move |socket| {
        socket.set_nodelay(true).unwrap();
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let router = server.router();
    tokio::spawn(async move { axum::serve(listener, router).await });

    let folder = tempfile::tempdir().unwrap();
    let database = ohx_tests::services::database().await;
    let (links, link) = world(&database, base_url, strategy).await;
    let function = Function::start(&database, folder.path());
    function.ready().await;

    let first = function.publish(pieces(&links, &link).await).await;
    let calls = |stats: &BTreeMap<String, u64>| -> u64 {
        stats.iter().filter(|(name, _)| !name.contains('/')).map(|(_, count)| count).sum()
    };
    let written = calls(&server.stats().calls);
    let peak = function.memory("VmHWM:");
    function.publish(pieces(&links, &link).await).await;
    let again = calls(&server.stats().calls) - written;
    let total = PIECES * READINGS;
    let stored = server.snapshot();
    assert_eq!(stored.resources["Observation"], total, "each reading once");
    let thousand = |calls: u64| calls as f64 * 1000.0 / total as f64;
    println!(
        "{:<10} {:>9} {:>10.0} {:>10.1} {:>11} {:>12.1} {:>9.1}",
        format!("{latency} ms"),
        strategy.split('-').next().unwrap(),
        total as f64 / first.as_secs_f64(),
        thousand(written),
        connections.load(Ordering::Relaxed),
        thousand(again),
        peak as f64 / 1024.0
    );
}

/// A database with one endpoint and one active link.
async fn world(database: &str, base_url: url::Url, strategy: &str) -> (Links, Link) {
    let store: SharedStore = Arc::new(ohx_store_postgres::PostgresStore::connect(database).unwrap());
    store.migrate().await.unwrap();
    let clock = Arc::new(SystemClock);
    let mut endpoint = EhrEndpoint::new(name(), base_url);
    endpoint.strategy = serde_json::from_value(strategy.into()).unwrap();
    store.put_ehr(&endpoint, None, clock.now()).await.unwrap();
    let app: ProviderApp = serde_json::from_value(
        serde_json::json!({ "name": "beurer", "type": "beurer", "client_id": "none" }),
    )
    .unwrap();
    store.put_provider(&app, None, clock.now()).await.unwrap();
    let links = Links::new(Parts {
        store,
        bus: Arc::new(MemoryBus::new(MemoryConfig::default())),
        keyring: Arc::new(Keyring::parse(&KEYS.to_owned().into()).unwrap()),
        clock: clock.clone(),
        http: ohx_runtime::outbound::client(Duration::from_secs(30)).unwrap(),
        public_url: "http://127.0.0.1:1".parse().unwrap(),
        identifier_base: BASE.into(),
    });
    let link = Link::pending(app.name, name(), "Patient/p1".parse().unwrap(), 30, clock.now());
    links.parts().store.insert_link(&link).await.unwrap();
    links.connect_without_consent(&link).await.unwrap();
    (links, link)
}

fn name() -> EhrName {
    "clinic".parse().unwrap()
}

/// The same readings, in a request of their own, as events: headers and body.
async fn pieces(links: &Links, link: &Link) -> Vec<(http::HeaderMap, Vec<u8>)> {
    let store = &links.parts().store;
    let open = links.open(link.id).await.unwrap();
    let now = SystemClock.now();
    let record: ohx_domain::Record = "weight".parse().unwrap();
    let new = NewRequest {
        id: RequestId::new(),
        sync: SyncId::new(),
        link: link.id,
        record: record.clone(),
        query: Query::Window(Interval { start: now - Duration::from_secs(86_400), end: now }),
        reason: SyncReason::Manual,
    };
    store.request(&new, now).await.unwrap();
    store.begin_fetch(new.id, now).await.unwrap().unwrap();
    let run = RunId::new();
    store.fetched(new.id, run, u32::try_from(PIECES).unwrap(), None, now).await.unwrap();
    let numbers = 0..u32::try_from(PIECES).unwrap();
    numbers.map(|part| event(&open, &new, run, part, record.clone())).collect()
}

fn event(
    open: &OpenLink,
    new: &NewRequest,
    run: RunId,
    part: u32,
    record: ohx_domain::Record,
) -> (http::HeaderMap, Vec<u8>) {
    let piece = MappedPiece {
        request: new.id,
        run,
        part,
        piece: 0,
        pieces: 1,
        record,
        ehr: None,
        mapping: "beurer/weight 1".into(),
        removed: None,
        devices: Vec::new(),
        observations: (0..READINGS).map(|number| reading(part as usize * READINGS + number)).collect(),
        skipped: BTreeMap::new(),
    };
    let envelope = Envelope {
        id: format!("{run}.{part}"),
        event_type: types::RESOURCES_MAPPED,
        source: "transform",
        link: open.link.id,
        sync: Some(new.sync),
        priority: Priority::Normal,
        time: SystemClock.now(),
        traceparent: None,
    };
    to_binary(envelope.sealed(&open.key, &piece).unwrap().0).unwrap()
}

fn reading(number: usize) -> MappedResource {
    let identifier = Identifier {
        system: format!("{BASE}/beurer/weight"),
        value: format!("6f1c0a9d3b7e42518c04d2a7f9be6135.{number}.body-weight"),
    };
    let taken =
        ohx_domain::Instant::from_second(1_790_000_000 + i64::try_from(number).unwrap() * 60).unwrap();
    let text = format!(
        r#"{{"resourceType":"Observation","meta":{{"profile":["http://hl7.org/fhir/StructureDefinition/bodyweight"],"tag":[{{"system":"{BASE}/mapping","code":"beurer/weight|1"}}]}},"identifier":[{{"system":"{}","value":"{}"}}],"status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"29463-7","display":"Body weight"}}],"text":"Body weight"}},"subject":{{"reference":"Patient/p1"}},"effectiveDateTime":"{taken}","issued":"{taken}","performer":[{{"reference":"Patient/p1"}}],"valueQuantity":{{"value":{}.{:02},"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}}}"#,
        identifier.system,
        identifier.value,
        60 + number % 30,
        number % 100
    );
    MappedResource {
        identifier,
        digest: format!("{number:032x}"),
        issued: Some(taken),
        taken: Some(taken),
        device: None,
        only_if_missing: false,
        resource: RawValue::from_string(text).unwrap(),
    }
}

/// A running `ohx-publish`.
struct Function {
    child: Child,
    url: String,
    http: reqwest::Client,
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Function {
    fn start(database: &str, folder: &Path) -> Self {
        let binary = ohx_tests::binaries::optimised("ohx-publish");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(&binary)
            .env_clear()
            .env("PORT", port.to_string())
            .env("DATABASE_URL", database)
            .env("REDIS_URL", std::env::var("OHX_TEST_REDIS_URL").unwrap())
            .env("OHX_REDIS_PREFIX", folder.file_name().unwrap())
            .env("OHX_BUS", "redis")
            .env("OHX_KEYS", KEYS)
            // The small EHR is on this machine.
            .env("OHX_OUTBOUND_PRIVATE", "127.0.0.0/8")
            .env("OHX_PUBLIC_URL", "http://127.0.0.1:1")
            .env("OHX_IDENTIFIER_BASE", BASE)
            .env("RUST_LOG", "error")
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; run: make release", binary.display()));
        let http = ohx_runtime::outbound::client(Duration::from_secs(120)).unwrap();
        Self { child, url: format!("http://127.0.0.1:{port}"), http }
    }

    async fn ready(&self) {
        let began = Stopwatch::now();
        while self.http.get(format!("{}/livez", self.url)).send().await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "publish did not answer");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Delivers events as a broker does; how long it took until all of them were acknowledged.
    async fn publish(&self, events: Vec<(http::HeaderMap, Vec<u8>)>) -> Duration {
        let began = Stopwatch::now();
        let room = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
        let mut tasks = tokio::task::JoinSet::new();
        for (headers, body) in events {
            let (room, http, url) = (room.clone(), self.http.clone(), self.url.clone());
            tasks.spawn(async move {
                let _room = room.acquire_owned().await.unwrap();
                // A broker delivers again what is answered with 503: another call writes the same link.
                loop {
                    let sent = http.post(&url).headers(headers.clone()).body(body.clone()).send();
                    let answer = sent.await.unwrap();
                    match answer.status().as_u16() {
                        204 => break,
                        503 => tokio::time::sleep(Duration::from_millis(500)).await,
                        status => panic!("{status}: {}", answer.text().await.unwrap()),
                    }
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        began.elapsed()
    }

    /// A line of `/proc/<pid>/status`, in KiB.
    fn memory(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let found = status.lines().find(|text| text.starts_with(line)).unwrap();
        found.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}
