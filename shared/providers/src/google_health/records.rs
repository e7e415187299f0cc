//! The records that are read, and what each of them needs. A record is a data type, by the name it has in paths.

use std::time::Duration;

use ohx_domain::{ProviderApp, Record};

use crate::{App, RecordSpec};

/// Activity, workouts, and (in Google's words) cardio fitness.
pub(super) const ACTIVITY: &str =
    "https://www.googleapis.com/auth/googlehealth.activity_and_fitness.readonly";
/// Vital signs, body measurements and glucose.
pub(super) const METRICS: &str =
    "https://www.googleapis.com/auth/googlehealth.health_metrics_and_measurements.readonly";
/// Sleep.
pub(super) const SLEEP: &str = "https://www.googleapis.com/auth/googlehealth.sleep.readonly";
/// Electrocardiograms.
pub(super) const ECG: &str = "https://www.googleapis.com/auth/googlehealth.ecg.readonly";
/// The patient's time zone and devices.
pub(super) const SETTINGS: &str = "https://www.googleapis.com/auth/googlehealth.settings.readonly";

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Where nothing announces what comes late, or where values are revised for days: read again every night.
const WEEK: Duration = DAY.saturating_mul(7);
/// Where notifications tell of what comes later: a long weekend without the phone.
const WEEKEND: Duration = DAY.saturating_mul(3);

/// How a record is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Every source's own points: for single measurements, with their device and method.
    List,
    /// One stream of all sources, as the patient's app shows it.
    Reconcile,
    /// Totals of civil days, for what nothing else tells of.
    DailyRollUp,
}

/// What a point's time is, which decides how windows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    /// Minutes, by their start.
    Interval,
    /// Instants.
    Sample,
    /// Civil days.
    Daily,
    /// By civil start alone.
    Session,
    /// By their end alone.
    Sleep,
    /// By their start, and only from one on.
    Open,
    /// Once in years: never narrowed down.
    Ever,
}

/// How a window is read, and where its parts may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Steps {
    /// At once, and cut anywhere.
    Whole,
    /// In steps of so many finished civil days, and cut between days.
    Days(i32),
    /// In steps of so many hours, and cut between hours.
    Hours(i32),
}

/// What is known of a record.
#[derive(Debug)]
pub(super) struct Known {
    /// Its name in paths.
    pub(super) name: &'static str,
    /// Any of these opens it; Google tells nowhere which type needs which.
    scopes: &'static [&'static str],
    pub(super) way: Way,
    pub(super) time: Time,
    pub(super) steps: Steps,
    /// The page size to ask for; `None` where saying one is refused.
    pub(super) size: Option<u32>,
    /// Whether notifications tell of it.
    pub(super) announced: bool,
    max_window: Duration,
    align: Option<Duration>,
    overlap: Duration,
    /// Whether it is read where the app's configuration names no records.
    by_default: bool,
}

/// Single measurements, with their source.
const fn single(name: &'static str) -> Known {
    Known {
        name,
        scopes: &[METRICS],
        way: Way::List,
        time: Time::Sample,
        steps: Steps::Whole,
        size: Some(1440),
        announced: true,
        max_window: DAY.saturating_mul(90),
        align: None,
        overlap: WEEKEND,
        by_default: true,
    }
}

/// A value of each civil day, revised for some days.
const fn daily(name: &'static str) -> Known {
    Known { way: Way::Reconcile, time: Time::Daily, align: Some(DAY), overlap: WEEK, ..single(name) }
}

/// Minutes of which the day's total is made.
const fn minutes(name: &'static str) -> Known {
    Known {
        scopes: &[ACTIVITY],
        way: Way::Reconcile,
        time: Time::Interval,
        steps: Steps::Days(7),
        size: Some(10_000),
        max_window: DAY.saturating_mul(28),
        align: Some(DAY),
        overlap: WEEK,
        ..single(name)
    }
}

/// Totals of days, `most` of them in one request.
const fn rolled_up(name: &'static str, most: i32, size: Option<u32>) -> Known {
    Known {
        scopes: &[ACTIVITY],
        way: Way::DailyRollUp,
        time: Time::Daily,
        steps: Steps::Days(most),
        size,
        align: Some(DAY),
        overlap: WEEK,
        ..single(name)
    }
}

/// Instants of the whole day or night: many.
const fn samples(name: &'static str, hours: i32) -> Known {
    Known {
        way: Way::Reconcile,
        steps: Steps::Hours(hours),
        size: Some(10_000),
        max_window: DAY.saturating_mul(7),
        align: Some(HOUR),
        by_default: false,
        ..single(name)
    }
}

