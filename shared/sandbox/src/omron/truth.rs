//! What a correct consumer must deliver, no more and no less: written from what the cloud knows and from what is known
//! of it, and from nothing that a consumer is made of.
//!
//! It knows no limits of belief: a consumer that leaves out a weight of 900 kg is right to do so, and disagrees.

use std::collections::BTreeMap;

use ohx_domain::Instant;
use ohx_domain::decimal::{Exact, parse_json_number, scale10};

use super::data::{Account, Moment};
use super::{Row, Simulator, SimulatorError, Type};
use crate::{OWN, Reading};

/// Records that everybody reads.
pub const USUAL: [&str; 3] = ["bloodpressure", "weight", "activity"];
/// Those, and the two of Europe.
pub const ALL: [&str; 5] = ["bloodpressure", "weight", "activity", "temperature", "oxygen"];

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// What the readings of a row have in common.
struct Common<'a> {
    row: &'a Row,
    moment: Moment,
    found: Vec<Reading>,
}

impl Common<'_> {
    fn number(&self, name: &str) -> Option<Exact> {
        parse_json_number(self.row.content.values.get(name)?)
    }

    fn word(&self, name: &str) -> String {
        self.row.content.words.get(name).map(|word| word.to_lowercase()).unwrap_or_default()
    }

    /// A number that 0 stands for the absence of.
    fn measured(&self, name: &str) -> Option<Exact> {
        self.number(name).filter(|value| !value.is_zero())
    }

    fn reading(&mut self, kind: &'static str, code: &'static str, values: &[(&'static str, String)]) {
        let begun = self.moment.at.as_second();
        let lasts = (self.row.content.of == Type::Activity).then_some(DAY);
        self.push((self.row.id.to_string(), begun, lasts), kind, code, values);
    }

    fn push(
        &mut self,
        (id, begun, lasts): (String, i64, Option<i64>),
        kind: &'static str,
        code: &'static str,
        values: &[(&'static str, String)],
    ) {
        let write = |second: i64| {
            let at = Instant::from_second(second).unwrap_or_default();
            at.display_with_offset(self.moment.offset).to_string()
        };
        let when = match lasts {
            Some(lasts) => format!("{}/{}", write(begun), write(begun + lasts)),
            None => write(begun),
        };
        let record = self.row.content.of.name();
        let values = values.iter().cloned().collect();
        let (position, preliminary) = (None, false);
        self.found.push(Reading { record, id, kind, position, code, date: begun, when, preliminary, values });
    }

    fn own(&mut self, kind: &'static str, code: &'static str, value: Option<Exact>, unit: &str) {
        if let Some(value) = value {
            self.reading(kind, code, &[(OWN, format!("{value} {unit}"))]);
        }
    }

    fn pressure(&mut self) {
        if self.row.content.afib == Some(true) {
            return self.reading("possible-afib", "possible-afib", &[(OWN, "possible-afib".to_owned())]);
        }
        let value = |name: &str| match (self.number(name), self.word("bloodPressureUnits").as_str()) {
            (Some(value), "mmhg") => Some(value),
            // 1 kPa = 7.50061683 mmHg, to a tenth.
            (Some(value), "kpa") => Some(rounded(value * Exact::new(750_061_683, 8), 1)),
            _ => None,
        };
        if let Some((systolic, diastolic)) = value("systolic").zip(value("diastolic")) {
            let said = [("8480-6", systolic), ("8462-4", diastolic)];
            let said = said.map(|(code, value)| (code, format!("{value} mm[Hg]")));
            self.reading("blood-pressure", "85354-9", &said);
        }
        self.own("heart-rate", "8867-4", self.measured("pulse"), "/min");
    }

    fn weight(&mut self) {
        let weight = self.measured("weight").and_then(|value| match self.word("weightPref").as_str() {
            "kg" => Some(value),
            // An international pound, to ten grams.
            "lb" | "lbs" => Some(rounded(value * Exact::new(45_359_237, 8), 2)),
            _ => None,
        });
        self.own("body-weight", "29463-7", weight, "kg");
        for (kind, code, field, unit) in [
            ("body-mass-index", "39156-5", "bmiValue", "kg/m2"),
            ("fat-ratio", "41982-0", "bodyFatPercentage", "%"),
            ("skeletal-muscle-percentage", "skeletal-muscle-percentage", "skeletalMusclePercentage", "%"),
            ("visceral-fat-level", "visceral-fat-level", "visceralFatLevel", "1"),
            ("resting-metabolism", "resting-metabolism", "restingMetabolism", "kcal/d"),
        ] {
            self.own(kind, code, self.measured(field), unit);
        }
    }

    fn activity(&mut self) {
        let metres = self.number("distance").and_then(|value| match self.word("distanceUnits").as_str() {
            "km" => scale10(value, 3),
            "m" => Some(value),
            "mi" | "miles" => Some(rounded(value * Exact::new(1_609_344, 3), 1)),
            _ => None,
        });
        let if_in = |field: &str, units: &str, known: &[&str]| {
            self.number(field).filter(|_| known.contains(&self.word(units).as_str()))
        };
        let calories = if_in("calories", "caloriesUnits", &["kcal", "cal"]);
        let minutes = if_in("aerobicWalkingTime", "aerobicWalkingTimeUnits", &["min", "minute", "minutes"]);
        self.own("steps-day", "41950-7", self.number("steps"), "{steps}");
        self.own("aerobic-steps-day", "aerobic-steps-day", self.number("aerobicSteps"), "{steps}");
        self.own("active-energy-day", "41981-2", calories, "kcal");
        self.own("distance-day", "41953-1", metres, "m");
        self.own("aerobic-walking-day", "aerobic-walking-day", minutes, "min");
        let midnight = self.moment.at.as_second();
        for (hour, steps) in self.row.content.hours.clone() {
            let begun = midnight + i64::from(hour) * HOUR;
            let id = format!("{}-{hour}", self.row.id);
            let said = [(OWN, format!("{steps} {{steps}}"))];
            self.push((id, begun, Some(HOUR)), "steps-hour", "55423-8", &said);
        }
    }

    fn temperature(&mut self) {
        let value = self.measured("temperature");
        let celsius =
            value.filter(|_| matches!(self.word("temperatureUnits").as_str(), "c" | "celsius" | ""));
        self.own("body-temperature", "8310-5", celsius, "Cel");
    }

    fn oxygen(&mut self) {
        let value = ["oxygen", "spo2", "oxygenSaturation"].into_iter().find_map(|name| self.measured(name));
        self.own("oxygen-saturation", "2708-6", value, "%");
        self.own("heart-rate", "8867-4", self.measured("pulse"), "/min");
    }
}

/// To so many digits, half to even, with all of them written.
fn rounded(value: Exact, digits: u32) -> Exact {
    let mut value = value.round_dp(digits);
    value.rescale(digits);
    value
}

fn readings(account: &Account, row: &Row) -> Vec<Reading> {
    let mut common = Common { row, moment: Moment::of(&row.content, &account.zone()), found: Vec::new() };
    match row.content.of {
        Type::BloodPressure => common.pressure(),
        Type::Weight => common.weight(),
        Type::Activity => common.activity(),
        Type::Temperature => common.temperature(),
        Type::Oxygen => common.oxygen(),
    }
    common.found
}

impl Simulator {
    /// What a correct consumer of these records delivers of a person, by row.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn readings(&self, person: &str, records: &[&str]) -> Result<Vec<Reading>, SimulatorError> {
        let state = self.state();
        let account = state.persons.get(person).ok_or(SimulatorError::UnknownPerson)?;
        let wanted = account.rows.values().filter(|row| records.contains(&row.content.of.name()));
        Ok(wanted.flat_map(|row| readings(account, row)).collect())
    }

    /// How many readings of each kind a person has in all records.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn counts(&self, person: &str) -> Result<BTreeMap<&'static str, u64>, SimulatorError> {
        let mut counts = BTreeMap::new();
        for reading in self.readings(person, &ALL)? {
            *counts.entry(reading.kind).or_insert(0) += 1;
        }
        Ok(counts)
    }
}
