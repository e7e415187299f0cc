//! Which version of a mapping a link uses.
//!
//! The versions of a mapping are numbered. Those below [`FIRST_SAVED_VERSION`] are the program's own; saved ones never
//! change. A scope (all links, those of one EHR, one link) points to a version. An [`Activation`] moves that pointer, and
//! rolling back is activating what was before.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::identity::digest;
use crate::{EhrName, Instant, InvalidId, LinkId};

/// The first version that a saved document can have. Smaller ones are the program's own.
pub const FIRST_SAVED_VERSION: u32 = 1000;

/// Whom an activation is for. Written `global`, `ehr:<name>`, `link:<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MappingScope {
    /// Every link.
    Global,
    /// The links of one EHR endpoint.
    Ehr(EhrName),
    /// One link.
    Link(LinkId),
}

impl fmt::Display for MappingScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("global"),
            Self::Ehr(ehr) => write!(f, "ehr:{ehr}"),
            Self::Link(link) => write!(f, "link:{link}"),
        }
    }
}

impl FromStr for MappingScope {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "global" => Ok(Self::Global),
            Some(("ehr", name)) => name.parse().map(Self::Ehr),
            Some(("link", id)) => id.parse().map(Self::Link),
            _ => Err(InvalidId::new("a mapping scope", "global, ehr:<name> or link:<id>", text)),
        }
    }
}

impl TryFrom<String> for MappingScope {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<MappingScope> for String {
    fn from(scope: MappingScope) -> String {
        scope.to_string()
    }
}

crate::id::schema!(
    MappingScope,
    None,
    Some("^(global|ehr:[a-z][a-z0-9-]{0,63}|link:[0-9a-fA-F-]{36})$"),
    "whom an activation is for: global, ehr:<name> or link:<id>"
);

/// A version that a share of a scope's links runs first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// The version.
    pub version: u32,
    /// How many links of a hundred run it, 1 to 100. Which ones: [`in_canary`].
    #[serde(deserialize_with = "percent")]
    pub percent: u8,
}

fn percent<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    let percent = u8::deserialize(from)?;
    if (1..=100).contains(&percent) {
        Ok(percent)
    } else {
        Err(serde::de::Error::custom(format!("percent must be 1 to 100, got {percent}")))
    }
}

/// What a scope points to, for one mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Activation {
    /// The name of the mapping, such as `withings/getmeas`.
    pub mapping: String,
    /// Whose pointer it is.
    pub scope: MappingScope,
    /// The version; `None` leaves it to the next wider scope, and at last to the program's own document.
    pub version: Option<u32>,
    /// What a share of the links runs instead of that. With `version: None`, the other links have what the next wider scope
    /// says, as if this scope had never been activated.
    pub canary: Option<Canary>,
    /// When it was activated.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Instant,
    /// By whom.
    pub by: String,
    /// Counts the activations of this mapping and scope, from 1.
    pub seq: i64,
}

/// Whether a link is among the `percent` of a hundred that run a canary of `mapping`.
///
/// Always the same for the same link and mapping, whatever the scope and the version: a link that was in stays in when the
/// percent is raised. 0 takes none, 100 and more take all.
pub fn in_canary(link: LinkId, mapping: &str, percent: u8) -> bool {
    let hash = digest("ohx-canary-v1", &[link.to_string().as_bytes(), mapping.as_bytes()]);
    // The first 64 bits: the remainder's bias is far below one link in a trillion.
    let number = hash.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    number % 100 < u64::from(percent)
}

/// The version of `mapping` that a link of `ehr` uses; `None` for the program's own.
///
/// The link's own activation counts first, then its EHR's, then the global one. In each, a canary counts for the links
/// that are [`in_canary`], then the version; where there is neither, the next wider scope is asked. Of several activations of
/// one scope the latest (by `seq`) counts.
pub fn choose(activations: &[Activation], mapping: &str, ehr: &EhrName, link: LinkId) -> Option<u32> {
    let current = |scope: &MappingScope| {
        let of_scope = activations.iter().filter(|a| a.mapping == mapping && a.scope == *scope);
        of_scope.max_by_key(|a| a.seq)
    };
    let scopes = [MappingScope::Link(link), MappingScope::Ehr(ehr.clone()), MappingScope::Global];
    scopes.iter().filter_map(current).find_map(|activation| {
        let canary = activation.canary.filter(|canary| in_canary(link, mapping, canary.percent));
        canary.map(|canary| canary.version).or(activation.version)
    })
}

#[cfg(test)]
#[path = "mapping_tests.rs"]
mod tests;
