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
mod measures;
mod plan;
mod run;
mod schema;
mod time;
mod units;

#[cfg(test)]
#[path = "fitbit_tests.rs"]
mod fitbit_tests;
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
pub use measures::{Measure, measures};
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
    ("beurer", "blood-pressure", include_str!("../documents/beurer/blood-pressure.yaml")),
    ("beurer", "weight", include_str!("../documents/beurer/weight.yaml")),
    ("beurer", "temperature", include_str!("../documents/beurer/temperature.yaml")),
    ("beurer", "glucose", include_str!("../documents/beurer/glucose.yaml")),
    ("beurer", "oxygen-saturation", include_str!("../documents/beurer/oxygen-saturation.yaml")),
    ("fitbit", "weight", include_str!("../documents/fitbit/weight.yaml")),
    ("fitbit", "body-fat", include_str!("../documents/fitbit/body-fat.yaml")),
    ("fitbit", "height", include_str!("../documents/fitbit/height.yaml")),
    ("fitbit", "heart-rate", include_str!("../documents/fitbit/heart-rate.yaml")),
    ("fitbit", "daily-resting-heart-rate", include_str!("../documents/fitbit/daily-resting-heart-rate.yaml")),
    ("fitbit", "heart-rate-variability", include_str!("../documents/fitbit/heart-rate-variability.yaml")),
    (
        "fitbit",
        "daily-heart-rate-variability",
        include_str!("../documents/fitbit/daily-heart-rate-variability.yaml"),
    ),
    ("fitbit", "oxygen-saturation", include_str!("../documents/fitbit/oxygen-saturation.yaml")),
    ("fitbit", "daily-oxygen-saturation", include_str!("../documents/fitbit/daily-oxygen-saturation.yaml")),
    ("fitbit", "daily-respiratory-rate", include_str!("../documents/fitbit/daily-respiratory-rate.yaml")),
    (
        "fitbit",
        "daily-sleep-temperature-derivations",
        include_str!("../documents/fitbit/daily-sleep-temperature-derivations.yaml"),
    ),
    ("fitbit", "core-body-temperature", include_str!("../documents/fitbit/core-body-temperature.yaml")),
    ("fitbit", "blood-glucose", include_str!("../documents/fitbit/blood-glucose.yaml")),
    ("fitbit", "vo2-max", include_str!("../documents/fitbit/vo2-max.yaml")),
    ("fitbit", "daily-vo2-max", include_str!("../documents/fitbit/daily-vo2-max.yaml")),
    ("fitbit", "run-vo2-max", include_str!("../documents/fitbit/run-vo2-max.yaml")),
    ("fitbit", "sleep", include_str!("../documents/fitbit/sleep.yaml")),
    ("fitbit", "exercise", include_str!("../documents/fitbit/exercise.yaml")),
    ("fitbit", "electrocardiogram", include_str!("../documents/fitbit/electrocardiogram.yaml")),
    ("fitbit", "steps", include_str!("../documents/fitbit/steps.yaml")),
    ("fitbit", "distance", include_str!("../documents/fitbit/distance.yaml")),
    ("fitbit", "active-energy-burned", include_str!("../documents/fitbit/active-energy-burned.yaml")),
    ("fitbit", "active-minutes", include_str!("../documents/fitbit/active-minutes.yaml")),
    ("fitbit", "active-zone-minutes", include_str!("../documents/fitbit/active-zone-minutes.yaml")),
    ("fitbit", "floors", include_str!("../documents/fitbit/floors.yaml")),
    ("fitbit", "total-calories", include_str!("../documents/fitbit/total-calories.yaml")),
    ("omron", "bloodpressure", include_str!("../documents/omron/bloodpressure.yaml")),
    ("omron", "weight", include_str!("../documents/omron/weight.yaml")),
    ("omron", "activity", include_str!("../documents/omron/activity.yaml")),
    ("omron", "temperature", include_str!("../documents/omron/temperature.yaml")),
    ("omron", "oxygen", include_str!("../documents/omron/oxygen.yaml")),
    ("fitbit-legacy", "weight", include_str!("../documents/fitbit-legacy/weight.yaml")),
    ("fitbit-legacy", "fat", include_str!("../documents/fitbit-legacy/fat.yaml")),
    ("fitbit-legacy", "heart", include_str!("../documents/fitbit-legacy/heart.yaml")),
    ("fitbit-legacy", "heart-intraday", include_str!("../documents/fitbit-legacy/heart-intraday.yaml")),
    ("fitbit-legacy", "hrv", include_str!("../documents/fitbit-legacy/hrv.yaml")),
    ("fitbit-legacy", "spo2", include_str!("../documents/fitbit-legacy/spo2.yaml")),
    ("fitbit-legacy", "br", include_str!("../documents/fitbit-legacy/br.yaml")),
    ("fitbit-legacy", "sleep", include_str!("../documents/fitbit-legacy/sleep.yaml")),
    ("fitbit-legacy", "activities", include_str!("../documents/fitbit-legacy/activities.yaml")),
    ("fitbit-legacy", "exercise", include_str!("../documents/fitbit-legacy/exercise.yaml")),
    ("fitbit-legacy", "temp-skin", include_str!("../documents/fitbit-legacy/temp-skin.yaml")),
    ("fitbit-legacy", "temp-core", include_str!("../documents/fitbit-legacy/temp-core.yaml")),
    ("fitbit-legacy", "cardioscore", include_str!("../documents/fitbit-legacy/cardioscore.yaml")),
    ("fitbit-legacy", "ecg", include_str!("../documents/fitbit-legacy/ecg.yaml")),
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

    /// The system of the identifiers that it gives, for a context.
    pub fn system(&self, context: &Context) -> String {
        let base = context.identifier_base.trim_end_matches('/');
        format!("{base}/{}/{}", context.provider, self.system)
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
