//! What a provider app's records are to a patient.
//!
//! A record that is added gets its line here; a test holds every record of every provider, and every kind of reading that
//! the built-in mappings make of it, against this table.

use ohx_providers::{RecordSpec, mapped_as};

use crate::words::Topics;

/// A kind of data, in the order that a page lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    Body,
    BloodPressure,
    HeartRate,
    HeartRhythm,
    Oxygen,
    Breathing,
    Temperature,
    Glucose,
    Activity,
    Workouts,
    Fitness,
    Sleep,
    Vessels,
    Urine,
}

impl Topic {
    /// Its words.
    pub(crate) const fn words(self, topics: &Topics) -> &'static str {
        match self {
            Self::Body => topics.body,
            Self::BloodPressure => topics.blood_pressure,
            Self::HeartRate => topics.heart_rate,
            Self::HeartRhythm => topics.heart_rhythm,
            Self::Oxygen => topics.oxygen,
            Self::Breathing => topics.breathing,
            Self::Temperature => topics.temperature,
            Self::Glucose => topics.glucose,
            Self::Activity => topics.activity,
            Self::Workouts => topics.workouts,
            Self::Fitness => topics.fitness,
            Self::Sleep => topics.sleep,
            Self::Vessels => topics.vessels,
            Self::Urine => topics.urine,
        }
    }
}

/// What a record of a type of provider may hold.
fn of_record(kind: &str, record: &str) -> &'static [Topic] {
    use Topic::*;
    match (mapped_as(kind), record) {
        ("withings", "getmeas") => {
            &[Body, BloodPressure, HeartRate, HeartRhythm, Oxygen, Temperature, Fitness, Vessels, Urine]
        }
        ("withings", "getactivity") => &[Activity, HeartRate],
        ("withings", "getintradayactivity") => &[Activity, HeartRate, Oxygen, Breathing, Temperature],
        ("withings", "getworkouts") => &[Workouts],
        ("withings", "sleep-get" | "sleep-getsummary") => &[Sleep, HeartRate, Breathing],
        ("withings", "heart-list" | "heart-get") => &[HeartRhythm],
        ("omron", "bloodpressure") => &[BloodPressure, HeartRate, HeartRhythm],
        ("omron", "weight") => &[Body],
        ("omron", "activity") => &[Activity],
        ("omron", "temperature") => &[Temperature],
        ("omron", "oxygen") => &[Oxygen, HeartRate],
        ("beurer", "blood-pressure") => &[BloodPressure, HeartRate],
        ("beurer", "weight") => &[Body, HeartRate],
        ("beurer", "temperature") => &[Temperature],
        ("beurer", "glucose") => &[Glucose],
        ("beurer", "oxygen-saturation") => &[Oxygen, HeartRate],
        ("fitbit", "weight" | "body-fat" | "height") => &[Body],
        ("fitbit", "heart-rate" | "heart-rate-variability" | "daily-resting-heart-rate")
        | ("fitbit", "daily-heart-rate-variability") => &[HeartRate],
        ("fitbit", "oxygen-saturation" | "daily-oxygen-saturation") => &[Oxygen],
        ("fitbit", "daily-respiratory-rate") => &[Breathing],
        ("fitbit", "core-body-temperature" | "daily-sleep-temperature-derivations") => &[Temperature],
        ("fitbit", "blood-glucose") => &[Glucose],
        ("fitbit", "vo2-max" | "daily-vo2-max" | "run-vo2-max") => &[Fitness],
        ("fitbit", "sleep") => &[Sleep],
        ("fitbit", "exercise") => &[Workouts],
        ("fitbit", "electrocardiogram") => &[HeartRhythm],
        ("fitbit", "steps" | "distance" | "floors" | "total-calories" | "active-energy-burned")
        | ("fitbit", "active-minutes" | "active-zone-minutes") => &[Activity],
        ("fitbit-legacy", "weight" | "fat") => &[Body],
        ("fitbit-legacy", "heart" | "heart-intraday" | "hrv") => &[HeartRate],
        ("fitbit-legacy", "spo2") => &[Oxygen],
        ("fitbit-legacy", "br") => &[Breathing],
        ("fitbit-legacy", "sleep") => &[Sleep],
        ("fitbit-legacy", "activities") => &[Activity],
        ("fitbit-legacy", "exercise") => &[Workouts],
        ("fitbit-legacy", "temp-skin" | "temp-core") => &[Temperature],
        ("fitbit-legacy", "cardioscore") => &[Fitness],
        ("fitbit-legacy", "ecg") => &[HeartRhythm],
        _ => &[],
    }
}

