//! The first answers to calls that carry a key of idempotency.
//!
//! ```text
//! begin() ─ Yours ──▶ work ──▶ finish(): the answer is kept until it expires
//!         │               └──▶ give_up(): it may be begun anew
//!         ├ UnderWay: somebody works on the same call
//!         ├ Answered: it was done; here is what was said
//!         └ Another: the key belongs to another call
//! ```

use async_trait::async_trait;
use ohx_domain::Instant;

use crate::Result;

/// A call that is to be done once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewCall<'a> {
    /// SHA-256 of the caller and the key.
    pub digest: [u8; 32],
    /// SHA-256 of the key and all of the call.
    pub fingerprint: [u8; 32],
    /// Who works on it.
    pub holder: &'a str,
    /// When it may be begun anew: whoever works on it is dead by then.
    pub until: Instant,
    /// When all of it is forgotten.
    pub expires_at: Instant,
}

/// What is known of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nothing: the caller does it.
    Yours,
    /// Somebody else works on it until then.
    UnderWay(Instant),
    /// It was done: the sealed answer.
    Answered(Vec<u8>),
    /// The key was used for another call.
    Another,
}

/// Calls that are done once.
#[async_trait]
pub trait Idempotency: Send + Sync {
    /// Begins a call, or says what is known of it. Of callers at the same moment one is told `Yours`. Expired calls are removed
    /// on the way.
    async fn begin_call(&self, call: &NewCall<'_>, now: Instant) -> Result<Begun>;

    /// Keeps the answer. `false` where `holder` does not work on it any more.
    async fn finish_call(&self, digest: &[u8; 32], holder: &str, sealed_answer: &[u8]) -> Result<bool>;

    /// Forgets a call that had no effect. `false` where `holder` does not work on it any more.
    async fn give_up_call(&self, digest: &[u8; 32], holder: &str) -> Result<bool>;
}
