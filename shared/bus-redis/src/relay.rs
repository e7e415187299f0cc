//! Delivering.

use std::sync::Arc;
use std::time::Duration;

use ohx_bus::fair::Fair;
use ohx_bus::queue::{self, Backoff, MAX_BACKOFF, Outward};
use ohx_bus::retry::RetryPolicy;
use ohx_bus::{Bury, BusError, Deliver};
use ohx_events::{Function, Priority};
use redis::Client;
use redis::aio::ConnectionManager;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::bus::{milliseconds, unavailable};
use crate::entry::Entry;
use crate::keys::{GROUP, Keys, lane};
use crate::{SetupError, connection, scripts};

/// How a relay works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayConfig {
    /// Deliveries to each function at once, at least one.
    pub concurrency: usize,
    /// After how long without an answer a delivery counts as failed.
    pub timeout: Duration,
    /// How long an entry may be in some relay's hands before another takes it over. Longer than `timeout`.
    pub reclaim_after: Duration,
    /// How long a read waits for new entries. A shutdown may take this long, too.
    pub block: Duration,
    /// How often the relay looks for delayed events that are due, at least.
    pub tick: Duration,
    /// How long what is in hand may take to finish after the shutdown has begun.
    pub drain: Duration,
}

impl Default for RelayConfig {
    /// Sixteen at once, four minutes for a delivery, five until it is taken over, one second of blocking, half a
    /// second between looks, 25 seconds to shut down.
    fn default() -> Self {
        Self {
            concurrency: 16,
            timeout: Duration::from_secs(240),
            reclaim_after: Duration::from_secs(300),
            block: Duration::from_secs(1),
            tick: Duration::from_millis(500),
            drain: Duration::from_secs(25),
        }
    }
}

/// How many delayed events one script moves: it holds up Redis for as long as that takes.
const RIPE_AT_ONCE: usize = 32;

/// After how long without a sign of life the name of a relay is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(3600);

/// Delivers from Redis Streams.
pub struct RedisRelay(Arc<Inner>);

struct Inner {
    client: Client,
    commands: ConnectionManager,
    keys: Keys,
    consumer: String,
    config: RelayConfig,
}

impl RedisRelay {
    /// A relay under the key prefix `prefix`. `consumer` is its name, different for each relay that runs at the same
    /// time (a pod's name). It connects when it runs. To be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(url: &str, prefix: &str, consumer: &str, config: RelayConfig) -> Result<Self, SetupError> {
        if config.reclaim_after <= config.timeout {
            return Err(SetupError::Config(format!(
                "the relay would take over deliveries that are still running: reclaim_after ({:?}) should be longer than timeout ({:?})",
                config.reclaim_after, config.timeout
            )));
        }
        let client = connection::client(url)?;
        let commands = connection::commands(&client)?;
        Ok(Self(Arc::new(Inner {
            client,
            commands,
            keys: Keys::new(prefix),
            consumer: consumer.to_owned(),
            config,
        })))
    }

    /// Delivers until `shutdown`; then takes nothing more, finishes what is in hand (within [`RelayConfig::drain`])
    /// and returns. What it could not finish, and what it held when it was killed, another relay takes over.
    ///
    /// # Errors
    /// [`SetupError`], at once. Whatever goes wrong with Redis later is logged and tried again.
    pub async fn run(
        &self,
        deliver: Arc<dyn Deliver>,
        graves: Arc<dyn Bury>,
        policy: RetryPolicy,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), SetupError> {
        let outward = Outward { deliver, graves, policy, timeout: self.0.config.timeout };
        let stop = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        for to in Function::ALL {
            let reader = connection::blocking(&self.0.client, self.0.config.block)?;
            tasks.spawn(self.0.clone().pump(to, reader, outward.clone(), stop.subscribe()));
        }
        tasks.spawn(self.0.clone().keep_time(stop.subscribe()));
        shutdown.await;
        stop.send_replace(true);
        let drained = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.0.config.drain, drained).await.is_err() {
            tracing::warn!(
                "deliveries were cut off, because they took longer than the shutdown may; another relay takes them over"
            );
        }
        if let Err(error) = self.0.forget(&self.0.consumer).await {
            tracing::debug!(%error, "the relay's name stays in Redis for a while");
        }
        Ok(())
    }
}

