//! Nights and naps.

use super::Rule::{Hours, NonZero, Percent, Same};
use super::{Common, Fields, OWN, Reading, When};
use crate::withings::data::Account;
use crate::withings::figures::Visible;
use crate::withings::life::{Night, zone};
use crate::withings::sleep::EXTRAS;

const KINDS: &[Fields] = &[
    Fields {
        kind: "sleep",
        code: "93832-4",
        fields: &[
            // The second is of other clouds' nights: the first, where it is there, comes after it and stays.
            (OWN, "asleepduration", Hours, "h"),
            (OWN, "total_sleep_time", Hours, "h"),
            ("93831-6", "deepsleepduration", Hours, "h"),
            ("93830-8", "lightsleepduration", Hours, "h"),
            ("93829-0", "remsleepduration", Hours, "h"),
            ("93828-2", "wakeupduration", Hours, "h"),
            ("sleep-awake-after-onset", "waso", Same, "s"),
            ("sleep-in-bed", "total_timeinbed", Same, "s"),
            ("sleep-latency", "sleep_latency", Same, "s"),
            ("sleep-wakeup-latency", "wakeup_latency", Same, "s"),
            ("sleep-efficiency", "sleep_efficiency", Percent, "%"),
            ("sleep-wakeups", "wakeupcount", Same, "{events}"),
            ("sleep-rem-episodes", "nb_rem_episodes", Same, "{episodes}"),
            ("sleep-out-of-bed", "out_of_bed_count", Same, "{events}"),
            ("sleep-score", "sleep_score", Same, "{score}"),
            ("sleep-snoring", "snoring", Same, "s"),
            ("sleep-snoring-episodes", "snoringepisodecount", Same, "{episodes}"),
            ("sleep-breathing-sounds", "breathing_sounds", Same, "s"),
            ("sleep-breathing-sound-episodes", "breathing_sounds_episode_count", Same, "{episodes}"),
            ("sleep-movement-score", "mvt_score_avg", Same, "{score}"),
            ("sleep-movement", "mvt_active_duration", Same, "s"),
        ],
    },
    Fields {
        kind: "sleep-heart-rate",
        code: "sleep-heart-rate",
        fields: &[
            ("heart-rate-mean", "hr_average", NonZero, "/min"),
            ("heart-rate-minimum", "hr_min", NonZero, "/min"),
            ("heart-rate-maximum", "hr_max", NonZero, "/min"),
        ],
    },
    Fields {
        kind: "sleep-respiratory-rate",
        code: "sleep-respiratory-rate",
        fields: &[
            ("103217-6", "rr_average", NonZero, "/min"),
            ("respiratory-rate-minimum", "rr_min", NonZero, "/min"),
            ("respiratory-rate-maximum", "rr_max", NonZero, "/min"),
        ],
    },
    Fields {
        kind: "sleep-hrv-rmssd",
        code: "sleep-hrv-rmssd",
        fields: &[
            ("hrv-rmssd-start", "rmssd_start_avg", NonZero, "ms"),
            ("hrv-rmssd-end", "rmssd_end_avg", NonZero, "ms"),
        ],
    },
    Fields {
        kind: "apnea-hypopnea-index",
        code: "apnea-hypopnea-index",
        fields: &[(OWN, "apnea_hypopnea_index", Same, "/h")],
    },
    Fields { kind: "withings-index", code: "withings-index", fields: &[(OWN, "withings_index", Same, "/h")] },
    Fields {
        kind: "breathing-disturbances",
        code: "breathing-disturbances",
        fields: &[(OWN, "breathing_disturbances_intensity", Same, "{score}")],
    },
    Fields {
        kind: "breathing-quality",
        code: "breathing-quality",
        fields: &[(OWN, "breathing_quality_assessment", Same, "{score}")],
    },
];

/// A night that says that it has not ended is preliminary; one that says nothing has ended.
pub(super) fn readings(account: &Account) -> Vec<Reading> {
    let visible = Visible::all(!account.life.basic, EXTRAS);
    let of = |night: &Night| {
        let (id, zone) = (night.id.to_string(), zone(&night.timezone));
        let when = When::lasting(night.startdate, Some(night.enddate));
        let preliminary = night.completed == Some(false);
        let from = Common { record: "sleep-getsummary", id, when, zone: &zone, preliminary };
        from.readings(KINDS, &visible.figures(&night.data)).collect::<Vec<_>>()
    };
    account.life.nights.values().flat_map(of).collect()
}
