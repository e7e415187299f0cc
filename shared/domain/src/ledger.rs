//! The words of the coverage ledger: what was asked, and what came of it.

use serde::{Deserialize, Serialize};

use crate::{Instant, Interval, LinkId, Record, RequestId, SyncId};

/// What a request asks the provider for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "query", rename_all = "kebab-case")]
pub enum Query {
    /// Everything measured in a window.
    Window(Interval),
    /// Everything created, changed or deleted since an instant of the provider's own clock, whenever measured.
    Since {
        /// The provider's clock at the previous successful run.
        #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
        since: Instant,
    },
}

/// Why a request was made; decides its priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SyncReason {
    /// The provider said that something changed.
    Notification,
    /// The provider said that readings were removed: what is not there any more was taken back.
    Removal,
    /// A person or an app asked.
    Manual,
    /// What is missing since a link was last connected, after it was connected again.
    Reconnect,
    /// History, after a link was connected.
    Backfill,
    /// The nightly run found a hole, or looks for late data.
    Nightly,
    /// A person or a gateway brought the readings: there is nobody to ask for them again.
    Import,
}

impl SyncReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Notification,
        Self::Removal,
        Self::Manual,
        Self::Reconnect,
        Self::Backfill,
        Self::Nightly,
        Self::Import,
    ];

    /// The reason as the stores and metrics write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notification => "notification",
            Self::Removal => "removal",
            Self::Manual => "manual",
            Self::Reconnect => "reconnect",
            Self::Backfill => "backfill",
            Self::Nightly => "nightly",
            Self::Import => "import",
        }
    }

    /// The reason a stored text stands for.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == text)
    }
}

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RequestState {
    /// Asked for; nobody has begun.
    Requested,
    /// `fetch` has begun a run.
    Fetching,
    /// A run has read everything; parts are on their way to the EHR.
    Fetched,
    /// Every part of a run was acknowledged by the EHR. Final.
    Published,
    /// Given up for good, with a reason: the window stays a hole. Final.
    Failed,
}

impl RequestState {
    /// The state as the stores and the API write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Fetching => "fetching",
            Self::Fetched => "fetched",
            Self::Published => "published",
            Self::Failed => "failed",
        }
    }

    /// The state a stored text stands for.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Requested, Self::Fetching, Self::Fetched, Self::Published, Self::Failed]
            .into_iter()
            .find(|s| s.as_str() == text)
    }

    /// Whether work remains.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Requested | Self::Fetching | Self::Fetched)
    }
}

/// How many resources met which fate. Counts only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Counts {
    /// New at the EHR.
    pub created: u64,
    /// Changed at the EHR, because the provider corrected the reading or the mapping changed.
    pub updated: u64,
    /// Already there, as they should be.
    pub unchanged: u64,
    /// Refused by the EHR; each leaves a hole in the ledger and a dead letter.
    pub rejected: u64,
    /// Left out by the mapping, with a reason in the metrics.
    pub skipped: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.rejected += other.rejected;
        self.skipped += other.skipped;
    }
}

/// One row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// The sync it belongs to.
    pub sync: SyncId,
    /// Whose readings.
    pub link: LinkId,
    /// Which record.
    pub record: Record,
    /// What is asked.
    pub query: Query,
    /// Why.
    pub reason: SyncReason,
    /// How far it has come.
    pub state: RequestState,
    /// Why it failed, or is being retried; for a person, never a health value.
    pub note: Option<String>,
    /// How often `fetch` began it.
    pub attempts: u32,
    /// What became of its resources so far.
    pub counts: Counts,
    /// When it was asked for.
    pub requested_at: Instant,
    /// When it last moved.
    pub updated_at: Instant,
}
