//! What only Redis promises: to survive relays that die, and its own absence.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cloudevents::AttributesReader as _;
use ohx_bus::retry::RetryPolicy;
use ohx_bus::{Bus as _, BusError};
use ohx_bus_redis::{RedisBus, RedisRelay, RelayConfig, SetupError};
use ohx_events::{Event, Function, Priority, types};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::functions::{Functions, Graves, event, status};
use crate::rig::{Proxy, TestRedis, Transport, deliver_to, quick, relay_config, until, within};

fn sync(id: impl ToString) -> Event {
    event(id, types::SYNC_REQUESTED, Priority::Normal)
}

/// A relay in a task of its own.
struct Relay {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Relay {
    async fn start(
        url: &str,
        prefix: &str,
        name: &str,
        config: RelayConfig,
        functions: &Functions,
        graves: &Arc<Graves>,
    ) -> Self {
        let relay = RedisRelay::new(url, prefix, name, config).unwrap();
        let deliver = deliver_to(functions, Transport::Router).await;
        let (stop, stopped) = oneshot::channel();
        let graves = graves.clone();
        let shutdown = async move {
            let _: Result<(), _> = stopped.await;
        };
        let policy = RetryPolicy { handed_out: 2, ..quick(2) };
        let task = tokio::spawn(async move { relay.run(deliver, graves, policy, shutdown).await.unwrap() });
        Self { stop, task }
    }

    /// As a node that loses power: nothing is finished, nothing is said.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    async fn finish(self) {
        self.stop.send(()).unwrap();
        within(self.task).await.unwrap();
    }
}

async fn settled(bus: &RedisBus) {
    until(async || bus.depth().await.unwrap().is_empty()).await;
}

