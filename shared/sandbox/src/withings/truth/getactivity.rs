//! Totals of civil days.

use super::Rule::{NonZero, Same};
use super::{Common, Fields, OWN, Reading, When};
use crate::withings::data::Account;
use crate::withings::figures::Visible;
use crate::withings::life::{Day, RELAY, zone};

const KINDS: &[Fields] = &[
    Fields { kind: "steps-day", code: "41950-7", fields: &[(OWN, "steps", Same, "{steps}")] },
    Fields { kind: "distance-day", code: "41953-1", fields: &[(OWN, "distance", Same, "m")] },
    Fields { kind: "floors-day", code: "100304-5", fields: &[(OWN, "elevation", Same, "{flight}")] },
    Fields { kind: "active-energy-day", code: "41981-2", fields: &[(OWN, "calories", Same, "kcal")] },
    Fields { kind: "total-energy-day", code: "41979-6", fields: &[(OWN, "totalcalories", Same, "kcal")] },
    Fields {
        kind: "activity-duration-day",
        code: "activity-duration-day",
        fields: &[
            ("activity-soft", "soft", Same, "s"),
            ("activity-moderate", "moderate", Same, "s"),
            ("activity-intense", "intense", Same, "s"),
            ("activity-active", "active", Same, "s"),
        ],
    },
    Fields {
        kind: "heart-rate-day",
        code: "heart-rate-day",
        fields: &[
            ("heart-rate-mean", "hr_average", NonZero, "/min"),
            ("heart-rate-minimum", "hr_min", NonZero, "/min"),
            ("heart-rate-maximum", "hr_max", NonZero, "/min"),
        ],
    },
    Fields {
        kind: "heart-rate-zones-day",
        code: "heart-rate-zones-day",
        fields: &[
            ("heart-rate-zone-0", "hr_zone_0", Same, "s"),
            ("heart-rate-zone-1", "hr_zone_1", Same, "s"),
            ("heart-rate-zone-2", "hr_zone_2", Same, "s"),
            ("heart-rate-zone-3", "hr_zone_3", Same, "s"),
        ],
    },
];

/// The person's own devices only: what another cloud has relayed may come from there as well. A day is that of its own
/// zone, from midnight to midnight.
pub(super) fn readings(account: &Account) -> Vec<Reading> {
    let visible = Visible::all(!account.life.basic, &[]);
    let of = |day: &Day| {
        let (zone, device) = (zone(&day.timezone), account.device(day.modelid).unwrap_or("aggregate"));
        let midnight =
            |date: jiff::civil::Date| date.to_zoned(zone.clone()).map(|m| m.timestamp().as_second());
        let start = midnight(day.date).unwrap_or_default();
        let when = When::lasting(start, day.date.tomorrow().and_then(midnight).ok());
        let id = format!("{}-{device}", day.date);
        let from = Common { record: "getactivity", id, when, zone: &zone, preliminary: false };
        from.readings(KINDS, &visible.figures(&day.data)).collect::<Vec<_>>()
    };
    account.life.days.values().filter(|day| day.modelid < RELAY).flat_map(of).collect()
}
