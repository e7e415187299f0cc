//! A bus under test: an engine, functions behind it, and a place for dead letters.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ohx_bus::deliver::{HttpDeliver, RouterDeliver};
use ohx_bus::memory::{MemoryBus, MemoryConfig};
use ohx_bus::retry::RetryPolicy;
use ohx_bus::{Deliver, Depth, SharedBus};
use ohx_bus_redis::{RedisBus, RedisRelay, RelayConfig};
use ohx_bus_sqs::{SqsBus, SqsRelay};
use ohx_domain::{LinkId, SystemClock};
use ohx_events::Function;
use redis::aio::MultiplexedConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::functions::{Functions, Graves, client, serve};
use crate::sqs_rig::{TestSqs, sqs_config};

/// How long any test waits for what should happen at once.
const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Memory,
    Redis,
    Sqs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Router,
    Http,
}

/// What a test may choose.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    pub(crate) engine: Engine,
    pub(crate) transport: Transport,
    /// Deliveries to each function at once.
    pub(crate) concurrency: usize,
    /// Events queued for each function before publishing waits (in memory only).
    pub(crate) queued: usize,
    pub(crate) policy: RetryPolicy,
}

impl Options {
    pub(crate) fn new(engine: Engine, transport: Transport) -> Self {
        Self { engine, transport, concurrency: 4, queued: 1024, policy: quick(4) }
    }
}

/// A policy that does not make tests wait.
pub(crate) fn quick(attempts: u32) -> RetryPolicy {
    RetryPolicy { base: Duration::from_millis(10), cap: Duration::from_millis(40), attempts, handed_out: 8 }
}

enum Bus {
    Memory(MemoryBus),
    Redis(RedisBus, TestRedis),
    Sqs(SqsBus, TestSqs),
}

