//! The one shape that every reading takes, and the parts that they travel in.

use std::fmt::Write as _;

use jiff::civil::DateTime;
use ohx_domain::{Instant, Interval, Record, Sensitive};
use serde_json::value::RawValue;

use super::Kind;
use super::zone::Moment;
use crate::Part;

/// The most text in one part, in bytes. A reading of a scale becomes a dozen resources.
const MAX_TEXT: usize = 90 * 1024;

/// The readings of one record.
#[derive(Debug)]
pub struct RecordParts {
    /// Which record.
    pub kind: Kind,
    /// Pieces that can be mapped on their own. They claim to cover nothing.
    pub parts: Vec<Part>,
    /// How many readings they hold.
    pub readings: u64,
    /// From the first reading to one second after the last.
    pub window: Interval,
}

impl RecordParts {
    /// The record's name as the other functions know it. `None` never happens: the names are fixed, and tested.
    pub fn record(&self) -> Option<Record> {
        self.kind.as_str().parse().ok()
    }
}

/// A reading, written: its JSON text, when it was, and of which record.
pub(crate) struct Reading {
    pub(crate) kind: Kind,
    pub(crate) at: Instant,
    pub(crate) text: Sensitive<String>,
}

/// Writes a reading. Numbers are JSON texts with the digits they came with.
pub(crate) struct Writer {
    kind: Kind,
    at: Instant,
    text: String,
}

impl Writer {
    pub(crate) fn new(kind: Kind, when: &Moment) -> Self {
        let mut writer = Self { kind, at: when.at, text: String::from("{") };
        writer.text("at", &when.text);
        writer
    }

    fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        let _ = write!(self.text, "\"{name}\":");
    }

    /// The wall clock of the phone or the device.
    pub(crate) fn local(&mut self, local: DateTime) {
        self.text("local", &local.to_string());
    }

    /// A number that is already JSON.
    pub(crate) fn number(&mut self, name: &str, number: &str) {
        self.name(name);
        self.text.push_str(number);
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.text.push_str(&serde_json::Value::from(text).to_string());
    }

    pub(crate) fn flag(&mut self, name: &str, flag: bool) {
        self.name(name);
        self.text.push_str(if flag { "true" } else { "false" });
    }

    pub(crate) fn finish(mut self) -> Reading {
        self.text.push('}');
        Reading { kind: self.kind, at: self.at, text: Sensitive::new(self.text) }
    }
}

/// Gathers readings into parts: `lead` is what each part begins with, as in `"origin":"csv","zone":"Europe/Berlin"`.
pub(crate) fn parts(lead: &str, readings: &[Reading]) -> Vec<RecordParts> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let of_kind: Vec<&Reading> = readings.iter().filter(|r| r.kind == kind).collect();
        let Some(window) = window(of_kind.iter().map(|r| r.at)) else { continue };
        let mut parts = Vec::new();
        let mut text = String::new();
        for reading in &of_kind {
            let reading = reading.text.reveal();
            if !text.is_empty() && text.len() + reading.len() > MAX_TEXT {
                parts.extend(part(std::mem::take(&mut text)));
            }
            text.push_str(if text.is_empty() { "{" } else { "," });
            if text.len() == 1 {
                let _ = write!(text, "{lead},\"readings\":[");
            }
            text.push_str(reading);
        }
        parts.extend(part(text));
        let readings = u64::try_from(of_kind.len()).unwrap_or(u64::MAX);
        all.push(RecordParts { kind, parts, readings, window });
    }
    all
}

fn part(mut text: String) -> Option<Part> {
    text.push_str("]}");
    // It was written here: that it is JSON is for the tests to show.
    let text = RawValue::from_string(text).ok()?;
    Some(Part { text: Sensitive::new(text), covers: None })
}

/// From the first to one second after the last.
pub(crate) fn window(instants: impl Iterator<Item = Instant> + Clone) -> Option<Interval> {
    let (first, last) = (instants.clone().min()?, instants.max()?);
    let end = Instant::from_second(last.as_second().checked_add(1)?).ok()?;
    Interval::new(first, end)
}

/// A decimal number as JSON writes it: `mantissa` times ten to the power of `exponent`, with its digits. `None` where
/// it would be longer than any reading is.
pub(crate) fn decimal(mantissa: i64, exponent: i32) -> Option<String> {
    if !(-12..=12).contains(&exponent) {
        return None;
    }
    ohx_domain::decimal::scale10(mantissa.into(), exponent).map(|number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::zone;
    use super::*;

    #[test]
    fn the_names_are_those_of_records() {
        let names: Vec<&str> = Kind::ALL.iter().map(|k| k.as_str()).collect();
        assert_eq!(names, super::super::RECORDS);
        assert!(names.iter().all(|n| n.parse::<Record>().is_ok()));
    }

    #[test]
    fn parts_stay_small_and_lose_nothing() {
        let berlin = zone::named("Europe/Berlin").unwrap();
        let at = |n: i64| zone::moment(Instant::from_second(1_790_000_000 + n * 60).unwrap(), &berlin);
        let readings: Vec<Reading> = (0..3000)
            .map(|n| {
                let kind = if n % 3 == 0 { Kind::Weight } else { Kind::BloodPressure };
                let mut writer = Writer::new(kind, &at(n));
                writer.number("number", &n.to_string());
                writer.text("text", "\" ; \n \u{1}");
                writer.finish()
            })
            .collect();
        let all = parts("\"origin\":\"csv\"", &readings);
        assert_eq!(
            all.iter().map(|r| (r.kind, r.readings)).collect::<Vec<_>>(),
            [(Kind::BloodPressure, 2000), (Kind::Weight, 1000)]
        );
        let mut numbers = Vec::new();
        for part in all.iter().flat_map(|r| &r.parts) {
            let text = part.text.reveal().get();
            assert!(text.len() < 100 * 1024);
            let part: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(part["origin"], "csv");
            for reading in part["readings"].as_array().unwrap() {
                assert_eq!(reading["text"], "\" ; \n \u{1}");
                numbers.push(reading["number"].as_i64().unwrap());
            }
        }
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..3000));
        assert!(all[0].parts.len() > 1);
        assert_eq!(all[1].window.end.as_second(), 1_790_000_000 + 2997 * 60 + 1);
    }
}
