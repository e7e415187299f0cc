//! What Open Health Exchange remembers. No health value is among it.
//!
//! The traits below are all a function knows of a database. `ohx-store-postgres` and `ohx-store-sqlite` implement
//! them; one contract suite (`tests/`) runs over both. To add an engine: implement [`Store`], run the suite.
//!
//! Every instant is given by the caller (see `ohx_domain::Clock`) and kept to the microsecond. Every secret arrives
//! sealed. A method either takes effect as a whole or not at all.

mod access;
mod audit;
mod configuration;
mod dead_letter;
mod erasures;
mod gauges;
mod idempotency;
mod ledger;
mod mappings;
mod overview;
mod planning;
mod quotas;
mod rewrap;
mod secrets;
mod signing;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use ohx_domain::{
    Account, Confinement, EhrEndpoint, EhrName, Instant, Link, LinkId, LinkState, PatientReference,
    ProviderApp, ProviderName, PushState,
};

pub use access::{ApiKeys, NewApiKey, StoredApiKey};
pub use audit::{
    Audit, AuditBreak, AuditEntry, AuditFilter, AuditHead, BEGINNING as AUDIT_BEGINNING, NewAudit,
    verify_audit,
};
pub use configuration::{Configured, Configuring, Kept, Revision, SecretChange, Seen, Uses};
pub use dead_letter::{
    BuriedLetter, DeadLetter, DeadLetters, InvalidCursor, LetterCursor, LetterFilter, Replay,
};
pub use erasures::{Erasure, ErasureReport, Erasures, Step, StepName, StepState};
pub use gauges::{FRESHNESS, Freshness, Gauges, Night, OpenWork, Outcomes, Prediction, Trouble};
pub use idempotency::{Begun, Idempotency, NewCall};
pub use ledger::{
    Acknowledgement, Coverage, Ledger, NewRequest, OpenRequests, Progress, Requested, RequestsOfRecord,
};
pub use mappings::{MappingFilter, MappingSummary, Mappings, NewActivation, NewMapping, SavedMapping};
pub use overview::{Flow, History, Overview, SyncSummary};
pub use planning::{Planning, WorkAhead};
pub use quotas::{Quota, Quotas, Rate, Take, Taken};
pub use rewrap::{Rewrap, SealedIn, SealedRow};
pub use secrets::{OutageGate, Refusals, Secrets, StoredTokens, Ticket, TicketKind, Witnesses};
pub use signing::{NewSigningKey, Signing, StoredSigningKey};

/// Why a store could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is out of reach or refused; trying again may help.
    #[error("the database did not answer: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The address of the database is malformed. The text does not repeat it, because it may hold a password.
    #[error("the database address must look like {expected}: {why}")]
    Address {
        /// What it should look like.
        expected: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// What was to be written breaks a rule: a second active link for the same account, say.
    #[error("{what} conflicts with what is stored")]
    Conflict {
        /// What was to be written, and which rule it breaks.
        what: Cow<'static, str>,
    },
    /// A row that was to be changed is not there.
    #[error("{what} {id} is not known")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A stored value cannot be read: written by something else, or by a newer version.
    #[error("column {column} of {table} cannot be read")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// The schema could not be brought up to date.
    #[error("migrating the database failed: {0}")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The result of every method here.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Everything together: what a function's state holds.
pub trait Store:
    Configuration
    + Configuring
    + Links
    + Secrets
    + Quotas
    + Signing
    + Ledger
    + Planning
    + Mappings
    + DeadLetters
    + ApiKeys
    + Audit
    + Erasures
    + Rewrap
    + Overview
    + Gauges
    + Idempotency
{
}

impl<T> Store for T where
    T: Configuration
        + Configuring
        + Links
        + Secrets
        + Quotas
        + Signing
        + Ledger
        + Planning
        + Mappings
        + DeadLetters
        + ApiKeys
        + Audit
        + Erasures
        + Rewrap
        + Overview
        + Gauges
        + Idempotency
{
}

/// A store as it is passed around.
pub type SharedStore = Arc<dyn Store>;

/// Provider apps and EHR endpoints, and the schema itself.
#[async_trait]
pub trait Configuration: Send + Sync {
    /// Brings the schema up to date. Safe to run from several processes at once.
    async fn migrate(&self) -> Result<()>;

    /// Whether the database answers.
    async fn ping(&self) -> Result<()>;

    /// Closes the connections, once those in use have been given back. Nothing can be asked afterwards.
    async fn close(&self);

    /// Creates or replaces a provider app. `None` for the secret keeps the one that is stored.
    async fn put_provider(&self, app: &ProviderApp, sealed_secret: Option<&[u8]>, at: Instant) -> Result<()>;

    /// A provider app and its sealed client secret.
    async fn provider(&self, name: &ProviderName) -> Result<Option<(ProviderApp, Option<Vec<u8>>)>>;

    /// Every provider app, by name.
    async fn providers(&self) -> Result<Vec<ProviderApp>>;

    /// Creates or replaces an EHR endpoint. `None` for the secret keeps the one that is stored.
    async fn put_ehr(&self, ehr: &EhrEndpoint, sealed_secret: Option<&[u8]>, at: Instant) -> Result<()>;

    /// An EHR endpoint and its sealed secret.
    async fn ehr(&self, name: &EhrName) -> Result<Option<(EhrEndpoint, Option<Vec<u8>>)>>;

    /// Every EHR endpoint, by name.
    async fn ehrs(&self) -> Result<Vec<EhrEndpoint>>;
}

/// What a consent brought: written in one go by [`Links::connect`].
#[derive(Debug, Clone)]
pub struct Connection {
    /// The patient's user id at the provider.
    pub account: Account,
    /// SHA-256 of provider and account, for finding the link again without keeping the id searchable in clear.
    pub account_digest: [u8; 32],
    /// The user id sealed under the data key.
    pub sealed_account: Vec<u8>,
    /// What the patient granted.
    pub scopes: Vec<String>,
    /// The wrapped data key.
    pub data_key: Vec<u8>,
    /// The token pair, sealed under the data key.
    pub sealed_tokens: Vec<u8>,
    /// When the access token ends.
    pub tokens_expire_at: Instant,
    /// The moment of consent.
    pub at: Instant,
    /// From when on the link wants readings, where that is not its backfill days: another link had those before.
    pub history_start: Option<Instant>,
}

/// Why a link needs a consent.
#[derive(Debug, Clone, Copy)]
pub struct ConsentNeed<'a> {
    /// For programs, in one word.
    pub code: &'a str,
    /// For a person.
    pub reason: &'a str,
    /// Since when.
    pub since: Instant,
}

