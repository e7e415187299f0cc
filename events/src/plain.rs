//! Data without health values, as JSON.

use ohx_domain::{Counts, ProviderName, Query, Record, RequestId, SyncReason};
use serde::{Deserialize, Serialize};

/// A patient has connected an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkConnected {
    /// The provider app.
    pub provider: ProviderName,
    /// Whether the link had been connected before: then only the gap is fetched.
    pub again: bool,
}

/// Something is to be asked of a provider. The ledger's row is what counts; the rest is for people who watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRequested {
    /// The row of the ledger.
    pub request: RequestId,
    /// The provider app.
    pub provider: ProviderName,
    /// Which record.
    pub record: Record,
    /// What was asked when the event was made.
    #[serde(flatten)]
    pub query: Query,
    /// Why.
    pub reason: SyncReason,
}

/// What became of a piece of a request. Counts only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourcesPublished {
    /// The row of the ledger.
    pub request: RequestId,
    /// Which record.
    pub record: Record,
    /// What became of the resources.
    pub counts: Counts,
    /// Whether this completed the request.
    pub completed: bool,
}
