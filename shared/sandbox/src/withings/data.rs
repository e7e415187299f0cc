//! Persons, their devices and their measurement groups, and what can happen to them.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use ohx_domain::Instant;
use ohx_domain::decimal::parse_json_number;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::life::{CUFF, GOOGLE_FIT, Life, MAT, WATCH};
use super::{Simulator, SimulatorError};

/// An invented person with a Withings account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The user id, which the API writes now as a number, now as text.
    pub id: u64,
    /// Shown on the consent page.
    pub name: String,
    /// The account's zone, such as `Europe/Vienna`.
    pub timezone: String,
}

/// One row of a group: the value is `value` times ten to the power of `unit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// The measure type, such as 1 for weight.
    #[serde(rename = "type")]
    pub meastype: i64,
    /// The integer part of it.
    pub value: i64,
    /// The exponent of ten.
    pub unit: i32,
    /// Where on the body, for segmental rows; 7 is the whole body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
}

impl Measure {
    /// A row without a position.
    pub const fn new(meastype: i64, value: i64, unit: i32) -> Self {
        Self { meastype, value, unit, position: None }
    }

    /// The same row, measured at a position.
    pub const fn at(self, position: i64) -> Self {
        Self { position: Some(position), ..self }
    }
}

/// A group to be added: one act of measuring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewGroup {
    /// When it was measured, in Unix seconds.
    pub date: i64,
    /// Who says that it is this person's (0: the device).
    #[serde(default)]
    pub attrib: i64,
    /// 1: measured; 2: an objective.
    #[serde(default = "measured")]
    pub category: i64,
    /// The model id of the person's device that measured it; `None` for what was typed in.
    #[serde(default)]
    pub modelid: Option<i64>,
    /// The rows.
    pub measures: Vec<Measure>,
}

fn measured() -> i64 {
    1
}

/// A group as the cloud keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its id.
    pub grpid: i64,
    /// When the cloud got it, in Unix seconds.
    pub created: i64,
    /// When the cloud last changed it, in Unix seconds.
    pub modified: i64,
    /// What was measured.
    #[serde(flatten)]
    pub content: NewGroup,
}

#[derive(Debug, Clone)]
pub(super) struct Device {
    pub(super) modelid: i64,
    pub(super) model: &'static str,
    pub(super) kind: &'static str,
    pub(super) battery: &'static str,
    pub(super) deviceid: String,
}

#[derive(Debug)]
pub(super) struct Account {
    pub(super) person: Person,
    pub(super) devices: Vec<Device>,
    pub(super) groups: BTreeMap<i64, Group>,
    pub(super) life: Life,
}

/// What the cloud calls a model where it names it beside what it measured.
pub(super) fn model_name(modelid: i64) -> &'static str {
    match modelid {
        CUFF => "BPM Core",
        MAT => "Aura Sensor V2",
        WATCH => "ScanWatch",
        GOOGLE_FIT => "GoogleFit tracker",
        _ => "",
    }
}

impl Account {
    /// The id of the person's device of this model.
    pub(super) fn device(&self, modelid: i64) -> Option<&str> {
        self.devices.iter().find(|device| device.modelid == modelid).map(|device| device.deviceid.as_str())
    }

    /// The scale that the person stands on: every other person has the old one that also tells the room temperature.
    pub(super) fn scale(&self) -> i64 {
        if self.person.id.is_multiple_of(2) { 18 } else { 4 }
    }
}

fn devices(seed: u64, person: &Person) -> Vec<Device> {
    let scale = if person.id.is_multiple_of(2) { (18, "Body Comp") } else { (4, "Smart Body Analyzer") };
    [
        (scale.0, scale.1, "Scale", "high"),
        (45, "BPM Connect", "Blood Pressure Monitor", "medium"),
        (70, "Thermo", "Smart Connected Thermometer", "low"),
        (WATCH, "", "Activity Tracker", "unknown"),
        (MAT, "Aura Sensor V2", "Sleep Monitor", "high"),
        (CUFF, "BPM Core", "Blood Pressure Monitor", "medium"),
    ]
    .map(|(modelid, model, kind, battery)| {
        let digest = Sha256::digest(format!("{seed}/{}/{modelid}", person.id));
        let deviceid = HEXLOWER.encode(digest.get(..20).unwrap_or_default());
        Device { modelid, model, kind, battery, deviceid }
    })
    .to_vec()
}

impl Simulator {
    /// Adds a person, with a scale, two blood pressure monitors, a thermometer, a watch and a sleep mat, and no readings
    /// yet. A person with the same id keeps its readings and changes name and zone.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownZone`].
    pub fn add_person(&self, person: Person) -> Result<(), SimulatorError> {
        jiff::tz::TimeZone::get(&person.timezone).map_err(|_| SimulatorError::UnknownZone)?;
        let devices = devices(self.0.config.seed, &person);
        let mut state = self.state();
        let known = state.persons.remove(&person.id);
        let (groups, life) = known.map(|account| (account.groups, account.life)).unwrap_or_default();
        state.persons.insert(person.id, Account { person, devices, groups, life });
        Ok(())
    }

