//! Stretches of nights: the state, and what was measured each minute.

use std::collections::BTreeMap;

use super::{Common, Kind, OWN, Reading, UTC, When};
use crate::withings::data::Account;
use crate::withings::figures::Visible;
use crate::withings::life::{Night, Stage};
use crate::withings::sleep::EXTRAS;

/// Kind, code, data field, unit, and whether 0 says that there is none.
const SAMPLES: &[(Kind, &str, &str, &str, bool)] = &[
    ("sleep-heart-rate-samples", "8867-4", "hr", "/min", true),
    ("sleep-respiratory-rate-samples", "9279-1", "rr", "/min", true),
    ("sleep-snoring-samples", "sleep-snoring", "snoring", "s", false),
    ("sleep-hrv-sdnn-samples", "112429-6", "sdnn_1", "ms", true),
    ("sleep-hrv-rmssd-samples", "hrv-rmssd", "rmssd", "ms", true),
    ("sleep-movement-samples", "sleep-movement-score", "mvt_score", "{score}", false),
    ("sleep-chest-movement-samples", "chest-movement-rate", "chest_movement_rate", "/min", true),
    ("sleep-withings-index-samples", "withings-index", "withings_index", "/h", false),
    ("sleep-breathing-sounds-samples", "sleep-breathing-sound-samples", "breathing_sounds", "{score}", false),
    ("sleep-hrv-quality-samples", "hrv-quality", "hrv_quality", "{score}", false),
];

fn state(state: i64) -> Option<&'static str> {
    Some(match state {
        0 => "awake",
        1 => "light",
        2 => "deep",
        3 => "rem",
        4 => "manual",
        5 => "unspecified",
        15 => "out-of-bed",
        _ => return None,
    })
}

/// The samples in order of time, with their offsets from the start.
fn sampled(stage: &Stage, field: &str, unit: &str, zero_is_none: bool) -> Option<String> {
    // One a second: the last counts, as in the map that the wire has.
    let by_second: BTreeMap<i64, i64> = stage.series.get(field)?.iter().copied().collect();
    let told = || by_second.iter().filter(|(_, value)| !(zero_is_none && **value == 0));
    let joined =
        |numbers: &mut dyn Iterator<Item = i64>| numbers.map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    let data = joined(&mut told().map(|(_, value)| *value));
    let offsets = joined(&mut told().map(|(at, _)| at - stage.startdate));
    (!data.is_empty()).then(|| format!("{data} {unit} at {offsets} s"))
}

/// Withings names no zone beside them.
pub(super) fn readings(account: &Account) -> Vec<Reading> {
    let visible = Visible::all(!account.life.basic, EXTRAS);
    let of = |(night, stage): (&Night, &Stage)| {
        let device = account.device(night.modelid).unwrap_or("none");
        let from = Common {
            record: "sleep-get",
            id: format!("{}-{device}", stage.startdate),
            when: When::lasting(stage.startdate, Some(stage.enddate)),
            zone: &UTC,
            preliminary: false,
        };
        let one = |text: Option<String>| text.map(|text| (OWN, text)).into_iter().collect();
        let state = from.reading("sleep-state", "sleep-state", one(state(stage.state).map(str::to_owned)));
        let samples = SAMPLES.iter().filter(|(_, _, field, ..)| visible.sees(field)).filter_map(
            |(kind, code, field, unit, zero_is_none)| {
                from.reading(kind, code, one(sampled(stage, field, unit, *zero_is_none)))
            },
        );
        state.into_iter().chain(samples).collect::<Vec<_>>()
    };
    let stages = account.life.nights.values().flat_map(|n| n.stages.iter().map(move |stage| (n, stage)));
    stages.filter(|(_, stage)| stage.startdate < stage.enddate).flat_map(of).collect()
}
