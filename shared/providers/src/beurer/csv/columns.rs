//! The names of sections and columns, in the languages that were seen.
//!
//! Columns are found by name, never by position: how many there are depends on the device. Names are compared in lower
//! case, without punctuation, and without a unit behind them.

use super::dates::Written;
use super::report::NotRead;
use crate::beurer::Kind;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// The day.
    Date,
    /// The time, or when a session began.
    Time,
    /// When a session ended.
    End,
    /// Whether a person typed it in: 0 or 1.
    Manual,
    /// What a thermometer was pointed at.
    Mode,
    /// When a glucose value was measured, in relation to a meal.
    Meal,
    /// A number, by the field that it becomes.
    Value(&'static str),
    /// A number that decides the unit of others: field, and the unit.
    In(&'static str, &'static str),
    /// Nothing that is read.
    Skip(NotRead),
}

use Column::{Date, End, In, Manual, Meal, Mode, Skip, Time, Value};

const FREE_TEXT: Column = Skip(NotRead::FreeText);

/// Titles, as [`plain`] writes them.
const TITLES: &[(Kind, &[&str])] = &[
    (Kind::BloodPressure, &["blutdruck", "blood pressure"]),
    (Kind::Weight, &["gewicht", "weight", "body weight"]),
    (Kind::Temperature, &["temperatur", "temperature", "körpertemperatur", "body temperature"]),
    (Kind::Glucose, &["glukose", "glucose", "blutzucker", "blood glucose", "blood sugar"]),
    (
        Kind::OxygenSaturation,
        &["pulse oximeter", "pulse oximetry", "spo2", "sauerstoffsättigung", "oxygen saturation"],
    ),
];

/// Columns of every section.
const COMMON: &[(&[&str], Column)] = &[
    (&["datum", "date"], Date),
    (&["uhrzeit", "time", "zeit"], Time),
    (&["manuell hinzugefügt", "added manually", "manually added"], Manual),
    (&["kommentar", "comment", "comments", "medikation", "medication", "notiz", "note", "notes"], FREE_TEXT),
];

const PRESSURE: &[(&[&str], Column)] = &[
    (&["sys", "systole", "systolic", "systolisch"], Value("systolic")),
    (&["dia", "diastole", "diastolic", "diastolisch"], Value("diastolic")),
    (&["puls", "pulse", "bpm"], Value("pulse")),
    (&["mad", "map"], Value("mean")),
];

const WEIGHT: &[(&[&str], Column)] = &[
    (&["kg", "gewicht", "weight"], In("weight", "kg")),
    (&["lb", "lbs", "weight lb", "weight lbs", "gewicht lb"], In("weight", "lb")),
    (&["bmi"], Value("bmi")),
    (&["körperfett", "body fat", "fat"], Value("fat_percent")),
    (&["wasser", "water", "körperwasser", "body water"], Value("water_percent")),
    (&["muskeln", "muscles", "muscle", "muskelanteil"], Value("muscle_percent")),
    (&["knochen", "bone", "bones", "knochenmasse", "bone mass"], Value("bone_mass")),
    (
        &["fat left arm", "body fat left arm", "körperfett linker arm", "fett linker arm"],
        Value("fat_left_arm"),
    ),
    (
        &["fat right arm", "body fat right arm", "körperfett rechter arm", "fett rechter arm"],
        Value("fat_right_arm"),
    ),
    (
        &["fat left leg", "body fat left leg", "körperfett linkes bein", "fett linkes bein"],
        Value("fat_left_leg"),
    ),
    (
        &["fat right leg", "body fat right leg", "körperfett rechtes bein", "fett rechtes bein"],
        Value("fat_right_leg"),
    ),
    (&["fat trunk", "body fat trunk", "körperfett rumpf", "fett rumpf", "fat torso"], Value("fat_trunk")),
    (&["viszeralfett", "visceral fat"], Value("visceral_fat_percent")),
    (&["muscle left arm", "muscles left arm", "muskeln linker arm"], Value("muscle_left_arm")),
    (&["muscle right arm", "muscles right arm", "muskeln rechter arm"], Value("muscle_right_arm")),
    (&["muscle left leg", "muscles left leg", "muskeln linkes bein"], Value("muscle_left_leg")),
    (&["muscle right leg", "muscles right leg", "muskeln rechtes bein"], Value("muscle_right_leg")),
    (&["muscle trunk", "muscles trunk", "muskeln rumpf", "muscle torso"], Value("muscle_trunk")),
    (&["metabolisches alter", "metabolic age"], Value("metabolic_age")),
    (&["viszeralfettlevel", "viszeralfett level", "visceral fat level"], Value("visceral_fat_level")),
    (&["puls", "pulse", "bpm", "heart rate", "herzfrequenz"], Value("pulse")),
    (&["soft lean mass"], Value("soft_lean_mass")),
    (&["lean body mass", "fettfreie körpermasse"], Value("lean_mass")),
    (&["protein", "proteine", "eiweiß"], Value("protein_percent")),
    (
        &["muscle mass incl organs", "muscle mass including organs", "muskelmasse inkl organe"],
        Value("muscle_mass_with_organs"),
    ),
];

