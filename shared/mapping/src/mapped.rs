//! What goes into a mapping run besides the page, and what comes out of it.

use std::collections::BTreeMap;
use std::fmt;

use ohx_domain::{AccountPseudonym, Identifier, Instant, PatientReference, ProviderName};
use serde_json::value::RawValue;

/// Whose readings a page holds, and how this deployment names things.
#[derive(Debug, Clone)]
pub struct Context {
    /// What every identifier system and code system of this deployment begins with, a URL. A slash at its end is
    /// ignored.
    pub identifier_base: String,
    /// The provider app the page came from.
    pub provider: ProviderName,
    /// Stands for the patient's account there.
    pub account: AccountPseudonym,
    /// Whose readings they are.
    pub subject: PatientReference,
}

/// What became of a page.
#[derive(Clone, Default)]
pub struct Mapped {
    /// The Observations, in the order of the page's records and, within a record, of the document's readings.
    pub observations: Vec<MappedObservation>,
    /// What was left out, by reason: those of the document, and `unreadable`, `out-of-range`, `incomplete`,
    /// `conflicting`, `repeated`, `over-limit`, `no-records`, and `unmapped` with the item's key (`unmapped:12`).
    pub skipped: BTreeMap<String, u64>,
    /// How many records the page held.
    pub records: u64,
}

impl Mapped {
    pub(crate) fn skip(&mut self, reason: &str) {
        match self.skipped.get_mut(reason) {
            Some(count) => *count += 1,
            None => {
                self.skipped.insert(reason.to_owned(), 1);
            }
        }
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapped")
            .field("observations", &self.observations.len())
            .field("skipped", &self.skipped)
            .field("records", &self.records)
            .finish()
    }
}

/// One Observation, with what the next stages have to know without reading it.
#[derive(Clone)]
pub struct MappedObservation {
    /// `<identifier base>/<provider>/<system>`, and `<account pseudonym>.<record id>.<kind>`, followed by
    /// `.<position>` where the kind is measured at several positions and the record says which.
    pub identifier: Identifier,
    /// What the reading says: its kind, values, units, time, device, and whether it was typed in. Two versions of a
    /// reading that say the same have the same digest, whatever the mapping's version, the time zone it is written
    /// in, or when the provider issued it.
    pub digest: String,
    /// The kind of reading, in the words of the document.
    pub kind: String,
    /// When the provider last changed it.
    pub issued: Option<Instant>,
    /// When it was measured.
    pub taken: Instant,
    /// What it was measured with. None where it was typed in, or where the provider does not say.
    pub device: Option<DeviceFacts>,
    /// The Observation as JSON text, without `id` and without `device`.
    pub resource: Box<RawValue>,
}

impl fmt::Debug for MappedObservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedObservation")
            .field("identifier", &self.identifier)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// What a record says of the device, in the provider's words.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DeviceFacts {
    /// The provider's id of the device. Never empty.
    pub id: String,
    /// The name of its model.
    pub model: Option<String>,
    /// The provider's number of its model.
    pub model_id: Option<String>,
}

impl fmt::Debug for DeviceFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceFacts").field("model_id", &self.model_id).finish_non_exhaustive()
    }
}