    /// Everybody, by id.
    pub fn persons(&self) -> Vec<Person> {
        self.state().persons.values().map(|account| account.person.clone()).collect()
    }

    /// Adds groups as if a device had just sent them, and notifies: one notification a topic, over all their dates.
    /// Returns their ids, in order.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn add_groups(&self, person: u64, groups: Vec<NewGroup>) -> Result<Vec<i64>, SimulatorError> {
        let now = self.now().as_second();
        let (ids, deliveries) = {
            let mut state = self.state();
            let deliveries = state.notifications(person, &groups.iter().collect::<Vec<_>>());
            let stored = groups.into_iter().map(|content| (now, content));
            (state.store_groups(person, stored)?, deliveries)
        };
        self.deliver(deliveries);
        Ok(ids)
    }

    /// Adds one group; see [`Simulator::add_groups`].
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn add_group(&self, person: u64, group: NewGroup) -> Result<i64, SimulatorError> {
        let ids = self.add_groups(person, vec![group])?;
        ids.first().copied().ok_or(SimulatorError::UnknownGroup)
    }

    /// The person steps on the scale now and sees `kg`, such as `72.10`: exactly these digits, no composition.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`], [`SimulatorError::BadWeight`].
    pub fn weigh_now(&self, person: u64, kg: &str) -> Result<i64, SimulatorError> {
        let exact = parse_json_number(kg).ok_or(SimulatorError::BadWeight)?;
        let value = i64::try_from(exact.mantissa()).map_err(|_| SimulatorError::BadWeight)?;
        let unit = -i32::try_from(exact.scale()).map_err(|_| SimulatorError::BadWeight)?;
        let modelid = self.state().persons.get(&person).ok_or(SimulatorError::UnknownPerson)?.scale();
        let measures = vec![Measure::new(1, value, unit)];
        let date = self.now().as_second();
        self.add_group(person, NewGroup { date, attrib: 0, category: 1, modelid: Some(modelid), measures })
    }

    /// A reading that was measured at `date` and reaches the cloud only now: oxygen saturation from a watch that was
    /// long out of reach.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn late(&self, person: u64, date: Instant, percent: i64) -> Result<i64, SimulatorError> {
        let measures = vec![Measure::new(54, percent, 0)];
        let date = date.as_second();
        self.add_group(person, NewGroup { date, attrib: 0, category: 1, modelid: Some(93), measures })
    }

    /// Replaces the rows of a group, which thereby counts as modified now, and notifies.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownGroup`].
    pub fn correct(&self, grpid: i64, measures: Vec<Measure>) -> Result<(), SimulatorError> {
        self.change(grpid, |group| group.measures = measures)
    }

    /// The person says that an ambiguous group is theirs (`attrib` 7), and the cloud notifies.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownGroup`].
    pub fn confirm(&self, grpid: i64) -> Result<(), SimulatorError> {
        self.change(grpid, |group| group.attrib = 7)
    }

    fn change(&self, grpid: i64, change: impl FnOnce(&mut NewGroup)) -> Result<(), SimulatorError> {
        let now = self.now().as_second();
        let deliveries = {
            let mut state = self.state();
            let person = *state.owners.get(&grpid).ok_or(SimulatorError::UnknownGroup)?;
            let account = state.persons.get_mut(&person).ok_or(SimulatorError::UnknownPerson)?;
            let group = account.groups.get_mut(&grpid).ok_or(SimulatorError::UnknownGroup)?;
            let before = group.content.clone();
            change(&mut group.content);
            group.modified = now;
            let after = group.content.clone();
            state.notifications(person, &[&before, &after])
        };
        self.deliver(deliveries);
        Ok(())
    }

    /// Deletes a group. It vanishes from every answer, without a marker; only a notification says that something
    /// happened at its date.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownGroup`].
    pub fn delete(&self, grpid: i64) -> Result<(), SimulatorError> {
        let deliveries = {
            let mut state = self.state();
            let person = state.owners.remove(&grpid).ok_or(SimulatorError::UnknownGroup)?;
            let account = state.persons.get_mut(&person).ok_or(SimulatorError::UnknownPerson)?;
            let gone = account.groups.remove(&grpid).ok_or(SimulatorError::UnknownGroup)?;
            state.notifications(person, &[&gone.content])
        };
        self.deliver(deliveries);
        Ok(())
    }
}

impl super::State {
    /// Keeps groups, each with the second the cloud got it.
    pub(super) fn store_groups(
        &mut self,
        person: u64,
        groups: impl IntoIterator<Item = (i64, NewGroup)>,
    ) -> Result<Vec<i64>, SimulatorError> {
        let account = self.persons.get_mut(&person).ok_or(SimulatorError::UnknownPerson)?;
        let mut ids = Vec::new();
        for (received, content) in groups {
            let grpid = self.next_grpid;
            self.next_grpid += 1;
            account.groups.insert(grpid, Group { grpid, created: received, modified: received, content });
            self.owners.insert(grpid, person);
            ids.push(grpid);
        }
        Ok(ids)
    }
}
