//! Saved mapping documents, and which of their versions is active for whom.
//!
//! Documents come here checked. What a link uses is decided by `ohx_domain::choose` over [`Mappings::activations`].

use async_trait::async_trait;
use ohx_domain::{Activation, Canary, Instant, MappingScope};

use crate::Result;

/// A document to save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMapping {
    /// The name that stands in the document, such as `withings/getmeas`.
    pub name: String,
    /// Its text.
    pub document: String,
    /// What changed, for a person.
    pub note: Option<String>,
    /// Who saves it.
    pub by: String,
}

/// A saved document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedMapping {
    /// The name of the mapping.
    pub name: String,
    /// Its version, at least [`ohx_domain::FIRST_SAVED_VERSION`].
    pub version: u32,
    /// Its text.
    pub document: String,
    /// What changed, for a person.
    pub note: Option<String>,
    /// When it was saved.
    pub saved_at: Instant,
    /// By whom.
    pub saved_by: String,
}

/// A saved document without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingSummary {
    /// The name of the mapping.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// What changed, for a person.
    pub note: Option<String>,
    /// When it was saved.
    pub saved_at: Instant,
    /// By whom.
    pub saved_by: String,
}

/// Which saved documents to list.
#[derive(Debug, Clone, Default)]
pub struct MappingFilter {
    /// Only of this name.
    pub name: Option<String>,
    /// Only what comes after this name and version.
    pub after: Option<(String, u32)>,
    /// At most so many, 1 to 1000.
    pub limit: u32,
}

/// A pointer to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewActivation {
    /// The name of the mapping.
    pub mapping: String,
    /// Whose pointer.
    pub scope: MappingScope,
    /// The version; `None` leaves it to the next wider scope.
    pub version: Option<u32>,
    /// What a share of the links runs instead.
    pub canary: Option<Canary>,
    /// Who activates it.
    pub by: String,
    /// The `seq` of the activation that this one is to follow, 0 where there is none yet; `None` follows any.
    pub expected_seq: Option<i64>,
}

/// Mappings. Nothing here is ever changed or removed: a rollback is one more activation.
#[async_trait]
pub trait Mappings: Send + Sync {
    /// Saves a document under the version that stands in it. The very same text under the same version again changes
    /// nothing, and keeps the first note.
    ///
    /// # Errors
    /// [`StoreError::Conflict`](crate::StoreError::Conflict) where the version is below
    /// [`ohx_domain::FIRST_SAVED_VERSION`] or not above every saved one of that name, or where name or text hold U+0000.
    async fn save_mapping(&self, new: &NewMapping, version: u32, at: Instant) -> Result<()>;

    /// One saved document.
    async fn mapping(&self, name: &str, version: u32) -> Result<Option<SavedMapping>>;

    /// Saved documents, by name, of each name the newest version first.
    async fn mappings(&self, filter: &MappingFilter) -> Result<Vec<MappingSummary>>;

    /// The newest saved version of a name.
    async fn latest_mapping_version(&self, name: &str) -> Result<Option<u32>>;

    /// Moves a pointer, and adds that to the history. Of several at once each has its own `seq`, without gaps.
    ///
    /// # Errors
    /// [`StoreError::NotFound`](crate::StoreError::NotFound) where the version or the canary's is one that would have to be
    /// saved and is not (the program's own versions are not checked here);
    /// [`StoreError::Conflict`](crate::StoreError::Conflict) where another activation than `expected_seq` is the
    /// latest, where the canary's percent is not 1 to 100, or where the name holds U+0000.
    async fn activate(&self, new: &NewActivation, at: Instant) -> Result<Activation>;

    /// What every scope points to now, only of one mapping where that is given; by mapping and scope. One row a scope,
    /// however long the history is. A scope that was reset stays in the list, with neither version nor canary.
    async fn activations(&self, mapping: Option<&str>) -> Result<Vec<Activation>>;

    /// What a scope has pointed to before the activation of that `seq`, newest first, at most `limit` (1 to 1000).
    async fn activation_history(
        &self,
        mapping: &str,
        scope: &MappingScope,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Activation>>;
}
