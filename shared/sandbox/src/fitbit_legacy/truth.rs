//! What a correct consumer must deliver, no more and no less: written from what the cloud knows and from what Fitbit
//! documents, and from nothing that a consumer is made of.
//!
//! It knows no limits of belief. Of values that add up over a day it has those of days that are over.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use ohx_domain::decimal::{Exact, parse_json_number, scale10};
use ohx_domain::{Instant, content_digest};

use super::data::{ALL, Account, Entry};
use super::{Simulator, SimulatorError};
use crate::{OWN, Reading};

/// How a number becomes one in FHIR.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// As it is.
    Same,
    /// As it is, but 0 says that there is none.
    NonZero,
    /// Kilometres as metres.
    Metres,
    /// Minutes as hours, with four digits. Halves go to the even digit.
    Hours,
    /// Minutes as seconds.
    Seconds,
    /// Milliseconds as minutes, with three digits.
    Minutes,
}

use Rule::{Hours, Metres, Minutes, NonZero, Same, Seconds};

/// A value: its own or the component's code, where it is (the first that is there), the rule and the unit.
type Field = (&'static str, &'static [&'static str], Rule, &'static str);

/// A kind of reading of a record: its name, its code and its values.
struct Kind(&'static str, &'static str, &'static [Field]);

fn kinds(record: &str) -> &'static [Kind] {
    match record {
        "weight" => &[
            Kind("body-weight", "29463-7", &[(OWN, &["weight"], Same, "kg")]),
            Kind("bmi", "39156-5", &[(OWN, &["bmi"], NonZero, "kg/m2")]),
        ],
        "fat" => &[Kind("fat-ratio", "41982-0", &[(OWN, &["fat"], Same, "%")])],
        "heart" => &[Kind("resting-heart-rate", "40443-4", &[(OWN, &["restingHeartRate"], NonZero, "/min")])],
        "hrv" => &[Kind(
            "hrv-rmssd-day",
            "hrv-rmssd",
            &[(OWN, &["dailyRmssd"], NonZero, "ms"), ("hrv-rmssd-deep-sleep", &["deepRmssd"], NonZero, "ms")],
        )],
        "spo2" => &[Kind(
            "oxygen-saturation-day",
            "103209-3",
            &[
                (OWN, &["avg"], NonZero, "%"),
                ("oxygen-saturation-minimum", &["min"], NonZero, "%"),
                ("oxygen-saturation-maximum", &["max"], NonZero, "%"),
            ],
        )],
        "br" => &[Kind("respiratory-rate-day", "103217-6", &[(OWN, &["breathingRate"], NonZero, "/min")])],
        "temp-skin" => &[Kind(
            "skin-temperature-deviation",
            "skin-temperature-deviation",
            &[(OWN, &["nightlyRelative"], Same, "K")],
        )],
        "temp-core" => &[Kind("body-temperature", "8310-5", &[(OWN, &["value"], Same, "Cel")])],
        "cardioscore" => &[Kind("vo2max-day", "94122-9", &[(OWN, &["vo2Max"], Same, "mL/kg/min")])],
        "activities" => &[
            Kind("steps-day", "41950-7", &[(OWN, &["steps"], Same, "{steps}")]),
            Kind("distance-day", "41953-1", &[(OWN, &["distance"], Metres, "m")]),
            Kind("floors-day", "100304-5", &[(OWN, &["floors"], Same, "{flight}")]),
            Kind("active-energy-day", "41981-2", &[(OWN, &["activityCalories"], Same, "kcal")]),
            Kind("total-energy-day", "41979-6", &[(OWN, &["calories"], Same, "kcal")]),
        ],
        "sleep" => &[Kind(
            "sleep",
            "93832-4",
            &[
                (OWN, &["minutesAsleep"], Hours, "h"),
                ("93831-6", &["deep.minutes"], Hours, "h"),
                ("93830-8", &["light.minutes"], Hours, "h"),
                ("93829-0", &["rem.minutes"], Hours, "h"),
                ("93828-2", &["wake.minutes", "awake.minutes", "minutesAwake"], Hours, "h"),
                ("sleep-restless", &["restless.minutes"], Seconds, "s"),
                ("sleep-in-bed", &["timeInBed"], Seconds, "s"),
                ("sleep-latency", &["minutesToFallAsleep"], Seconds, "s"),
                ("sleep-wakeup-latency", &["minutesAfterWakeup"], Seconds, "s"),
                ("sleep-efficiency", &["efficiency"], Same, "%"),
                ("sleep-wakeups", &["wake.count", "awake.count"], Same, "{events}"),
                ("sleep-rem-episodes", &["rem.count"], Same, "{episodes}"),
            ],
        )],
        "exercise" => &[Kind(
            "workout",
            "73985-4",
            &[
                ("55411-3", &["activeDuration", "duration"], Minutes, "min"),
                ("41981-2", &["calories"], Same, "kcal"),
                ("103208-5", &["distance"], Metres, "m"),
                ("55423-8", &["steps"], Same, "{steps}"),
                ("heart-rate-mean", &["averageHeartRate"], NonZero, "/min"),
            ],
        )],
        _ => &[],
    }
}

/// A quotient with so many digits behind the point, halves to the even one.
fn divided(value: Exact, by: i128, digits: u32) -> Option<Exact> {
    let (numerator, denominator) = (
        value.mantissa().checked_mul(10_i128.checked_pow(digits)?)?,
        by.checked_mul(10_i128.pow(value.scale()))?,
    );
    let (whole, rest) = (numerator.div_euclid(denominator), numerator.rem_euclid(denominator));
    let up = match (rest * 2).cmp(&denominator) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => whole.rem_euclid(2),
        std::cmp::Ordering::Greater => 1,
    };
    Exact::try_from_i128_with_scale(whole + up, digits).ok()
}

