//! What is seen from afar: counts, no values.

use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::{Counts, Instant, LinkId, LinkState, ProviderName, SyncId};

use crate::Result;

/// How readings flow through an active link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flow {
    /// Something of it was published lately.
    Fresh,
    /// Nothing of it was.
    Stale,
    /// The provider refuses it, or what was asked for last was given up.
    Failing,
}

/// A sync, seen as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncSummary {
    /// Its id.
    pub id: SyncId,
    /// How many requests it has.
    pub requests: u64,
    /// How many of them have work left.
    pub open: u64,
    /// How many were given up.
    pub failed: u64,
    /// What became of its resources so far.
    pub counts: Counts,
    /// When its first request was asked for.
    pub requested_at: Instant,
    /// When one of them last moved.
    pub updated_at: Instant,
}

/// How far the history of a link is, and when something of it last arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// How many requests for history there are since the consent; 0 where none was made yet, or they were removed.
    pub requests: u64,
    /// How many of them have work left.
    pub open: u64,
    /// How many were given up.
    pub failed: u64,
    /// What became of their resources so far.
    pub counts: Counts,
    /// When a request of any reason was last completed.
    pub last_published: Option<Instant>,
}

/// Counts for people.
#[async_trait]
pub trait Overview: Send + Sync {
    /// How many links there are of each provider app in each state.
    async fn count_links(&self) -> Result<Vec<(ProviderName, LinkState, u64)>>;

    /// How many active links of each provider app are in which flow, where lately is since `since`.
    async fn count_flow(&self, since: Instant) -> Result<Vec<(ProviderName, Flow, u64)>>;

    /// How many resources were created or updated at EHRs by requests that were published at `from` or later: by provider app,
    /// and by the number of whole `step`s (a second at least) since `from`.
    async fn count_published(&self, from: Instant, step: Duration) -> Result<Vec<(ProviderName, u64, u64)>>;

    /// The syncs of a link before one, the latest first, at most `limit`.
    async fn syncs_of_link(
        &self,
        link: LinkId,
        before: Option<SyncId>,
        limit: u32,
    ) -> Result<Vec<SyncSummary>>;

    /// How far the history is that was asked for since a consent at `since`: requests with the reason `backfill` or `reconnect`.
    async fn history_of_link(&self, link: LinkId, since: Instant) -> Result<History>;

    /// Ends the requests of a sync that have work left, with a note; gives how many. What is read of them already may still
    /// reach the EHR, and nothing counts as covered by them. What the provider said to be removed goes on: no plan would ask for
    /// it again.
    async fn cancel_sync(&self, sync: SyncId, note: &str, now: Instant) -> Result<u64>;
}
