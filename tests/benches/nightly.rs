//! The nightly run over many links, in a PostgreSQL: time, requests a second, and the memory that it takes, which must not grow
//! with the number of links. The bus counts and drops what it is given.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant as Stopwatch};

use async_trait::async_trait;
use ohx_bus::{Bus, BusError};
use ohx_domain::{Clock as _, Interval, Intervals, LinkId, ProviderApp, PushState, SystemClock};
use ohx_events::http_binding::to_binary;
use ohx_events::{Envelope, Event, Priority, types};
use ohx_link::Links;
use ohx_runtime::parts::Parts;
use ohx_seal::Keyring;
use ohx_store::SharedStore;
use ohx_store_postgres::PostgresStore;
use sqlx::{Connection as _, PgConnection};
use tower::ServiceExt as _;

const SIZES: [i64; 3] = [10_000, 100_000, 1_000_000];
const KEYS: &str = "k1:c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlISE=";

#[derive(Default)]
struct Counting(AtomicU64);

#[async_trait]
impl Bus for Counting {
    async fn publish(&self, events: Vec<Event>) -> Result<(), BusError> {
        self.0.fetch_add(events.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    async fn publish_after(&self, event: Event, _: Duration) -> Result<(), BusError> {
        self.publish(vec![event]).await
    }

    async fn ping(&self) -> Result<(), BusError> {
        Ok(())
    }
}

#[tokio::main]
async fn main() {
    // Smaller sizes for a first look: OHX_BENCH_LINKS=10000.
    let most = std::env::var("OHX_BENCH_LINKS").ok().and_then(|text| text.parse().ok()).unwrap_or(i64::MAX);
    println!(
        "A Withings app with its usual records; every link covered until yesterday, and due for a look at push"
    );
    println!(
        "{:>9} {:>9} {:>9} {:>8} {:>10} {:>10} {:>9} {:>9}",
        "links", "requests", "events", "seconds", "links/s", "requests/s", "idle MiB", "peak MiB"
    );
    for size in SIZES.into_iter().filter(|size| *size <= most) {
        run(size).await;
    }
}

async fn run(size: i64) {
    let url = ohx_tests::services::database().await;
    let store: SharedStore = Arc::new(PostgresStore::connect(&url).unwrap());
    store.migrate().await.unwrap();
    let bus = Arc::new(Counting::default());
    let clock = Arc::new(SystemClock);
    let links = Links::new(Parts {
        store: store.clone(),
        bus: bus.clone(),
        keyring: Arc::new(Keyring::parse(&KEYS.to_owned().into()).unwrap()),
        clock: clock.clone(),
        http: ohx_runtime::outbound::client(Duration::from_secs(30)).unwrap(),
        public_url: "http://127.0.0.1:1".parse().unwrap(),
        identifier_base: "https://ohx.bench/ns".into(),
    });
    let app: ProviderApp = serde_json::from_value(serde_json::json!({
        "name": "withings", "type": "withings", "client_id": "client-1", "requests_per_minute": 1500
    }))
    .unwrap();
    store.put_provider(&app, None, clock.now()).await.unwrap();
    let (app, provider) = links.app(&app.name).await.unwrap();
    let records: Vec<String> =
        provider.records(&app.config, &[]).iter().map(|spec| spec.record.to_string()).collect();
    fill(&url, size, &records).await;

    let ping = Envelope {
        id: "night".into(),
        event_type: types::PING,
        source: "bench",
        link: LinkId::new(),
        sync: None,
        priority: Priority::Low,
        time: clock.now(),
        traceparent: None,
    };
    let (headers, body) = to_binary(ping.plain(&serde_json::json!({})).unwrap()).unwrap();
    let mut request = http::Request::post("/").body(axum::body::Body::from(body)).unwrap();
    *request.headers_mut() = headers;
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let (idle, began) = (memory("VmRSS:"), Stopwatch::now());
    let answer = ohx_nightly::router(links).oneshot(request).await.unwrap();
    let (took, peak) = (began.elapsed().as_secs_f64(), memory("VmHWM:"));
    assert_eq!(answer.status(), http::StatusCode::NO_CONTENT);

    let mut connection = PgConnection::connect(&url).await.unwrap();
    let rows: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM requests").fetch_one(&mut connection).await.unwrap();
    let events = bus.0.load(Ordering::Relaxed);
    let asked: i64 = sqlx::query_scalar("SELECT COUNT(DISTINCT (link, record)) FROM requests")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(asked, size * records.len() as i64, "each record of each link is asked for");
    assert_eq!(rows % size, 0, "and of each as often");
    assert_eq!(events, (rows + size) as u64, "and told, and each link's subscriptions are looked at");
    println!(
        "{size:>9} {rows:>9} {events:>9} {took:>8.1} {:>10.0} {:>10.0} {idle:>9.1} {peak:>9.1}",
        size as f64 / took,
        rows as f64 / took
    );
    let (server, name) = url.rsplit_once('/').unwrap();
    drop((connection, store));
    let mut server = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
    let drop = sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
    sqlx::query(drop).execute(&mut server).await.unwrap();
}

/// Links as they are after a year of nights.
async fn fill(url: &str, size: i64, records: &[String]) {
    let now = SystemClock.now();
    let day = Duration::from_secs(86_400);
    let (start, yesterday) = (now - 395 * day, now - day);
    let mut covered = Intervals::default();
    covered.insert(Interval::new(start, yesterday).unwrap());
    let push = serde_json::to_string(&PushState::Subscribed { checked: yesterday }).unwrap();
    let mut connection = PgConnection::connect(url).await.unwrap();
    let ids = "'00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0')";
    let links = format!(
        "INSERT INTO links (id, provider, ehr, patient, state, backfill_days, scopes, history_start, push, data_key,
             sealed_tokens, created_at, connected_at)
         SELECT {ids}, 'withings', 'clinic', 'Patient/p' || n, 'active', 30, '[]', $2, $3, $4, $4, $5, $5
         FROM generate_series(1, $1) AS n"
    );
    sqlx::query(sqlx::AssertSqlSafe(links))
        .bind(size)
        .bind(start.as_microsecond())
        .bind(push)
        .bind(vec![7_u8; 96])
        .bind((now - 365 * day).as_microsecond())
        .execute(&mut connection)
        .await
        .unwrap();
    let coverage = format!(
        "INSERT INTO coverage (link, record, published, cursor, reread)
         SELECT {ids}, record, $3, $4, $4 FROM generate_series(1, $1) AS n, UNNEST($2::text[]) AS record"
    );
    sqlx::query(sqlx::AssertSqlSafe(coverage))
        .bind(size)
        .bind(records)
        .bind(covered.to_string())
        .bind(yesterday.as_microsecond())
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query("VACUUM ANALYZE links, coverage").execute(&mut connection).await.unwrap();
}

/// This process's memory, in MiB.
fn memory(what: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