impl Inner {
    /// Reads the streams of one function, and delivers.
    async fn pump(
        self: Arc<Self>,
        to: Function,
        reader: ConnectionManager,
        outward: Outward,
        stop: watch::Receiver<bool>,
    ) {
        let streams = self.keys.streams_of(to);
        let slots = Arc::new(Semaphore::new(self.config.concurrency.max(1)));
        let mut deliveries = JoinSet::new();
        let mut fair = Fair::default();
        let mut backoff = Backoff::new();
        let mut look_again = Instant::now();
        let mut stopped = stop.clone();
        loop {
            while deliveries.try_join_next().is_some() {}
            let mut slot = tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => break,
                slot = slots.clone().acquire_owned() => slot.ok(),
            };
            // Only this task takes slots, so that all that are free now stay free. Nothing is read ahead: what waits here,
            // another relay could be delivering.
            let free = slots.available_permits() + 1;
            let mut entries = Ok(Vec::new());
            if look_again <= Instant::now() {
                entries = self.reclaim(&streams, free).await;
                look_again = Instant::now() + self.config.reclaim_after / 8;
            }
            if entries.as_ref().is_ok_and(Vec::is_empty) {
                entries = self.take(&streams, free, &mut fair).await;
            }
            if entries.as_ref().is_ok_and(Vec::is_empty) {
                // Not cut short by a shutdown: Redis might hand out an entry to a reader that has gone.
                entries = self.wait_for_more(&streams, reader.clone()).await;
            }
            let entries = match entries {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::warn!(function = %to, %error, "reading from Redis failed; trying again");
                    backoff.pause(stop.clone()).await;
                    continue;
                }
            };
            backoff.reset();
            for entry in entries {
                let slot = match slot.take() {
                    Some(slot) => Some(slot),
                    // Waits only in the rare case that a blocking read returned more than there are free slots.
                    None => slots.clone().acquire_owned().await.ok(),
                };
                let (inner, outward) = (self.clone(), outward.clone());
                deliveries.spawn(async move {
                    inner.handle(to, entry, &outward).await;
                    drop(slot);
                });
            }
        }
        while deliveries.join_next().await.is_some() {}
    }

    /// New entries, as many as there are, up to `free`.
    async fn take(
        &self,
        streams: &[String; 3],
        free: usize,
        fair: &mut Fair,
    ) -> Result<Vec<Entry>, BusError> {
        let mut script = scripts::TAKE.prepare_invoke();
        script.key(streams).arg(GROUP).arg(&self.consumer);
        for pick in 0..free {
            let order = fair.order(pick).map(|priority| match priority {
                Priority::High => '1',
                Priority::Normal => '2',
                Priority::Low => '3',
            });
            script.arg(String::from_iter(order));
        }
        type Taken = Vec<(usize, String, Vec<Vec<u8>>)>;
        let taken: Taken = script.invoke_async(&mut self.commands.clone()).await.map_err(unavailable)?;
        fair.advance(taken.len());
        Ok(taken.into_iter().map(|(stream, id, fields)| Entry::read(nth(stream), id, &fields, 1)).collect())
    }

    /// Entries that some relay has had for too long, up to `free`.
    async fn reclaim(&self, streams: &[String; 3], free: usize) -> Result<Vec<Entry>, BusError> {
        let mut script = scripts::RECLAIM.prepare_invoke();
        script
            .key(streams)
            .arg(GROUP)
            .arg(&self.consumer)
            .arg(milliseconds(self.config.reclaim_after))
            .arg(free);
        type Claimed = Vec<(usize, String, Vec<Vec<u8>>, u32)>;
        let claimed: Claimed = script.invoke_async(&mut self.commands.clone()).await.map_err(unavailable)?;
        let read = |(stream, id, fields, handed_out): (usize, String, Vec<Vec<u8>>, u32)| {
            Entry::read(nth(stream), id, &fields, handed_out)
        };
        Ok(claimed.into_iter().map(read).collect())
    }

    /// Waits for new entries: one, as a rule, and at most one of each stream.
    async fn wait_for_more(
        &self,
        streams: &[String; 3],
        mut reader: ConnectionManager,
    ) -> Result<Vec<Entry>, BusError> {
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(GROUP).arg(&self.consumer).arg("COUNT").arg(1);
        // A block of 0 would be endless.
        read.arg("BLOCK")
            .arg(milliseconds(self.config.block).max(1))
            .arg("STREAMS")
            .arg(streams)
            .arg(&[">"; 3]);
        type Read = Option<Vec<(String, Vec<(String, Vec<Vec<u8>>)>)>>;
        let more: Read = read.query_async(&mut reader).await.map_err(unavailable)?;
        let entries = more.unwrap_or_default().into_iter().flat_map(|(stream, entries)| {
            let priority = nth(streams.iter().position(|s| *s == stream).unwrap_or(1) + 1);
            entries.into_iter().map(move |(id, fields)| Entry::read(priority, id, &fields, 1))
        });
        Ok(entries.collect())
    }

    /// Delivers one entry, and settles it.
    async fn handle(&self, to: Function, entry: Entry, outward: &Outward) {
        let handed = queue::Entry {
            id: &entry.id,
            event: entry.event.as_ref(),
            attempt: entry.attempt,
            hopeless: entry.reclaimed && outward.policy.hopeless(entry.event.as_ref(), entry.attempt),
        };
        let wait = outward.attempt(to, &handed).await;
        self.settle(to, &entry, wait).await;
    }

    /// Acknowledges an entry, and puts it off where it is to be tried again. While Redis is out of reach, tries
    /// until the entry could be taken over by another relay anyway.
    async fn settle(&self, to: Function, entry: &Entry, wait: Option<Duration>) {
        let give_up = Instant::now() + self.config.reclaim_after;
        let mut pause = Duration::from_millis(50);
        while let Err(error) = self.try_settle(to, entry, wait).await {
            if Instant::now() + pause >= give_up {
                tracing::error!(function = %to, entry = entry.id, %error, "settling failed; the event will be delivered again");
                return;
            }
            tracing::warn!(function = %to, entry = entry.id, %error, "settling failed; trying again");
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(MAX_BACKOFF);
        }
    }

    async fn try_settle(&self, to: Function, entry: &Entry, wait: Option<Duration>) -> Result<(), BusError> {
        let stream = self.keys.stream(to, entry.priority);
        let mut commands = self.commands.clone();
        match wait {
            Some(wait) => {
                let mut script = scripts::PUT_OFF.key(stream);
                script.key(self.keys.delayed()).arg(GROUP).arg(&entry.id).arg(milliseconds(wait));
                script.arg(lane(to, entry.priority)).arg(entry.attempt);
                script.invoke_async(&mut commands).await.map_err(unavailable)
            }
            None => {
                let mut both = redis::pipe();
                both.atomic();
                both.cmd("XACK").arg(&stream).arg(GROUP).arg(&entry.id).ignore();
                both.cmd("XDEL").arg(&stream).arg(&entry.id).ignore();
                both.query_async(&mut commands).await.map_err(unavailable)
            }
        }
    }

    /// Moves delayed events into their streams when they are due.
    async fn keep_time(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut backoff = Backoff::new();
        let mut tidy_up = Instant::now();
        while !*stop.borrow() {
            if tidy_up <= Instant::now() {
                // Best effort: names of relays that are gone do no harm but in number.
                let _ = self.forget("").await;
                tidy_up = Instant::now() + FORGET_AFTER;
            }
            let mut script = scripts::RIPEN.key(self.keys.delayed());
            script.key(self.keys.begun()).arg(self.keys.prefix()).arg(RIPE_AT_ONCE);
            let moved = script.invoke_async::<(usize, i64, u64)>(&mut self.commands.clone()).await;
            let (moved, next, unreadable) = match moved.map_err(unavailable) {
                Ok(moved) => moved,
                Err(error) => {
                    tracing::warn!(%error, "looking for delayed events failed; trying again");
                    backoff.pause(stop.clone()).await;
                    continue;
                }
            };
            backoff.reset();
            if unreadable > 0 {
                tracing::error!(unreadable, "members of the delayed set were not ours and were thrown away");
            }
            if moved >= RIPE_AT_ONCE {
                continue;
            }
            // Another process may put in something that is due earlier, so that no wait is longer than a tick.
            let next = u64::try_from(next).map_or(self.config.tick, Duration::from_millis);
            tokio::select! {
                () = tokio::time::sleep(next.min(self.config.tick).max(Duration::from_millis(1))) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// Removes the names of relays that hold nothing: `gone`, and those that have been silent for long.
    async fn forget(&self, gone: &str) -> Result<(), BusError> {
        let mut script = scripts::FORGET.prepare_invoke();
        script.key(self.keys.streams()).arg(GROUP).arg(gone).arg(milliseconds(FORGET_AFTER));
        script.invoke_async(&mut self.commands.clone()).await.map_err(unavailable)
    }
}

/// The priority of the `n`-th stream of a function, from 1.
fn nth(n: usize) -> Priority {
    Priority::ALL.into_iter().nth(n.saturating_sub(1)).unwrap_or(Priority::Normal)
}

impl std::fmt::Debug for RedisRelay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisRelay")
            .field("keys", &self.0.keys)
            .field("consumer", &self.0.consumer)
            .finish_non_exhaustive()
    }
}
