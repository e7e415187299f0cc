//! Events a second through `relay` processes to a function that does nothing, over HTTP: from Redis and from the emulated
//! SQS, beside what the broker gives a bare client, and what the function takes from one, in the same run.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant as Stopwatch};

use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use axum::serve::ListenerExt as _;
use ohx_bus::Bus as _;
use ohx_bus_sqs::{Place, SqsBus};
use ohx_domain::{Clock as _, LinkId, SystemClock};
use ohx_events::http_binding::to_binary;
use ohx_events::{Envelope, Event, Function, Priority, types};
use tokio::task::JoinSet;

/// Events of one run. The emulator is slow, and the slower the more it holds.
const AT_REDIS: usize = 30_000;
const AT_SQS: usize = 1500;

/// Deliveries of one relay to one function at once, and so what each bare client has in hand.
const CONCURRENCY: usize = 16;

const RELAYS: [usize; 3] = [1, 2, 4];

/// A function that does nothing but remember when it was called first and last.
#[derive(Clone)]
struct Nothing {
    url: String,
    called: Arc<AtomicUsize>,
    began: Stopwatch,
    first: Arc<AtomicUsize>,
    last: Arc<AtomicUsize>,
}

impl Nothing {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nothing = Self {
            url: format!("http://{}/", listener.local_addr().unwrap()),
            called: Arc::default(),
            began: Stopwatch::now(),
            first: Arc::new(AtomicUsize::new(usize::MAX)),
            last: Arc::default(),
        };
        let listener = listener.tap_io(|socket| socket.set_nodelay(true).unwrap());
        let called = nothing.clone();
        let router = Router::new().route(
            "/",
            post(async move |_: axum::body::Bytes| {
                let now = usize::try_from(called.began.elapsed().as_micros()).unwrap();
                called.first.fetch_min(now, Ordering::Relaxed);
                called.last.fetch_max(now, Ordering::Relaxed);
                called.called.fetch_add(1, Ordering::Relaxed);
                StatusCode::NO_CONTENT
            }),
        );
        tokio::spawn(async move { axum::serve(listener, router).await });
        nothing
    }

    /// Waits for `calls` calls, and gives how many there were a second between the first and the last.
    async fn rate(&self, calls: usize) -> f64 {
        let end = Stopwatch::now() + Duration::from_secs(120);
        while self.called.load(Ordering::Relaxed) < calls {
            assert!(Stopwatch::now() < end, "{} of {calls} arrived", self.called.load(Ordering::Relaxed));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let took = self.last.load(Ordering::Relaxed) - self.first.load(Ordering::Relaxed);
        (calls - 1) as f64 * 1e6 / took as f64
    }
}

#[tokio::main]
async fn main() {
    println!("events a second to a function that does nothing, of {AT_REDIS} at Redis and {AT_SQS} at SQS");
    println!(
        "{:<7} {:>7} {:>13} {:>13} {:>9} {:>12} {:>11} {:>13} {:>9}",
        "broker",
        "relays",
        "broker alone",
        "HTTP alone",
        "relay",
        "of broker's",
        "of HTTP's",
        "CPU us/event",
        "peak MiB"
    );
    for relays in RELAYS {
        let (url, prefix) = (std::env::var("OHX_TEST_REDIS_URL").unwrap(), format!("b{}", LinkId::new()));
        fill_redis(&url, &prefix).await;
        let bare = drain_redis(&url, &prefix, relays).await;
        fill_redis(&url, &prefix).await;
        let settings = [("OHX_BUS", "redis".to_owned()), ("REDIS_URL", url), ("OHX_REDIS_PREFIX", prefix)];
        measure("Redis", relays, AT_REDIS, bare, &settings).await;
    }
    for relays in RELAYS {
        let (base, prefix) = (std::env::var("OHX_TEST_SQS_URL").unwrap(), format!("b{}", LinkId::new()));
        let place = Place::new(&base, &prefix, Some("us-east-1"), None).unwrap();
        let bus = SqsBus::connect(&place);
        bus.create().await.unwrap();
        bus.publish((0..AT_SQS).map(event).collect()).await.unwrap();
        let bare = drain_sqs(&place, &base, relays).await;
        bus.publish((0..AT_SQS).map(event).collect()).await.unwrap();
        let mut settings =
            vec![("OHX_BUS", "sqs".to_owned()), ("SQS_QUEUE_URL", base), ("OHX_SQS_PREFIX", prefix)];
        for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            settings.push((name, std::env::var(name).unwrap()));
        }
        measure("SQS", relays, AT_SQS, bare, &settings).await;
    }
}

/// Prints one line: what `relays` processes make of `events` that wait for them.
async fn measure(broker: &str, relays: usize, events: usize, bare: f64, settings: &[(&str, String)]) {
    let http = post_alone(relays, events).await;
    let function = Nothing::start().await;
    let processes: Vec<_> = (0..relays).map(|n| Relay::start(n, &function.url, settings)).collect();
    let rate = function.rate(events).await;
    let cpu: f64 = processes.iter().map(Relay::cpu_seconds).sum();
    let peak = processes.iter().map(Relay::peak_mib).fold(0.0, f64::max);
    println!(
        "{broker:<7} {relays:>7} {bare:>13.0} {http:>13.0} {rate:>9.0} {:>12.2} {:>11.2} {:>13.0} {peak:>9.1}",
        rate / bare,
        rate / http,
        cpu * 1e6 / events as f64
    );
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(function.called.load(Ordering::Relaxed), events, "each was delivered once");
}

