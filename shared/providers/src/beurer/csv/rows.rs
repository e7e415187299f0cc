//! From a row to a reading.

use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use ohx_domain::Instant;
use ohx_domain::decimal::Exact;

use super::columns::{Column, Header};
use super::dates::{self, DateOrder, Written};
use super::lines::Line;
use super::report::{CellReport, Reason};
use crate::beurer::normal::{Reading, Writer};
use crate::beurer::zone::{self, Shift};
use crate::beurer::{AHEAD, Kind};

/// What every row of a file is read with.
pub(super) struct Rules<'a> {
    pub(super) zone: &'a TimeZone,
    pub(super) order: Option<DateOrder>,
    /// The stated period, both days included.
    pub(super) period: Option<(Date, Date)>,
    pub(super) now: Instant,
}

/// A row that is a reading.
pub(super) struct Row {
    pub(super) reading: Reading,
    pub(super) cells: Vec<CellReport>,
    pub(super) shift: Option<Shift>,
}

/// Why a row is none, and the column that it is about.
pub(super) struct Refused(pub(super) Reason, pub(super) Option<String>);

/// A cell of numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// Empty, a dash or zero: not measured.
    Absent,
    /// A number as JSON writes it, and the sign of its decimals.
    Number(String, Option<char>),
    Bad(Reason),
}