const TEMPERATURE: &[(&[&str], Column)] = &[
    (
        &["°c", "c", "temperatur", "temperature", "temperatur °c", "temperature °c", "körpertemperatur"],
        In("temperature", "Cel"),
    ),
    (&["°f", "f", "temperatur °f", "temperature °f"], In("temperature", "degF")),
    (&["mode", "modus"], Mode),
];

const GLUCOSE: &[(&[&str], Column)] = &[
    (&["mg/dl"], Value("glucose_mg_dl")),
    (&["mmol/l"], Value("glucose_mmol_l")),
    (&["hba1c"], Value("hba1c")),
    (&["meal", "meal marker", "mealtime", "mahlzeit", "mahlzeitmarker", "markierung", "marker"], Meal),
];

const OXIMETER: &[(&[&str], Column)] = &[
    (&["startzeit", "start time"], Time),
    (&["endzeit", "end time"], End),
    (&["dauer", "duration"], Skip(NotRead::NotNeeded)),
    (&["spo2"], Value("spo2")),
    (&["spo2 durchschnitt", "spo2 average", "spo2 avg", "spo2 mittelwert"], Value("spo2_average")),
    (&["spo2 min", "spo2 minimum"], Value("spo2_min")),
    (&["spo2 max", "spo2 maximum"], Value("spo2_max")),
    (&["bpm", "puls", "pulse", "pulsrate", "pulse rate"], Value("pulse")),
];

/// Masses, whose unit is that of the weight, which only files in kilograms are known to say.
const MASSES: &[&str] = &["bone_mass", "soft_lean_mass", "lean_mass", "muscle_mass_with_organs"];

/// Units that a header may add to a name.
const UNITS: &[&str] = &[" kg", " %", " mmhg", " bpm", " a", " 1/min"];

/// A name in the form of the tables: lower case, letters put together with their marks, one blank for any punctuation.
pub(super) fn plain(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars().flat_map(char::to_lowercase) {
        match c {
            // A mark behind its letter, as some systems write it.
            '\u{308}' => match out.pop() {
                Some('a') => out.push('ä'),
                Some('o') => out.push('ö'),
                Some('u') => out.push('ü'),
                Some(other) => out.push(other),
                None => {}
            },
            '₂' | '²' => out.push('2'),
            '℃' => out.push_str("°c"),
            '℉' => out.push_str("°f"),
            'º' | '˚' => out.push('°'),
            _ if c.is_alphanumeric() || matches!(c, '%' | '/' | '°') => out.push(c),
            _ if !out.is_empty() && !out.ends_with(' ') => out.push(' '),
            _ => {}
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// The section that is called so.
pub(super) fn title(cell: &str) -> Option<Kind> {
    let name = plain(cell);
    if name.starts_with("pulsox") {
        return Some(Kind::OxygenSaturation);
    }
    TITLES.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(kind, _)| *kind)
}

/// A section's header.
#[derive(Clone)]
pub(super) struct Header {
    /// Its line.
    pub(super) line: usize,
    /// What each column holds, and what the file calls it.
    pub(super) columns: Vec<(Column, String)>,
}

/// Whether cells are the names of columns: at least three, "date" among them, and none of them a date itself.
pub(super) fn is_header<'a>(cells: impl Iterator<Item = &'a str> + Clone) -> bool {
    let names: Vec<String> = cells.clone().map(plain).filter(|n| !n.is_empty()).collect();
    let names_a_date = names.iter().any(|n| ["datum", "date"].contains(&n.as_str()));
    names.len() > 2 && names_a_date && !cells.into_iter().any(|c| Written::read(c).is_some())
}

impl Header {
    /// The columns of a section's header.
    pub(super) fn of<'a>(kind: Kind, line: usize, cells: impl Iterator<Item = &'a str>) -> Self {
        let mut columns: Vec<(Column, String)> = Vec::new();
        for cell in cells {
            let mut column = find(kind, cell);
            let same = |known: &Column| match (known, column) {
                (In(a, _), In(b, _)) => *a == b,
                (Skip(_), _) => false,
                (known, _) => *known == column,
            };
            // Where a session says when it began, its other time is not known to be its end or its length.
            let again = columns.iter().any(|(known, _)| same(known));
            if again && column == Time {
                column = Skip(NotRead::NotNeeded);
            } else if again {
                column = Skip(NotRead::Twice);
            }
            columns.push((column, cell.to_owned()));
        }
        let pounds = columns.iter().any(|(c, _)| *c == In("weight", "lb"));
        for (column, _) in columns.iter_mut().filter(|_| pounds) {
            if matches!(column, Value(name) if MASSES.contains(name)) {
                *column = Skip(NotRead::UnitUnknown);
            }
        }
        Self { line, columns }
    }

    fn has(&self, wanted: &[&str]) -> bool {
        self.columns.iter().any(|(c, _)| match c {
            Value(name) | In(name, _) => wanted.contains(name),
            _ => false,
        })
    }

    /// What the columns of a section must have and these have not, in words.
    pub(super) fn missing(&self, kind: Kind) -> Option<&'static str> {
        if !self.columns.iter().any(|(c, _)| *c == Time) {
            return Some("the time");
        }
        let (has, what) = match kind {
            Kind::BloodPressure => (
                self.has(&["systolic"]) && self.has(&["diastolic"]),
                "the systolic and the diastolic pressure",
            ),
            Kind::Weight => (self.has(&["weight"]), "the weight"),
            Kind::Temperature => (self.has(&["temperature"]), "the temperature"),
            Kind::Glucose => (self.has(&["glucose_mg_dl", "glucose_mmol_l", "hba1c"]), "the glucose"),
            Kind::OxygenSaturation => (self.has(&["spo2", "spo2_average"]), "the oxygen saturation"),
        };
        (!has).then_some(what)
    }

    /// Whether a comment may have been split by separators in it, so that only what stands before it can be trusted.
    pub(super) fn trusted(&self) -> Option<usize> {
        self.columns.iter().position(|(c, _)| *c == FREE_TEXT)
    }

    /// The unit of a field that the header decides.
    pub(super) fn unit(&self, field: &str) -> Option<&'static str> {
        self.columns.iter().find_map(|(c, _)| match c {
            In(name, unit) if *name == field => Some(*unit),
            _ => None,
        })
    }
}

