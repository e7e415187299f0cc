//! What metrics are made of: counts, ages and moments over all links, kept where they outlive a process. No link id leaves here.

use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::{Instant, ProviderName};

use crate::Result;

const HOUR: Duration = Duration::from_secs(3600);

/// The bounds of [`Freshness::within`]: from an hour to thirty days.
pub const FRESHNESS: [Duration; 8] = [
    HOUR,
    Duration::from_secs(6 * 3600),
    Duration::from_secs(12 * 3600),
    Duration::from_secs(24 * 3600),
    Duration::from_secs(2 * 86_400),
    Duration::from_secs(7 * 86_400),
    Duration::from_secs(14 * 86_400),
    Duration::from_secs(30 * 86_400),
];

/// How long ago a request of each active link of a provider app was last completed, also with nothing new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshness {
    /// The app.
    pub provider: ProviderName,
    /// Links by age: at most the bound of the same place in [`FRESHNESS`], and more than the one before it.
    pub within: [u64; FRESHNESS.len()],
    /// Links with a greater age, or of which no request was ever completed.
    pub beyond: u64,
    /// All ages together; links of which no request was ever completed add nothing.
    pub sum: Duration,
}

/// What of a provider app is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenWork {
    /// The app.
    pub provider: ProviderName,
    /// Requests with work left.
    pub requests: u64,
    /// When the oldest of them was asked for.
    pub oldest: Instant,
}

/// What became of resources at EHRs since the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcomes {
    /// The provider app whose readings they are.
    pub provider: ProviderName,
    /// `created`, `updated`, `unchanged` or `rejected`.
    pub outcome: String,
    /// How many.
    pub resources: u64,
}

/// How much a night is, said before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// For this provider app.
    pub provider: ProviderName,
    /// Calls that it takes at least.
    pub calls: u64,
    /// When they are done at the app's pace.
    pub finish: Instant,
}

/// The last nightly run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Night {
    /// When one last began.
    pub started: Instant,
    /// When one last came to its end: not necessarily the same.
    pub completed: Option<Instant>,
    /// What the one that began last predicted, by provider app.
    pub predicted: Vec<Prediction>,
}

/// What may be out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// An EHR endpoint is left alone, because it does not answer or asked for patience. Named by the endpoint.
    EhrPaused,
    /// A provider says, or shows, that its service is retired. Named by the provider app.
    ProviderRetired,
}

impl Trouble {
    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EhrPaused => "ehr-paused",
            Self::ProviderRetired => "provider-retired",
        }
    }
}

/// Counts for metrics. [`crate::Overview::count_links`] belongs to them, too.
#[async_trait]
pub trait Gauges: Send + Sync {
    /// How fresh the active links are at `now`, by provider app. Apps without active links are left out.
    async fn count_freshness(&self, now: Instant) -> Result<Vec<Freshness>>;

    /// Active links that lack something, by provider app: a request that was asked for before `before` still has work left, or
    /// something was given up or refused, and nothing that came after has brought it. Apps without such links are left out.
    async fn count_gaps(&self, before: Instant) -> Result<Vec<(ProviderName, u64)>>;

    /// What is under way, by provider app. Apps with nothing under way are left out.
    async fn count_open(&self) -> Result<Vec<OpenWork>>;

    /// Dead letters that are kept, by the function that gave up.
    async fn count_letters(&self) -> Result<Vec<(String, u64)>>;

    /// What became of resources since the beginning: never less than before, whatever is removed meanwhile.
    async fn count_outcomes(&self) -> Result<Vec<Outcomes>>;

    /// A nightly run begins. Its predictions take the place of the last one's.
    async fn begin_night(&self, started: Instant, predicted: &[Prediction]) -> Result<()>;

    /// A nightly run has come to its end.
    async fn end_night(&self, completed: Instant) -> Result<()>;

    /// The last nightly run; `None` before the first.
    async fn last_night(&self) -> Result<Option<Night>>;

    /// Something is out of order, and is taken to be so until `ends`: what was said before counts no more.
    async fn note_trouble(&self, trouble: Trouble, name: &str, ends: Instant) -> Result<()>;

    /// What is out of order at `now`, by name.
    async fn troubles(&self, trouble: Trouble, now: Instant) -> Result<Vec<String>>;
}
