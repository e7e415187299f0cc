//! Worlds whose broker is a real Redis: real time, only thirty times as fast for everybody who reads a clock, a real
//! `relay`, and a proxy between both and the server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ohx_bus::retry::RetryPolicy;
use ohx_bus::{Bus, BusError, Deliver, Verdict};
use ohx_bus_redis::{RedisBus, RedisRelay, RelayConfig};
use ohx_events::{Event, Function};
use tokio::task::JoinHandle;

use crate::check::{self, Finding, Tally};
use crate::journal::kind;
use crate::run::{ENDLESS, NIGHTS, Outages};
use crate::world::World;

/// How much faster the clocks of such a world go than real time.
const SPEED: u32 = 30;
/// No delivery for so long: nothing moves any more. Longer than a relay's work waits for another relay.
const STANDSTILL: Duration = Duration::from_secs(45);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The longest that an event is put off for: nothing here can make Redis's own time pass.
const LONGEST: Duration = Duration::from_secs(2);

/// The bus of a world in which time passes faster than in Redis.
pub struct Hurried(pub RedisBus);

#[async_trait]
impl Bus for Hurried {
    async fn publish(&self, events: Vec<Event>) -> Result<(), BusError> {
        self.0.publish(events).await
    }

    async fn publish_after(&self, event: Event, delay: Duration) -> Result<(), BusError> {
        self.0.publish_after(event, (delay / SPEED).min(LONGEST)).await
    }

    async fn ping(&self) -> Result<(), BusError> {
        self.0.ping().await
    }
}

/// The functions, as `relay` calls them, with the faults of single deliveries.
struct Functions {
    world: Arc<World>,
    deliveries: AtomicU64,
    /// By function: deliveries are named by the function and a number, because their order is Redis's.
    numbers: Mutex<BTreeMap<Function, u64>>,
}

#[async_trait]
impl Deliver for Functions {
    async fn deliver(&self, to: Function, event: &Event) -> Verdict {
        let number = {
            let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
            let number = numbers.entry(to).or_default();
            *number += 1;
            *number
        };
        self.deliveries.fetch_add(1, Ordering::SeqCst);
        let name = format!("delivery {number} to {to}");
        let world = &self.world;
        let twice = !world.healed()
            && world.plan.knows(kind::DUPLICATED)
            && world.plan.dice.chance(&format!("{name}/twice"), 120);
        if twice {
            world.journal.note(kind::DUPLICATED, &name);
            let _first = world.deliver(to, event, &format!("{name}, first")).await;
        }
        match world.deliver(to, event, &name).await {
            None => Verdict::Retry { after: None, reason: "the function was killed".into() },
            Some(Verdict::Retry { after, reason }) => {
                Verdict::Retry { after: after.map(|after| (after / SPEED).min(LONGEST)), reason }
            }
            Some(verdict) => verdict,
        }
    }
}

/// A relay that runs.
struct Relay(JoinHandle<()>);

impl Relay {
    fn start(world: &Arc<World>, functions: &Arc<Functions>, number: u64) -> Self {
        let (_, url, prefix, _) = world.redis.as_ref().expect("a Redis");
        let config = RelayConfig {
            concurrency: 4,
            timeout: Duration::from_secs(4),
            reclaim_after: Duration::from_secs(5),
            block: Duration::from_millis(100),
            tick: Duration::from_millis(20),
            drain: Duration::from_secs(1),
        };
        let relay = RedisRelay::new(url, prefix, &format!("relay-{number}"), config).expect("a relay");
        let (cap, base) = (Duration::from_secs(1), Duration::from_millis(20));
        let policy = RetryPolicy { base, cap, ..RetryPolicy::default() };
        let (functions, graves) = (functions.clone(), Arc::new(world.graves()));
        Self(tokio::spawn(async move {
            relay
                .run(functions, graves, policy, std::future::pending())
                .await
                .expect("the relay's settings are right");
        }))
    }

    /// It ends where it stands; what it had in hand, another takes over.
    fn kill(self) {
        self.0.abort();
    }
}

/// Waits until nothing is queued, in hand or delayed: as long as deliveries go on, but not for ever.
async fn quiet(world: &World, deliveries: &AtomicU64) -> Result<(), Finding> {
    let (_, _, _, bus) = world.redis.as_ref().expect("a Redis");
    let first = deliveries.load(Ordering::SeqCst);
    let (mut last, mut since) = (first, std::time::Instant::now());
    let mut in_a_row = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let depth = bus.depth().await.ok();
        in_a_row = if depth.as_ref().is_some_and(ohx_bus::Depth::is_empty) { in_a_row + 1 } else { 0 };
        if in_a_row == 2 {
            return Ok(());
        }
        let now = deliveries.load(Ordering::SeqCst);
        if now > last {
            (last, since) = (now, std::time::Instant::now());
        }
        if since.elapsed() > STANDSTILL || now - first > ENDLESS {
            let queues = depth.unwrap_or_default().queues;
            let waiting = queues.values().map(|queue| queue.queued + queue.in_hand).sum::<u64>();
            return Err(Finding::Endless { waiting: waiting as usize });
        }
    }
}

/// Lives through all steps of the plan, and heals.
pub async fn live(world: World) -> (Vec<Finding>, Tally) {
    world.time.hurry(SPEED);
    let world = Arc::new(world);
    let (deliveries, numbers) = (AtomicU64::new(0), Mutex::default());
    let functions = Arc::new(Functions { world: world.clone(), deliveries, numbers });
    let mut relays = 1;
    let mut relay = Relay::start(&world, &functions, relays);
    let mut outages = Outages::default();
    for step in 1..=world.plan.steps {
        world.happen(step, &mut outages).await;
        let name = format!("step {step}");
        if world.plan.knows(kind::RELAY_KILLED) && world.plan.dice.chance(&format!("{name}/relay"), 30) {
            world.journal.note(kind::RELAY_KILLED, &name);
            relay.kill();
            relays += 1;
            relay = Relay::start(&world, &functions, relays);
        }
        // A step is a delivery, or some moments without one.
        let before = functions.deliveries.load(Ordering::SeqCst);
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if functions.deliveries.load(Ordering::SeqCst) > before {
                break;
            }
        }
    }
    outages.end_all(&world);
    world.heal();
    let found = recovers(&world, &functions.deliveries).await;
    relay.kill();
    found
}

async fn recovers(world: &World, deliveries: &AtomicU64) -> (Vec<Finding>, Tally) {
    if let Err(endless) = quiet(world, deliveries).await {
        return (vec![endless], Tally::default());
    }
    let mut found = (Vec::new(), Tally::default());
    for night in 1..=NIGHTS {
        world.time.pass(DAY);
        world.night().await;
        if let Err(endless) = quiet(world, deliveries).await {
            return (vec![endless], Tally::default());
        }
        found = check::everything(world).await;
        found.1.nights = night;
        if found.0.is_empty() {
            break;
        }
    }
    found
}
