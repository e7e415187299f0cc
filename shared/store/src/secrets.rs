//! One-time tickets, token pairs and leases.

use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::{Instant, LinkId, ProviderName};

use crate::Result;

/// What a ticket is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TicketKind {
    /// The address that a patient is sent: begins a consent.
    Connect,
    /// OAuth `state`: ends a consent.
    State,
    /// The address of a patient's own page, to be kept.
    Page,
}

impl TicketKind {
    /// The kind as the stores write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::State => "state",
            Self::Page => "page",
        }
    }
}

/// Something that can be used once, or looked at until it expires. Only its SHA-256 is stored.
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
    /// When this pair was stored, where that is known.
    pub refreshed_at: Option<Instant>,
    /// When the provider first refused the link's tokens as dead, and when it last did, where none was taken since.
    pub refused: Option<(Instant, Instant)>,
}

/// What is known of an app's grants when one of them is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusals {
    /// When the provider first refused the present pair of the link.
    pub since: Instant,
    /// How many active links of the app were refused since the window's start, this one among them; at most 1000.
    pub refused: u32,
    /// How many links of the app have got a new pair since the window's start that was not refused since; at most 1000.
    pub refreshed: u32,
    /// Whether another link of the app has got a new pair since this one was first refused, that has been good for a while.
    pub vouched: bool,
    /// How many active links the app has; at most 1000.
    pub active: u32,
    /// Since when the app is held to be in an outage.
    pub outage: Option<Instant>,
}

/// Which of an app's other grants count as witnesses when one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witnesses {
    /// Refusals and refreshes since then.
    pub since: Instant,
    /// A new pair is good where it was stored at this moment or before, and not refused since.
    pub settled: Instant,
}

/// Whether an app's tokens may be refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutageGate {
    /// Yes: there is no outage.
    Open,
    /// Yes, by this caller alone: there is an outage, and this is how its end is found out.
    Probe,
    /// Not before so long.
    Wait(Duration),
}

/// Tickets, tokens and leases: what several processes have to agree on.
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
        now: Instant,
    ) -> Result<bool>;

    /// Notes that the provider refused the pair of `version` as dead, and gives what is known of the app's other links.
    /// `None` where the pair is another one by now, or the link is not active. The note outlives a new pair: only
    /// [`Secrets::trust`] and a consent end it.
    async fn note_refusal(
        &self,
        link: LinkId,
        version: i64,
        now: Instant,
        witnesses: Witnesses,
    ) -> Result<Option<Refusals>>;

    /// Notes that the provider has taken a link's token after all: forgets its refusals. Where its app was held to be in an
    /// outage, that is over (`true` for one caller), and the refusals of all of its links are forgotten.
    async fn trust(&self, link: LinkId) -> Result<bool>;

    /// Whether the tokens of an app may be refreshed now. In an outage one caller may try once every `pause`.
    async fn outage_gate(&self, app: &ProviderName, now: Instant, pause: Duration) -> Result<OutageGate>;

    /// Notes that an app is in an outage; the first try comes after `pause`. `true` for one caller: where it was not known.
    async fn begin_outage(&self, app: &ProviderName, now: Instant, pause: Duration) -> Result<bool>;

    /// Takes a lease for `holder` until `now + ttl`, if nobody else holds it. Asking again as the holder extends it.
    async fn acquire_lease(&self, name: &str, holder: &str, ttl: Duration, now: Instant) -> Result<bool>;

    /// Extends a lease until `now + ttl`, if nobody else has had it since `holder` took it: also where it has run out meanwhile.
    /// `false` tells that what was read under it may have changed.
    async fn extend_lease(&self, name: &str, holder: &str, ttl: Duration, now: Instant) -> Result<bool>;

    /// Gives a lease back, if `holder` still has it.
    async fn release_lease(&self, name: &str, holder: &str) -> Result<()>;
}
