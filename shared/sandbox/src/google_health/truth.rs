//! What a correct consumer must deliver of the records whose readings are one number: written from what the cloud knows
//! and from what Google documents, and from nothing that a consumer is made of.
//!
//! Sleep, workouts, glucose and recordings of the heart are counted only.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use ohx_domain::Instant;
use ohx_domain::decimal::{Exact, parse_json_number, scale10};
use serde_json::Value;
use serde_json::value::RawValue;

use super::data::{Account, Point};
use super::points::amount;
use super::types::{Time, Type};
use super::{Simulator, SimulatorError};
use crate::{OWN, Reading};

/// Records that everybody reads, and whose readings are told in full.
pub const USUAL: [&str; 15] = [
    "weight",
    "body-fat",
    "height",
    "daily-resting-heart-rate",
    "daily-respiratory-rate",
    "core-body-temperature",
    "run-vo2-max",
    "daily-vo2-max",
    "vo2-max",
    "steps",
    "distance",
    "active-energy-burned",
    "floors",
    "total-calories",
    "daily-oxygen-saturation",
];

/// What a record's own value is: the kind, the code, the member, the power of ten to the unit, and the unit.
struct Rule(&'static str, &'static str, &'static str, i32, &'static str);

fn rule(record: &str) -> Option<Rule> {
    Some(match record {
        "weight" => Rule("body-weight", "29463-7", "weightGrams", -3, "kg"),
        "body-fat" => Rule("fat-ratio", "41982-0", "percentage", 0, "%"),
        "height" => Rule("body-height", "8302-2", "heightMillimeters", -1, "cm"),
        "daily-resting-heart-rate" => Rule("resting-heart-rate", "40443-4", "beatsPerMinute", 0, "/min"),
        "daily-respiratory-rate" => Rule("respiratory-rate-day", "103217-6", "breathsPerMinute", 0, "/min"),
        "daily-oxygen-saturation" => Rule("oxygen-saturation-day", "103209-3", "averagePercentage", 0, "%"),
        "core-body-temperature" => Rule("body-temperature", "8310-5", "temperatureCelsius", 0, "Cel"),
        "run-vo2-max" => Rule("vo2max-run", "94122-9", "runVo2Max", 0, "mL/kg/min"),
        "daily-vo2-max" => Rule("vo2max-day", "94122-9", "vo2Max", 0, "mL/kg/min"),
        "vo2-max" => Rule("vo2max", "94122-9", "vo2Max", 0, "mL/kg/min"),
        "steps" => Rule("steps-day", "41950-7", "count", 0, "{steps}"),
        "distance" => Rule("distance-day", "41953-1", "millimeters", -3, "m"),
        "active-energy-burned" => Rule("active-energy-day", "41981-2", "kcal", 0, "kcal"),
        "floors" => Rule("floors-day", "100304-5", "count", 0, "{flight}"),
        "total-calories" => Rule("total-energy-day", "41979-6", "kcal", 0, "kcal"),
        _ => return None,
    })
}

/// A part of a reading beside its own value.
enum Beside {
    /// A number's member and unit.
    Number(&'static str, &'static str),
    /// A code that the routine's points all have.
    Code(&'static str),
}

/// The parts of a record's readings, by their codes. They are those of the points that the sandbox makes.
fn beside(record: &str) -> &'static [(&'static str, Beside)] {
    use Beside::{Code, Number};
    match record {
        "daily-resting-heart-rate" => &[("resting-heart-rate-method", Code("with-sleep"))],
        "daily-oxygen-saturation" => &[
            ("oxygen-saturation-lower-bound", Number("lowerBoundPercentage", "%")),
            ("oxygen-saturation-upper-bound", Number("upperBoundPercentage", "%")),
            ("oxygen-saturation-deviation", Number("standardDeviationPercentage", "%")),
        ],
        "daily-vo2-max" => &[("cardio-fitness-level", Code("good")), ("vo2max-confidence", Code("low"))],
        "vo2-max" => &[("vo2max-method", Code("fitbit-run"))],
        _ => &[],
    }
}

fn text(second: i64, zone: &TimeZone) -> String {
    let at = Instant::from_second(second).unwrap_or_default();
    at.display_with_offset(zone.to_offset(at)).to_string()
}

