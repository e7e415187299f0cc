//! Dates and times as the locales of phones write them.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};

use super::error::CsvError;

/// How dates with slashes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DateOrder {
    /// Day, month, year.
    Dmy,
    /// Month, day, year.
    Mdy,
}

impl fmt::Display for DateOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dmy => "day first",
            Self::Mdy => "month first",
        })
    }
}

/// A text that is no date order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a date order is dmy (day first) or mdy (month first)")]
pub struct InvalidDateOrder;

impl FromStr for DateOrder {
    type Err = InvalidDateOrder;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "dmy" => Ok(Self::Dmy),
            "mdy" => Ok(Self::Mdy),
            _ => Err(InvalidDateOrder),
        }
    }
}

/// A date whose first two numbers may be a day and a month, either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// With dots, day first; or year first.
    Clear(Date),
    /// With slashes or hyphens.
    Slashed { first: i8, second: i8, year: i16 },
}

impl Written {
    /// A cell that holds a date.
    pub(super) fn read(cell: &str) -> Option<Self> {
        let separator = cell.chars().find(|c| !c.is_ascii_digit()).filter(|c| ['.', '/', '-'].contains(c))?;
        let mut fields = cell.split(separator);
        let (a, b, c) = (fields.next()?, fields.next()?, fields.next()?);
        if fields.next().is_some() || [a, b, c].iter().any(|f| !f.bytes().all(|b| b.is_ascii_digit())) {
            return None;
        }
        let short = |text: &str| (1..=2).contains(&text.len()).then(|| text.parse::<i8>().ok()).flatten();
        let year = |text: &str| (text.len() == 4).then(|| text.parse::<i16>().ok()).flatten();
        if let (Some(year), Some(month), Some(day)) = (year(a), short(b), short(c)) {
            return (separator != '.').then(|| date(year, month, day)).flatten().map(Self::Clear);
        }
        let (first, second, year) = (short(a)?, short(b)?, year(c)?);
        match separator {
            '.' => date(year, second, first).map(Self::Clear),
            _ => Some(Self::Slashed { first, second, year }),
        }
    }

    /// The date in that order.
    pub(super) fn date(self, order: Option<DateOrder>) -> Option<Date> {
        match (self, order) {
            (Self::Clear(date), _) => Some(date),
            (Self::Slashed { first, second, year }, Some(DateOrder::Dmy)) => date(year, second, first),
            (Self::Slashed { first, second, year }, Some(DateOrder::Mdy)) => date(year, first, second),
            (Self::Slashed { .. }, None) => None,
        }
    }
}

/// A date of the years in which such apps exist.
fn date(year: i16, month: i8, day: i8) -> Option<Date> {
    (1990..=2200).contains(&year).then(|| Date::new(year, month, day).ok()).flatten()
}

/// Upper or lower case `AM`/`PM`: a weak hint at the locale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meridiem {
    Upper,
    Lower,
}

/// A cell that holds a time, with seconds or without, of 24 hours or of twelve.
pub(super) fn time(cell: &str) -> Option<(Time, Option<Meridiem>)> {
    let end = cell.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(cell.len());
    let (clock, rest) = cell.split_at(end);
    let mut fields = clock.split(':');
    let mut number = |least: usize| {
        let field = fields.next()?;
        ((least..=2).contains(&field.len())).then(|| field.parse::<i8>().ok()).flatten()
    };
    let (hour, minute) = (number(1)?, number(2)?);
    let second = if clock.matches(':').count() == 2 { number(2)? } else { 0 };
    if clock.matches(':').count() > 2 {
        return None;
    }
    let word: String = rest.chars().filter(|c| !c.is_whitespace() && *c != '.').collect();
    let (hour, meridiem) = match (word.to_ascii_lowercase().as_str(), hour) {
        ("", hour) => (hour, None),
        ("am", 12) => (0, Some(&word)),
        ("am", 1..=11) => (hour, Some(&word)),
        ("pm", 12) => (12, Some(&word)),
        ("pm", 1..=11) => (hour + 12, Some(&word)),
        _ => return None,
    };
    let case = |w: &String| {
        if w.starts_with(|c: char| c.is_ascii_uppercase()) { Meridiem::Upper } else { Meridiem::Lower }
    };
    Some((Time::new(hour, minute, second, 0).ok()?, meridiem.map(case)))
}