/// Reads a number: decimals with a comma or a point, no signs between thousands.
pub(super) fn number(cell: &str) -> Cell {
    if matches!(cell, "" | "-" | "--" | "–" | "—") {
        return Cell::Absent;
    }
    if cell.starts_with(['=', '+', '@']) {
        return Cell::Bad(Reason::Formula);
    }
    let (sign, digits) = cell.strip_prefix('-').map_or(("", cell), |rest| ("-", rest));
    let point = digits.find([',', '.']);
    let (whole, decimals) = match point {
        Some(at) => (digits.get(..at).unwrap_or_default(), digits.get(at + 1..)),
        None => (digits, None),
    };
    let all = |text: &str| (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !all(whole) || !decimals.is_none_or(all) {
        return Cell::Bad(if sign.is_empty() { Reason::Unreadable } else { Reason::Formula });
    }
    let whole = whole.trim_start_matches('0');
    let zero = whole.is_empty() && decimals.unwrap_or_default().bytes().all(|b| b == b'0');
    if zero {
        return Cell::Absent;
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    let text = match decimals {
        Some(decimals) => format!("{sign}{whole}.{decimals}"),
        None => format!("{sign}{whole}"),
    };
    Cell::Number(text, point.and_then(|at| digits.get(at..)?.chars().next()))
}

/// Words for when a glucose value was measured, as the column plainly has them.
const MEALS: &[(&str, &[&str])] = &[
    (
        "before-meal",
        &["vor dem essen", "vor der mahlzeit", "before meal", "before the meal", "before eating"],
    ),
    ("after-meal", &["nach dem essen", "nach der mahlzeit", "after meal", "after the meal", "after eating"]),
    ("fasting", &["nüchtern", "fasting"]),
    ("bedtime", &["vor dem schlafen", "bedtime", "before bed"]),
    ("casual", &["allgemein", "general", "casual", "random"]),
];

/// Words in a thermometer's mode that say it was no body.
const NOT_A_BODY: &[&str] = &[
    "objekt",
    "object",
    "raum",
    "room",
    "umgebung",
    "ambient",
    "oberfläche",
    "surface",
    "flüssigkeit",
    "liquid",
];

struct Taken {
    field: &'static str,
    column: String,
    text: String,
}

/// Reads a row of a section.
pub(super) fn read(kind: Kind, header: &Header, line: &Line<'_>, rules: &Rules<'_>) -> Result<Row, Refused> {
    let named = |reason, column: &str| Refused(reason, Some(column.to_owned()));
    if line.cells.len() < header.columns.len() {
        return Err(Refused(Reason::TooFewCells, None));
    }
    let extra = line.cells.iter().skip(header.columns.len()).any(|c| !c.is_empty());
    // Behind a comment with a separator in it, nothing is where the header says.
    let until = match (extra, header.trusted()) {
        (false, _) => header.columns.len(),
        (true, Some(at)) => at,
        (true, None) => return Err(Refused(Reason::TooManyCells, None)),
    };
    let (mut day, mut begin, mut end, mut manual) = (None, None, None, None);
    let (mut meal, mut cells, mut values) = (None, Vec::new(), Vec::<Taken>::new());
    for ((column, name), cell) in header.columns.iter().take(until).zip(&line.cells) {
        let unreadable = |reason| CellReport { column: name.clone(), reason };
        match column {
            Column::Date => {
                let date = Written::read(cell).and_then(|d| d.date(rules.order));
                day = Some(date.ok_or_else(|| named(Reason::Unreadable, name))?);
            }
            Column::Time => {
                begin = Some(dates::time(cell).ok_or_else(|| named(Reason::Unreadable, name))?.0);
            }
            Column::End => match (dates::time(cell), cell.is_empty()) {
                (Some((time, _)), _) => end = Some(time),
                (None, true) => {}
                (None, false) => cells.push(unreadable(Reason::Unreadable)),
            },
            Column::Manual => match cell.to_lowercase().as_str() {
                "0" | "nein" | "no" | "false" => manual = Some(false),
                "1" | "ja" | "yes" | "true" => manual = Some(true),
                "" | "-" => {}
                _ => cells.push(unreadable(Reason::Unreadable)),
            },
            Column::Mode => {
                let mode = super::columns::plain(cell);
                if NOT_A_BODY.iter().any(|word| mode.contains(word)) {
                    return Err(named(Reason::NotBodyTemperature, name));
                }
            }
            Column::Meal => {
                let word = super::columns::plain(cell);
                meal = MEALS.iter().find(|(_, words)| words.contains(&word.as_str())).map(|(meal, _)| *meal);
                if meal.is_none() && !matches!(word.as_str(), "" | "0") {
                    cells.push(unreadable(Reason::Unreadable));
                }
            }
            Column::Value(field) | Column::In(field, _) => match number(cell) {
                Cell::Absent => {}
                Cell::Number(text, _) => values.push(Taken { field, column: name.clone(), text }),
                Cell::Bad(Reason::Formula) => return Err(named(Reason::Formula, name)),
                Cell::Bad(reason) => cells.push(unreadable(reason)),
            },
            Column::Skip(_) => {}
        }
    }
    let (Some(day), Some(begin)) = (day, begin) else { return Err(Refused(Reason::Unreadable, None)) };
    if rules.period.is_some_and(|(from, until)| day < from || day > until) {
        return Err(Refused(Reason::OutsidePeriod, None));
    }
    sufficient(kind, &values, &cells, header)?;
    glucose(&mut values)?;

    let local = DateTime::from_parts(day, begin);
    let when = zone::resolve(local, rules.zone).ok_or(Refused(Reason::Unreadable, None))?;
    if when.at.as_second() > rules.now.as_second().saturating_add(AHEAD) {
        return Err(Refused(Reason::Future, None));
    }
    let mut writer = Writer::new(kind, &when);
    writer.local(local);
    // A session past midnight ends on the next day.
    let ended = end.and_then(|time| {
        let day = if time < begin { day.checked_add(1.day()).ok()? } else { day };
        zone::resolve(DateTime::from_parts(day, time), rules.zone).filter(|end| end.at > when.at)
    });
    if let Some(ended) = &ended {
        writer.text("end", &ended.text);
    }
    for Taken { field, text, .. } in &values {
        // A session's value is its average.
        writer.number(if *field == "spo2_average" { "spo2" } else { field }, text);
    }
    match kind {
        Kind::BloodPressure => writer.text("pressure_unit", "mmHg"),
        Kind::Weight => writer.text("mass_unit", header.unit("weight").unwrap_or("kg")),
        Kind::Temperature => writer.text("temperature_unit", header.unit("temperature").unwrap_or("Cel")),
        Kind::Glucose | Kind::OxygenSaturation => {}
    }
    if let Some(meal) = meal {
        writer.text("meal", meal);
    }
    if let Some(manual) = manual {
        writer.flag("manual", manual);
    }
    Ok(Row { reading: writer.finish(), cells, shift: when.shift.or(ended.and_then(|e| e.shift)) })
}

/// Whether the values that make a reading are there; if not, whether they were not measured or cannot be read.
fn sufficient(kind: Kind, values: &[Taken], cells: &[CellReport], header: &Header) -> Result<(), Refused> {
    let groups: &[&[&str]] = match kind {
        Kind::BloodPressure => &[&["systolic"], &["diastolic"]],
        Kind::Weight => &[&["weight"]],
        Kind::Temperature => &[&["temperature"]],
        Kind::Glucose => &[&["glucose_mg_dl", "glucose_mmol_l", "hba1c"]],
        Kind::OxygenSaturation => &[&["spo2", "spo2_average"]],
    };
    for group in groups {
        if values.iter().any(|v| group.contains(&v.field)) {
            continue;
        }
        let of_group = |c: &CellReport| {
            header.columns.iter().any(|(column, name)| match column {
                Column::Value(field) | Column::In(field, _) => group.contains(field) && *name == c.column,
                _ => false,
            })
        };
        return Err(match cells.iter().find(|c| of_group(c)) {
            Some(cell) => Refused(cell.reason, Some(cell.column.clone())),
            None => Refused(Reason::Empty, None),
        });
    }
    if values.iter().any(|v| v.field == "spo2_average") && values.iter().any(|v| v.field == "spo2") {
        let column = values.iter().find(|v| v.field == "spo2").map(|v| v.column.clone());
        return Err(Refused(Reason::UnitsDisagree, column));
    }
    Ok(())
}

/// Of a glucose value in two units, the one in mg/dL stays, if they say the same.
fn glucose(values: &mut Vec<Taken>) -> Result<(), Refused> {
    let exact = |field: &str| {
        values.iter().find(|v| v.field == field).and_then(|v| Some((v, v.text.parse::<Exact>().ok()?)))
    };
    let (Some((_, mass)), Some((cell, moles))) = (exact("glucose_mg_dl"), exact("glucose_mmol_l")) else {
        return Ok(());
    };
    // 18.0182 mg/dL are one mmol/L; both are rounded where they are shown, to 1 and to 0.1.
    let same = Exact::new(180_182, 4).checked_mul(moles).and_then(|m| m.checked_sub(mass)).map(|d| d.abs());
    if same.is_none_or(|difference| difference > Exact::from(2)) {
        return Err(Refused(Reason::UnitsDisagree, Some(cell.column.clone())));
    }
    values.retain(|v| v.field != "glucose_mmol_l");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_numbers() {
        let read = |cell| match number(cell) {
            Cell::Absent => "absent".to_owned(),
            Cell::Number(text, _) => text,
            Cell::Bad(reason) => format!("{reason:?}"),
        };
        for (cell, expected) in [
            ("81,4", "81.4"),
            ("81,40", "81.40"),
            ("81.4", "81.4"),
            ("128", "128"),
            ("007", "7"),
            ("0,5", "0.5"),
            ("-5", "-5"),
            ("", "absent"),
            ("-", "absent"),
            ("–", "absent"),
            ("0", "absent"),
            ("0,00", "absent"),
            ("=1+1", "Formula"),
            ("+5", "Formula"),
            ("@SUM(A1)", "Formula"),
            ("-2+3", "Formula"),
            ("-A1", "Formula"),
            ("81,4 kg", "Unreadable"),
            ("1.234,5", "Unreadable"),
            ("1e3", "Unreadable"),
            (",5", "Unreadable"),
            ("5,", "Unreadable"),
            ("NaN", "Unreadable"),
            ("١٢", "Unreadable"),
            ("12345678901", "Unreadable"),
        ] {
            assert_eq!(read(cell), expected, "{cell}");
        }
    }
}