/// A civil day's first second, and the next day's.
fn day(account: &Account, second: i64) -> (i64, i64) {
    let date = account.date(second);
    let first = |date: jiff::civil::Date| {
        date.to_zoned(account.zone.clone()).map_or(0, |midnight| midnight.timestamp().as_second())
    };
    (first(date), first(date.tomorrow().unwrap_or(date)))
}

/// The number of a member, however it is written.
fn number(point: &Point, member: &str) -> Option<Exact> {
    let value: BTreeMap<String, Box<RawValue>> = serde_json::from_str(point.content.value.get()).ok()?;
    parse_json_number(value.get(member)?.get().trim_matches('"'))
}

impl Rule {
    fn reading(
        &self,
        record: &'static str,
        id: String,
        when: (i64, String),
        value: Exact,
    ) -> Option<Reading> {
        let Self(kind, code, _, power, unit) = *self;
        let said = format!("{} {unit}", scale10(value, power)?);
        let (date, when) = when;
        let values = BTreeMap::from([(OWN, said)]);
        Some(Reading { record, id, kind, position: None, code, date, when, preliminary: false, values })
    }
}

fn readings(account: &Account, known: &'static Type, now: i64) -> Vec<Reading> {
    let Some(rule) = rule(known.name) else { return Vec::new() };
    let points = account.of(known.name);
    if known.time != Time::Interval {
        let single = points.iter().filter_map(|point| {
            let start = point.content.start;
            let (id, when) = match known.time {
                Time::Daily => {
                    let (first, last) = day(account, start);
                    let period = format!("{}/{}", text(first, &account.zone), text(last, &account.zone));
                    (account.date(start).to_string(), (first, period))
                }
                _ => (point.id.clone(), (start, text(start, &account.zone))),
            };
            let mut reading = rule.reading(known.name, id, when, number(point, rule.2)?)?;
            // Taken in the ear, as all of the sandbox's are.
            reading.position = (known.name == "core-body-temperature").then_some(2);
            for (code, beside) in beside(known.name) {
                let said = match beside {
                    Beside::Number(member, unit) => format!("{} {unit}", number(point, member)?),
                    Beside::Code(code) => (*code).to_owned(),
                };
                reading.values.insert(code, said);
            }
            Some(reading)
        });
        return single.collect();
    }
    // Totals of days that are over.
    let mut days: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    for point in points.iter().filter(|point| point.content.merged) {
        *days.entry(day(account, point.content.start)).or_insert(0) += amount(point).unwrap_or(0);
    }
    let over = days.into_iter().filter(|((_, end), _)| *end <= now);
    over.filter_map(|((first, last), total)| {
        let id = account.date(first).to_string();
        let period = format!("{}/{}", text(first, &account.zone), text(last, &account.zone));
        rule.reading(known.name, id, (first, period), Exact::from(usize::try_from(total).ok()?))
    })
    .collect()
}

impl Simulator {
    /// The readings of some records, such as [`USUAL`], that a correct consumer has delivered once it has seen
    /// everything, oldest first. Of totals, only days that are over are among them.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn readings(&self, person: u64, records: &[&str]) -> Result<Vec<Reading>, SimulatorError> {
        let now = self.now().as_second();
        let state = self.state();
        let account = state.persons.get(&person).ok_or(SimulatorError::UnknownPerson)?;
        let of =
            |record: &&str| Type::named(record).map_or_else(Vec::new, |known| readings(account, known, now));
        let mut all: Vec<Reading> = records.iter().flat_map(of).collect();
        all.sort_by_key(|reading| reading.date);
        Ok(all)
    }

    /// How many points each type has: those of the stream of all sources, where there is one.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn counts(&self, person: u64) -> Result<BTreeMap<&'static str, usize>, SimulatorError> {
        let state = self.state();
        let account = state.persons.get(&person).ok_or(SimulatorError::UnknownPerson)?;
        let merged = |points: &Vec<Point>| points.iter().filter(|point| point.content.merged).count();
        Ok(account.points.iter().map(|(name, points)| (*name, merged(points))).collect())
    }

    /// What a point says, as JSON: for tests that hold a page against it.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`], [`SimulatorError::UnknownPoint`].
    pub fn value(&self, person: u64, data_type: &str, id: &str) -> Result<Value, SimulatorError> {
        let points = self.points(person, data_type)?;
        let point = points.iter().find(|point| point.id == id).ok_or(SimulatorError::UnknownPoint)?;
        serde_json::from_str(point.content.value.get()).map_err(|_| SimulatorError::BadPoint)
    }
}