fn event(n: usize) -> Event {
    let envelope = Envelope {
        id: format!("event-{n}"),
        event_type: types::SYNC_REQUESTED,
        source: "bench",
        link: LinkId::new(),
        sync: None,
        priority: Priority::Normal,
        time: SystemClock.now(),
        traceparent: None,
    };
    envelope.plain(&serde_json::json!({ "request": n })).unwrap()
}

/// What the function takes without any broker: as many clients as relays, each with as many posts at once.
async fn post_alone(clients: usize, events: usize) -> f64 {
    let function = Nothing::start().await;
    let left = Arc::new(AtomicUsize::new(events));
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let client = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build().unwrap();
        for _ in 0..CONCURRENCY {
            let (client, url, left) = (client.clone(), function.url.clone(), left.clone());
            let (headers, body) = to_binary(event(0)).unwrap();
            tasks.spawn(async move {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                    let sent = client.post(&url).headers(headers.clone()).body(body.clone()).send().await;
                    assert_eq!(sent.unwrap().status(), 204);
                }
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    function.rate(events).await
}

fn stream(prefix: &str) -> String {
    format!("{prefix}:{}:{}", Function::Fetch, Priority::Normal.as_str())
}

async fn fill_redis(url: &str, prefix: &str) {
    let mut connection = connect(url).await;
    for begun in (0..AT_REDIS).step_by(1000) {
        let mut pipeline = redis::pipe();
        for n in begun..begun + 1000 {
            let written = serde_json::to_string(&event(n)).unwrap();
            let add = pipeline.cmd("XADD").arg(stream(prefix)).arg("*").arg("event").arg(written);
            add.arg("attempts").arg(0).ignore();
        }
        pipeline.query_async::<()>(&mut connection).await.unwrap();
    }
}

async fn connect(url: &str) -> redis::aio::MultiplexedConnection {
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// XREADGROUP, XACK and XDEL by bare clients, each with as much in hand as a relay has.
async fn drain_redis(url: &str, prefix: &str, clients: usize) -> f64 {
    let mut connection = connect(url).await;
    let stream = stream(prefix);
    let _: () = redis::cmd("XGROUP")
        .arg("CREATE")
        .arg(&stream)
        .arg("relay")
        .arg(0)
        .query_async(&mut connection)
        .await
        .unwrap();
    let began = Stopwatch::now();
    let mut tasks = JoinSet::new();
    for n in 0..clients {
        let (mut connection, stream) = (connect(url).await, stream.clone());
        tasks.spawn(async move {
            loop {
                let mut read = redis::cmd("XREADGROUP");
                read.arg("GROUP").arg("relay").arg(format!("bare-{n}")).arg("COUNT").arg(CONCURRENCY);
                read.arg("STREAMS").arg(&stream).arg(">");
                let entries: Option<redis::streams::StreamReadReply> =
                    read.query_async(&mut connection).await.unwrap();
                let Some(entries) = entries else {
                    return;
                };
                let ids: Vec<_> = entries.keys[0].ids.iter().map(|entry| entry.id.clone()).collect();
                let mut settle = redis::pipe();
                settle.cmd("XACK").arg(&stream).arg("relay").arg(&ids).ignore();
                settle.cmd("XDEL").arg(&stream).arg(&ids).ignore();
                settle.query_async::<()>(&mut connection).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    AT_REDIS as f64 / began.elapsed().as_secs_f64()
}

/// Receiving and deleting tens by bare clients, two at once for each relay, which has sixteen in hand.
async fn drain_sqs(place: &Place, base: &str, clients: usize) -> f64 {
    let endpoint = base.rsplit_once('/').unwrap().0.to_owned();
    let config =
        aws_config::defaults(aws_config::BehaviorVersion::latest()).endpoint_url(endpoint).load().await;
    let client = aws_sdk_sqs::Client::new(&config);
    let url = place.url(&place.name(Function::Fetch, Priority::Normal));
    let began = Stopwatch::now();
    let mut tasks = JoinSet::new();
    for _ in 0..2 * clients {
        let (client, url) = (client.clone(), url.clone());
        tasks.spawn(async move {
            loop {
                let receive = client.receive_message().queue_url(&url).max_number_of_messages(10);
                let received = receive.send().await.unwrap();
                let messages = received.messages();
                if messages.is_empty() {
                    return;
                }
                let entry = |(n, message): (usize, &aws_sdk_sqs::types::Message)| {
                    let entry = DeleteMessageBatchRequestEntry::builder().id(n.to_string());
                    entry.set_receipt_handle(message.receipt_handle.clone()).build().unwrap()
                };
                let entries = messages.iter().enumerate().map(entry).collect();
                client
                    .delete_message_batch()
                    .queue_url(&url)
                    .set_entries(Some(entries))
                    .send()
                    .await
                    .unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    AT_SQS as f64 / began.elapsed().as_secs_f64()
}

/// A relay as it is deployed.
struct Relay(Child);

impl Relay {
    fn start(n: usize, function: &str, settings: &[(&str, String)]) -> Self {
        let mut command = Command::new(ohx_tests::binaries::optimised("ohx-relay"));
        command.env_clear().envs(settings.iter().map(|(name, value)| (name, value)));
        for name in ["NIGHTLY", "FETCH", "TRANSFORM", "PUBLISH", "DEVICES"] {
            command.env(format!("OHX_{name}_URL"), function);
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        command
            .env("PORT", port.to_string())
            .env("HOSTNAME", format!("relay-{n}"))
            .env("DATABASE_URL", std::env::var("OHX_TEST_POSTGRES_URL").unwrap())
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// User and system time so far, from `/proc`.
    fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum();
        ticks / 100.0
    }

    /// The largest resident set so far, from `/proc`.
    fn peak_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
