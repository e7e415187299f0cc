//! Persons, and the rows that their devices upload.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use ohx_domain::Instant;
use ohx_domain::decimal::parse_json_number;
use serde::{Deserialize, Serialize};

use super::{Simulator, SimulatorError};

/// An invented person with an OMRON account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The user id: `sub` of the id_token. A UUID at OMRON.
    pub id: String,
    /// Shown on the consent page.
    pub name: String,
    /// The zone of the person's phone, such as `Europe/Vienna`.
    pub timezone: String,
}

/// A type of row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// One measurement of a cuff.
    BloodPressure,
    /// One weighing.
    Weight,
    /// One day of a device.
    Activity,
    /// One measurement of a thermometer.
    Temperature,
    /// One measurement of an oximeter.
    Oxygen,
}

impl Type {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::BloodPressure, Self::Weight, Self::Activity, Self::Temperature, Self::Oxygen];

    /// Its name in a request, which is also its scope.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BloodPressure => "bloodpressure",
            Self::Weight => "weight",
            Self::Activity => "activity",
            Self::Temperature => "temperature",
            Self::Oxygen => "oxygen",
        }
    }

    /// What its list is called in an answer.
    pub(super) const fn list(self) -> &'static str {
        match self {
            Self::BloodPressure => "bloodPressure",
            other => other.name(),
        }
    }

    pub(super) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|of| of.name() == name)
    }
}

/// A row to be added, or to take the place of the one with its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRow {
    /// The id of the row that it takes the place of; a new one without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// What it is.
    #[serde(rename = "type")]
    pub of: Type,
    /// When it was measured, in Unix seconds: for a day, any time of it.
    pub at: i64,
    /// The name of the device.
    pub device: String,
    /// Numbers by the names of their fields, each as it is written: `81.40`.
    pub values: BTreeMap<String, String>,
    /// Texts by the names of their fields: units.
    #[serde(default)]
    pub words: BTreeMap<String, String>,
    /// Whether a cuff suspects atrial fibrillation, where it looks at it.
    #[serde(default)]
    pub afib: Option<bool>,
    /// The steps of the hours of a day.
    #[serde(default)]
    pub hours: BTreeMap<i8, u32>,
}

impl NewRow {
    /// A row without anything that only some have.
    pub fn new(of: Type, at: i64, device: &str, values: &[(&str, &str)], words: &[(&str, &str)]) -> Self {
        let own = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let (values, words) = (own(values), own(words));
        let device = device.to_owned();
        Self { id: None, of, at, device, values, words, afib: None, hours: BTreeMap::new() }
    }

    /// A measurement of a cuff in mmHg.
    pub fn pressure(at: i64, systolic: &str, diastolic: &str, pulse: &str) -> Self {
        let values = [("systolic", systolic), ("diastolic", diastolic), ("pulse", pulse)];
        let words = [("bloodPressureUnits", "mmHg"), ("pulseUnits", "bpm")];
        Self::new(Type::BloodPressure, at, "HEM-7361T", &values, &words)
    }

    /// What a cuff sends where it suspects atrial fibrillation: everything else is 0.
    pub fn possible_afib(at: i64) -> Self {
        Self { afib: Some(true), ..Self::pressure(at, "0", "0", "0") }
    }

    /// A weighing without anything else: `unit` is `kg` or `lb`.
    pub fn weight(at: i64, weight: &str, unit: &str) -> Self {
        Self::new(Type::Weight, at, "HN-290T", &[("weight", weight)], &[("weightPref", unit)])
    }
}

/// A row as the cloud keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its id.
    pub id: i64,
    /// When it was uploaded, or uploaded again, in Unix seconds.
    pub uploaded: i64,
    /// What it says.
    #[serde(flatten)]
    pub content: NewRow,
}

#[derive(Debug)]
pub(super) struct Account {
    pub(super) person: Person,
    pub(super) rows: BTreeMap<i64, Row>,
}

impl Account {
    pub(super) fn zone(&self) -> TimeZone {
        TimeZone::get(&self.person.timezone).unwrap_or(TimeZone::UTC)
    }
}

/// When a row was measured: a day begins at its local midnight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) at: Instant,
    pub(super) offset: Offset,
}

impl Moment {
    pub(super) fn of(row: &NewRow, zone: &TimeZone) -> Self {
        let mut at = Instant::from_second(row.at).unwrap_or_default();
        if row.of == Type::Activity {
            let midnight = zone.to_datetime(at).date().to_zoned(zone.clone());
            at = midnight.map_or(at, |midnight| midnight.timestamp());
        }
        Self { at, offset: zone.to_offset(at) }
    }

    pub(super) fn date(self) -> Date {
        self.offset.to_datetime(self.at).date()
    }
}

impl Simulator {
    /// Adds a person without readings. A person with the same id keeps its readings and changes name and zone.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownZone`].
    pub fn add_person(&self, person: Person) -> Result<(), SimulatorError> {
        TimeZone::get(&person.timezone).map_err(|_| SimulatorError::UnknownZone)?;
        let mut state = self.state();
        let rows = state.persons.remove(&person.id).map(|account| account.rows).unwrap_or_default();
        state.persons.insert(person.id.clone(), Account { person, rows });
        Ok(())
    }

    /// Everybody, by id.
    pub fn persons(&self) -> Vec<Person> {
        self.state().persons.values().map(|account| account.person.clone()).collect()
    }

    /// A person's rows, by id.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn rows(&self, person: &str) -> Result<Vec<Row>, SimulatorError> {
        let state = self.state();
        let account = state.persons.get(person).ok_or(SimulatorError::UnknownPerson)?;
        Ok(account.rows.values().cloned().collect())
    }

    /// Adds rows as if a device had just met its phone, whenever they were measured, and notifies: once a type. Returns
    /// their ids, in order.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`], [`SimulatorError::BadValue`].
    pub fn upload(&self, person: &str, rows: Vec<NewRow>) -> Result<Vec<i64>, SimulatorError> {
        let mut types: Vec<Type> = rows.iter().map(|row| row.of).collect();
        types.sort_unstable();
        types.dedup();
        let ids = self.store(person, rows)?;
        self.notify(person, &types);
        Ok(ids)
    }

    /// The same without telling anybody.
    pub(super) fn store(&self, person: &str, rows: Vec<NewRow>) -> Result<Vec<i64>, SimulatorError> {
        let uploaded = self.now().as_second();
        let numbers = rows.iter().flat_map(|row| row.values.values());
        if !numbers.into_iter().all(|value| parse_json_number(value).is_some()) {
            return Err(SimulatorError::BadValue);
        }
        let mut guard = self.state();
        let state: &mut super::State = &mut guard;
        let account = state.persons.get_mut(person).ok_or(SimulatorError::UnknownPerson)?;
        let mut ids = Vec::with_capacity(rows.len());
        for content in rows {
            let id = content.id.unwrap_or_else(|| {
                state.next_id += 1;
                state.next_id
            });
            account.rows.insert(id, Row { id, uploaded, content });
            ids.push(id);
        }
        Ok(ids)
    }
}