/// A number, which may be written as text.
fn number(entry: &Entry, names: &[&str]) -> Option<Exact> {
    let figure = names.iter().find_map(|name| entry.figures.get(*name))?;
    parse_json_number(figure.as_str().trim_matches('"'))
}

fn value(entry: &Entry, names: &[&str], rule: Rule) -> Option<Exact> {
    let number = number(entry, names)?;
    match rule {
        Same => Some(number),
        NonZero => Some(number).filter(|number| !number.is_zero()),
        Metres => scale10(number, 3),
        Hours => divided(number, 60, 4),
        Seconds => number.checked_mul(Exact::from(60)),
        Minutes => divided(number, 60_000, 3),
    }
}

/// A local time with the offset that it had.
fn instant(at: DateTime, zone: &TimeZone) -> Instant {
    zone.to_timestamp(at).unwrap_or_default()
}

fn written(at: Instant, zone: &TimeZone) -> String {
    at.display_with_offset(zone.to_offset(at)).to_string()
}

/// From when to when, and the id.
fn place(record: &str, entry: &Entry, zone: &TimeZone) -> (Instant, String, String) {
    let start = instant(entry.at, zone);
    let own = entry.at.strftime("%Y-%m-%dT%H:%M:%S");
    let digest = |text: String| content_digest(&[format!("\"{text}\"").as_bytes()]);
    let at = |id: String| (start, written(start, zone), id);
    match record {
        "weight" | "fat" | "exercise" => at(entry.id.to_string()),
        "temp-core" => at(digest(own.to_string())),
        "ecg" => at(digest(format!("{own}.000"))),
        "sleep" => {
            let end = instant(entry.until.unwrap_or(entry.at), zone);
            (start, format!("{}/{}", written(start, zone), written(end, zone)), entry.id.to_string())
        }
        _ => {
            let (start, when) = day(entry.at.date(), zone);
            (start, when, entry.at.date().to_string())
        }
    }
}

fn day(date: Date, zone: &TimeZone) -> (Instant, String) {
    let midnight = |date: Date| instant(date.at(0, 0, 0, 0), zone);
    let (start, end) = (midnight(date), midnight(date.tomorrow().unwrap_or(date)));
    (start, format!("{}/{}", written(start, zone), written(end, zone)))
}

/// The codes of what a workout is; names of one's own are others.
fn workout(name: &str) -> &'static str {
    match name {
        "Walk" => "walking",
        "Run" => "running",
        "Bike" => "biking",
        "Swim" => "swimming",
        _ => "other",
    }
}

