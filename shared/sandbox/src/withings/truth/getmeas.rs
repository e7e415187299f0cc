//! Point measurements.

use std::collections::{BTreeMap, BTreeSet};

use ohx_domain::decimal::{Exact, scale10};

use super::{Common, Kind, OWN, Reading, When, rhythm};
use crate::withings::data::Account;
use crate::withings::life::zone;
use crate::withings::{Group, Measure};

const DIASTOLIC: i64 = 9;
const SYSTOLIC: i64 = 10;
/// A class, whose exponent says nothing.
const RHYTHM: i64 = 139;
const WHOLE_BODY: i64 = 7;

/// Which rows of a type are readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Those of the whole body: without a position, or with [`WHOLE_BODY`].
    Whole,
    /// Each position's is one of its own.
    Each,
    /// Each position's, and it needs one.
    Segment,
}
use Place::{Each, Segment, Whole};

/// Measure type, kind, code, unit, by how many places the point moves, and where.
///
/// Not among them: 12, the temperature of the room on scales; 130, which `heart list` tells once more; and every number
/// that nobody has documented.
const TYPES: &[(i64, Kind, &str, &str, i32, Place)] = &[
    (1, "body-weight", "29463-7", "kg", 0, Whole),
    (4, "body-height", "8302-2", "cm", 2, Whole),
    (5, "fat-free-mass", "91557-9", "kg", 0, Whole),
    (6, "fat-ratio", "41982-0", "%", 0, Whole),
    (8, "fat-mass", "73708-0", "kg", 0, Whole),
    (11, "heart-rate", "8867-4", "/min", 0, Each),
    (54, "oxygen-saturation", "2708-6", "%", 0, Each),
    (71, "body-temperature", "8310-5", "Cel", 0, Each),
    (73, "skin-temperature", "61008-9", "Cel", 0, Each),
    (76, "muscle-mass", "73964-9", "kg", 0, Whole),
    (77, "body-water", "101683-1", "kg", 0, Whole),
    (88, "bone-mass", "101685-6", "kg", 0, Whole),
    (91, "pulse-wave-velocity", "pulse-wave-velocity", "m/s", 0, Each),
    (123, "vo2max", "94122-9", "mL/kg/min", 0, Each),
    (135, "qrs-duration", "8633-0", "ms", 3, Each),
    (136, "pr-interval", "8625-6", "ms", 3, Each),
    (137, "qt-interval", "8634-8", "ms", 3, Each),
    (138, "qtc-interval", "8636-3", "ms", 3, Each),
    (147, "urine-ph", "urine-ph", "[pH]", 0, Each),
    (148, "urine-specific-gravity", "urine-specific-gravity", "1", 0, Each),
    (151, "urine-nitrite", "urine-nitrite", "umol/L", 0, Each),
    (155, "vascular-age", "vascular-age", "a", 0, Each),
    (158, "nerve-health-left-foot", "nerve-health-left-foot", "{score}", 0, Each),
    (159, "nerve-health-right-foot", "nerve-health-right-foot", "{score}", 0, Each),
    (167, "nerve-health", "nerve-health", "{score}", 0, Each),
    (168, "extracellular-water", "extracellular-water", "kg", 0, Whole),
    (169, "intracellular-water", "intracellular-water", "kg", 0, Whole),
    (170, "visceral-fat", "visceral-fat", "{score}", 0, Whole),
    (173, "segment-fat-free-mass", "segment-fat-free-mass", "kg", 0, Segment),
    (174, "segment-fat-mass", "segment-fat-mass", "kg", 0, Segment),
    (175, "segment-muscle-mass", "segment-muscle-mass", "kg", 0, Segment),
    (196, "electrodermal-activity", "electrodermal-activity", "{score}", 0, Each),
    (197, "electrodermal-activity-left-foot", "electrodermal-activity-left-foot", "{score}", 0, Each),
    (198, "electrodermal-activity-right-foot", "electrodermal-activity-right-foot", "{score}", 0, Each),
    (204, "urine-ketones", "urine-ketones", "mmol/L", 0, Each),
    (205, "urine-vitamin-c", "urine-vitamin-c", "mmol/L", 0, Each),
    (226, "basal-metabolic-rate", "69429-9", "kcal/d", 0, Each),
    (227, "metabolic-age", "metabolic-age", "a", 0, Each),
    (229, "skin-conductance", "skin-conductance", "uS", 0, Each),
    (248, "urine-calcium", "urine-calcium", "mmol/L", 0, Each),
    (249, "urine-creatinine", "urine-creatinine", "mmol/L", 0, Each),
    (251, "urine-calcium-creatinine", "urine-calcium-creatinine", "mmol/mmol", 0, Each),
];