pub(crate) struct Rig {
    bus: Bus,
    pub(crate) functions: Functions,
    pub(crate) graves: Arc<Graves>,
    options: Options,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Rig {
    /// A bus that takes events and delivers none until [`Rig::run`].
    pub(crate) async fn new(options: Options, functions: Functions) -> Self {
        let bus = match options.engine {
            Engine::Memory => Bus::Memory(MemoryBus::new(MemoryConfig {
                workers: options.concurrency,
                queued: options.queued,
                ..MemoryConfig::default()
            })),
            Engine::Redis => {
                let redis = TestRedis::new();
                Bus::Redis(RedisBus::connect(&redis.url, &redis.prefix).unwrap(), redis)
            }
            Engine::Sqs => {
                let sqs = TestSqs::new().await;
                Bus::Sqs(SqsBus::connect(&sqs.place), sqs)
            }
        };
        Self { bus, functions, graves: Arc::default(), options, running: None }
    }

    /// A bus that delivers.
    pub(crate) async fn start(options: Options, functions: Functions) -> Self {
        let mut rig = Self::new(options, functions).await;
        rig.run().await;
        rig
    }

    pub(crate) fn bus(&self) -> SharedBus {
        match &self.bus {
            Bus::Memory(bus) => Arc::new(bus.clone()),
            Bus::Redis(bus, _) => Arc::new(bus.clone()),
            Bus::Sqs(bus, _) => Arc::new(bus.clone()),
        }
    }

    pub(crate) async fn run(&mut self) {
        let deliver = deliver_to(&self.functions, self.options.transport).await;
        let (graves, policy) = (self.graves.clone(), self.options.policy);
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let task = match &self.bus {
            Bus::Memory(bus) => {
                let bus = bus.clone();
                tokio::spawn(async move { bus.run(deliver, graves, policy, shutdown).await })
            }
            Bus::Redis(_, redis) => {
                let config = RelayConfig { concurrency: self.options.concurrency, ..relay_config() };
                let relay = RedisRelay::new(&redis.url, &redis.prefix, "one", config).unwrap();
                tokio::spawn(async move { relay.run(deliver, graves, policy, shutdown).await.unwrap() })
            }
            Bus::Sqs(_, sqs) => {
                let config =
                    ohx_bus_sqs::RelayConfig { concurrency: self.options.concurrency, ..sqs_config() };
                let relay = SqsRelay::new(&sqs.place, Arc::new(SystemClock), config).unwrap();
                tokio::spawn(async move { relay.run(deliver, graves, policy, shutdown).await })
            }
        };
        self.running = Some((stop, task));
    }

    pub(crate) async fn depth(&self) -> Depth {
        match &self.bus {
            Bus::Memory(bus) => bus.depth(),
            Bus::Redis(bus, _) => bus.depth().await.unwrap(),
            Bus::Sqs(bus, _) => bus.depth().await.unwrap(),
        }
    }

    /// How many events wait for another attempt; SQS counts those in hand, too.
    pub(crate) async fn put_off(&self) -> u64 {
        let depth = self.depth().await;
        match self.options.engine {
            Engine::Memory | Engine::Redis => depth.delayed,
            Engine::Sqs => depth.delayed + depth.queues.values().map(|queue| queue.in_hand).sum::<u64>(),
        }
    }

    /// Waits until nothing is queued, delayed or in hand.
    pub(crate) async fn idle(&self) {
        match &self.bus {
            Bus::Memory(bus) => within(bus.idle()).await,
            Bus::Redis(..) => until(async || self.depth().await.is_empty()).await,
            Bus::Sqs(bus, _) => crate::sqs_rig::settled(bus).await,
        }
    }

    /// Asks the engine to stop, without waiting for it.
    pub(crate) fn stop(&mut self) -> JoinHandle<()> {
        let (stop, task) = self.running.take().expect("the engine runs");
        stop.send(()).unwrap();
        task
    }

    /// Waits until everything is settled, stops the engine, and looks that nothing remains.
    pub(crate) async fn finish(mut self) {
        self.idle().await;
        within(self.stop()).await.unwrap();
        assert!(self.depth().await.is_empty());
        match &self.bus {
            Bus::Memory(_) => {}
            Bus::Redis(_, redis) => redis.assert_clean().await,
            Bus::Sqs(_, sqs) => sqs.assert_clean().await,
        }
    }
}

pub(crate) async fn deliver_to(functions: &Functions, transport: Transport) -> Arc<dyn Deliver> {
    match transport {
        Transport::Router => Arc::new(RouterDeliver::new(functions.routers())),
        Transport::Http => {
            let mut urls = BTreeMap::new();
            for (to, router) in functions.routers() {
                urls.insert(to, format!("http://{}/", serve(router).await).parse().unwrap());
            }
            Arc::new(HttpDeliver::new(client(), urls))
        }
    }
}

/// A relay that reacts at once.
pub(crate) fn relay_config() -> RelayConfig {
    RelayConfig {
        block: Duration::from_millis(100),
        tick: Duration::from_millis(20),
        ..RelayConfig::default()
    }
}

/// The Redis of the test run, under a prefix of this test's own.
pub(crate) struct TestRedis {
    pub(crate) url: String,
    pub(crate) prefix: String,
}

impl TestRedis {
    pub(crate) fn new() -> Self {
        let url = std::env::var("OHX_TEST_REDIS_URL")
            .expect("OHX_TEST_REDIS_URL is unset: run through tests/with-services");
        let prefix = format!("ohx-test-{}", LinkId::new());
        Self { url, prefix }
    }

    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        redis::Client::open(self.url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    pub(crate) fn stream(&self, to: Function, priority: &str) -> String {
        format!("{}:{to}:{priority}", self.prefix)
    }

    /// Looks past the crate's own numbers: no entry, no pending entry, no member, no consumer under the prefix.
    pub(crate) async fn assert_clean(&self) {
        let mut connection = self.connection().await;
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(format!("{}:*", self.prefix)).query_async(&mut connection).await.unwrap();
        // When it was first looked at is all that may be left beside streams.
        let begun = format!("{}:begun", self.prefix);
        for key in keys.into_iter().filter(|key| *key != begun) {
            let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut connection).await.unwrap();
            assert_eq!(kind, "stream", "{key} remains");
            let length: u64 = redis::cmd("XLEN").arg(&key).query_async(&mut connection).await.unwrap();
            let pending: redis::Value =
                redis::cmd("XPENDING").arg(&key).arg("relay").query_async(&mut connection).await.unwrap();
            let consumers: Vec<redis::Value> = redis::cmd("XINFO")
                .arg("CONSUMERS")
                .arg(&key)
                .arg("relay")
                .query_async(&mut connection)
                .await
                .unwrap();
            assert_eq!((length, consumers.len()), (0, 0), "{key}");
            assert!(
                matches!(&pending, redis::Value::Array(parts) if parts[0] == redis::Value::Int(0)),
                "{key}: {pending:?}"
            );
            let _: () = redis::cmd("DEL").arg(&key).query_async(&mut connection).await.unwrap();
        }
    }
}

/// A way to a broker that can be cut.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) up: watch::Sender<bool>,
    /// Connections turned away while it was cut.
    pub(crate) refused: Arc<AtomicUsize>,
}

impl Proxy {
    /// To `target`, a host and port.
    pub(crate) async fn start(target: &str) -> Self {
        let target = target.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let up = watch::Sender::new(true);
        let refused = Arc::new(AtomicUsize::new(0));
        let (state, count) = (up.clone(), refused.clone());
        tokio::spawn(async move {
            loop {
                let (mut inward, _) = listener.accept().await.unwrap();
                let (target, mut state) = (target.clone(), state.subscribe());
                if !*state.borrow() {
                    count.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                tokio::spawn(async move {
                    let mut outward = TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut inward, &mut outward) => {}
                        _ = state.wait_for(|up| !*up) => {}
                    }
                });
            }
        });
        Self { address, up, refused }
    }
}

/// The outcome, unless it takes too long.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("took too long")
}

/// Waits for a condition.
pub(crate) async fn until(mut condition: impl AsyncFnMut() -> bool) {
    within(async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
