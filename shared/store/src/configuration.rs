//! Configuration that several people change: nobody undoes another's change without knowing.

use async_trait::async_trait;
use ohx_domain::{EhrEndpoint, EhrName, Instant, ProviderApp, ProviderName};

use crate::Result;

/// One state of something that is configured. Grows with every change, also of the secret alone, and over a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub i64);

/// What is configured, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept<T> {
    /// It.
    pub config: T,
    /// Whether a secret is kept with it.
    pub has_secret: bool,
    /// Its state.
    pub revision: Revision,
}

/// What becomes of the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretChange<'a> {
    /// It stays.
    Keep,
    /// It is this one, sealed, from now on.
    Set(&'a [u8]),
    /// It goes.
    Clear,
}

/// What a change is made upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// There was none.
    Absent,
    /// There was one, in this state.
    At(Revision),
}

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Configured<'a> {
    /// A provider app.
    Provider(&'a ProviderName),
    /// An EHR endpoint.
    Ehr(&'a EhrName),
}

/// What came of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uses {
    /// It is gone.
    Removed,
    /// It is in another state.
    Changed,
    /// So many links that have not ended use it: it stays.
    Links(u64),
}

/// Changes of provider apps and EHR endpoints that are made upon a state that was seen.
#[async_trait]
pub trait Configuring: Send + Sync {
    /// A provider app with its state.
    async fn kept_provider(&self, name: &ProviderName) -> Result<Option<Kept<ProviderApp>>>;

    /// Every provider app with its state, by name.
    async fn kept_providers(&self) -> Result<Vec<Kept<ProviderApp>>>;

    /// Every EHR endpoint with its state, by name.
    async fn kept_ehrs(&self) -> Result<Vec<Kept<EhrEndpoint>>>;

    /// An EHR endpoint with its state.
    async fn kept_ehr(&self, name: &EhrName) -> Result<Option<Kept<EhrEndpoint>>>;

    /// Creates or replaces a provider app; gives its new state, or `None` where it is not in the state that was seen.
    async fn put_provider_seen(
        &self,
        app: &ProviderApp,
        secret: SecretChange<'_>,
        seen: Seen,
        at: Instant,
    ) -> Result<Option<Revision>>;

    /// The same for an EHR endpoint.
    async fn put_ehr_seen(
        &self,
        ehr: &EhrEndpoint,
        secret: SecretChange<'_>,
        seen: Seen,
        at: Instant,
    ) -> Result<Option<Revision>>;

    /// Removes a provider app or an EHR endpoint with its secret.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`] where there is none.
    async fn remove_configured(&self, which: Configured<'_>, seen: Revision) -> Result<Uses>;
}
