//! The keys that OHX signs assertions with.

use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::{Instant, SigningAlgorithm};

use crate::Result;

/// A signing key, as it is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSigningKey {
    /// Its id, which no other key has.
    pub kid: String,
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// The private key, sealed.
    pub sealed: Vec<u8>,
    /// The public key: a JWK, as JSON.
    pub public_jwk: String,
}

/// A signing key, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSigningKey {
    /// Its id.
    pub kid: String,
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// The private key, sealed; `None` once it was destroyed.
    pub sealed: Option<Vec<u8>>,
    /// The public key: a JWK, as JSON.
    pub public_jwk: String,
    /// From when on it is shown.
    pub created_at: Instant,
    /// From when on it signs.
    pub signs_from: Instant,
    /// From when on it is neither shown nor used, where that is settled.
    pub retired_at: Option<Instant>,
}

impl StoredSigningKey {
    /// Whether it is shown at `now`.
    pub fn is_shown(&self, now: Instant) -> bool {
        self.retired_at.is_none_or(|at| now < at)
    }
}

/// The signing keys.
#[async_trait]
pub trait Signing: Send + Sync {
    /// Adds a key, which is shown at once. The first of its algorithm signs at once, any other after `overlap`: then
    /// everybody has seen it. The former ones are retired another `overlap` later. With `only_first` nothing is done
    /// where a key of the algorithm is shown already.
    ///
    /// Private keys of retired keys are destroyed on the way. Gives whether the key was added.
    async fn add_signing_key(
        &self,
        key: &NewSigningKey,
        overlap: Duration,
        only_first: bool,
        now: Instant,
    ) -> Result<bool>;

    /// Every key there ever was, by the time of its making.
    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>>;

    /// Retires a key at once and destroys its private key. Was it to take the place of others, the newest of them stays.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], and [`crate::StoreError::Conflict`] where no other key of its algorithm is shown:
    /// nothing could be signed any more.
    async fn retire_signing_key(&self, kid: &str, now: Instant) -> Result<()>;
}