pub(super) fn readings(account: &Account) -> Vec<Reading> {
    let zone = zone(&account.person.timezone);
    let of = |group: &Group| {
        let (id, when) = (group.grpid.to_string(), When::at(group.content.date));
        let from = Common { record: "getmeas", id, when, zone: &zone, preliminary: false };
        group_readings(&from, group)
    };
    account.groups.values().flat_map(of).collect()
}

/// The readings in a group.
///
/// None in an objective (category 2), in a group that may be somebody else's (attrib 1) or was typed in when the
/// account was made (attrib 4). Rows of one type and position that are the same count once, rows that contradict each
/// other not at all. Half a blood pressure is none.
fn group_readings(from: &Common<'_>, group: &Group) -> Vec<Reading> {
    let content = &group.content;
    if content.category != 1 || matches!(content.attrib, 1 | 4) {
        return Vec::new();
    }
    let measures = &content.measures;
    let mut found = Vec::new();
    for position in positions(measures) {
        let at = |measure: &Measure| measure.position == position;
        let mut reading = |kind, code, values| {
            found.extend(from.reading(kind, code, values).map(|reading| Reading { position, ..reading }));
        };
        for (meastype, kind, code, unit, shift, place) in TYPES {
            if *place == Each || (*place == Segment && position.is_some()) {
                let value = only(measures, *meastype, *shift, at);
                reading(
                    kind,
                    code,
                    value.map(|value| (OWN, format!("{value} {unit}"))).into_iter().collect(),
                );
            }
        }
        let pressure = only(measures, SYSTOLIC, 0, at).zip(only(measures, DIASTOLIC, 0, at));
        let values = pressure.map(|(systolic, diastolic)| {
            [("8480-6", format!("{systolic} mm[Hg]")), ("8462-4", format!("{diastolic} mm[Hg]"))]
        });
        reading("blood-pressure", "85354-9", values.into_iter().flatten().collect());
        reading("rhythm-classification", "rhythm-classification", class(measures, at));
    }
    for (meastype, kind, code, unit, shift, _) in TYPES.iter().filter(|(.., place)| *place == Whole) {
        let value = only(measures, *meastype, *shift, |m| m.position.is_none_or(|at| at == WHOLE_BODY));
        let values = value.map(|value| (OWN, format!("{value} {unit}"))).into_iter().collect();
        found.extend(from.reading(kind, code, values));
    }
    found
}

fn positions(measures: &[Measure]) -> BTreeSet<Option<i64>> {
    measures.iter().map(|measure| measure.position).collect()
}

/// The one value of a type; of equal ones the one with the most digits. `None` where there are several.
fn only(measures: &[Measure], meastype: i64, shift: i32, at: impl Fn(&Measure) -> bool) -> Option<Exact> {
    let rows = measures.iter().filter(|measure| measure.meastype == meastype && at(measure));
    let mut values: Vec<Exact> =
        rows.filter_map(|row| scale10(Exact::from(row.value), row.unit.checked_add(shift)?)).collect();
    values.sort_by_key(Exact::scale);
    let last = values.pop()?;
    values.iter().all(|value| *value == last).then_some(last)
}

