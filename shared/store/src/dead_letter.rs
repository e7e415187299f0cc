//! What could not be done: the envelope and the reason, never the payload.

use async_trait::async_trait;
use ohx_domain::{Instant, LinkId, RequestId};

use crate::Result;

/// An event, or one resource of it, that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// What makes it the same letter when it comes again: an event id, or a resource's identifier.
    pub key: String,
    /// The CloudEvents type it came with.
    pub event_type: String,
    /// The function that could not do it.
    pub function: String,
    /// Whose it was, where that is known.
    pub link: Option<LinkId>,
    /// Which request it belonged to, where that is known.
    pub request: Option<RequestId>,
    /// What happened and what to do, for a person. Never a health value.
    pub reason: String,
    /// How often it has come.
    pub attempts: u32,
    /// When it last came.
    pub at: Instant,
}

/// The dead letters.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Keeps a letter. One with the same key and function replaces the earlier one, and adds up the attempts.
    async fn bury(&self, letter: &DeadLetter) -> Result<()>;

    /// The latest letters, newest first, at most `limit`; only of one link where that is given.
    async fn dead_letters(&self, link: Option<LinkId>, limit: u32) -> Result<Vec<DeadLetter>>;

    /// Forgets a letter, because what it stood for has been done. `false` where there was none.
    async fn unbury(&self, key: &str, function: &str) -> Result<bool>;
}
