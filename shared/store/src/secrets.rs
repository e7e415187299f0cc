//! One-time tickets, token pairs, leases and quotas.

use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::{Instant, LinkId};

use crate::Result;

/// What a ticket is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TicketKind {
    /// The address that a patient is sent: begins a consent.
    Connect,
    /// OAuth `state`: ends a consent.
    State,
}

impl TicketKind {
    /// The kind as the stores write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::State => "state",
        }
    }
}

/// Something that can be used once, before it expires. Only its SHA-256 is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// SHA-256 of the random text.
    pub digest: [u8; 32],
    /// What it is good for.
    pub kind: TicketKind,
    /// Whose it is.
    pub link: LinkId,
    /// From when on it is void.
    pub expires_at: Instant,
}

/// A link's token pair, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTokens {
    /// Both tokens, sealed under the link's data key.
    pub sealed: Vec<u8>,
    /// When the access token ends.
    pub expires_at: Instant,
    /// Counts the pairs this link has had: the fencing token of a refresh.
    pub version: i64,
}

/// How fast a bucket refills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Calls a minute, at least 1.
    pub per_minute: u32,
    /// Calls that may come at once, at least 1.
    pub burst: u32,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// Yes: it is counted.
    Granted,
    /// Not before so long.
    Wait(Duration),
}

/// Tickets, tokens, leases and quotas: what several processes have to agree on.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// Stores a ticket. Expired ones are removed on the way.
    async fn put_ticket(&self, ticket: &Ticket, now: Instant) -> Result<()>;

    /// Uses a ticket up: `Some` exactly once, and only before it expires.
    async fn take_ticket(&self, digest: &[u8; 32], kind: TicketKind, now: Instant) -> Result<Option<LinkId>>;

    /// Reads a ticket without using it up.
    async fn peek_ticket(&self, digest: &[u8; 32], kind: TicketKind, now: Instant) -> Result<Option<LinkId>>;

    /// A link's token pair.
    async fn tokens(&self, link: LinkId) -> Result<Option<StoredTokens>>;

    /// Replaces a link's token pair if it still is the one of `version`, durably, and makes it `version + 1`.
    /// `false` where somebody else was first.
    async fn replace_tokens(
        &self,
        link: LinkId,
        version: i64,
        sealed: &[u8],
        expires_at: Instant,
    ) -> Result<bool>;

    /// Takes a lease for `holder` until `now + ttl`, if nobody else holds it. Asking again as the holder extends it.
    async fn acquire_lease(&self, name: &str, holder: &str, ttl: Duration, now: Instant) -> Result<bool>;

    /// Gives a lease back, if `holder` still has it.
    async fn release_lease(&self, name: &str, holder: &str) -> Result<()>;

    /// Takes one call out of a shared bucket (generic cell rate algorithm, one row a bucket).
    async fn take_quota(&self, bucket: &str, rate: Rate, now: Instant) -> Result<Quota>;

    /// Empties a bucket until `until`: the provider said "too many requests".
    async fn drain_quota(&self, bucket: &str, until: Instant) -> Result<()>;
}