fn class(measures: &[Measure], at: impl Fn(&Measure) -> bool) -> BTreeMap<&'static str, String> {
    let rows = measures.iter().filter(|measure| measure.meastype == RHYTHM && at(measure));
    let classes: BTreeSet<i64> = rows.map(|row| row.value).collect();
    let only = classes.first().filter(|_| classes.len() == 1);
    only.and_then(|class| rhythm(*class)).map(|class| (OWN, class.to_owned())).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::withings::NewGroup;

    fn found_in(attrib: i64, category: i64, measures: &[Measure]) -> Vec<(String, String)> {
        let content = NewGroup { date: 1, attrib, category, modelid: None, measures: measures.to_vec() };
        let group = Group { grpid: 9, created: 1, modified: 1, content };
        let from = Common {
            record: "getmeas",
            id: "9".into(),
            when: When::at(1),
            zone: &TimeZone::UTC,
            preliminary: false,
        };
        let said = |reading: &Reading| reading.values.values().cloned().collect::<Vec<_>>().join(" / ");
        group_readings(&from, &group).iter().map(|reading| (reading.identity(), said(reading))).collect()
    }

    fn found(measures: &[Measure]) -> Vec<(String, String)> {
        found_in(0, 1, measures)
    }

    fn expected<const N: usize>(readings: [(&str, &str); N]) -> Vec<(String, String)> {
        readings.map(|(identity, said)| (identity.to_owned(), said.to_owned())).to_vec()
    }

    #[test]
    fn one_act_of_measuring_makes_its_readings() {
        let rows = [Measure::new(9, 79, 0), Measure::new(10, 11800, -2), Measure::new(11, 64, 0)];
        let pulse = ("9.heart-rate", "64 /min");
        let both = expected([pulse, ("9.blood-pressure", "79 mm[Hg] / 118.00 mm[Hg]")]);
        assert_eq!(found(&rows), both);
        assert_eq!(found_in(17, 1, &rows), both);
        assert_eq!(found(&rows[1..]), expected([pulse]), "half a blood pressure is none");
        for (attrib, category) in [(1, 1), (4, 1), (0, 2)] {
            assert_eq!(found_in(attrib, category, &rows), []);
        }
    }

    #[test]
    fn duplicates_count_once_and_contradictions_not_at_all() {
        let weight = Measure::new(1, 7210, -2);
        let once = expected([("9.body-weight", "72.10 kg")]);
        assert_eq!(found(&[weight, weight]), once);
        assert_eq!(found(&[weight, Measure::new(1, 721, -1)]), once);
        assert_eq!(found(&[weight, Measure::new(1, 7220, -2)]), []);
        assert_eq!(found(&[weight.at(7)]), once);
        assert_eq!(found(&[weight, Measure::new(1, 1000, -2).at(12)]), once);
        assert_eq!(found(&[weight.at(12), Measure::new(999, 1, 0), Measure::new(12, 21, 0)]), []);
    }

    #[test]
    fn positions_tell_arms_and_segments_apart() {
        let segment = Measure::new(173, 1350, -2);
        let pulse = Measure::new(11, 64, 0);
        let found_at = found(&[segment.at(10), segment.at(11), segment, pulse.at(2), pulse]);
        let wanted = [
            ("9.heart-rate", "64 /min"),
            ("9.heart-rate.2", "64 /min"),
            ("9.segment-fat-free-mass.10", "13.50 kg"),
            ("9.segment-fat-free-mass.11", "13.50 kg"),
        ];
        assert_eq!(found_at, expected(wanted), "a segment says which");
    }

    #[test]
    fn units_and_classes_are_what_the_chart_wants() {
        let rows = [
            Measure::new(4, 178, -2),
            Measure::new(135, 92, -3),
            Measure::new(138, 4215, -4),
            Measure::new(139, 9, 0),
            Measure::new(130, 1, 0),
        ];
        let wanted = [
            ("9.qrs-duration", "92 ms"),
            ("9.qtc-interval", "421.5 ms"),
            ("9.rhythm-classification", "negative-normal-heart-rate"),
            ("9.body-height", "178 cm"),
        ];
        assert_eq!(found(&rows), expected(wanted));
        let class = |value, unit| found(&[Measure::new(139, value, unit)]);
        assert_eq!(
            class(1, 1),
            expected([("9.rhythm-classification", "positive")]),
            "a class has no exponent"
        );
        assert_eq!(class(14, 0), []);
    }
}
