//! Daily totals: one row a civil day of its own zone, and device or relay.

use super::civil::Civil;
use super::list::Shape;

/// A query for a single day may be answered with the day instead of a list.
pub(super) const CIVIL: Civil = Civil {
    path: "v2/measure",
    action: "getactivity",
    shape: Shape { call: "measure getactivity", list: "activities", head: &[], single: true },
    fields: &[
        "steps",
        "distance",
        "elevation",
        "soft",
        "moderate",
        "intense",
        "active",
        "calories",
        "totalcalories",
        "hr_average",
        "hr_min",
        "hr_max",
        "hr_zone_0",
        "hr_zone_1",
        "hr_zone_2",
        "hr_zone_3",
    ],
};
