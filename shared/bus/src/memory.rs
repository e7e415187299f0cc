//! The bus within one process: for a laptop, a small clinic, and tests.
//!
//! Each function has its own lane: one queue a priority ([`Fair`] says whose turn it is), a heap of events that wait
//! for their time, and workers of its own. A retry waits on the heap, not in a worker. Nothing is written down: what
//! is in the lanes dies with the process, and the coverage ledger asks for it again.
//!
//! A full lane makes [`Bus::publish`] wait, which slows down whoever produces: a handler that publishes holds its
//! worker while it waits. That cannot become a deadlock, because the functions form a directed graph without
//! cycles: the last one always gets on, then the one before it. A function that puts an event off for itself uses
//! [`Bus::publish_after`], which never waits for room.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cloudevents::AttributesReader as _;
use ohx_domain::{Clock as _, SystemClock};
use ohx_events::{Event, Function, Priority, subscribers};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::fair::Fair;
use crate::retry::{Next, RetryPolicy};
use crate::{Bury, Bus, BusError, Deliver, Depth, deliver};

/// How large the bus in memory may grow, and how long it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryConfig {
    /// Workers for each function, at least one.
    pub workers: usize,
    /// How many events may be queued for each function before [`Bus::publish`] waits, at least one.
    pub queued: usize,
    /// How many events may wait for their time for each function before [`Bus::publish`] waits, at least one: what
    /// bounds the memory while a function fails. Urgent events wait at twice as many.
    pub delayed: usize,
    /// After how long without an answer a delivery counts as failed.
    pub timeout: Duration,
    /// How long what is in hand may take to finish after the shutdown has begun.
    pub drain: Duration,
}

impl Default for MemoryConfig {
    /// Four workers, 1024 queued, 8192 delayed, four minutes for a delivery, 25 seconds to shut down.
    fn default() -> Self {
        Self {
            workers: 4,
            queued: 1024,
            delayed: 8192,
            timeout: Duration::from_secs(240),
            drain: Duration::from_secs(25),
        }
    }
}

/// The bus within one process. Clones share it.
#[derive(Clone)]
pub struct MemoryBus(Arc<Inner>);

struct Inner {
    config: MemoryConfig,
    lanes: BTreeMap<Function, Lane>,
    /// Events accepted and not yet settled.
    open: AtomicUsize,
    emptied: Notify,
    closed: watch::Sender<bool>,
    begun: ohx_domain::Instant,
}

#[derive(Default)]
struct Lane {
    state: Mutex<State>,
    /// An event is ready.
    ready: Notify,
    /// There may be room again.
    room: Notify,
    /// There may be room for urgent events: they wait apart, because they have more room.
    urgent_room: Notify,
    /// The heap has changed.
    timer: Notify,
}

#[derive(Default)]
struct State {
    queues: BTreeMap<Priority, VecDeque<Item>>,
    in_hand: BTreeMap<Priority, u64>,
    delayed: BinaryHeap<Reverse<Delayed>>,
    fair: Fair,
    /// Keeps events that are due at the same instant in their order.
    sequence: u64,
}

struct Item {
    event: Event,
    priority: Priority,
    /// Attempts made so far.
    attempts: u32,
    since: Instant,
}

struct Delayed {
    due: Instant,
    sequence: u64,
    item: Item,
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Delayed {}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.sequence).cmp(&(other.due, other.sequence))
    }
}

impl State {
    fn queued(&self) -> usize {
        self.queues.values().map(VecDeque::len).sum()
    }

    fn push(&mut self, mut item: Item) {
        item.since = Instant::now();
        self.queues.entry(item.priority).or_default().push_back(item);
    }

    fn pick(&mut self) -> Option<Item> {
        let order = self.fair.order(0);
        let item = order.iter().find_map(|priority| self.queues.get_mut(priority)?.pop_front())?;
        self.fair.advance(1);
        *self.in_hand.entry(item.priority).or_default() += 1;
        Some(item)
    }

    fn put_off(&mut self, item: Item, wait: Duration) {
        self.sequence += 1;
        let now = Instant::now();
        // A wait beyond the clock's range cannot be told from one of a year.
        let due = now.checked_add(wait).unwrap_or(now + Duration::from_secs(365 * 86_400));
        self.delayed.push(Reverse(Delayed { due, sequence: self.sequence, item }));
    }

