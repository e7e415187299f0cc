//! People, their devices and their points, and what can happen to them.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use ohx_domain::Instant;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::types::{Time, Type};
use super::{Simulator, SimulatorError};

/// An invented person with a Google account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The health user id.
    pub id: u64,
    /// Shown on the consent page.
    pub name: String,
    /// The person's zone, such as `Europe/Vienna`.
    pub timezone: String,
    /// The id at the Fitbit Web API, for people who were there.
    #[serde(default)]
    pub legacy_id: Option<String>,
    /// Whether the account has a Google Health profile; without one every call is refused.
    #[serde(default = "yes")]
    pub linked: bool,
}

fn yes() -> bool {
    true
}

/// A point to be added.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewPoint {
    /// Its data type, as in paths.
    pub data_type: String,
    /// When it was or began, in Unix seconds; of a day, any second of it.
    pub start: i64,
    /// When it ended; none for samples and days.
    #[serde(default)]
    pub end: Option<i64>,
    /// Whether somebody typed it in.
    #[serde(default)]
    pub manual: bool,
    /// The product that measured it.
    #[serde(default)]
    pub device: Option<String>,
    /// By which way it came, such as `HEALTH_CONNECT`, and the app that wrote it; none where it is Fitbit's own.
    #[serde(default)]
    pub relayed: Option<(String, String)>,
    /// Whether it is in the stream of all sources. A phone's steps beside a band's are not.
    #[serde(default = "yes")]
    pub merged: bool,
    /// What it says: an object of its type's members, without its time.
    pub value: Box<RawValue>,
}

impl NewPoint {
    /// A measured point of a device; `value` is JSON.
    ///
    /// # Errors
    /// [`SimulatorError::BadPoint`].
    pub fn new(data_type: &str, start: i64, end: Option<i64>, value: String) -> Result<Self, SimulatorError> {
        let value = RawValue::from_string(value).map_err(|_| SimulatorError::BadPoint)?;
        let (data_type, device) = (data_type.to_owned(), Some(BAND.to_owned()));
        Ok(Self { data_type, start, end, manual: false, device, relayed: None, merged: true, value })
    }

    /// A point that another app wrote, which names no device; `platform` is the way, such as `HEALTH_CONNECT`.
    #[must_use]
    pub fn relayed(self, platform: &str, app: &str) -> Self {
        Self { device: None, relayed: Some((platform.to_owned(), app.to_owned())), ..self }
    }
}

/// What most people wear.
pub(super) const BAND: &str = "Charge 6";
/// What they stand on.
pub(super) const SCALE: &str = "Aria Air";
/// What they carry.
pub(super) const PHONE: &str = "Pixel 9";

/// A point as the cloud keeps it.
#[derive(Debug, Clone, Serialize)]
pub struct Point {
    /// Its id, unique for this person and type.
    pub id: String,
    /// When the cloud got it, in Unix seconds.
    pub created: i64,
    /// When the cloud last changed it.
    pub updated: i64,
    /// What was measured.
    #[serde(flatten)]
    pub content: NewPoint,
}

pub(super) struct Account {
    pub(super) person: Person,
    pub(super) zone: TimeZone,
    /// By type, the latest first.
    pub(super) points: BTreeMap<&'static str, Vec<Point>>,
}

impl Account {
    /// The civil day of a second.
    pub(super) fn date(&self, second: i64) -> Date {
        self.zone.to_datetime(Instant::from_second(second).unwrap_or_default()).date()
    }

    pub(super) fn of(&self, name: &str) -> &[Point] {
        self.points.get(name).map_or(&[], Vec::as_slice)
    }
}

impl Simulator {
    /// Adds a person with a band, a scale and no readings yet. A person with the same id keeps the readings.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownZone`].
    pub fn add_person(&self, person: Person) -> Result<(), SimulatorError> {
        let zone = TimeZone::get(&person.timezone).map_err(|_| SimulatorError::UnknownZone)?;
        let mut state = self.state();
        let points = state.persons.remove(&person.id).map(|known| known.points).unwrap_or_default();
        state.persons.insert(person.id, Account { person, zone, points });
        Ok(())
    }

    /// Everybody, by id.
    pub fn persons(&self) -> Vec<Person> {
        self.state().persons.values().map(|account| account.person.clone()).collect()
    }

