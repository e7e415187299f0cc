//! What watches, mats and cuffs know of a person's days and nights, and what can happen to it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use ohx_domain::Instant;
use serde::{Deserialize, Serialize};

use super::figures::Figures;
use super::{Simulator, SimulatorError, State};

/// From this model id on it is no device of the cloud's own, but a relay.
pub(super) const RELAY: i64 = 1051;
/// Google Fit.
pub(super) const GOOGLE_FIT: i64 = 1055;
pub(super) const WATCH: i64 = 93;
pub(super) const MAT: i64 = 63;
pub(super) const CUFF: i64 = 44;

/// Totals of one civil day in one zone, of one device or relay: a row of `getactivity`. Adding one of the same date and
/// model replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// The day.
    pub date: Date,
    /// The zone whose day it is.
    pub timezone: String,
    /// The person's device, or a relay (1051 and above).
    pub modelid: i64,
    /// When the cloud last changed it, in Unix seconds. Set when it is added.
    #[serde(default)]
    pub modified: i64,
    /// The totals.
    pub data: Figures,
}

/// One workout. Adding one with the id of another replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workout {
    /// Its id; 0 for a new one.
    #[serde(default)]
    pub id: i64,
    /// The sport.
    pub category: i64,
    /// Where it took place.
    pub timezone: String,
    /// The person's device, or a relay (1051 and above).
    pub model: i64,
    /// Who says that it is this person's (0: the device).
    #[serde(default)]
    pub attrib: i64,
    /// When it began, in Unix seconds.
    pub startdate: i64,
    /// When it ended, in Unix seconds.
    pub enddate: i64,
    /// When the cloud last changed it, in Unix seconds. Set when it is added.
    #[serde(default)]
    pub modified: i64,
    /// What the sport has.
    pub data: Figures,
}

/// One night or nap, of one device. Adding one with the id of another replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Night {
    /// Its id; 0 for a new one.
    #[serde(default)]
    pub id: i64,
    /// Where it was slept.
    pub timezone: String,
    /// The person's device: a mat (63) or a watch (93).
    pub modelid: i64,
    /// When it began, in Unix seconds.
    pub startdate: i64,
    /// When it ended, in Unix seconds.
    pub enddate: i64,
    /// When the cloud got it, in Unix seconds. Set when it is added.
    #[serde(default)]
    pub created: i64,
    /// When the cloud last changed it, in Unix seconds. Set when it is added.
    #[serde(default)]
    pub modified: i64,
    /// Whether it has ended; older ones do not say.
    #[serde(default)]
    pub completed: Option<bool>,
    /// The summary.
    pub data: Figures,
    /// The details, in the order of time.
    #[serde(default)]
    pub stages: Vec<Stage>,
}

/// A stretch of a night in one state, as it is stored: a stage may be several of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// When it began, in Unix seconds.
    pub startdate: i64,
    /// When it ended, in Unix seconds.
    pub enddate: i64,
    /// 0 awake, 1 light, 2 deep, 3 REM.
    pub state: i64,
    /// What was measured, by data field: Unix second and value.
    #[serde(default)]
    pub series: BTreeMap<String, Vec<(i64, i64)>>,
}

/// What was measured at a second, or from it on: an entry of `getintradayactivity`. There is one a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The Unix second.
    pub at: i64,
    /// The person's device.
    pub modelid: i64,
    /// What it measured.
    pub data: Figures,
}

/// A recording of the heart: an entry of `heart list`, with its signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ecg {
    /// The signal's id; 0 for a new one.
    #[serde(default)]
    pub signalid: i64,
    /// When it was made, in Unix seconds.
    pub timestamp: i64,
    /// When the cloud last changed it, in Unix seconds. Set when it is added.
    #[serde(default)]
    pub modified: i64,
    /// The person's device: a cuff (44) or a watch (93).
    pub modelid: i64,
    /// The class: 0 negative, 1 positive, 2 inconclusive.
    #[serde(default)]
    pub afib: i64,
    /// Beats a minute.
    pub heart_rate: i64,
    /// Systolic and diastolic, where a cuff measured them too.
    #[serde(default)]
    pub bloodpressure: Option<(i64, i64)>,
    /// Hertz.
    #[serde(default)]
    pub sampling_frequency: i64,
    /// Where the device is worn; 1: left wrist.
    #[serde(default)]
    pub wearposition: i64,
    /// Microvolts. Empty for a recording without an ECG.
    #[serde(default)]
    pub signal: Vec<i32>,
}

/// All of it, of one person.
#[derive(Debug, Default)]
pub(super) struct Life {
    pub(super) days: BTreeMap<(Date, i64), Day>,
    pub(super) workouts: BTreeMap<i64, Workout>,
    pub(super) nights: BTreeMap<i64, Night>,
    pub(super) samples: BTreeMap<i64, Sample>,
    pub(super) ecgs: BTreeMap<i64, Ecg>,
    /// Whether the app's plan leaves out what costs extra.
    pub(super) basic: bool,
}

/// The zone, or UTC where it is none. Persons' zones are checked when they are added.
pub(super) fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// The day of a Unix second in a zone.
pub(super) fn local_date(second: i64, timezone: &str) -> Date {
    zone(timezone).to_datetime(Instant::from_second(second).unwrap_or_default()).date()
}