    /// Moves what is due into the queues, and says when the next one is.
    fn ripen(&mut self, now: Instant) -> Option<Instant> {
        while self.delayed.peek().is_some_and(|Reverse(next)| next.due <= now) {
            if let Some(Reverse(ripe)) = self.delayed.pop() {
                self.push(ripe.item);
            }
        }
        self.delayed.peek().map(|Reverse(next)| next.due)
    }
}

impl Lane {
    fn state(&self) -> MutexGuard<'_, State> {
        // No invariant spans the lock, so what a panicking thread left is as good as before.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn item(event: Event) -> Item {
        Item { priority: Priority::of(&event), event, attempts: 0, since: Instant::now() }
    }

    fn accept(&self) {
        self.open.fetch_add(1, Ordering::SeqCst);
    }

    fn settle(&self) {
        if self.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.emptied.notify_waiters();
        }
    }

    fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    async fn until_closed(&self) {
        // The sender lives in `self`, so that this ends only when the bus is closed.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Puts an item in its queue as soon as there is room.
    async fn enqueue(&self, lane: &Lane, item: Item) -> Result<(), BusError> {
        let urgent = item.priority == Priority::High;
        let room = if urgent { &lane.urgent_room } else { &lane.room };
        loop {
            if self.is_closed() {
                return Err(BusError::Closed);
            }
            {
                let mut state = lane.state();
                // What waits for its time, a night's work before a quota, must not keep out what is urgent.
                let delayed = self.config.delayed.max(1) * if urgent { 2 } else { 1 };
                let has_room = |state: &State| {
                    state.queued() < self.config.queued.max(1) && state.delayed.len() < delayed
                };
                if has_room(&state) {
                    self.accept();
                    state.push(item);
                    lane.ready.notify_one();
                    if has_room(&state) {
                        room.notify_one();
                    }
                    return Ok(());
                }
            }
            tokio::select! {
                () = room.notified() => {}
                () = self.until_closed() => {}
            }
        }
    }

    /// The next event to deliver; `None` once the bus is closed.
    async fn next(&self, lane: &Lane) -> Option<Item> {
        loop {
            if self.is_closed() {
                return None;
            }
            {
                let mut state = lane.state();
                if let Some(item) = state.pick() {
                    if state.queued() > 0 {
                        lane.ready.notify_one();
                    }
                    lane.room.notify_one();
                    lane.urgent_room.notify_one();
                    return Some(item);
                }
            }
            tokio::select! {
                () = lane.ready.notified() => {}
                () = self.until_closed() => {}
            }
        }
    }

    async fn work(
        &self,
        to: Function,
        lane: &Lane,
        deliver: &dyn Deliver,
        graves: &dyn Bury,
        policy: RetryPolicy,
    ) {
        while let Some(mut item) = self.next(lane).await {
            item.attempts = item.attempts.saturating_add(1);
            let verdict = deliver::attempt(deliver, to, &item.event, self.config.timeout).await;
            let wait = match policy.next(&item.event, item.attempts, verdict) {
                Next::Done => None,
                Next::Again(wait) => Some(wait),
                Next::Bury(reason) => {
                    let kept = deliver::bury(graves, to, &item.event, &reason, item.attempts).await;
                    kept.err().map(|error| {
                        tracing::error!(function = %to, %error, "a dead letter could not be kept; the event stays queued");
                        policy.cap
                    })
                }
            };
            let settled = wait.is_none();
            {
                let mut state = lane.state();
                if let Some(count) = state.in_hand.get_mut(&item.priority) {
                    *count = count.saturating_sub(1);
                }
                if let Some(wait) = wait {
                    state.put_off(item, wait);
                    lane.timer.notify_one();
                }
            }
            if settled {
                self.settle();
            }
        }
    }

    async fn keep_time(&self, lane: &Lane) {
        while !self.is_closed() {
            let next = lane.state().ripen(Instant::now());
            lane.ready.notify_one();
            lane.room.notify_one();
            lane.urgent_room.notify_one();
            let due = async {
                match next {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = lane.timer.notified() => {}
                () = self.until_closed() => {}
            }
        }
    }
}

impl MemoryBus {
    /// An empty bus. Events are taken at once, and delivered while [`MemoryBus::run`] runs.
    pub fn new(config: MemoryConfig) -> Self {
        Self(Arc::new(Inner {
            config,
            lanes: Function::ALL.into_iter().map(|to| (to, Lane::default())).collect(),
            open: AtomicUsize::new(0),
            emptied: Notify::new(),
            closed: watch::Sender::new(false),
            begun: SystemClock.now(),
        }))
    }

    /// Delivers until `shutdown`; then takes nothing more, finishes what is in hand (within
    /// [`MemoryConfig::drain`]) and returns. A bus runs once.
    pub async fn run(
        &self,
        deliver: Arc<dyn Deliver>,
        graves: Arc<dyn Bury>,
        policy: RetryPolicy,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut tasks = JoinSet::new();
        for to in Function::ALL {
            for _ in 0..self.0.config.workers.max(1) {
                let (inner, deliver, graves) = (self.0.clone(), deliver.clone(), graves.clone());
                tasks.spawn(async move {
                    if let Some(lane) = inner.lanes.get(&to) {
                        inner.work(to, lane, deliver.as_ref(), graves.as_ref(), policy).await;
                    }
                });
            }
            let inner = self.0.clone();
            tasks.spawn(async move {
                if let Some(lane) = inner.lanes.get(&to) {
                    inner.keep_time(lane).await;
                }
            });
        }
        shutdown.await;
        self.0.closed.send_replace(true);
        let drained = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.0.config.drain, drained).await.is_err() {
            tracing::warn!("deliveries were cut off, because they took longer than the shutdown may");
        }
        let left = self.0.open.load(Ordering::SeqCst);
        if left > 0 {
            tracing::warn!(left, "events were left undelivered; the ledger will ask for their windows again");
        }
    }

    /// Waits until nothing is queued, delayed or in hand.
    pub async fn idle(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            tokio::pin!(emptied);
            // Listens before it looks, so that no change falls between the two.
            emptied.as_mut().enable();
            if self.0.open.load(Ordering::SeqCst) == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// How much is waiting.
    pub fn depth(&self) -> Depth {
        let mut depth = Depth::default();
        for (to, lane) in &self.0.lanes {
            let state = lane.state();
            depth.delayed += state.delayed.len() as u64;
            for priority in Priority::ALL {
                let queue = depth.queues.entry((*to, priority)).or_default();
                queue.in_hand = state.in_hand.get(&priority).copied().unwrap_or(0);
                if let Some(items) = state.queues.get(&priority) {
                    queue.queued = items.len() as u64;
                    queue.oldest = items.front().map(|item| item.since.elapsed());
                }
            }
        }
        depth
    }
}

#[async_trait]
impl Bus for MemoryBus {
    /// Waits for room where a function's lane is full. A type that nobody subscribes to is taken and dropped.
    async fn publish(&self, events: Vec<Event>) -> Result<(), BusError> {
        self.ping().await?;
        for event in events {
            for to in subscribers(event.ty()) {
                if let Some(lane) = self.0.lanes.get(to) {
                    self.0.enqueue(lane, Inner::item(event.clone())).await?;
                }
            }
        }
        Ok(())
    }

    /// Never waits for room.
    async fn publish_after(&self, event: Event, delay: Duration) -> Result<(), BusError> {
        self.ping().await?;
        for to in subscribers(event.ty()) {
            if let Some(lane) = self.0.lanes.get(to) {
                self.0.accept();
                lane.state().put_off(Inner::item(event.clone()), delay);
                lane.timer.notify_one();
            }
        }
        Ok(())
    }

    async fn holds_since(&self) -> Result<Option<ohx_domain::Instant>, BusError> {
        Ok(Some(self.0.begun))
    }

    async fn ping(&self) -> Result<(), BusError> {
        if self.0.is_closed() { Err(BusError::Closed) } else { Ok(()) }
    }

    async fn depth(&self) -> Result<Option<Depth>, BusError> {
        Ok(Some(Self::depth(self)))
    }
}

impl std::fmt::Debug for MemoryBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryBus").field("open", &self.0.open.load(Ordering::SeqCst)).finish_non_exhaustive()
    }
}