/// Takes over quickly.
fn hasty() -> RelayConfig {
    RelayConfig {
        timeout: Duration::from_millis(250),
        reclaim_after: Duration::from_millis(300),
        ..relay_config()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_relay_takes_over_from_a_killed_one() {
    let redis = TestRedis::new();
    let bus = RedisBus::connect(&redis.url, &redis.prefix).unwrap();
    let graves = Arc::new(Graves::default());
    let hanging = Functions::new(|_| std::future::pending());
    // Patient with its deliveries, so that all are in its hands when it dies.
    let first = Relay::start(&redis.url, &redis.prefix, "first", relay_config(), &hanging, &graves).await;
    bus.publish((0..10).map(sync).collect()).await.unwrap();
    until(async || hanging.calls().len() == 10).await;
    first.kill().await;

    let working = Functions::new(|_| async { status(200) });
    let second = Relay::start(&redis.url, &redis.prefix, "second", hasty(), &working, &graves).await;
    settled(&bus).await;
    let ids: BTreeSet<_> = working.ids().into_iter().collect();
    assert_eq!(ids, (0..10).map(|n| n.to_string()).collect());
    assert_eq!(working.calls().len(), 10);
    assert!(graves.letters().is_empty());
    second.finish().await;
    // The name of the killed relay goes once it has been silent for an hour; here the test tidies up.
    forget(&redis, "first").await;
    redis.assert_clean().await;
}

async fn forget(redis: &TestRedis, consumer: &str) {
    let mut connection = redis.connection().await;
    for to in Function::ALL {
        for priority in Priority::ALL {
            let mut forget = redis::cmd("XGROUP");
            forget.arg("DELCONSUMER").arg(redis.stream(to, priority.as_str())).arg("relay").arg(consumer);
            let pending: u64 = forget.query_async(&mut connection).await.unwrap();
            assert_eq!(pending, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_kills_every_relay_becomes_a_dead_letter() {
    let redis = TestRedis::new();
    let bus = RedisBus::connect(&redis.url, &redis.prefix).unwrap();
    let graves = Arc::new(Graves::default());
    let hanging = Functions::new(|_| std::future::pending());
    bus.publish(vec![sync("killer")]).await.unwrap();
    for n in 1..=2 {
        let patient = RelayConfig {
            timeout: Duration::from_millis(2900),
            reclaim_after: Duration::from_secs(3),
            ..relay_config()
        };
        let relay = Relay::start(&redis.url, &redis.prefix, "same", patient, &hanging, &graves).await;
        until(async || hanging.calls().len() == n).await;
        relay.kill().await;
    }
    let last = Relay::start(&redis.url, &redis.prefix, "same", hasty(), &hanging, &graves).await;
    settled(&bus).await;
    assert_eq!(hanging.calls().len(), 2);
    let letters = graves.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].event.id(), letters[0].event.data()), ("killer", None));
    last.finish().await;
    redis.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_relays_share_the_work() {
    let redis = TestRedis::new();
    let bus = RedisBus::connect(&redis.url, &redis.prefix).unwrap();
    let graves = Arc::new(Graves::default());
    let slow = || {
        Functions::new(|_| async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            status(200)
        })
    };
    let (left, right) = (slow(), slow());
    let one = Relay::start(&redis.url, &redis.prefix, "one", relay_config(), &left, &graves).await;
    let two = Relay::start(&redis.url, &redis.prefix, "two", relay_config(), &right, &graves).await;
    for batch in 0..10 {
        bus.publish((0..50).map(|n| sync(batch * 50 + n)).collect()).await.unwrap();
    }
    settled(&bus).await;
    let ids: Vec<_> = left.ids().into_iter().chain(right.ids()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 500);
    assert_eq!(ids.len(), 500, "nothing failed, so nothing was delivered twice");
    assert!(
        !left.ids().is_empty() && !right.ids().is_empty(),
        "{} and {}",
        left.ids().len(),
        right.ids().len()
    );
    // Added once, handed out once; `assert_clean` shows that each was acknowledged.
    let mut connection = redis.connection().await;
    let stream = redis.stream(Function::Fetch, "normal");
    let info: redis::streams::StreamInfoGroupsReply =
        redis::cmd("XINFO").arg("GROUPS").arg(&stream).query_async(&mut connection).await.unwrap();
    assert_eq!((info.groups[0].entries_read, info.groups[0].pending), (Some(500), 0));
    one.finish().await;
    two.finish().await;
    redis.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_buried_and_does_not_come_back() {
    let redis = TestRedis::new();
    let bus = RedisBus::connect(&redis.url, &redis.prefix).unwrap();
    let graves = Arc::new(Graves::default());
    *graves.refusals.lock().unwrap() = 1;
    let mut connection = redis.connection().await;
    let stream = redis.stream(Function::Fetch, "normal");
    for fields in
        [["event", "{"], ["event", r#"{"specversion":"1.0"}"#], ["what", "ever"], ["event", "\u{0}"]]
    {
        let _: String =
            redis::cmd("XADD").arg(&stream).arg("*").arg(&fields).query_async(&mut connection).await.unwrap();
    }
    let delayed = format!("{}:delayed", redis.prefix);
    for member in ["", "no line feed", "two words\n{}", "id lane many\n{}", "id fetch:normal 1\nnot JSON"] {
        let _: u64 =
            redis::cmd("ZADD").arg(&delayed).arg(0).arg(member).query_async(&mut connection).await.unwrap();
    }
    bus.publish(vec![sync("neighbour")]).await.unwrap();
    let working = Functions::new(|_| async { status(200) });
    let relay = Relay::start(&redis.url, &redis.prefix, "one", hasty(), &working, &graves).await;
    settled(&bus).await;
    assert_eq!(working.ids(), ["neighbour"]);
    // Four entries and one delayed member were entries; one dead letter was refused.
    assert_eq!(graves.letters().len(), 4);
    assert!(
        graves.letters().iter().all(|letter| letter.event.ty() == "org.openhealthexchange.unreadable.v1")
    );
    relay.finish().await;
    redis.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_somebody_else_settled_is_not_doubled() {
    let redis = TestRedis::new();
    let bus = RedisBus::connect(&redis.url, &redis.prefix).unwrap();
    let graves = Arc::new(Graves::default());
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    let failing = Functions::new(move |_| {
        let gate = closed.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            status(503)
        }
    });
    let relay = Relay::start(&redis.url, &redis.prefix, "one", relay_config(), &failing, &graves).await;
    bus.publish(vec![sync("shared")]).await.unwrap();
    until(async || failing.calls().len() == 1).await;
    // Another relay took it over, delivered it and acknowledged it while this one was still at it.
    let mut connection = redis.connection().await;
    let stream = redis.stream(Function::Fetch, "normal");
    let entries: redis::streams::StreamRangeReply =
        redis::cmd("XRANGE").arg(&stream).arg("-").arg("+").query_async(&mut connection).await.unwrap();
    let id = &entries.ids[0].id;
    let acked: u64 =
        redis::cmd("XACK").arg(&stream).arg("relay").arg(id).query_async(&mut connection).await.unwrap();
    let _: u64 = redis::cmd("XDEL").arg(&stream).arg(id).query_async(&mut connection).await.unwrap();
    assert_eq!(acked, 1);
    gate.add_permits(10);
    relay.finish().await;
    assert_eq!(failing.calls().len(), 1);
    assert!(bus.depth().await.unwrap().is_empty());
    redis.assert_clean().await;
}

/// What was published before Redis lost everything is not on its way any more, and whoever asks is told since when that is so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_lost_everything_is_noticed() {
    let redis = TestRedis::new();
    let bus = RedisBus::connect(&redis.url, &redis.prefix).unwrap();
    assert_eq!(bus.holds_since().await.unwrap(), None);
    let graves = Arc::new(Graves::default());
    let working = Functions::new(|_| async { status(200) });
    let relay = Relay::start(&redis.url, &redis.prefix, "one", relay_config(), &working, &graves).await;
    until(async || bus.holds_since().await.unwrap().is_some()).await;
    let first = bus.holds_since().await.unwrap();
    bus.publish(vec![sync("held")]).await.unwrap();
    settled(&bus).await;
    assert_eq!(bus.holds_since().await.unwrap(), first, "it stays");
    let mut connection = redis.connection().await;
    let _: u64 =
        redis::cmd("DEL").arg(format!("{}:begun", redis.prefix)).query_async(&mut connection).await.unwrap();
    until(async || bus.holds_since().await.unwrap() > first).await;
    relay.finish().await;
    redis.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_survives_the_loss_of_its_streams() {
    let redis = TestRedis::new();
    let bus = RedisBus::connect(&redis.url, &redis.prefix).unwrap();
    let graves = Arc::new(Graves::default());
    let working = Functions::new(|_| async { status(200) });
    let relay = Relay::start(&redis.url, &redis.prefix, "one", relay_config(), &working, &graves).await;
    bus.publish(vec![sync("before")]).await.unwrap();
    settled(&bus).await;
    let mut connection = redis.connection().await;
    for priority in Priority::ALL {
        let stream = redis.stream(Function::Fetch, priority.as_str());
        let _: u64 = redis::cmd("DEL").arg(stream).query_async(&mut connection).await.unwrap();
    }
    bus.publish(vec![sync("after")]).await.unwrap();
    until(async || !working.calls_of("after").is_empty()).await;
    settled(&bus).await;
    relay.finish().await;
    redis.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absent_redis_is_an_error_and_nothing_is_lost() {
    let redis = TestRedis::new();
    let proxy = Proxy::start(redis.url.split_once("://").unwrap().1.trim_end_matches('/')).await;
    let cut = format!("redis://{}", proxy.address);
    let bus = RedisBus::connect(&cut, &redis.prefix).unwrap();
    let graves = Arc::new(Graves::default());
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    let functions = Functions::new(move |call| {
        let gate = closed.clone();
        async move {
            if call.event.id() == "in-hand" {
                gate.acquire().await.unwrap().forget();
            }
            status(200)
        }
    });
    let relay = Relay::start(&cut, &redis.prefix, "one", relay_config(), &functions, &graves).await;
    bus.ping().await.unwrap();
    bus.publish(vec![sync("in-hand")]).await.unwrap();
    until(async || functions.calls().len() == 1).await;

    proxy.up.send_replace(false);
    assert!(matches!(within(bus.publish(vec![sync("refused")])).await, Err(BusError::Unavailable(_))));
    assert!(matches!(
        within(bus.publish_after(sync("refused"), Duration::ZERO)).await,
        Err(BusError::Unavailable(_))
    ));
    assert!(matches!(within(bus.ping()).await, Err(BusError::Unavailable(_))));
    // The delivery ends while Redis is away: it is acknowledged when Redis is back, not delivered again.
    gate.add_permits(1);
    let before = proxy.refused.load(Ordering::SeqCst);
    until(async || proxy.refused.load(Ordering::SeqCst) >= before + 20).await;
    // Another publisher still reaches Redis.
    let elsewhere = RedisBus::connect(&redis.url, &redis.prefix).unwrap();
    elsewhere.publish(vec![sync("meanwhile")]).await.unwrap();

    proxy.up.send_replace(true);
    until(async || bus.publish(vec![sync("again")]).await.is_ok()).await;
    settled(&elsewhere).await;
    assert_eq!(functions.calls_of("in-hand").len(), 1);
    assert_eq!(functions.calls_of("meanwhile").len(), 1);
    assert_eq!(functions.calls_of("again").len(), 1);
    assert!(functions.calls_of("refused").is_empty());
    relay.finish().await;
    redis.assert_clean().await;
}

#[tokio::test]
async fn a_redis_that_was_never_there_is_an_error() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let bus = RedisBus::connect(&format!("redis://:secret@127.0.0.1:{port}"), "ohx").unwrap();
    let error = within(bus.publish(vec![sync("lost")])).await.unwrap_err();
    assert!(
        matches!(error, BusError::Unavailable(_)) && !format!("{error:?}").contains("secret"),
        "{error:?}"
    );
    assert!(within(bus.ping()).await.is_err());
    assert!(within(bus.depth()).await.is_err());
}

#[tokio::test]
async fn a_setup_that_cannot_work_is_refused() {
    let error = RedisBus::connect("http://user:secret@host", "ohx").unwrap_err();
    assert!(matches!(error, SetupError::Url(_)) && !error.to_string().contains("secret"), "{error}");
    let impatient = RelayConfig { reclaim_after: Duration::from_secs(1), ..relay_config() };
    let error = RedisRelay::new("redis://127.0.0.1", "ohx", "one", impatient).unwrap_err();
    assert!(error.to_string().contains("reclaim_after"), "{error}");
}