/// What these records of a type of provider may hold, each once.
pub(crate) fn of(kind: &str, records: &[RecordSpec]) -> Vec<Topic> {
    let each = records.iter().flat_map(|spec| of_record(kind, spec.record.as_str()));
    let mut topics: Vec<Topic> = each.copied().collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a kind of reading is to a patient.
    fn of_reading(kind: &str) -> Option<Topic> {
        let begins = |with: &[&str]| with.iter().any(|start| kind.starts_with(start));
        Some(match kind {
            "sleep" | "sleep-state" | "apnea-hypopnea-index" => Topic::Sleep,
            "workout" => Topic::Workouts,
            "blood-pressure" => Topic::BloodPressure,
            "hba1c" => Topic::Glucose,
            "perfusion-index" => Topic::Oxygen,
            "metabolic-age" | "basal-metabolic-rate" | "resting-metabolism" | "height" => Topic::Body,
            "possible-afib" | "rhythm-classification" => Topic::HeartRhythm,
            "core-temperature-estimate" | "body-temperature" => Topic::Temperature,
            _ if begins(&["sleep-heart-rate", "sleep-hrv", "heart-rate", "resting-heart", "hrv-"]) => {
                Topic::HeartRate
            }
            _ if begins(&["respiratory-rate", "breathing-", "chest-movement", "sleep-respiratory"]) => {
                Topic::Breathing
            }
            _ if begins(&["sleep-", "withings-index"]) => Topic::Sleep,
            _ if begins(&["ecg", "qrs-", "pr-interval", "qt"]) => Topic::HeartRhythm,
            _ if begins(&["glucose"]) => Topic::Glucose,
            _ if begins(&["oxygen-saturation"]) => Topic::Oxygen,
            _ if begins(&["skin-temperature"]) => Topic::Temperature,
            _ if begins(&["vo2max"]) => Topic::Fitness,
            _ if begins(&["urine-"]) => Topic::Urine,
            _ if begins(&["pulse-wave", "vascular-", "nerve-", "electrodermal", "skin-conductance"]) => {
                Topic::Vessels
            }
            _ if begins(&[
                "steps",
                "distance",
                "floors",
                "active-",
                "total-energy",
                "activity-",
                "swim-",
            ]) || begins(&["pool-", "aerobic-"]) =>
            {
                Topic::Activity
            }
            _ if begins(&["body-", "bmi", "bone-", "extracellular", "fat-", "intracellular", "muscle-"])
                || begins(&["protein-", "segment-", "skeletal-", "soft-lean", "visceral-"]) =>
            {
                Topic::Body
            }
            _ => return None,
        })
    }

    #[test]
    fn every_record_of_every_provider_has_words() {
        for kind in ohx_providers::KINDS {
            for record in kind.records {
                assert!(!of_record(kind.name, record).is_empty(), "{} {record}", kind.name);
            }
        }
    }

    #[test]
    fn what_a_record_is_mapped_to_is_what_the_patient_is_told() {
        for (kind, record, document) in ohx_mapping::BUILT_IN {
            let told = of_record(kind, record);
            let mut made = Vec::new();
            for measure in ohx_mapping::measures(document).unwrap() {
                let topic = of_reading(&measure.kind);
                let topic = topic.unwrap_or_else(|| panic!("{kind} {record}: what is {}?", measure.kind));
                assert!(told.contains(&topic), "{kind} {record}: {} is {topic:?}", measure.kind);
                made.push(topic);
            }
            for topic in told {
                assert!(made.contains(topic), "{kind} {record}: nothing of it is {topic:?}");
            }
        }
    }
}
