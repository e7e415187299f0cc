//! The keys that the API is called with.

use async_trait::async_trait;
use ohx_domain::{ApiKeyId, EhrName, Instant, Role};

use crate::Result;

/// A key, as it is added. The key itself is nowhere: only its digest is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What it is called, for people.
    pub name: String,
    /// SHA-256 of the key. A slow hash is for what people think up; 256 random bits cannot be guessed, however fast.
    pub digest: [u8; 32],
    /// What it may do.
    pub role: Role,
    /// The only EHR endpoint that it may see links of.
    pub ehr: Option<EhrName>,
    /// Whether it may see only the links that it has made.
    pub own_links: bool,
    /// Who made it, as the audit log names callers.
    pub created_by: String,
    /// From when on it is not taken any more.
    pub expires_at: Option<Instant>,
}

/// A key, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredApiKey {
    /// What it was added as.
    pub key: NewApiKey,
    /// When it was added.
    pub created_at: Instant,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Instant>,
    /// Since when it is not taken any more, where somebody has revoked it.
    pub revoked_at: Option<Instant>,
}

impl StoredApiKey {
    /// Whether it is taken at `now`.
    pub fn is_good(&self, now: Instant) -> bool {
        self.revoked_at.is_none() && self.key.expires_at.is_none_or(|at| now < at)
    }
}

/// The API's keys.
#[async_trait]
pub trait ApiKeys: Send + Sync {
    /// Adds a key.
    ///
    /// # Errors
    /// [`crate::StoreError::Conflict`] where the id or the digest is there already.
    async fn add_api_key(&self, key: &NewApiKey, now: Instant) -> Result<()>;

    /// The key with a digest, whether it is good or not.
    async fn api_key_by_digest(&self, digest: &[u8; 32]) -> Result<Option<StoredApiKey>>;

    /// One key.
    async fn api_key(&self, id: ApiKeyId) -> Result<Option<StoredApiKey>>;

    /// Keys by id, so by the moment they were made: those after `after`, at most `limit` (1 to 1000).
    async fn api_keys(&self, after: Option<ApiKeyId>, limit: u32) -> Result<Vec<StoredApiKey>>;

    /// Notes that a key was used, once a minute at most.
    async fn note_api_key_use(&self, id: ApiKeyId, now: Instant) -> Result<()>;

    /// Revokes a key at once. `false` where it is revoked already.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`].
    async fn revoke_api_key(&self, id: ApiKeyId, now: Instant) -> Result<bool>;
}