/// What the dates of a file say about their order.
pub(super) struct Evidence<'a> {
    /// Every date with its line: those of the rows, and those of the stated period.
    pub(super) dates: &'a [(usize, Written)],
    /// The stated period, first and last day.
    pub(super) period: Option<(Written, Written)>,
    pub(super) meridiem: Option<Meridiem>,
}

/// The order of the dates with slashes; none where there are none. It is never guessed.
pub(super) fn order(told: Option<DateOrder>, evidence: &Evidence<'_>) -> Result<Option<DateOrder>, CsvError> {
    let slashed = |(line, written): &(usize, Written)| match written {
        Written::Slashed { first, second, .. } => Some((*line, *first, *second)),
        Written::Clear(_) => None,
    };
    let slashed: Vec<(usize, i8, i8)> = evidence.dates.iter().filter_map(slashed).collect();
    let Some((line, ..)) = slashed.first().copied() else {
        let dot = evidence.dates.first().filter(|_| told == Some(DateOrder::Mdy));
        return match dot {
            Some((line, _)) => Err(CsvError::DateOrder {
                line: *line,
                order: DateOrder::Mdy,
                because: "that was asked for",
                help: "dates with dots have the day first; leave the date order out",
            }),
            None => Ok(None),
        };
    };
    let day_first = slashed.iter().find(|(_, first, second)| (13..=31).contains(first) && *second <= 12);
    let month_first = slashed.iter().find(|(_, first, second)| (13..=31).contains(second) && *first <= 12);
    let broken = |line: usize, order, because| {
        let help = "pass the other date order, or export the file again in one language";
        Err(CsvError::DateOrder { line, order, because, help })
    };
    match (told, day_first, month_first) {
        (_, Some(_), Some((line, ..))) => {
            broken(*line, DateOrder::Dmy, "another line has a day above 12 first")
        }
        (Some(DateOrder::Mdy), Some((line, ..)), _) => broken(*line, DateOrder::Mdy, "that was asked for"),
        (Some(DateOrder::Dmy), _, Some((line, ..))) => broken(*line, DateOrder::Dmy, "that was asked for"),
        (Some(told), ..) => Ok(Some(told)),
        (None, Some(_), None) => Ok(Some(DateOrder::Dmy)),
        (None, None, Some(_)) => Ok(Some(DateOrder::Mdy)),
        (None, None, None) => match (fits(evidence, DateOrder::Dmy), fits(evidence, DateOrder::Mdy)) {
            (Some(true), Some(false)) => Ok(Some(DateOrder::Dmy)),
            (Some(false), Some(true)) => Ok(Some(DateOrder::Mdy)),
            _ if slashed.iter().all(|(_, first, second)| first == second) => Ok(Some(DateOrder::Dmy)),
            _ => {
                let prior = match evidence.meridiem {
                    Some(Meridiem::Upper) => " (the AM and PM suggest month first, which is not enough)",
                    Some(Meridiem::Lower) => " (the am and pm suggest day first, which is not enough)",
                    None => "",
                };
                Err(CsvError::AmbiguousDates { line, prior })
            }
        },
    }
}

