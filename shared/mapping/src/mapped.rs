//! What goes into a mapping run besides the page, and what comes out of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ohx_domain::{AccountPseudonym, Identifier, Instant, Interval, PatientReference, ProviderName};
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
    /// The times of which the page is known to hold everything: what a document gathers by the hour or the day is
    /// made only within them. None: nothing is gathered.
    pub covers: Option<Interval>,
}

/// What became of a page.
#[derive(Clone, Default)]
pub struct Mapped {
    /// The Observations, in the order of the page's records and, within a record, of the document's readings.
    pub observations: Vec<MappedObservation>,
    /// What was left out, by reason (`docs/mapping.md` lists them): those of the document, those of the engine, and
    /// `unmapped` with the item's key (`unmapped:12`).
    pub skipped: BTreeMap<String, u64>,
    /// How many records the page held.
    pub records: u64,
    /// How often something was left out.
    pub(crate) left_out: u64,
}

impl Mapped {
    pub(crate) fn skip(&mut self, reason: &str) {
        self.left_out += 1;
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
    pub kind: Arc<str>,
    /// When the provider last changed it.
    pub issued: Option<Instant>,
    /// When it was measured.
    pub taken: Instant,
    /// What it was measured with. None where it was typed in, or where the provider does not say.
    pub device: Option<Arc<DeviceFacts>>,
    /// The Observation as JSON text, without `id` and without `device`.
    pub resource: JsonText,
}

/// A JSON text that was written here. It holds health values, and prints as a placeholder.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonText(String);

impl JsonText {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn get(&self) -> &str {
        &self.0
    }

    /// The text as `serde_json` passes it on untouched.
    ///
    /// # Errors
    /// Where it is no JSON: a defect of the engine, which its tests and fuzz targets look for.
    pub fn into_raw(self) -> Result<Box<RawValue>, serde_json::Error> {
        RawValue::from_string(self.0)
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsonText(..)")
    }
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