const TABLE: [Known; 26] = [
    single("weight"),
    single("body-fat"),
    // Logged once in years: every window reads all of it, so that there is one.
    Known { time: Time::Ever, max_window: DAY.saturating_mul(36_500), ..single("height") },
    daily("daily-resting-heart-rate"),
    daily("daily-heart-rate-variability"),
    daily("daily-oxygen-saturation"),
    daily("daily-respiratory-rate"),
    daily("daily-sleep-temperature-derivations"),
    Known { announced: false, overlap: WEEK, ..single("core-body-temperature") },
    single("blood-glucose"),
    Known { scopes: &[METRICS, ACTIVITY], announced: false, ..daily("daily-vo2-max") },
    Known { scopes: &[ACTIVITY, METRICS], way: Way::Reconcile, ..single("run-vo2-max") },
    Known {
        scopes: &[ACTIVITY, METRICS],
        way: Way::Reconcile,
        announced: false,
        overlap: WEEK,
        ..single("vo2-max")
    },
    Known {
        scopes: &[SLEEP],
        way: Way::Reconcile,
        time: Time::Sleep,
        size: Some(25),
        overlap: WEEK,
        ..single("sleep")
    },
    Known {
        scopes: &[ACTIVITY],
        way: Way::Reconcile,
        time: Time::Session,
        size: Some(25),
        ..single("exercise")
    },
    // A recording is some ten thousand numbers.
    Known {
        scopes: &[ECG],
        time: Time::Open,
        size: Some(100),
        announced: false,
        overlap: WEEK,
        ..single("electrocardiogram")
    },
    minutes("steps"),
    minutes("distance"),
    Known { announced: false, ..minutes("active-energy-burned") },
    minutes("active-minutes"),
    minutes("active-zone-minutes"),
    rolled_up("floors", 90, Some(90)),
    rolled_up("total-calories", 14, None),
    Known { max_window: DAY, ..samples("heart-rate", 24) },
    samples("heart-rate-variability", 7 * 24),
    Known { announced: false, overlap: WEEK, ..samples("oxygen-saturation", 7 * 24) },
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

/// What is known of a record of this name.
pub(super) fn known(name: &str) -> Option<&'static Known> {
    static ALL: [Known; TABLE.len()] = TABLE;
    ALL.iter().find(|known| known.name == name)
}

impl Known {
    /// The record.
    pub(super) fn record(&self) -> Record {
        #[expect(clippy::expect_used, reason = "a constant of the right shape")]
        self.name.parse().expect("a record's name")
    }

    /// Its name in filters: `heart_rate`.
    pub(super) fn field(&self) -> String {
        self.name.replace('-', "_")
    }

    /// Its name in points: `heartRate`.
    pub(super) fn member(&self) -> String {
        let mut words = self.name.split('-');
        let mut member = words.next().unwrap_or_default().to_owned();
        for word in words {
            let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
            member.push_str(&first.to_ascii_uppercase());
            member.push_str(rest);
        }
        member
    }

    fn granted(&self, scopes: &[String]) -> bool {
        scopes.is_empty() || scopes.iter().any(|scope| self.scopes.contains(&scope.as_str()))
    }
}

/// What an app reads with these granted scopes.
pub(super) fn read(app: &ProviderApp, scopes: &[String]) -> impl Iterator<Item = &'static Known> {
    RECORDS.iter().filter_map(|name| known(name)).filter(|known| {
        let wanted = match app.records.as_slice() {
            [] => known.by_default,
            named => named.iter().any(|record| record.as_str() == known.name),
        };
        wanted && known.granted(scopes)
    })
}

/// The same as the links know it.
pub(super) fn read_by(app: &ProviderApp, scopes: &[String]) -> Vec<RecordSpec> {
    let specs = read(app, scopes).map(|known| RecordSpec {
        record: known.record(),
        scope: known.scopes.first().copied().unwrap_or_default(),
        max_window: known.max_window,
        align: known.align,
        changes: false,
        overlap: known.overlap,
    });
    specs.collect()
}

/// What the patient is asked for: what the app says, else what its records need, and the time zone and devices.
pub(super) fn scopes_asked(app: &App) -> Vec<String> {
    if !app.config.scopes.is_empty() {
        return app.config.scopes.clone();
    }
    let needed: Vec<&str> = read(&app.config, &[]).flat_map(|known| known.scopes.iter().copied()).collect();
    let known = [ACTIVITY, METRICS, SLEEP, ECG].into_iter().filter(|scope| needed.contains(scope));
    known.chain([SETTINGS]).map(String::from).collect()
}
