//! What is sealed under the keyring, and how it comes under another key of it.

use async_trait::async_trait;

use crate::Result;

/// Where a sealed value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SealedIn {
    /// The secrets of a provider app; the row is its name.
    Providers,
    /// The secret of an EHR endpoint; the row is its name.
    Ehrs,
    /// The data key of a link; the row is its id.
    LinkKeys,
    /// A private signing key; the row is its id.
    SigningKeys,
    /// What a provider can still be told with of a link that has ended; the row is the link's id and the end's number,
    /// with a slash between.
    Erasures,
    /// An answer that is kept for a call with a key of idempotency; the row is the call's digest, in hexadecimal.
    Answers,
}

impl SealedIn {
    /// Everything that is sealed under the keyring.
    pub const ALL: [Self; 6] =
        [Self::Providers, Self::Ehrs, Self::LinkKeys, Self::SigningKeys, Self::Erasures, Self::Answers];

    /// For a person.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Providers => "provider secrets",
            Self::Ehrs => "EHR secrets",
            Self::LinkKeys => "links' data keys",
            Self::SigningKeys => "signing keys",
            Self::Erasures => "grants of ended links",
            Self::Answers => "kept answers",
        }
    }
}

/// A sealed value, and its row.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedRow {
    /// The row's key.
    pub row: String,
    /// The sealed value.
    pub sealed: Vec<u8>,
}

/// Bringing what is sealed under another key.
#[async_trait]
pub trait Rewrap: Send + Sync {
    /// The sealed values there, after the row `after` in the order of the rows, at most `limit`.
    async fn sealed_rows(&self, place: SealedIn, after: &str, limit: u32) -> Result<Vec<SealedRow>>;

    /// Replaces a sealed value if it still is the one given, durably. `false` where somebody has changed it, or it is gone:
    /// then theirs holds.
    async fn rewrap(&self, place: SealedIn, row: &SealedRow, with: &[u8]) -> Result<bool>;
}
