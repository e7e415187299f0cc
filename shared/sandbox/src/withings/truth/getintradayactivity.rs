//! Samples of the day, each a reading of its own.

use super::Rule::{NonZero, Same};
use super::{Common, Fields, OWN, Reading, UTC, When, number};
use crate::withings::activity::INTRADAY_EXTRAS;
use crate::withings::data::Account;
use crate::withings::figures::Visible;
use crate::withings::life::Sample;

/// What is true of an instant. 0 says that there is none.
const INSTANT: &[Fields] = &[
    Fields { kind: "heart-rate", code: "8867-4", fields: &[(OWN, "heart_rate", NonZero, "/min")] },
    Fields { kind: "oxygen-saturation", code: "2708-6", fields: &[(OWN, "spo2_auto", NonZero, "%")] },
    Fields { kind: "respiratory-rate", code: "9279-1", fields: &[(OWN, "rr", NonZero, "/min")] },
    Fields { kind: "hrv-sdnn", code: "112429-6", fields: &[(OWN, "sdnn1", NonZero, "ms")] },
    Fields { kind: "hrv-rmssd", code: "hrv-rmssd", fields: &[(OWN, "rmssd", NonZero, "ms")] },
    Fields {
        kind: "core-temperature-estimate",
        code: "core-temperature-estimate",
        fields: &[(OWN, "core_body_temperature", NonZero, "Cel")],
    },
    Fields {
        kind: "chest-movement-rate",
        code: "chest-movement-rate",
        fields: &[(OWN, "chest_movement_rate", NonZero, "/min")],
    },
];

/// What adds up over the seconds of `duration`.
const LASTING: &[Fields] = &[
    Fields { kind: "steps", code: "55423-8", fields: &[(OWN, "steps", Same, "{steps}")] },
    Fields { kind: "distance", code: "103208-5", fields: &[(OWN, "distance", Same, "m")] },
    Fields { kind: "floors", code: "100304-5", fields: &[(OWN, "elevation", Same, "{flight}")] },
    Fields { kind: "active-energy", code: "41981-2", fields: &[(OWN, "calories", Same, "kcal")] },
    Fields { kind: "swim-strokes", code: "swim-strokes", fields: &[(OWN, "stroke", Same, "{strokes}")] },
    Fields { kind: "pool-laps", code: "pool-laps", fields: &[(OWN, "pool_lap", Same, "{laps}")] },
];

/// Withings names no zone beside samples.
pub(super) fn readings(account: &Account) -> Vec<Reading> {
    let visible = Visible::all(!account.life.basic, INTRADAY_EXTRAS);
    let of = |sample: &Sample| {
        let id = format!("{}-{}", sample.at, account.device(sample.modelid).unwrap_or("none"));
        let data = visible.figures(&sample.data);
        let duration = number(&data, "duration").and_then(|seconds| i64::try_from(seconds).ok());
        let record = "getintradayactivity";
        let (zone, preliminary) = (&UTC, false);
        let instant = Common { record, id: id.clone(), when: When::at(sample.at), zone, preliminary };
        let when = When::lasting(sample.at, duration.map(|seconds| sample.at + seconds));
        let lasting = Common { record, id, when, zone, preliminary };
        instant.readings(INSTANT, &data).chain(lasting.readings(LASTING, &data)).collect::<Vec<_>>()
    };
    account.life.samples.values().flat_map(of).collect()
}
