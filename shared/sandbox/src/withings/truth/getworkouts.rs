//! Workouts, of whatever brought them.

use ohx_domain::decimal::Exact;

use super::Rule::{NonZero, Same};
use super::{Common, Fields, OWN, Reading, Rule, When, divided, values};
use crate::withings::activity::WORKOUT_EXTRAS;
use crate::withings::data::Account;
use crate::withings::figures::Visible;
use crate::withings::life::{Workout, zone};

const FIELDS: &[(&str, &str, Rule, &str)] = &[
    ("exercise-paused", "pause_duration", Same, "s"),
    ("exercise-paused-detected", "algo_pause_duration", Same, "s"),
    ("41981-2", "calories", Same, "kcal"),
    ("energy-reported", "manual_calories", NonZero, "kcal"),
    ("103208-5", "distance", Same, "m"),
    ("distance-reported", "manual_distance", NonZero, "m"),
    ("55423-8", "steps", Same, "{steps}"),
    ("100304-5", "elevation", Same, "{flight}"),
    ("exercise-intensity", "intensity", Same, "{score}"),
    ("heart-rate-mean", "hr_average", NonZero, "/min"),
    ("heart-rate-minimum", "hr_min", NonZero, "/min"),
    ("heart-rate-maximum", "hr_max", NonZero, "/min"),
    ("heart-rate-zone-0", "hr_zone_0", Same, "s"),
    ("heart-rate-zone-1", "hr_zone_1", Same, "s"),
    ("heart-rate-zone-2", "hr_zone_2", Same, "s"),
    ("heart-rate-zone-3", "hr_zone_3", Same, "s"),
    ("103209-3", "spo2_average", NonZero, "%"),
    ("pool-laps", "pool_laps", Same, "{laps}"),
    ("swim-strokes", "strokes", Same, "{strokes}"),
    ("pool-length", "pool_length", NonZero, "m"),
    ("core-temperature-mean", "core_body_temperature_avg", NonZero, "Cel"),
    ("core-temperature-minimum", "core_body_temperature_min", NonZero, "Cel"),
    ("core-temperature-maximum", "core_body_temperature_max", NonZero, "Cel"),
];
const WORKOUT: Fields = Fields { kind: "workout", code: "73985-4", fields: FIELDS };

/// The sport's number; 36, other, for what is in no list.
fn sport(category: i64) -> i64 {
    match category {
        1..=36 | 128 | 187 | 188 | 191..=196 | 272 | 306..=308 | 455..=457 | 490..=532 | 534..=568 => {
            category
        }
        _ => 36,
    }
}

/// From start to end in minutes, to the second; pauses are in it, and told beside it.
fn duration(workout: &Workout) -> Option<String> {
    let seconds = Exact::from(workout.enddate - workout.startdate);
    Some(format!("{} min", divided(seconds, 60, 3)?))
}

pub(super) fn readings(account: &Account) -> Vec<Reading> {
    let visible = Visible::all(!account.life.basic, WORKOUT_EXTRAS);
    let of = |workout: &Workout| {
        let (id, zone) = (workout.id.to_string(), zone(&workout.timezone));
        let when = When::lasting(workout.startdate, Some(workout.enddate));
        let from = Common { record: "getworkouts", id, when, zone: &zone, preliminary: false };
        let mut values = values(WORKOUT.fields, &visible.figures(&workout.data));
        values.insert(OWN, sport(workout.category).to_string());
        values.extend(duration(workout).map(|text| ("55411-3", text)));
        from.reading(WORKOUT.kind, WORKOUT.code, values)
    };
    account.life.workouts.values().filter_map(of).collect()
}
