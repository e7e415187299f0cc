//! The records that are read, and what each of them needs.

use std::time::Duration;

use ohx_domain::{ProviderApp, Record};

use crate::{App, RecordSpec};

/// The patient's zone: without it no time can be placed.
const PROFILE: &str = "profile";
/// Trackers and scales.
const SETTINGS: &str = "settings";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Trackers sync late, values of a night are revised, and what changed cannot be asked for. One call reads a week as well
/// as a day.
const WEEK: Duration = DAY.saturating_mul(7);

/// How a record is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A range of days: the path before `/date/`, and what the list is called in the answer (`None`: it is the answer).
    Range(&'static str, Option<&'static str>),
    /// The same for several series of day totals, one call each.
    Series(&'static [&'static str]),
    /// One day a call, minute by minute.
    Minutes,
    /// A list by date: the path, what it is called in the answer, and the most on one page.
    List(&'static str, &'static str, u32),
}

/// What is known of a record.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) scope: &'static str,
    pub(super) way: Way,
    /// The most days of one call.
    pub(super) most: i32,
    /// Whether only days that are over are read: a total that still grows would be wrong by the evening.
    pub(super) finished: bool,
    /// Whether what began on a day may be listed on the day after: sleep.
    pub(super) ahead: bool,
    /// Whether each record is many thousand numbers.
    pub(super) waveforms: bool,
    /// The collection whose notifications tell of it.
    pub(super) collection: Option<&'static str>,
    overlap: Duration,
    by_default: bool,
}

const fn range(
    name: &'static str,
    scope: &'static str,
    way: Way,
    most: i32,
    collection: Option<&'static str>,
) -> Known {
    Known {
        name,
        scope,
        way,
        most,
        finished: false,
        ahead: false,
        waveforms: false,
        collection,
        overlap: WEEK,
        by_default: true,
    }
}

/// The series that `activities` is made of: five calls for up to three years, where a day's summary is a call a day.
const SERIES: &[&str] = &["steps", "distance", "floors", "calories", "activityCalories"];

const TABLE: [Known; 14] = [
    range("weight", "weight", Way::Range("1/user/-/body/log/weight", Some("weight")), 31, Some("body")),
    range("fat", "weight", Way::Range("1/user/-/body/log/fat", Some("fat")), 31, Some("body")),
    range(
        "heart",
        "heartrate",
        Way::Range("1/user/-/activities/heart", Some("activities-heart")),
        365,
        Some("activities"),
    ),
    Known {
        finished: true,
        overlap: DAY.saturating_mul(3),
        by_default: false,
        ..range("heart-intraday", "heartrate", Way::Minutes, 1, Some("activities"))
    },
    range("hrv", "heartrate", Way::Range("1/user/-/hrv", Some("hrv")), 30, Some("sleep")),
    range("spo2", "oxygen_saturation", Way::Range("1/user/-/spo2", None), 30, Some("sleep")),
    range("br", "respiratory_rate", Way::Range("1/user/-/br", Some("br")), 30, Some("sleep")),
    Known {
        ahead: true,
        ..range("sleep", "sleep", Way::Range("1.2/user/-/sleep", Some("sleep")), 100, Some("sleep"))
    },
    Known {
        finished: true,
        ..range("activities", "activity", Way::Series(SERIES), 1095, Some("activities"))
    },
    range(
        "exercise",
        "activity",
        Way::List("1/user/-/activities/list.json", "activities", 100),
        90,
        Some("activities"),
    ),
    range("temp-skin", "temperature", Way::Range("1/user/-/temp/skin", Some("tempSkin")), 30, Some("sleep")),
    range("temp-core", "temperature", Way::Range("1/user/-/temp/core", Some("tempCore")), 30, None),
    range(
        "cardioscore",
        "cardio_fitness",
        Way::Range("1/user/-/cardioscore", Some("cardioScore")),
        30,
        Some("activities"),
    ),
    Known {
        waveforms: true,
        ..range("ecg", "electrocardiogram", Way::List("1/user/-/ecg/list.json", "ecgReadings", 10), 90, None)
    },
];

/// The names of all of them.
pub(crate) const RECORDS: &[&str] = &{
    let mut names = [""; TABLE.len()];
    let mut at = 0;
    while at < TABLE.len() {
        names[at] = TABLE[at].name;
        at += 1;
    }
    names
};

static ALL: [Known; TABLE.len()] = TABLE;

/// What is known of a record of this name.
pub(super) fn known(name: &str) -> Option<&'static Known> {
    ALL.iter().find(|known| known.name == name)
}

impl Known {
    /// The record.
    pub(super) fn record(&self) -> Record {
        #[expect(clippy::expect_used, reason = "a constant of the right shape")]
        self.name.parse().expect("a record's name")
    }

    /// The longest window to ask for at once. A window touches one local day more than it has days.
    fn max_window(&self) -> Duration {
        match self.way {
            Way::Minutes => WEEK,
            // A list is paged; a year of it is enough at once. Series of three years are, too.
            _ => DAY.saturating_mul(self.most.min(366).saturating_sub(2).unsigned_abs()),
        }
    }
}

/// What an app reads with these granted scopes.
pub(super) fn read(app: &ProviderApp, scopes: &[String]) -> impl Iterator<Item = &'static Known> {
    ALL.iter().filter(|known| {
        let wanted = match app.records.as_slice() {
            [] => known.by_default,
            named => named.iter().any(|record| record.as_str() == known.name),
        };
        wanted && (scopes.is_empty() || scopes.iter().any(|scope| scope == known.scope))
    })
}

/// The same as the links know it.
pub(super) fn read_by(app: &ProviderApp, scopes: &[String]) -> Vec<RecordSpec> {
    let specs = read(app, scopes).map(|known| RecordSpec {
        record: known.record(),
        scope: known.scope,
        max_window: known.max_window(),
        align: None,
        changes: false,
        overlap: known.overlap,
    });
    specs.collect()
}

/// The records that a collection's notifications tell of.
pub(super) fn of_collection(collection: &str) -> Vec<Record> {
    ALL.iter().filter(|known| known.collection == Some(collection)).map(Known::record).collect()
}

/// What the patient is asked for: what the app says, else what its records need, and always their zone; their devices
/// where nothing is said.
pub(super) fn scopes_asked(app: &App) -> Vec<String> {
    let mut scopes = app.config.scopes.clone();
    if scopes.is_empty() {
        scopes.extend(read(&app.config, &[]).map(|known| known.scope.to_owned()));
        scopes.push(SETTINGS.to_owned());
    }
    scopes.push(PROFILE.to_owned());
    let mut seen = std::collections::BTreeSet::new();
    scopes.retain(|scope| seen.insert(scope.clone()));
    scopes
}