/// The section whose columns these are, where they are those of one alone.
pub(super) fn guess<'a>(cells: impl Iterator<Item = &'a str> + Clone) -> Option<Kind> {
    let mut fitting =
        Kind::ALL.into_iter().filter(|k| Header::of(*k, 0, cells.clone()).missing(*k).is_none());
    fitting.next().filter(|_| fitting.next().is_none())
}

fn find(kind: Kind, cell: &str) -> Column {
    let table = match kind {
        Kind::BloodPressure => PRESSURE,
        Kind::Weight => WEIGHT,
        Kind::Temperature => TEMPERATURE,
        Kind::Glucose => GLUCOSE,
        Kind::OxygenSaturation => OXIMETER,
    };
    let name = plain(cell);
    let bare = UNITS.iter().find_map(|unit| name.strip_suffix(unit));
    let look = |name: &str| {
        table.iter().chain(COMMON).find(|(names, _)| names.contains(&name)).map(|(_, column)| *column)
    };
    look(&name).or_else(|| look(bare?)).unwrap_or(Skip(NotRead::Unknown))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_compared_without_case_marks_and_units() {
        assert_eq!(plain("  BLUTDRUCK "), "blutdruck");
        assert_eq!(plain("Ko\u{308}rperfett"), "körperfett");
        assert_eq!(plain("SpO₂ (Durchschnitt)"), "spo2 durchschnitt");
        assert_eq!(plain("muscle mass incl. organs [kg]"), "muscle mass incl organs kg");
        assert_eq!(title("Pulsoxymeter"), Some(Kind::OxygenSaturation));
        assert_eq!(title("GEWICHT"), Some(Kind::Weight));
        assert_eq!(title("Schlaf"), None);
        assert_eq!(find(Kind::Weight, "Bone (kg)"), Value("bone_mass"));
        assert_eq!(find(Kind::Weight, "KG"), In("weight", "kg"));
        assert_eq!(find(Kind::Weight, "visceral fat %"), Value("visceral_fat_percent"));
        assert_eq!(find(Kind::Temperature, "℉"), In("temperature", "degF"));
        assert_eq!(find(Kind::BloodPressure, "Befund"), Skip(NotRead::Unknown));
    }

    #[test]
    fn the_tables_name_nothing_twice_and_as_it_is_compared() {
        for table in [PRESSURE, WEIGHT, TEMPERATURE, GLUCOSE, OXIMETER] {
            let mut seen = BTreeSet::new();
            for name in table.iter().chain(COMMON).flat_map(|(names, _)| *names) {
                assert_eq!(plain(name), **name);
                assert!(seen.insert(*name), "{name}");
            }
        }
        for (_, names) in TITLES {
            assert!(names.iter().all(|n| plain(n) == **n));
        }
    }

    #[test]
    fn the_second_time_of_a_session_is_not_taken_for_its_begin() {
        let cells = "Date;Start time;Time;SpO2 average;SpO2 min;SpO2 max;Pulse;Added manually";
        let header = Header::of(Kind::OxygenSaturation, 1, cells.split(';'));
        assert_eq!(header.columns[1].0, Time);
        assert_eq!(header.columns[2].0, Skip(NotRead::NotNeeded));
        assert_eq!(header.missing(Kind::OxygenSaturation), None);
        assert_eq!(guess(cells.split(';')), Some(Kind::OxygenSaturation));
    }
}