/// Which links to list.
#[derive(Debug, Clone, Default)]
pub struct LinkFilter {
    /// Only of this provider app.
    pub provider: Option<ProviderName>,
    /// Only of this patient.
    pub patient: Option<PatientReference>,
    /// Only in this state.
    pub state: Option<LinkState>,
    /// Only after this id: ids sort by creation.
    pub after: Option<LinkId>,
    /// Only those that there are for a caller.
    pub within: Confinement,
    /// At most so many, 1 to 1000.
    pub limit: u32,
}

/// Links.
///
/// A store never opens an account: [`Link::account`] is `None` in every link that comes out of it, and
/// [`Links::sealed_account`] gives the sealed one.
#[async_trait]
pub trait Links: Send + Sync {
    /// Adds a pending link.
    async fn insert_link(&self, link: &Link) -> Result<()>;

    /// One link.
    async fn link(&self, id: LinkId) -> Result<Option<Link>>;

    /// Links, by id.
    async fn links(&self, filter: &LinkFilter) -> Result<Vec<Link>>;

    /// Makes a link active, with new tokens (token version + 1). The data key is replaced, `history_start` is set to the
    /// connection's, else to `at` less the link's backfill days, unless it is set already, the push state goes back to unknown, the state reason is
    /// cleared. Its open requests end, but for those of what the provider removed: what was fetched for them is sealed with the
    /// former key.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the same account is held by an active link of another patient at one of the same EHRs:
    /// one person's readings never go into two charts by accident.
    async fn connect(&self, id: LinkId, connection: &Connection) -> Result<()>;

    /// The sealed provider user id of a connected link.
    async fn sealed_account(&self, id: LinkId) -> Result<Option<Vec<u8>>>;

    /// The links (active, or in need of consent) that an account digest belongs to.
    async fn links_of_account(&self, account_digest: &[u8; 32]) -> Result<Vec<LinkId>>;

    /// Moves an active link whose token pair still is the one of `version` to `ReauthorizationRequired`. `true` for exactly
    /// one of those who find out.
    async fn require_consent(&self, id: LinkId, version: i64, need: &ConsentNeed<'_>) -> Result<bool>;

    /// Moves the beginning of a connected link's history back to `start`. `false` where it is not later.
    async fn extend_history(&self, id: LinkId, start: Instant) -> Result<bool>;

    /// Moves a link to a state, with a reason for a person. To `Disconnected` also destroys its data key, tokens,
    /// sealed account and account digest.
    async fn set_link_state(&self, id: LinkId, state: LinkState, reason: Option<&str>) -> Result<()>;

    /// Notes whether the provider pushes.
    async fn set_push_state(&self, id: LinkId, push: &PushState) -> Result<()>;

    /// Who a patient that is named by an identifier is at an EHR endpoint, where that was found out before.
    async fn resolved_patient(
        &self,
        ehr: &EhrName,
        patient: &PatientReference,
    ) -> Result<Option<PatientReference>>;

    /// Keeps who a patient is at an EHR endpoint.
    async fn keep_resolved_patient(
        &self,
        ehr: &EhrName,
        patient: &PatientReference,
        reference: &PatientReference,
        at: Instant,
    ) -> Result<()>;

    /// The active links after `after`, by id, at most `limit`: how the nightly run streams over all of them.
    async fn active_links(&self, after: Option<LinkId>, limit: u32) -> Result<Vec<LinkId>>;
}