impl Simulator {
    /// A person's days, by date and model.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn days(&self, person: u64) -> Result<Vec<Day>, SimulatorError> {
        self.lived(person, |life| life.days.values().cloned().collect())
    }

    /// A person's workouts, by id.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn workouts(&self, person: u64) -> Result<Vec<Workout>, SimulatorError> {
        self.lived(person, |life| life.workouts.values().cloned().collect())
    }

    /// A person's nights, by id.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn nights(&self, person: u64) -> Result<Vec<Night>, SimulatorError> {
        self.lived(person, |life| life.nights.values().cloned().collect())
    }

    /// A person's samples, oldest first.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn intraday(&self, person: u64) -> Result<Vec<Sample>, SimulatorError> {
        self.lived(person, |life| life.samples.values().cloned().collect())
    }

    /// A person's recordings of the heart, by signal.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn ecgs(&self, person: u64) -> Result<Vec<Ecg>, SimulatorError> {
        self.lived(person, |life| life.ecgs.values().cloned().collect())
    }

    fn lived<T>(&self, person: u64, look: impl FnOnce(&Life) -> T) -> Result<T, SimulatorError> {
        let state = self.state();
        let account = state.persons.get(&person).ok_or(SimulatorError::UnknownPerson)?;
        Ok(look(&account.life))
    }

    /// Whether the app's plan includes everything for this person, as it does at first. If not, some fields are absent,
    /// signals are empty, and asking for heart rate variability is refused.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn entitle(&self, person: u64, everything: bool) -> Result<(), SimulatorError> {
        let mut state = self.state();
        let account = state.persons.get_mut(&person).ok_or(SimulatorError::UnknownPerson)?;
        account.life.basic = !everything;
        Ok(())
    }

    /// Adds or replaces days, and notifies: topic 16, by date. Returns how many.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn add_days(&self, person: u64, days: Vec<Day>) -> Result<usize, SimulatorError> {
        self.add(person, |state, now| {
            let added = days.len();
            for day in days {
                state.news.push(News::Day(day.date));
                state.life.days.insert((day.date, day.modelid), Day { modified: now, ..day });
            }
            added
        })
    }

    /// Adds or replaces workouts, and notifies: topic 16, by date. Returns their ids.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn add_workouts(&self, person: u64, workouts: Vec<Workout>) -> Result<Vec<i64>, SimulatorError> {
        self.add(person, |state, now| {
            let added = workouts.into_iter().map(|workout| {
                let id = state.id(workout.id);
                state.news.push(News::Day(local_date(workout.startdate, &workout.timezone)));
                state.life.workouts.insert(id, Workout { id, modified: now, ..workout });
                id
            });
            added.collect()
        })
    }

    /// Adds or replaces nights, and notifies: topic 44, and 62 where heart rate variability was measured. Returns their
    /// ids.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn add_nights(&self, person: u64, nights: Vec<Night>) -> Result<Vec<i64>, SimulatorError> {
        self.add(person, |state, now| {
            let added = nights.into_iter().map(|night| {
                let id = state.id(night.id);
                let span = (night.startdate, night.enddate);
                state.news.push(News::Window(44, span));
                if night.stages.iter().any(|stage| stage.series.contains_key("rmssd")) {
                    state.news.push(News::Window(62, span));
                }
                let created = state.life.nights.get(&id).map_or(now, |known| known.created);
                state.life.nights.insert(id, Night { id, created, modified: now, ..night });
                id
            });
            added.collect()
        })
    }

    /// Adds samples, and notifies: topic 16 by date, and 62 where heart rate variability was measured. Returns how many.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn add_samples(&self, person: u64, samples: Vec<Sample>) -> Result<usize, SimulatorError> {
        self.add(person, |state, _| {
            let added = samples.len();
            for sample in samples {
                let date = local_date(sample.at, &state.timezone);
                state.news.push(News::Day(date));
                if sample.data.contains_key("rmssd") {
                    state.news.push(News::Window(62, (sample.at, sample.at + 1)));
                }
                state.life.samples.insert(sample.at, sample);
            }
            added
        })
    }

    /// Adds or replaces recordings of the heart, and notifies: topic 54. Returns their ids.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn add_ecgs(&self, person: u64, ecgs: Vec<Ecg>) -> Result<Vec<i64>, SimulatorError> {
        self.add(person, |state, now| {
            let added = ecgs.into_iter().map(|ecg| {
                let signalid = state.id(ecg.signalid);
                state.news.push(News::Window(54, (ecg.timestamp, ecg.timestamp + 1)));
                state.life.ecgs.insert(signalid, Ecg { signalid, modified: now, ..ecg });
                signalid
            });
            added.collect()
        })
    }

    fn add<T>(&self, person: u64, add: impl FnOnce(&mut Adding<'_>, i64) -> T) -> Result<T, SimulatorError> {
        let now = self.now().as_second();
        let (added, deliveries) = {
            let mut guard = self.state();
            let state: &mut State = &mut guard;
            let account = state.persons.get_mut(&person).ok_or(SimulatorError::UnknownPerson)?;
            let timezone = account.person.timezone.clone();
            let next = &mut state.next_id;
            let mut adding = Adding { life: &mut account.life, next, timezone, news: Vec::new() };
            let added = add(&mut adding, now);
            let news = std::mem::take(&mut adding.news);
            (added, state.told(person, &news))
        };
        self.deliver(deliveries);
        Ok(added)
    }
}

/// What a notification tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum News {
    /// Topic 16: this day.
    Day(Date),
    /// A topic, from this second to that.
    Window(i64, (i64, i64)),
}

/// A person's life while something is added to it.
struct Adding<'a> {
    life: &'a mut Life,
    next: &'a mut i64,
    timezone: String,
    news: Vec<News>,
}

impl Adding<'_> {
    /// The id as given, or a new one.
    fn id(&mut self, given: i64) -> i64 {
        if given != 0 {
            return given;
        }
        *self.next += 1;
        *self.next
    }
}

impl State {
    /// An id for what is added without telling.
    pub(super) fn new_id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }
}
