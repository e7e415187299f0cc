//! A nightly backlog, and a webhook that comes in between.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cloudevents::AttributesReader as _;
use ohx_bus::{Bus, Deliver, Verdict};
use ohx_bus_redis::{RedisBus, RedisRelay};
use ohx_bus_sqs::{SqsBus, SqsRelay};
use ohx_domain::SystemClock;
use ohx_events::{Event, Function, Priority, types};
use tokio::sync::oneshot;

use crate::functions::{Graves, event};
use crate::rig::{TestRedis, quick, relay_config, until, within};
use crate::sqs_rig::{TestSqs, sqs_config};

/// The entries of the backlog at Redis.
const BACKLOG: usize = 100_000;

/// What the emulated SQS takes in a few seconds.
const SMALL_BACKLOG: usize = 1500;

/// Deliveries at once.
const CONCURRENCY: usize = 16;

/// Somebody who is waiting, and the crowd after them.
const URGENT: usize = 20;
const RUSH: usize = 400;

/// A function that remembers only in which order it was called.
#[derive(Default)]
struct Order {
    served: Mutex<Vec<String>>,
    low: AtomicUsize,
}

#[async_trait]
impl Deliver for Order {
    async fn deliver(&self, _: Function, event: &Event) -> Verdict {
        tokio::time::sleep(Duration::from_millis(2)).await;
        if Priority::of(event) == Priority::Low {
            self.low.fetch_add(1, Ordering::SeqCst);
        }
        self.served.lock().unwrap().push(event.id().to_owned());
        Verdict::Done
    }
}

impl Order {
    fn count(&self) -> usize {
        self.served.lock().unwrap().len()
    }

    fn served(&self, name: &str) -> usize {
        self.served.lock().unwrap().iter().filter(|id| id.starts_with(name)).count()
    }
}

fn fetch(id: String, priority: Priority) -> Event {
    event(id, types::SYNC_REQUESTED, priority)
}

/// While the backlog is being worked off: urgent events overtake all of it but what is in hand, and while urgent ones
/// keep coming, the low ones still move.
/// At most `before_them` of the backlog may be delivered before the last of the first urgent ones.
async fn overtakes(bus: &dyn Bus, order: &Order, before_them: usize) {
    until(async || order.low.load(Ordering::SeqCst) > 3 * CONCURRENCY).await;
    let before = order.count();
    let urgent = |name: &str, n: usize| fetch(format!("{name}-{n}"), Priority::High);
    bus.publish((0..URGENT).map(|n| urgent("webhook", n)).collect()).await.unwrap();
    // From here on: whatever was delivered while the events were on their way to the broker does not count.
    let published = order.count();
    until(async || order.served("webhook") == URGENT).await;
    let served = order.served.lock().unwrap().clone();
    let last = served.iter().rposition(|id| id.starts_with("webhook")).unwrap();
    let overtaken = served[published.min(last)..last].iter().filter(|id| id.starts_with("low")).count();
    assert!(overtaken <= before_them, "{overtaken} of the backlog went first (before: {before})");

    bus.publish((0..RUSH).map(|n| urgent("rush", n)).collect()).await.unwrap();
    until(async || order.served("rush") == RUSH).await;
    let served = order.served.lock().unwrap().clone();
    let first = served.iter().position(|id| id.starts_with("rush")).unwrap();
    let last = served.iter().rposition(|id| id.starts_with("rush")).unwrap();
    for window in served[first..last].windows(6 * CONCURRENCY) {
        assert!(window.iter().any(|id| id.starts_with("low")), "the backlog stood still");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_overtakes_a_hundred_thousand_at_redis() {
    let redis = TestRedis::new();
    let bus = RedisBus::connect(&redis.url, &redis.prefix).unwrap();
    let mut connection = redis.connection().await;
    let stream = redis.stream(Function::Fetch, "low");
    let written = serde_json::to_string(&fetch("low-N".into(), Priority::Low)).unwrap();
    for begun in (0..BACKLOG).step_by(500) {
        let mut pipeline = redis::pipe();
        for n in begun..begun + 500 {
            let event = written.replace("low-N", &format!("low-{n}"));
            let add = pipeline.cmd("XADD").arg(&stream).arg("*").arg("event").arg(event);
            add.arg("attempts").arg(0).ignore();
        }
        pipeline.query_async::<()>(&mut connection).await.unwrap();
    }
    assert_eq!(bus.depth().await.unwrap().queues[&(Function::Fetch, Priority::Low)].queued, BACKLOG as u64);

    let order = Arc::new(Order::default());
    let config = ohx_bus_redis::RelayConfig { concurrency: CONCURRENCY, ..relay_config() };
    let relay = RedisRelay::new(&redis.url, &redis.prefix, "one", config).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let deliver = order.clone();
    let running = tokio::spawn(async move {
        let stopped = async { stopped.await.unwrap() };
        relay.run(deliver, Arc::new(Graves::default()), quick(2), stopped).await.unwrap();
    });
    // Two rounds of what is in hand, and one pick in eight of those in which the urgent ones were served.
    overtakes(&bus, &order, 2 * CONCURRENCY + URGENT / 2).await;
    stop.send(()).unwrap();
    within(running).await.unwrap();
    let left = bus.depth().await.unwrap().queues[&(Function::Fetch, Priority::Low)];
    let low = order.low.load(Ordering::SeqCst);
    assert_eq!((left.queued as usize, left.in_hand), (BACKLOG - low, 0), "each was delivered once");
    let _: u64 = redis::cmd("DEL").arg(&stream).query_async(&mut connection).await.unwrap();
    redis.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_overtakes_the_backlog_at_sqs() {
    let sqs = TestSqs::new().await;
    let bus = SqsBus::connect(&sqs.place);
    let backlog = (0..SMALL_BACKLOG).map(|n| fetch(format!("low-{n}"), Priority::Low)).collect();
    bus.publish(backlog).await.unwrap();

    let order = Arc::new(Order::default());
    let config = ohx_bus_sqs::RelayConfig { concurrency: CONCURRENCY, ..sqs_config() };
    let relay = SqsRelay::new(&sqs.place, Arc::new(SystemClock), config).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let deliver = order.clone();
    let running = tokio::spawn(async move {
        let stopped = async { stopped.await.unwrap() };
        relay.run(deliver, Arc::new(Graves::default()), quick(2), stopped).await;
    });
    // SQS hands out fewer than there are, and when it likes: a tenth of the backlog is far from waiting for all of it.
    overtakes(&bus, &order, SMALL_BACKLOG / 10).await;
    stop.send(()).unwrap();
    within(running).await.unwrap();
    let low = order.low.load(Ordering::SeqCst);
    assert!(low < SMALL_BACKLOG, "the backlog was over before it could be overtaken");
    let url = sqs.url(Function::Fetch, Priority::Low);
    sqs.client().await.purge_queue().queue_url(url).send().await.unwrap();
    sqs.assert_clean().await;
}
