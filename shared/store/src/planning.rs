//! Planning many links at once: what the nightly run reads and writes, a page of links at a time.
//!
//! A page is a run of links in the order of their ids, so that each of its questions is one walk along an index.

use std::collections::BTreeSet;

use async_trait::async_trait;
use ohx_domain::{Instant, LinkId, ProviderName, Record, Request, RequestId};

use crate::{Coverage, NewRequest, Result};

/// How much there is to do for a provider app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkAhead {
    /// The app.
    pub provider: ProviderName,
    /// Its active links.
    pub links: u64,
    /// Its requests that are asked for and not yet read.
    pub waiting: u64,
}

/// The ledger, a page of links at a time.
#[async_trait]
pub trait Planning: Send + Sync {
    /// The open requests of the links from `first` to `last`, both included, by link and id.
    async fn open_requests_between(&self, first: LinkId, last: LinkId) -> Result<Vec<Request>>;

    /// What is covered of the links from `first` to `last`, both included, by link and record. What nothing is known of is
    /// left out.
    async fn coverage_between(&self, first: LinkId, last: LinkId) -> Result<Vec<(LinkId, Record, Coverage)>>;

    /// Sets cursors where there are none, as [`crate::Ledger::init_cursor`] does.
    async fn init_cursors(&self, cursors: &[(LinkId, Record, Instant)]) -> Result<()>;

    /// Adds rows for links whose open requests are those in `known`, or some of them. A link that has another one by now was
    /// planned by somebody else meanwhile: none of its rows is added, and it is given back, to be looked at again. So two
    /// runs at once ask for nothing twice. Nothing is merged.
    async fn plan(
        &self,
        new: &[NewRequest],
        known: &BTreeSet<RequestId>,
        now: Instant,
    ) -> Result<BTreeSet<LinkId>>;

    /// What is to be done, by provider app.
    async fn work_ahead(&self) -> Result<Vec<WorkAhead>>;
}
