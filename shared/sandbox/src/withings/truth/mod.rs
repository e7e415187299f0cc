//! What a correct consumer must deliver, no more and no less: written from what the cloud knows and from what Withings
//! documents, and from nothing that a consumer is made of.
//!
//! It knows no limits of belief: a consumer that leaves out a weight of 900 kg is right to do so, and disagrees.

mod getactivity;
mod getintradayactivity;
mod getmeas;
mod getworkouts;
mod heart;
mod sleep_get;
mod sleep_getsummary;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use ohx_domain::Instant;
use ohx_domain::decimal::{Exact, parse_json_number, scale10};

use super::data::Account;
use super::figures::Figure;
use super::{Group, Simulator, SimulatorError};
use crate::{Kind, OWN, Reading};

/// Records that everybody reads.
pub const USUAL: [&str; 6] =
    ["getmeas", "getactivity", "getworkouts", "sleep-getsummary", "heart-list", "heart-get"];
/// Those, and the two with a value a minute.
pub const ALL: [&str; 8] = [
    "getmeas",
    "getactivity",
    "getworkouts",
    "sleep-getsummary",
    "heart-list",
    "heart-get",
    "getintradayactivity",
    "sleep-get",
];

/// For records that name no zone.
static UTC: TimeZone = TimeZone::UTC;

/// When something was or lasted, in Unix seconds.
#[derive(Debug, Clone, Copy)]
struct When {
    start: i64,
    end: Option<i64>,
}

impl When {
    const fn at(start: i64) -> Self {
        Self { start, end: None }
    }

    /// Without an end, or with one that is not later, it is its start.
    fn lasting(start: i64, end: Option<i64>) -> Self {
        Self { start, end: end.filter(|end| *end > start) }
    }

    fn written(self, zone: &TimeZone) -> String {
        let write = |second| {
            let at = Instant::from_second(second).unwrap_or_default();
            at.display_with_offset(zone.to_offset(at)).to_string()
        };
        match self.end {
            Some(end) => format!("{}/{}", write(self.start), write(end)),
            None => write(self.start),
        }
    }
}

/// What the readings of one record have in common.
struct Common<'a> {
    record: &'static str,
    id: String,
    when: When,
    zone: &'a TimeZone,
    preliminary: bool,
}

impl Common<'_> {
    /// A reading; `None` where it says nothing.
    fn reading(
        &self,
        kind: Kind,
        code: &'static str,
        values: BTreeMap<&'static str, String>,
    ) -> Option<Reading> {
        (!values.is_empty()).then(|| Reading {
            record: self.record,
            id: self.id.clone(),
            kind,
            position: None,
            code,
            date: self.when.start,
            when: self.when.written(self.zone),
            preliminary: self.preliminary,
            values,
        })
    }

    /// The readings of several kinds that are in a record's data fields.
    fn readings<'r>(&'r self, kinds: &'r [Fields], data: &'r Data<'_>) -> impl Iterator<Item = Reading> + 'r {
        kinds.iter().filter_map(|fields| self.reading(fields.kind, fields.code, values(fields.fields, data)))
    }
}

/// A kind of reading, and the data fields that it is made of.
struct Fields {
    kind: Kind,
    code: &'static str,
    /// Its own value or the component's code, the data field, the rule and the unit.
    fields: &'static [(&'static str, &'static str, Rule, &'static str)],
}

/// How a number in a data field becomes one in FHIR.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// As it is.
    Same,
    /// As it is, but 0 says that there is none.
    NonZero,
    /// Seconds as hours with four digits, which tell every second apart. Halves go to the even digit.
    Hours,
    /// A ratio as percent.
    Percent,
}

/// The data fields that a call may see.
type Data<'a> = BTreeMap<&'a str, &'a Figure>;

/// The number in a data field; `None` where it is absent, null or none.
fn number(data: &Data<'_>, field: &str) -> Option<Exact> {
    parse_json_number(data.get(field)?.as_str())
}

fn values(fields: &[(&'static str, &str, Rule, &str)], data: &Data<'_>) -> BTreeMap<&'static str, String> {
    let value = |(code, field, rule, unit): &(&'static str, &str, Rule, &str)| {
        let number = number(data, field)?;
        let text = match rule {
            Rule::Same => number.to_string(),
            Rule::NonZero if number.is_zero() => return None,
            Rule::NonZero => number.to_string(),
            Rule::Hours => divided(number, 3600, 4)?,
            Rule::Percent => scale10(number, 2)?.to_string(),
        };
        Some((*code, format!("{text} {unit}")))
    };
    fields.iter().filter_map(value).collect()
}

/// A quotient with so many digits behind the point, halves to the even one.
fn divided(value: Exact, by: i128, digits: usize) -> Option<String> {
    let up = 10_i128.pow(u32::try_from(digits).ok()?);
    let (numerator, denominator) = (value.mantissa() * up, by * 10_i128.pow(value.scale()));
    let (whole, rest) = (numerator.div_euclid(denominator), numerator.rem_euclid(denominator));
    let up = match (rest * 2).cmp(&denominator) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => whole % 2,
        std::cmp::Ordering::Greater => 1,
    };
    Some(Figure::decimal(i64::try_from(whole + up).ok()?, digits).as_str().to_owned())
}

