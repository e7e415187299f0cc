//! Mapping documents: provider records to FHIR R5 Observations, as data.
//!
//! A document has two stages. `extract` says where the readings are in a provider's page, as a table whose leaves are
//! JMESPath; `observe` says what each kind of reading is in FHIR. `docs/mapping.md` has the vocabulary.
//!
//! [`Mapping::parse`] compiles a document once, and finds everything that is wrong with it. [`Mapping::map`] is then
//! linear in the page, cannot loop, and writes each Observation's JSON text directly: a number on the wire is never a
//! binary float on its way, so every printed digit arrives.

mod codesystem;
mod compile;
mod coverage;
mod diff;
mod document;
mod error;
mod example;
mod expr;
mod json;
mod json_text;
mod mapped;
mod plan;
mod run;
mod schema;
mod time;
mod units;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
#[cfg(test)]
#[path = "vocabulary_tests.rs"]
mod vocabulary_tests;

pub use codesystem::{CodeClash, CodeSystem, code_systems};
pub use coverage::{FieldUse, Survey};
pub use diff::{
    Change, Changed, Comparison, Difference, LeftOut, ReadingDifference, Side, compare, difference,
};
pub use error::{DocumentError, ExampleError, MapError};
pub use mapped::{Context, DeviceFacts, JsonText, Mapped, MappedObservation};
pub use plan::Mapping;
pub use schema::document_schema;

/// The largest page that is mapped at once, in bytes. Parts on their way through a broker are far smaller.
pub const MAX_PAGE_BYTES: usize = 16 * 1024 * 1024;

/// The documents that come with the program: provider type, record, text.
pub const BUILT_IN: &[(&str, &str, &str)] = &[
    ("withings", "getmeas", include_str!("../documents/withings/getmeas.yaml")),
    ("withings", "getactivity", include_str!("../documents/withings/getactivity.yaml")),
    ("withings", "getintradayactivity", include_str!("../documents/withings/getintradayactivity.yaml")),
    ("withings", "getworkouts", include_str!("../documents/withings/getworkouts.yaml")),
    ("withings", "sleep-get", include_str!("../documents/withings/sleep-get.yaml")),
    ("withings", "sleep-getsummary", include_str!("../documents/withings/sleep-getsummary.yaml")),
    ("withings", "heart-list", include_str!("../documents/withings/heart-list.yaml")),
    ("withings", "heart-get", include_str!("../documents/withings/heart-get.yaml")),
];

/// The mapping document that comes with the program for a provider type and one of its records.
pub fn builtin(provider_kind: &str, record: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(p, r, _)| (*p, *r) == (provider_kind, record)).map(|(_, _, text)| *text)
}

impl Mapping {
    /// The document's name: the provider type and the record, such as `withings/getmeas`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The document's version, from 1.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The kinds of reading it can yield, in its order.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kinds.iter().map(|k| &*k.name)
    }
}

impl std::fmt::Debug for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mapping")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
