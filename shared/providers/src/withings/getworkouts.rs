//! Workouts: one record each, with the totals that its sport has.

use super::civil::Civil;
use super::list::Shape;

pub(super) const CIVIL: Civil = Civil {
    path: "v2/measure",
    action: "getworkouts",
    shape: Shape { call: "measure getworkouts", list: "series", head: &[], single: true },
    fields: &[
        "calories",
        "intensity",
        "manual_distance",
        "manual_calories",
        "hr_average",
        "hr_min",
        "hr_max",
        "hr_zone_0",
        "hr_zone_1",
        "hr_zone_2",
        "hr_zone_3",
        "pause_duration",
        "algo_pause_duration",
        "spo2_average",
        "steps",
        "distance",
        "elevation",
        "pool_laps",
        "strokes",
        "pool_length",
        "core_body_temperature_min",
        "core_body_temperature_max",
        "core_body_temperature_avg",
        "core_body_temperature_status",
    ],
};
