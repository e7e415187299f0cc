//! Persons and what is recorded of them.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{Simulator, SimulatorError};
use crate::withings::Figures;

/// Records that everybody reads.
pub const USUAL: [&str; 13] = [
    "weight",
    "fat",
    "heart",
    "hrv",
    "spo2",
    "br",
    "sleep",
    "activities",
    "exercise",
    "temp-skin",
    "temp-core",
    "cardioscore",
    "ecg",
];
/// Those, and the one with a value a minute.
pub const ALL: [&str; 14] = [
    "weight",
    "fat",
    "heart",
    "heart-intraday",
    "hrv",
    "spo2",
    "br",
    "sleep",
    "activities",
    "exercise",
    "temp-skin",
    "temp-core",
    "cardioscore",
    "ecg",
];

/// An invented person with a Fitbit account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The encoded id, such as `GGNJL9`.
    pub id: String,
    /// Shown on the consent page.
    pub name: String,
    /// The zone of the profile, in which all days and times are.
    pub timezone: String,
}

/// A tracker or a scale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its id.
    pub id: String,
    /// `TRACKER` or `SCALE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its product name.
    pub model: String,
    /// Charge in per cent.
    pub battery: u8,
    /// When it last spoke to the cloud, local.
    pub last_sync: DateTime,
}

/// One entry of a record. Adding one of the same local time and id replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id, where the record has ids; 0 for a new one.
    #[serde(default)]
    pub id: i64,
    /// When it was, or began, local; the day's midnight for a value of a day.
    pub at: DateTime,
    /// When it ended, local: of a sleep.
    #[serde(default)]
    pub until: Option<DateTime>,
    /// What it says, by the names that the API has for it, or for the members of its `value`.
    pub figures: Figures,
    /// The waveform of an ECG; the heart rate of each minute of a day, 0 where there is none.
    #[serde(default)]
    pub samples: Vec<i64>,
}

impl Entry {
    /// The day that the API lists it by: a sleep's is that of its end.
    pub(super) fn date(&self) -> Date {
        self.until.unwrap_or(self.at).date()
    }

    /// A text among the figures.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.figures.get(name)?.as_str()).ok()
    }
}

/// All of a person.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) person: Person,
    pub(super) devices: Vec<Device>,
    pub(super) records: BTreeMap<&'static str, BTreeMap<(DateTime, i64), Entry>>,
    /// The hour of the clock, and the calls in it.
    pub(super) hour: (i64, u64),
}

impl Account {
    pub(super) fn zone(&self) -> TimeZone {
        TimeZone::get(&self.person.timezone).unwrap_or(TimeZone::UTC)
    }

    pub(super) fn entries(&self, record: &str) -> impl Iterator<Item = &Entry> {
        self.records.get(record).into_iter().flat_map(BTreeMap::values)
    }
}

fn known(record: &str) -> Result<&'static str, SimulatorError> {
    ALL.into_iter().find(|name| *name == record).ok_or(SimulatorError::UnknownRecord)
}

/// Whether entries have an id of their own.
fn has_id(record: &str) -> bool {
    matches!(record, "weight" | "fat" | "sleep" | "exercise")
}

impl Simulator {
    /// Adds a person, or replaces one with the same id.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownZone`].
    pub fn add_person(&self, person: Person) -> Result<(), SimulatorError> {
        let zone = TimeZone::get(&person.timezone).map_err(|_| SimulatorError::UnknownZone)?;
        let now = zone.to_datetime(self.now());
        let device = |id: &str, kind: &str, model: &str, battery| Device {
            id: id.to_owned(),
            kind: kind.to_owned(),
            model: model.to_owned(),
            battery,
            last_sync: now,
        };
        let devices = vec![
            device("816713257", "TRACKER", "Charge 6", 84),
            device("816713258", "SCALE", "Aria Air", 100),
        ];
        let id = person.id.clone();
        let account = Account { person, devices, records: BTreeMap::new(), hour: (0, 0) };
        self.state().persons.insert(id, account);
        Ok(())
    }

    /// Everybody, by id.
    pub fn persons(&self) -> Vec<Person> {
        self.state().persons.values().map(|account| account.person.clone()).collect()
    }

    /// A person's entries of a record, oldest first.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`], [`SimulatorError::UnknownRecord`].
    pub fn entries(&self, person: &str, record: &str) -> Result<Vec<Entry>, SimulatorError> {
        let record = known(record)?;
        let state = self.state();
        let account = state.persons.get(person).ok_or(SimulatorError::UnknownPerson)?;
        Ok(account.entries(record).cloned().collect())
    }

    /// Adds or replaces entries, and notifies. Returns their ids.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`], [`SimulatorError::UnknownRecord`].
    pub fn add(&self, person: &str, record: &str, entries: Vec<Entry>) -> Result<Vec<i64>, SimulatorError> {
        let dates: Vec<Date> = entries.iter().map(Entry::date).collect();
        let ids = self.add_quietly(person, record, entries)?;
        self.notify_of(person, record, &dates);
        Ok(ids)
    }

    /// Adds or replaces entries, and tells nobody.
    pub(super) fn add_quietly(
        &self,
        person: &str,
        record: &str,
        entries: Vec<Entry>,
    ) -> Result<Vec<i64>, SimulatorError> {
        let record = known(record)?;
        let mut guard = self.state();
        let state = &mut *guard;
        let account = state.persons.get_mut(person).ok_or(SimulatorError::UnknownPerson)?;
        let held = account.records.entry(record).or_default();
        let ids = entries.into_iter().map(|entry| {
            let id = match entry.id {
                0 if has_id(record) => {
                    state.next_id += 1;
                    state.next_id
                }
                id => id,
            };
            held.insert((entry.at, id), Entry { id, ..entry });
            id
        });
        Ok(ids.collect())
    }
}