/// The classes of heart rhythm, as Withings numbers them, by our names.
fn rhythm(class: i64) -> Option<&'static str> {
    Some(match class {
        0 => "negative",
        1 => "positive",
        2 | 8 => "inconclusive",
        3 => "no-signal",
        4 => "other",
        5 => "noise",
        6 => "low-heart-rate",
        7 => "high-heart-rate",
        9 => "negative-normal-heart-rate",
        10 => "negative-high-heart-rate",
        11 => "positive-normal-heart-rate",
        12 => "positive-high-heart-rate",
        13 => "no-diagnosis",
        _ => return None,
    })
}

/// What a person's records hold for an app with this plan.
fn readings(account: &Account, records: &[&str]) -> Vec<Reading> {
    let of = |record: &&str| match *record {
        "getmeas" => getmeas::readings(account),
        "getactivity" => getactivity::readings(account),
        "getworkouts" => getworkouts::readings(account),
        "sleep-getsummary" => sleep_getsummary::readings(account),
        "heart-list" => heart::list(account),
        "heart-get" => heart::get(account),
        "getintradayactivity" => getintradayactivity::readings(account),
        "sleep-get" => sleep_get::readings(account),
        _ => Vec::new(),
    };
    let mut all: Vec<Reading> = records.iter().flat_map(of).collect();
    all.sort_by_key(|reading| reading.date);
    all
}

impl Simulator {
    /// A person's groups as they are now, oldest first; deleted ones are not among them.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn truth(&self, person: u64) -> Result<Vec<Group>, SimulatorError> {
        let state = self.state();
        let account = state.persons.get(&person).ok_or(SimulatorError::UnknownPerson)?;
        let mut groups: Vec<Group> = account.groups.values().cloned().collect();
        groups.sort_by_key(|group| (group.content.date, group.grpid));
        Ok(groups)
    }

    /// The readings of some records, such as [`USUAL`] or [`ALL`], that a correct consumer has delivered once it has seen
    /// everything, oldest first.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn readings(&self, person: u64, records: &[&str]) -> Result<Vec<Reading>, SimulatorError> {
        let state = self.state();
        let account = state.persons.get(&person).ok_or(SimulatorError::UnknownPerson)?;
        Ok(readings(account, records))
    }

    /// How many readings of each record and kind that are.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn counts(
        &self,
        person: u64,
    ) -> Result<BTreeMap<&'static str, BTreeMap<Kind, usize>>, SimulatorError> {
        let mut counts = BTreeMap::<_, BTreeMap<_, _>>::new();
        for reading in self.readings(person, &ALL)? {
            *counts.entry(reading.record).or_default().entry(reading.kind).or_insert(0) += 1;
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotient_is_rounded_half_to_even() {
        let quotient = |value: &str, by, digits| divided(value.parse().unwrap(), by, digits).unwrap();
        for (value, by, digits, expected) in [
            ("18660", 3600, 4, "5.1833"),
            ("2400", 3600, 4, "0.6667"),
            ("3060", 3600, 4, "0.8500"),
            ("0", 3600, 4, "0.0000"),
            ("502", 60, 3, "8.367"),
            ("1000", 300, 9, "3.333333333"),
            ("1000", 500, 9, "2.000000000"),
            ("5", 2, 0, "2"),
            ("7", 2, 0, "4"),
            ("0.25", 1, 1, "0.2"),
        ] {
            assert_eq!(quotient(value, by, digits), expected, "{value} / {by}");
        }
    }

    #[test]
    fn a_time_has_the_offset_of_its_zone() {
        let vienna = TimeZone::get("Europe/Vienna").unwrap();
        assert_eq!(When::at(1_720_000_000).written(&vienna), "2024-07-03T11:46:40+02:00");
        let lasting = When::lasting(1_704_769_719, Some(1_704_769_720)).written(&TimeZone::UTC);
        assert_eq!(lasting, "2024-01-09T03:08:39+00:00/2024-01-09T03:08:40+00:00");
        assert_eq!(When::lasting(5, Some(5)).end, None);
    }
}
