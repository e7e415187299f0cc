//! Publishing.

use std::time::Duration;

use async_trait::async_trait;
use cloudevents::AttributesReader as _;
use ohx_bus::{Bus, BusError, Depth, QueueDepth, queue};
use ohx_domain::Instant;
use ohx_events::{Event, Function, Priority, subscribers};
use redis::aio::ConnectionManager;
use redis::{ErrorKind, FromRedisValue, Pipeline, RedisError};
use uuid::Uuid;

use crate::keys::{GROUP, Keys, lane};
use crate::{SetupError, connection, entry, scripts};

/// Publishes to Redis Streams. Clones share one connection.
#[derive(Clone)]
pub struct RedisBus {
    commands: ConnectionManager,
    keys: Keys,
}

impl RedisBus {
    /// A bus under the key prefix `prefix`. It connects when it is first used, and again whenever the connection is
    /// lost. To be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`SetupError::Url`].
    pub fn connect(url: &str, prefix: &str) -> Result<Self, SetupError> {
        Ok(Self { commands: connection::commands(&connection::client(url)?)?, keys: Keys::new(prefix) })
    }

    /// How much is waiting.
    ///
    /// # Errors
    /// [`BusError::Unavailable`].
    pub async fn depth(&self) -> Result<Depth, BusError> {
        let mut script = scripts::DEPTH.prepare_invoke();
        script.key(self.keys.delayed()).key(self.keys.streams()).arg(GROUP);
        let numbers: Vec<i64> = script.invoke_async(&mut self.commands.clone()).await.map_err(unavailable)?;
        let (delayed, rest) = numbers.split_first().unwrap_or((&0, &[]));
        let lanes = Function::ALL.into_iter().flat_map(|to| Priority::ALL.map(|priority| (to, priority)));
        let queue = |numbers: &[i64]| QueueDepth {
            queued: u64::try_from(numbers[0] - numbers[1]).unwrap_or(0),
            in_hand: u64::try_from(numbers[1]).unwrap_or(0),
            oldest: u64::try_from(numbers[2]).ok().map(Duration::from_millis),
        };
        let queues = lanes.zip(rest.chunks_exact(3).map(queue)).collect();
        Ok(Depth { queues, delayed: u64::try_from(*delayed).unwrap_or(0) })
    }

    /// Runs a pipeline, and once more where the connection turns out to have been lost: after a restart of
    /// Redis the first command always meets a dead socket. Should the first try have got through after all, the
    /// events are there twice, which handlers can bear.
    async fn run<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, BusError> {
        let mut commands = self.commands.clone();
        match pipeline.query_async(&mut commands).await {
            Err(error) if error.is_connection_dropped() => pipeline.query_async(&mut commands).await,
            outcome => outcome,
        }
        .map_err(unavailable)
    }
}

#[async_trait]
impl Bus for RedisBus {
    /// Appends all of them in one transaction: all or none. A type that nobody subscribes to is taken and dropped.
    async fn publish(&self, events: Vec<Event>) -> Result<(), BusError> {
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        for event in &events {
            let written = queue::write(event)?;
            for to in subscribers(event.ty()) {
                let key = self.keys.stream(*to, Priority::of(event));
                let append = pipeline.cmd("XADD").arg(key).arg("*").arg(entry::EVENT).arg(&written);
                append.arg(entry::ATTEMPTS).arg(0).ignore();
            }
        }
        if pipeline.is_empty() {
            return Ok(());
        }
        self.run::<()>(&pipeline).await
    }

    async fn publish_after(&self, event: Event, delay: Duration) -> Result<(), BusError> {
        let written = queue::write(&event)?;
        let lanes = subscribers(event.ty()).iter().map(|to| lane(*to, Priority::of(&event)));
        // The leading id only makes the member unique: a set would take two equal events for one.
        let members: Vec<String> =
            lanes.map(|lane| format!("{} {lane} 0\n{written}", Uuid::now_v7())).collect();
        if members.is_empty() {
            return Ok(());
        }
        let mut script = scripts::DELAY.key(self.keys.delayed());
        script.arg(milliseconds(delay)).arg(members);
        script.invoke_async(&mut self.commands.clone()).await.map_err(unavailable)
    }

    async fn holds_since(&self) -> Result<Option<Instant>, BusError> {
        let begun: Option<i64> =
            self.run(redis::pipe().get(self.keys.begun())).await.map(|(begun,)| begun)?;
        Ok(begun.and_then(|begun| Instant::from_millisecond(begun).ok()))
    }

    async fn ping(&self) -> Result<(), BusError> {
        self.run::<()>(redis::pipe().cmd("PING").ignore()).await
    }

    async fn depth(&self) -> Result<Option<Depth>, BusError> {
        Self::depth(self).await.map(Some)
    }
}

impl std::fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisBus").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// As Redis takes it: rounded up, because nothing may come early, and bounded, so that a due time stays exact in its
/// floating-point scores.
pub(crate) fn milliseconds(wait: Duration) -> u64 {
    const YEAR: u64 = 365 * 86_400_000;
    u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(YEAR).min(YEAR)
}

/// What happened, for a person. Redis's own errors name commands, keys and addresses; but where an answer is not
/// of the expected shape, the driver's text quotes the answer, which may be an event.
pub(crate) fn unavailable(error: RedisError) -> BusError {
    BusError::Unavailable(match error.kind() {
        kind @ (ErrorKind::Parse | ErrorKind::UnexpectedReturnType) => {
            format!("Redis: unexpected answer ({kind:?})")
        }
        _ => format!("Redis: {error}"),
    })
}
