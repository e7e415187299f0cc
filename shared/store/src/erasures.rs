//! What ending a link did, and what of it is still to be done.

use async_trait::async_trait;
use ohx_domain::{EhrName, Instant, LinkId, ProviderName};
use serde::{Deserialize, Serialize};

use crate::Result;

/// One thing that ending a link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepName {
    /// The link's data key, tokens and account are destroyed here.
    DestroyKeys,
    /// The provider is told to send no more notifications.
    Unsubscribe,
    /// The provider is told that the grant has ended.
    Revoke,
    /// The link's DeviceAssociations at an EHR endpoint end.
    EndDevices,
    /// The readings that the link has published to an EHR endpoint are marked `entered-in-error`.
    MarkEnteredInError,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// It is to be done, or to be tried again.
    Pending,
    /// It is done.
    Done,
    /// There was nothing to do, or nobody has asked for it.
    NotNeeded,
    /// The other side has no way to be told.
    NotOffered,
    /// It was given up.
    Failed,
}

/// A step, as the receipt shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What.
    pub step: StepName,
    /// Where, of what is done at an EHR endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ehr: Option<EhrName>,
    /// How far it is.
    pub state: StepState,
    /// Why it is so, for a person; no answer of somebody else's is quoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How many resources or subscriptions it was done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it came to this state.
    pub at: Instant,
}

/// All that is kept of the end of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureReport {
    /// The provider app.
    pub provider: ProviderName,
    /// Why the link ended.
    pub reason: String,
    /// Whether published readings are to be marked.
    pub mark: bool,
    /// The steps.
    pub steps: Vec<Step>,
    /// By EHR endpoint, what the values of the identifiers of the link's readings begin with there: a pseudonym that the EHR
    /// has, for finding what is to be marked. Empty once that is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<(EhrName, String)>,
}

/// The end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The link.
    pub link: LinkId,
    /// Counts the ends of this link, from 1.
    pub seq: u32,
    /// Counts the changes of this row, from 1.
    pub version: i64,
    /// What it says.
    pub report: ErasureReport,
    /// What the provider can still be told with, sealed.
    pub sealed_grant: Option<Vec<u8>>,
    /// When the link ended.
    pub begun_at: Instant,
    /// When a step last changed.
    pub updated_at: Instant,
    /// Since when nothing more is to be done.
    pub done_at: Option<Instant>,
}

/// The ends of links.
#[async_trait]
pub trait Erasures: Send + Sync {
    /// Ends a link: destroys its data key, tokens, sealed account and account digest, and begins the row of what is still to
    /// be done, both or none. Of a link that has ended already the last row is given.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`].
    async fn begin_erasure(
        &self,
        link: LinkId,
        report: &ErasureReport,
        sealed_grant: Option<&[u8]>,
        now: Instant,
    ) -> Result<Erasure>;

    /// The last end of a link.
    async fn erasure(&self, link: LinkId) -> Result<Option<Erasure>>;

    /// Writes report, sealed grant and `done_at` if the row still is of the version given, and makes it the next. `false`
    /// where somebody else was first.
    async fn save_erasure(&self, erasure: &Erasure, now: Instant) -> Result<bool>;

    /// Links whose end still has something to do, after `after`, by id, at most `limit`.
    async fn open_erasures(&self, after: Option<LinkId>, limit: u32) -> Result<Vec<LinkId>>;
}