/// Whether every date lies within the stated period, where one is stated.
fn fits(evidence: &Evidence<'_>, order: DateOrder) -> Option<bool> {
    let (from, until) = evidence.period?;
    let (Some(from), Some(until)) = (from.date(Some(order)), until.date(Some(order))) else {
        return Some(false);
    };
    let within = |d: &(usize, Written)| d.1.date(Some(order)).is_some_and(|d| (from..=until).contains(&d));
    Some(from <= until && evidence.dates.iter().all(within))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<String> {
        time(text).map(|(t, _)| t.to_string())
    }

    #[test]
    fn times_of_every_locale() {
        for (cell, expected) in [
            ("07:41", "07:41:00"),
            ("7:41", "07:41:00"),
            ("23:59:30", "23:59:30"),
            ("07:41 AM", "07:41:00"),
            ("07:41 pm", "19:41:00"),
            ("12:05 AM", "00:05:00"),
            ("12:05\u{202f}PM", "12:05:00"),
            ("1:00 p.m.", "13:00:00"),
        ] {
            assert_eq!(at(cell).as_deref(), Some(expected), "{cell}");
        }
        for cell in [
            "",
            "7",
            "24:00",
            "13:00 PM",
            "0:10 am",
            "7:4",
            "07:41 Uhr",
            "07:41:00:00",
            ":",
            "123:00",
            "-7:00",
        ] {
            assert_eq!(at(cell), None, "{cell}");
        }
    }

    #[test]
    fn dates_of_every_locale() {
        let read = |cell: &str, order| Written::read(cell).and_then(|w| w.date(order)).map(|d| d.to_string());
        for (cell, order, expected) in [
            ("04.10.2026", None, Some("2026-10-04")),
            ("4.10.2026", Some(DateOrder::Mdy), Some("2026-10-04")),
            ("2026-10-04", None, Some("2026-10-04")),
            ("04/10/2026", Some(DateOrder::Dmy), Some("2026-10-04")),
            ("04/10/2026", Some(DateOrder::Mdy), Some("2026-04-10")),
            ("04/10/2026", None, None),
            ("31.02.2026", None, None),
            ("04.10.26", None, None),
            ("04.10.2026 07:41", None, None),
            ("2026.10.04", None, None),
            ("04/10.2026", None, None),
            ("00/00/0000", Some(DateOrder::Dmy), None),
            ("", None, None),
        ] {
            assert_eq!(read(cell, order).as_deref(), expected, "{cell}");
        }
    }

    fn ordered(
        told: Option<DateOrder>,
        dates: &[&str],
        period: Option<(&str, &str)>,
    ) -> Result<Option<DateOrder>, &'static str> {
        let mut all: Vec<(usize, Written)> = dates.iter().map(|d| (1, Written::read(d).unwrap())).collect();
        let period = period.map(|(a, b)| (Written::read(a).unwrap(), Written::read(b).unwrap()));
        all.extend(period.iter().flat_map(|(a, b)| [(1, *a), (1, *b)]));
        order(told, &Evidence { dates: &all, period, meridiem: Some(Meridiem::Upper) }).map_err(|e| e.code())
    }

    #[test]
    fn the_order_is_found_or_asked_for_but_never_guessed() {
        use DateOrder::{Dmy, Mdy};
        for (told, dates, period, expected) in [
            (None, &["04.10.2026"][..], None, Ok(None)),
            (None, &["04/10/2026", "13/10/2026"], None, Ok(Some(Dmy))),
            (None, &["04/10/2026", "10/13/2026"], None, Ok(Some(Mdy))),
            (None, &["04/10/2026"], Some(("01/10/2026", "31/10/2026")), Ok(Some(Dmy))),
            // Only one of the two orders keeps every row within the period.
            (None, &["05/02/2026"], Some(("01/02/2026", "01/03/2026")), Ok(Some(Dmy))),
            (None, &["02/05/2026"], Some(("02/01/2026", "03/01/2026")), Ok(Some(Mdy))),
            (None, &["04/10/2026"], None, Err("ambiguous-dates")),
            (None, &["03/02/2026"], Some(("01/02/2026", "03/04/2026")), Err("ambiguous-dates")),
            (None, &["04/04/2026"], None, Ok(Some(Dmy))),
            (Some(Mdy), &["04/10/2026"], None, Ok(Some(Mdy))),
            (Some(Mdy), &["13/10/2026"], None, Err("date-order")),
            (Some(Dmy), &["10/13/2026"], None, Err("date-order")),
            (Some(Mdy), &["04.10.2026"], None, Err("date-order")),
            (Some(Dmy), &["04.10.2026"], None, Ok(None)),
            (None, &["13/10/2026", "10/13/2026"], None, Err("date-order")),
        ] {
            assert_eq!(ordered(told, dates, period), expected, "{told:?} {dates:?} {period:?}");
        }
    }
}
