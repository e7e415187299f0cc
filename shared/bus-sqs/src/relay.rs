//! Delivering.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ohx_bus::queue::{Backoff, MAX_BACKOFF, Outward};
use ohx_bus::retry::RetryPolicy;
use ohx_bus::{Bury, BusError, Deliver};
use ohx_domain::Clock;
use ohx_events::{Function, Priority};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{Refused, Sqs};
use crate::delete::Deleter;
use crate::lease::{Held, hide};
use crate::pump::{Pump, sources};
use crate::{Place, SetupError};

/// How a relay works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayConfig {
    /// Deliveries to each function at once, at least one.
    pub concurrency: usize,
    /// After how long without an answer a delivery counts as failed.
    pub timeout: Duration,
    /// How long a message stays invisible after the last sign of life of the relay that has it, in whole seconds: when
    /// another takes it over.
    pub visibility: Duration,
    /// How long one request listens to an empty queue, in whole seconds, one to twenty.
    pub wait: Duration,
    /// How long what is in hand may take to finish after the shutdown has begun.
    pub drain: Duration,
}

impl Default for RelayConfig {
    /// Sixteen at once, four minutes for a delivery, one minute until a dead relay's messages are taken over, twenty
    /// seconds of listening, 25 seconds to shut down.
    fn default() -> Self {
        Self {
            concurrency: 16,
            timeout: Duration::from_secs(240),
            visibility: Duration::from_secs(60),
            wait: Duration::from_secs(20),
            drain: Duration::from_secs(25),
        }
    }
}

/// Delivers from SQS.
pub struct SqsRelay(Arc<Inner>);

struct Inner {
    sqs: Arc<Sqs>,
    clock: Arc<dyn Clock>,
    config: RelayConfig,
}

impl SqsRelay {
    /// A relay at `place`. It connects when it runs.
    ///
    /// # Errors
    /// [`SetupError::Config`].
    pub fn new(place: &Place, clock: Arc<dyn Clock>, config: RelayConfig) -> Result<Self, SetupError> {
        // Three heartbeats have to fit, and a listener that does not wait would ask without end.
        if config.visibility < Duration::from_secs(1) || config.wait < Duration::from_secs(1) {
            return Err(SetupError::Config("visibility and wait should be a second at least".into()));
        }
        Ok(Self(Arc::new(Inner { sqs: Arc::new(Sqs::new(place)), clock, config })))
    }

    /// Delivers until `shutdown`; then takes nothing more, finishes what is in hand (within [`RelayConfig::drain`])
    /// and returns. What it could not finish, and what it held when it was killed, becomes visible to other relays.
    /// Whatever goes wrong with SQS is logged and tried again.
    pub async fn run(
        &self,
        deliver: Arc<dyn Deliver>,
        graves: Arc<dyn Bury>,
        policy: RetryPolicy,
        shutdown: impl Future<Output = ()>,
    ) {
        let outward = Outward { deliver, graves, policy, timeout: self.0.config.timeout };
        let stop = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        for to in Function::ALL {
            tasks.spawn(self.0.clone().pump(to, outward.clone(), stop.subscribe()));
        }
        shutdown.await;
        stop.send_replace(true);
        let drained = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.0.config.drain, drained).await.is_err() {
            tracing::warn!(
                "deliveries were cut off, because they took longer than the shutdown may; another relay takes them over"
            );
        }
    }
}

impl Inner {
    /// Receives from the queues of one function, and delivers.
    async fn pump(self: Arc<Self>, to: Function, outward: Outward, stop: watch::Receiver<bool>) {
        let sources = sources(to, &self.sqs, self.config.visibility);
        let deleters: BTreeMap<Priority, Deleter> =
            sources.iter().map(|source| (source.priority, Deleter::new(&self.sqs, &source.url))).collect();
        let mut pump = Pump::new(to, sources, self.config.wait, stop.clone());
        let slots = Arc::new(Semaphore::new(self.config.concurrency.max(1)));
        let mut deliveries = JoinSet::new();
        let mut backoff = Backoff::new();
        let mut stopped = stop.clone();
        loop {
            while deliveries.try_join_next().is_some() {}
            let mut slot = tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => break,
                slot = slots.clone().acquire_owned() => slot.ok(),
            };
            // Only this task takes slots, so that all that are free now stay free.
            let free = slots.available_permits() + 1;
            let (taken, failed) = pump.next(free).await;
            for held in taken {
                let slot = match slot.take() {
                    Some(slot) => Some(slot),
                    None => slots.clone().acquire_owned().await.ok(),
                };
                let (inner, outward) = (self.clone(), outward.clone());
                let deleter = deleters.get(&held.message.priority).cloned();
                deliveries.spawn(async move {
                    inner.handle(to, held, deleter, &outward).await;
                    drop(slot);
                });
            }
            match failed {
                Some(error) => {
                    tracing::warn!(function = %to, %error, "receiving from SQS failed; trying again");
                    backoff.pause(stop.clone()).await;
                }
                None => backoff.reset(),
            }
        }
        pump.close().await;
        while deliveries.join_next().await.is_some() {}
    }

    /// Delivers one message, and settles it.
    async fn handle(&self, to: Function, held: Held, deleter: Option<Deleter>, outward: &Outward) {
        let message = &held.message;
        let wait = match message.early(self.clock.now()) {
            Some(early) => Some(early),
            None => outward.attempt(to, &message.entry(&outward.policy)).await,
        };
        let (message, url) = held.rest().await;
        // Another relay may have it after that.
        let give_up = Instant::now() + self.config.visibility;
        let mut pause = Duration::from_millis(50);
        loop {
            let settled = match (wait, &deleter) {
                (Some(wait), _) => self.put_off(&url, &message.receipt, wait).await,
                (None, Some(deleter)) => deleter.delete(&message.receipt).await,
                (None, None) => Ok(()),
            };
            let Err(error) = settled else {
                return;
            };
            if Instant::now() + pause >= give_up {
                tracing::error!(function = %to, message = message.id, %error, "settling failed; the event will be delivered again");
                return;
            }
            tracing::warn!(function = %to, message = message.id, %error, "settling failed; trying again");
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(MAX_BACKOFF);
        }
    }

    /// Has a message wait. One that is somebody else's by now is theirs to settle.
    async fn put_off(&self, url: &str, receipt: &str, wait: Duration) -> Result<(), BusError> {
        match hide(&self.sqs, url, receipt, wait).await {
            Err(refused) if !Refused::not_ours(&refused) => Err(refused.into()),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for SqsRelay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqsRelay")
            .field("place", &self.0.sqs.place)
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}
