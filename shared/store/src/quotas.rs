//! Quotas: how fast all processes together may call somebody.

use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::Instant;

use crate::Result;

/// How fast a bucket refills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Calls a minute, at least 1.
    pub per_minute: u32,
    /// Calls that may come at once, at least 1.
    pub burst: u32,
}

/// One call, out of one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Take<'a> {
    /// The bucket's name.
    pub bucket: &'a str,
    /// How fast it refills.
    pub rate: Rate,
    /// How many calls of its burst are left to others: the call is granted only while more than these could be made at
    /// once. Work that can wait leaves some, so that urgent work always finds room.
    pub kept: u32,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// Yes: it is counted.
    Granted,
    /// Not before so long.
    Wait(Duration),
}

/// What became of a call that was to be taken out of two buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It may be made, and is counted in both.
    Granted,
    /// Not before so long.
    Wait {
        /// How long.
        wait: Duration,
        /// Whether it is the other bucket that makes it wait so long.
        other: bool,
    },
}

/// Buckets that every process takes its calls out of, and queues for those that find none.
#[async_trait]
pub trait Quotas: Send + Sync {
    /// Takes one call out of a shared bucket (generic cell rate algorithm, one row a bucket).
    async fn take_quota(&self, bucket: &str, rate: Rate, now: Instant) -> Result<Quota> {
        Ok(match self.take_quotas(&Take { bucket, rate, kept: 0 }, None, now).await? {
            Taken::Granted => Quota::Granted,
            Taken::Wait { wait, .. } => Quota::Wait(wait),
        })
    }

    /// Takes one call out of a bucket, or of two with different names at once: both grant it, or it is not made. (Where another
    /// process comes in between the two, one of them may have counted a call that is not made: never one too few.)
    async fn take_quotas(&self, one: &Take<'_>, other: Option<&Take<'_>>, now: Instant) -> Result<Taken>;

    /// Hands out the next place in a queue: not before `from`, `every` after the place before it, and not after `horizon`.
    /// Beyond that the queue does not grow, and everybody gets the horizon. So those who wait do not all come at once.
    async fn next_place(
        &self,
        queue: &str,
        every: Duration,
        from: Instant,
        horizon: Instant,
    ) -> Result<Instant>;

    /// Removes the buckets and queues that were last used before `before`: by then they are as good as new. Gives their
    /// number.
    async fn prune_quotas(&self, before: Instant) -> Result<u64>;

    /// Empties a bucket until `until`: the provider said "too many requests".
    async fn drain_quota(&self, bucket: &str, until: Instant) -> Result<()>;
}
