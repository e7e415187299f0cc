//! How OHX proves itself to an EHR endpoint.
//!
//! A static token is sent as it is. Every other way ends in an access token of some minutes, which is kept until shortly
//! before it ends, shared by all clones of a client, asked for by one of them while the others wait, and replaced once
//! where the endpoint refuses it (`docs/ehr.md`, "Authorization").

mod assertion;
mod key;
mod refusal;
mod scope;
mod smart;
mod token;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use ohx_domain::{EhrAuth, Instant, SigningAlgorithm};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

pub use self::key::{PublicJwk, SigningKey};
use self::smart::SmartConfiguration;
use self::token::Token;
use crate::{EhrClient, EhrError};

/// Why nothing could be signed. Says nothing of the key itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// There is no key for the algorithm.
    #[error("there is no signing key for {}: make one with ohx keys signing rotate", .0.as_str())]
    NoKey(SigningAlgorithm),
    /// The key cannot be had just now.
    #[error("the signing key cannot be read: {0}")]
    Unavailable(String),
    /// The key cannot be used.
    #[error("the signing key {kid} cannot be used: {why}")]
    Unusable {
        /// Its id.
        kid: String,
        /// Why.
        why: String,
    },
}

/// Where the keys are that OHX signs assertions with.
#[async_trait]
pub trait SigningKeys: Send + Sync {
    /// The key that signs now.
    ///
    /// # Errors
    /// [`SigningError`].
    async fn signing_key(&self, algorithm: SigningAlgorithm) -> Result<Arc<SigningKey>, SigningError>;
}

/// What an endpoint's `auth` needs beside its configuration.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The bearer token, or the client secret.
    pub secret: Option<SecretString>,
    /// The keys for `smart-backend` and `jwt-bearer`.
    pub signing: Option<Arc<dyn SigningKeys>>,
}

impl Credentials {
    /// For an endpoint without authorization.
    pub fn none() -> Self {
        Self::default()
    }

    /// A bearer token, or a client secret.
    pub fn secret(secret: SecretString) -> Self {
        Self { secret: Some(secret), signing: None }
    }

    /// Keys that assertions are signed with.
    pub fn signing(keys: Arc<dyn SigningKeys>) -> Self {
        Self { secret: None, signing: Some(keys) }
    }
}

/// The credentials of an endpoint, and the token that they got. Shared by the clones of a client.
pub(crate) struct Authorization {
    credentials: Credentials,
    /// How many times a token was asked for: tells one who has waited that somebody else has asked meanwhile.
    asked: AtomicU64,
    /// Held while a token is asked for, so that only one asks.
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    token: Option<Token>,
    /// What became of the last asking, where it failed.
    failed: Option<EhrError>,
    /// The server's smart-configuration, or that it has none, and since when that is known.
    smart: Option<(Option<SmartConfiguration>, Instant)>,
}

impl Authorization {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self { credentials, asked: AtomicU64::new(0), held: Mutex::default() }
    }

    /// What goes into the `Authorization` header of a request; `None` for no header. `refused` is a token that the
    /// endpoint has just answered with 401.
    ///
    /// # Errors
    /// Where no token can be had.
    pub(crate) async fn bearer(
        &self,
        client: &EhrClient,
        refused: Option<&SecretString>,
    ) -> Result<Option<SecretString>, EhrError> {
        match client.endpoint.auth {
            EhrAuth::None => Ok(None),
            EhrAuth::Bearer => {
                let missing = "it wants a bearer token and none is stored for it: set one";
                let secret = self.credentials.secret.clone();
                secret.map(Some).ok_or_else(|| client.unsupported(missing.into()))
            }
            EhrAuth::ClientCredentials | EhrAuth::SmartBackend | EhrAuth::JwtBearer => {
                self.access_token(client, refused).await.map(Some)
            }
        }
    }

    async fn access_token(
        &self,
        client: &EhrClient,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, EhrError> {
        let before = self.asked.load(Ordering::Acquire);
        let mut held = self.held.lock().await;
        if let Some(token) = &held.token
            && client.now() < token.renew_at
            && refused.is_none_or(|refused| refused.expose_secret() != token.access.expose_secret())
        {
            return Ok(token.access.clone());
        }
        // Whoever waited for an asking that failed shares its failure: a dead server is not asked by each in turn.
        if self.asked.load(Ordering::Acquire) != before
            && let Some(error) = &held.failed
        {
            return Err(error.clone());
        }
        held.token = None;
        let obtained = self.obtain(client, &mut held.smart).await;
        self.asked.fetch_add(1, Ordering::AcqRel);
        match obtained {
            Ok(token) => {
                let access = token.access.clone();
                held.token = Some(token);
                held.failed = None;
                Ok(access)
            }
            Err(error) => {
                // What was read may be why: the server may have moved its token endpoint.
                held.smart = None;
                held.failed = Some(error.clone());
                Err(error)
            }
        }
    }
}