/// What the device says of a rhythm.
fn rhythm(class: &str) -> &'static str {
    match class {
        "Normal Sinus Rhythm" => "normal-sinus-rhythm",
        "Atrial Fibrillation" => "positive",
        _ => "other",
    }
}

type Values = BTreeMap<&'static str, String>;

/// The kinds that are no list of numbers.
fn special(record: &str, entry: &Entry, zone: &TimeZone) -> Vec<(&'static str, &'static str, Values)> {
    match record {
        "ecg" => {
            let factor = number(entry, &["scalingFactor"]).map_or(1, |factor| factor.mantissa());
            let samples = entry.samples.iter().filter_map(|sample| divided(Exact::from(*sample), factor, 6));
            let samples: Vec<String> = samples.map(|sample| sample.to_string()).collect();
            let mut values = Values::from([("131329", format!("{} mV every 4 ms", samples.join(" ")))]);
            values.extend(
                value(entry, &["averageHeartRate"], NonZero).map(|rate| ("8867-4", format!("{rate} /min"))),
            );
            let class = rhythm(&entry.text("resultClassification").unwrap_or_default()).to_owned();
            vec![
                ("ecg", "11524-6", values),
                ("ecg-classification", "ecg-classification", Values::from([(OWN, class)])),
            ]
        }
        "heart-intraday" => {
            let (start, _) = day(entry.at.date(), zone);
            let minutes = entry.samples.iter().zip(0_i64..).filter(|(beats, _)| **beats > 0);
            let (mut beats, mut offsets) = (Vec::new(), Vec::new());
            for (beat, minute) in minutes {
                let at = entry.at.checked_add(jiff::Span::new().minutes(minute)).unwrap_or(entry.at);
                beats.push(beat.to_string());
                offsets.push((instant(at, zone).as_second() - start.as_second()).to_string());
            }
            let said = format!("{} /min at {} s", beats.join(" "), offsets.join(" "));
            vec![("heart-rate", "8867-4", Values::from([(OWN, said)]))]
        }
        _ => Vec::new(),
    }
}

fn readings(account: &Account, record: &'static str, now: Instant) -> Vec<Reading> {
    let zone = account.zone();
    let today = zone.to_datetime(now).date();
    let mut all = Vec::new();
    for entry in account.entries(record) {
        let totals = matches!(record, "activities" | "heart-intraday");
        if totals && entry.at.date() >= today {
            continue;
        }
        let (start, when, id) = place(record, entry, &zone);
        let mut found = special(record, entry, &zone);
        for Kind(kind, code, fields) in kinds(record) {
            let mut values: Values = fields
                .iter()
                .filter_map(|(code, names, rule, unit)| {
                    Some((*code, format!("{} {unit}", value(entry, names, *rule)?)))
                })
                .collect();
            match record {
                "exercise" => {
                    values.insert(OWN, workout(&entry.text("activityName").unwrap_or_default()).to_owned());
                }
                "sleep" if entry.figures.get("isMainSleep").is_some_and(|yes| yes.as_str() == "true") => {
                    values.insert("sleep-session", "main".to_owned());
                }
                _ => {}
            }
            found.push((kind, code, values));
        }
        for (kind, code, values) in found {
            if !values.is_empty() {
                let (id, when) = (id.clone(), when.clone());
                let (position, date, preliminary) = (None, start.as_second(), false);
                all.push(Reading { record, id, kind, position, code, date, when, preliminary, values });
            }
        }
    }
    all
}

impl Simulator {
    /// The readings of some records that a correct consumer has delivered once it has seen everything, oldest first.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn readings(&self, person: &str, records: &[&str]) -> Result<Vec<Reading>, SimulatorError> {
        let now = self.now();
        let state = self.state();
        let account = state.persons.get(person).ok_or(SimulatorError::UnknownPerson)?;
        let wanted = ALL.into_iter().filter(|record| records.contains(record));
        let mut all: Vec<Reading> = wanted.flat_map(|record| readings(account, record, now)).collect();
        all.sort_by_key(|reading| reading.date);
        Ok(all)
    }
}
