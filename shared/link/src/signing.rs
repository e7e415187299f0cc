//! The keys that OHX signs assertions with: in the store, sealed under the keyring.
//!
//! A new key is shown in the key set (`/.well-known/jwks.json`) before it signs, and the former one stays there after it
//! has signed for the last time: whoever has an older copy of the set can check every assertion.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::{Clock, Instant, SigningAlgorithm};
use ohx_fhir::{PublicJwk, SigningError, SigningKey, SigningKeys};
use ohx_seal::Keyring;
use ohx_store::{NewSigningKey, SharedStore, StoredSigningKey};
use secrecy::{ExposeSecret as _, zeroize::Zeroizing};
use serde::Serialize;

use crate::{LinkError, Result};

/// How long a new key is shown before it signs, and a former one after it has signed.
pub const OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// How long a copy of the key set may be kept. [`OVERLAP`] is longer.
pub const JWKS_CACHED: Duration = Duration::from_secs(3600);

/// A key set (RFC 7517, section 5): public keys only, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwks {
    /// The keys that are shown.
    pub keys: Vec<PublicJwk>,
}

/// The signing keys of this deployment.
#[derive(Clone)]
pub struct StoredKeys {
    store: SharedStore,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
}

fn place(kid: &str) -> [&str; 3] {
    ["signing_keys", kid, "sealed_key"]
}

/// The key of an algorithm that signs at `now`: of those that may, the newest. Where a key was retired before its
/// successor may sign, the successor signs early.
pub fn signs(
    keys: &[StoredSigningKey],
    algorithm: SigningAlgorithm,
    now: Instant,
) -> Option<&StoredSigningKey> {
    let shown = || keys.iter().filter(|key| key.algorithm == algorithm && key.is_shown(now));
    let newest = shown().filter(|key| key.signs_from <= now).max_by_key(|key| key.signs_from);
    newest.or_else(|| shown().min_by_key(|key| key.signs_from))
}

impl StoredKeys {
    /// Over a store and the keyring that seals what is in it.
    pub fn new(store: SharedStore, keyring: Arc<Keyring>, clock: Arc<dyn Clock>) -> Self {
        Self { store, keyring, clock }
    }

    /// Makes a key. It is shown at once, and signs after `overlap`, or at once where it is the first of its algorithm. With
    /// `only_first` none is made where there is one. Gives its id.
    ///
    /// # Errors
    /// [`LinkError::Signing`], [`LinkError::Seal`], [`LinkError::Store`].
    pub async fn rotate(
        &self,
        algorithm: SigningAlgorithm,
        overlap: Duration,
        only_first: bool,
    ) -> Result<Option<String>> {
        let now = self.clock.now();
        if only_first && signs(&self.store.signing_keys().await?, algorithm, now).is_some() {
            return Ok(None);
        }
        // An RSA key takes its time: it must not hold up what else runs here.
        let generated = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm)).await;
        let (key, pkcs8) = generated.map_err(|_| SigningError::Unavailable("it was not made".into()))??;
        let seal = |source| LinkError::Seal { of: format!("signing key {}", key.kid()), source };
        let new = NewSigningKey {
            kid: key.kid().to_owned(),
            algorithm,
            sealed: self.keyring.seal(&place(key.kid()), pkcs8.expose_secret()).map_err(seal)?,
            public_jwk: serde_json::to_string(key.public_jwk())
                .map_err(|_| SigningError::Unavailable("its public half is no JSON".into()))?,
        };
        Ok(self.store.add_signing_key(&new, overlap, only_first, now).await?.then_some(new.kid))
    }

    /// The key set as it is now.
    ///
    /// # Errors
    /// [`LinkError::Store`], [`LinkError::Signing`] where a stored public key cannot be read.
    pub async fn jwks(&self) -> Result<Jwks> {
        let now = self.clock.now();
        let stored = self.store.signing_keys().await?;
        let public = |key: &StoredSigningKey| {
            serde_json::from_str(&key.public_jwk).map_err(|_| SigningError::Unusable {
                kid: key.kid.clone(),
                why: "its public half is no JWK".into(),
            })
        };
        let keys: std::result::Result<_, _> =
            stored.iter().filter(|key| key.is_shown(now)).map(public).collect();
        Ok(Jwks { keys: keys? })
    }

    fn open(&self, stored: &StoredSigningKey) -> std::result::Result<SigningKey, SigningError> {
        let unusable = |why: String| SigningError::Unusable { kid: stored.kid.clone(), why };
        let sealed = stored.sealed.as_deref().ok_or_else(|| unusable("it was destroyed".into()))?;
        let opened = self.keyring.open(&place(&stored.kid), sealed);
        let pkcs8 = Zeroizing::new(opened.map_err(|error| unusable(error.to_string()))?);
        SigningKey::from_pkcs8(stored.algorithm, &pkcs8)
    }
}

#[async_trait]
impl SigningKeys for StoredKeys {
    async fn signing_key(
        &self,
        algorithm: SigningAlgorithm,
    ) -> std::result::Result<Arc<SigningKey>, SigningError> {
        let keys = self.store.signing_keys().await;
        let keys = keys.map_err(|error| SigningError::Unavailable(error.to_string()))?;
        let key = signs(&keys, algorithm, self.clock.now()).ok_or(SigningError::NoKey(algorithm))?;
        self.open(key).map(Arc::new)
    }
}
