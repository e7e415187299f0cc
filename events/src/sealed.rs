//! Data with health values: it travels sealed, and these types print as placeholders.

use std::collections::BTreeMap;
use std::fmt;

use ohx_domain::{EhrName, Identifier, Instant, Interval, ProviderName, Record, RequestId, RunId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A part of what a provider answered, in the provider's own words.
#[derive(Clone, Serialize, Deserialize)]
pub struct FetchedPart {
    /// The row of the ledger.
    pub request: RequestId,
    /// Which run of it.
    pub run: RunId,
    /// Which part of the run, from 0.
    pub part: u32,
    /// The provider app.
    pub provider: ProviderName,
    /// Which record.
    pub record: Record,
    /// The times that the part covers completely: every reading of the record in them is in it. Absent where nothing is
    /// claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covers: Option<Interval>,
    /// Readings of this window that are not in this part were taken back: it was read as a whole, because the provider said
    /// that some were removed. Then the part may be `null`: nothing is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Interval>,
    /// A page of the provider's answer, or a piece of one, untouched: numbers keep every digit.
    pub page: Box<RawValue>,
}

impl fmt::Debug for FetchedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchedPart")
            .field("request", &self.request)
            .field("part", &self.part)
            .finish_non_exhaustive()
    }
}

/// The resources that a part was mapped to, or a piece of them.
#[derive(Clone, Serialize, Deserialize)]
pub struct MappedPiece {
    /// The row of the ledger.
    pub request: RequestId,
    /// Which run of it.
    pub run: RunId,
    /// Which part of the run, from 0.
    pub part: u32,
    /// Which piece of the part, from 0.
    pub piece: u32,
    /// How many pieces the part was cut into.
    pub pieces: u32,
    /// Which record.
    pub record: Record,
    /// The EHR endpoint that they go to; absent for the link's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ehr: Option<EhrName>,
    /// The mapping document and its version, such as `withings/getmeas 3`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mapping: String,
    /// What was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
    /// The devices that the observations refer to, by their identifier.
    pub devices: Vec<MappedResource>,
    /// The observations.
    pub observations: Vec<MappedResource>,
    /// What the mapping left out, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<String, u64>,
}

/// Readings that the provider has no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// When they were measured, from first to last moment.
    pub window: Interval,
    /// The system of their identifiers.
    pub system: String,
    /// What their identifiers' values begin with: the account's pseudonym and a full stop.
    pub owner: String,
    /// The identifier values of those that are still there.
    pub kept: Vec<String>,
}

impl fmt::Debug for MappedPiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedPiece")
            .field("request", &self.request)
            .field("part", &self.part)
            .field("piece", &self.piece)
            .field("observations", &self.observations.len())
            .finish_non_exhaustive()
    }
}

/// One FHIR resource on its way to the EHR, with what `publish` has to know without reading it.
#[derive(Clone, Serialize, Deserialize)]
pub struct MappedResource {
    /// What makes it the same resource.
    pub identifier: Identifier,
    /// What it says, as a digest: equal digests need no new version at the EHR.
    pub digest: String,
    /// The version of the provider's reading: an older one never overwrites a newer one. Absent for devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Instant>,
    /// When it was measured. Absent for devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Instant>,
    /// The identifier of the device it was measured with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Identifier>,
    /// Whether what the EHR has stays as it is: what a reading says of a device never replaces what the provider's own list
    /// says of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_if_missing: bool,
    /// The resource as JSON text, without `id`; a reference to its device is put in by `publish`.
    pub resource: Box<RawValue>,
}

impl fmt::Debug for MappedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedResource").field("identifier", &self.identifier).finish_non_exhaustive()
    }
}
