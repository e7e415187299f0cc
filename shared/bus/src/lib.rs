//! How events travel.
//!
//! A function publishes to a [`Bus`] and is called over HTTP; it knows nothing else. Four engines: [`memory`] (one
//! process, for a laptop and for tests), [`sink`] (any Knative broker through `K_SINK`), Redis Streams in
//! `ohx-bus-redis`, and Amazon SQS in `ohx-bus-sqs`. Engines that queue themselves hand each event to a [`Deliver`], which calls the function, and what
//! cannot be delivered to [`Bury`]. One contract suite (`tests/`) runs over all of them.
//!
//! Delivery is at least once and unordered. An event goes to the queue of each function that listens to its type
//! (`ohx_events::subscribers`), one queue a function and priority, so that a slow function holds up no other.

pub mod deliver;
pub mod fair;
pub mod memory;
pub mod queue;
pub mod retry;
pub mod sink;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::Instant;
use ohx_events::{Event, Function, Priority};

/// Why events could not be published. None of them may be taken for published then.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The broker is out of reach, or refused.
    #[error("the broker did not take the event: {0}")]
    Unavailable(String),
    /// The event could not be written down.
    #[error("the event could not be encoded: {0}")]
    Encode(String),
    /// The bus is shutting down.
    #[error("the bus is closed")]
    Closed,
}

/// Where functions publish to.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Publishes events. When it returns `Ok`, the broker has them all: an in-process bus in memory, Redis as
    /// durably as it is configured, a Knative broker by its 2xx.
    async fn publish(&self, events: Vec<Event>) -> Result<(), BusError>;

    /// Publishes an event that should not be delivered before `delay` has passed. Where the broker cannot wait, it
    /// is delivered at once: the delay only saves work.
    async fn publish_after(&self, event: Event, delay: Duration) -> Result<(), BusError>;

    /// Whether [`Bus::publish_after`] waits. Where it does not, an event that has to wait is answered with 429 and
    /// `Retry-After`, and waiting counts among the broker's attempts.
    fn can_wait(&self) -> bool {
        true
    }

    /// Since when what was published is held until it is settled; `None` where nothing is known to have been lost. A bus in memory
    /// begins with its process, Redis when it is found empty.
    async fn holds_since(&self) -> Result<Option<Instant>, BusError> {
        Ok(None)
    }

    /// Whether the broker answers.
    async fn ping(&self) -> Result<(), BusError>;

    /// How much is waiting; `None` where the broker is somebody else's, and does not tell.
    async fn depth(&self) -> Result<Option<Depth>, BusError> {
        Ok(None)
    }
}

/// A bus as it is passed around.
pub type SharedBus = Arc<dyn Bus>;

/// What a function made of an event, after the reply rules of Knative eventing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A 2xx with an empty body: done.
    Done,
    /// No answer, a redirect, 401, 403, 404, 408, 409, 429 or 5xx, or a 2xx with a body: later again, not before `after` if the
    /// function said so. (425 is not among them: Knative sends it straight to the dead letters.)
    Retry {
        /// The function's `Retry-After`.
        after: Option<Duration>,
        /// What happened, for a person.
        reason: String,
    },
    /// Any other answer: never again, a dead letter.
    Reject {
        /// What happened, for a person.
        reason: String,
    },
}

/// Calls a function with an event.
#[async_trait]
pub trait Deliver: Send + Sync {
    /// Calls `to` and says what came of it. Never panics on what a function answers.
    async fn deliver(&self, to: Function, event: &Event) -> Verdict;
}

/// Keeps what could not be delivered.
#[async_trait]
pub trait Bury: Send + Sync {
    /// Keeps the envelope (the data is already taken out of `event`) and the reason. An error means that the event
    /// stays in the queue.
    async fn bury(&self, to: Function, event: &Event, reason: &str, attempts: u32) -> Result<(), BusError>;
}

/// How much is waiting, for metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Depth {
    /// Each queue, empty ones included.
    pub queues: BTreeMap<(Function, Priority), QueueDepth>,
    /// Events that wait for their time, retries among them, over all functions.
    pub delayed: u64,
}

impl Depth {
    /// Whether nothing is queued, in hand or delayed.
    pub fn is_empty(&self) -> bool {
        self.delayed == 0 && self.queues.values().all(|q| q.queued == 0 && q.in_hand == 0)
    }
}

/// How much is waiting for one function, at one priority.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Events ready to be delivered.
    pub queued: u64,
    /// Events that are being delivered. SQS counts those that wait for another attempt among them.
    pub in_hand: u64,
    /// How long the oldest event has been in the queue; `None` where there is none. Redis counts those in hand, too. SQS
    /// does not tell: CloudWatch has it as `ApproximateAgeOfOldestMessage`.
    pub oldest: Option<Duration>,
}