    /// A person's points of a type as they are now, the latest first.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn points(&self, person: u64, data_type: &str) -> Result<Vec<Point>, SimulatorError> {
        let state = self.state();
        let account = state.persons.get(&person).ok_or(SimulatorError::UnknownPerson)?;
        Ok(account.of(data_type).to_vec())
    }

    /// Adds points as if a device had just synchronised, and notifies. Returns their ids, in order.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`], [`SimulatorError::BadPoint`].
    pub fn add_points(&self, person: u64, points: Vec<NewPoint>) -> Result<Vec<String>, SimulatorError> {
        let times: Vec<_> = points.iter().map(|p| (p.data_type.clone(), p.start, p.end)).collect();
        let ids = self.keep(person, points)?;
        self.tell(person, "UPSERT", &times);
        Ok(ids)
    }

    /// Adds points without telling anybody.
    pub(super) fn keep(&self, person: u64, points: Vec<NewPoint>) -> Result<Vec<String>, SimulatorError> {
        let now = self.now().as_second();
        let mut state = self.state();
        let mut next = state.next_id;
        let account = state.persons.get_mut(&person).ok_or(SimulatorError::UnknownPerson)?;
        let known = points.iter().map(|point| kind(point)).collect::<Result<Vec<_>, _>>()?;
        let mut ids = Vec::new();
        for (kind, content) in known.iter().zip(points) {
            let id = next.to_string();
            next += 1;
            ids.push(id.clone());
            let kept = account.points.entry(kind.name).or_default();
            kept.push(Point { id, created: now, updated: now, content });
        }
        for kind in known {
            if let Some(kept) = account.points.get_mut(kind.name)
                && !kept.is_sorted_by_key(|point| std::cmp::Reverse(point.content.start))
            {
                kept.sort_by_key(|point| std::cmp::Reverse(point.content.start));
            }
        }
        state.next_id = next;
        Ok(ids)
    }

    /// Replaces what a point says, and notifies.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPoint`], [`SimulatorError::BadPoint`].
    pub fn change(
        &self,
        person: u64,
        data_type: &str,
        id: &str,
        value: String,
    ) -> Result<(), SimulatorError> {
        let value = RawValue::from_string(value).map_err(|_| SimulatorError::BadPoint)?;
        let now = self.now().as_second();
        let time = {
            let mut state = self.state();
            let account = state.persons.get_mut(&person).ok_or(SimulatorError::UnknownPerson)?;
            let kept = account.points.get_mut(data_type).ok_or(SimulatorError::UnknownPoint)?;
            let point = kept.iter_mut().find(|point| point.id == id).ok_or(SimulatorError::UnknownPoint)?;
            point.content.value = value;
            kind(&point.content)?;
            point.updated = now;
            (data_type.to_owned(), point.content.start, point.content.end)
        };
        self.tell(person, "UPSERT", &[time]);
        Ok(())
    }

    /// Deletes a point, and notifies: it vanishes from every answer.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPoint`].
    pub fn delete(&self, person: u64, data_type: &str, id: &str) -> Result<(), SimulatorError> {
        let time = {
            let mut state = self.state();
            let account = state.persons.get_mut(&person).ok_or(SimulatorError::UnknownPerson)?;
            let kept = account.points.get_mut(data_type).ok_or(SimulatorError::UnknownPoint)?;
            let at = kept.iter().position(|point| point.id == id).ok_or(SimulatorError::UnknownPoint)?;
            let gone = kept.remove(at);
            (data_type.to_owned(), gone.content.start, gone.content.end)
        };
        self.tell(person, "DELETE", &[time]);
        Ok(())
    }

    /// The person steps on the scale now and sees so many grams.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn weigh_now(&self, person: u64, grams: u32) -> Result<String, SimulatorError> {
        let value = format!(r#"{{"weightGrams":{grams}}}"#);
        let mut point = NewPoint::new("weight", self.now().as_second(), None, value)?;
        point.device = Some(SCALE.to_owned());
        let mut ids = self.add_points(person, vec![point])?;
        ids.pop().ok_or(SimulatorError::UnknownPoint)
    }

    /// The person ends the consent in the Google account: every token dies, and a DELETE is the last that is heard.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn unlink(&self, person: u64) -> Result<(), SimulatorError> {
        let now = self.now().as_second();
        if !self.state().persons.contains_key(&person) {
            return Err(SimulatorError::UnknownPerson);
        }
        self.tell(person, "DELETE", &[("weight".to_owned(), now - 86_400, Some(now))]);
        self.state().end_consent(person);
        Ok(())
    }
}

/// The type of a point that is as its type has to be.
fn kind(point: &NewPoint) -> Result<&'static Type, SimulatorError> {
    let known = Type::named(&point.data_type).ok_or(SimulatorError::BadPoint)?;
    let lasts = matches!(known.time, Time::Interval | Time::Session | Time::Sleep | Time::Ecg);
    let whole = lasts == point.end.is_some() && point.end.is_none_or(|end| end >= point.start);
    if whole && point.value.get().starts_with('{') { Ok(known) } else { Err(SimulatorError::BadPoint) }
}
