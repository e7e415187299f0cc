//! The records that are read, and what each of them needs.

use std::time::Duration;

use ohx_domain::{ProviderApp, Record};

use super::{ACTIVITY, METRICS};
use crate::RecordSpec;

pub(super) const GETMEAS: &str = "getmeas";
pub(super) const GETACTIVITY: &str = "getactivity";
pub(super) const GETWORKOUTS: &str = "getworkouts";
pub(super) const SLEEP_GETSUMMARY: &str = "sleep-getsummary";
pub(super) const HEART_LIST: &str = "heart-list";
pub(super) const HEART_GET: &str = "heart-get";
pub(super) const GETINTRADAYACTIVITY: &str = "getintradayactivity";
pub(super) const SLEEP_GET: &str = "sleep-get";

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// getmeas asks by the provider's own clock, so that little has to be read twice.
const MINUTE: Duration = Duration::from_secs(60);
/// For changes that are asked for by our clock, because these answers do not tell the provider's: far more than two
/// clocks that are kept in time differ by.
const SKEW: Duration = Duration::from_secs(10 * 60);
/// Where the provider cannot say what changed, this much is read again every night. It is for a watch that was out of
/// reach of its phone: three days are a long weekend. What comes later still is announced by a notification with its
/// window, or brought in by a sync that a person asks for.
const LATE: Duration = DAY.saturating_mul(3);

/// What is known of a record.
struct Known {
    name: &'static str,
    scope: &'static str,
    max_window: Duration,
    align: Option<Duration>,
    changes: bool,
    overlap: Duration,
    /// Whether it is read where the app's configuration names no records.
    by_default: bool,
}

const fn known(name: &'static str, scope: &'static str) -> Known {
    Known {
        name,
        scope,
        max_window: DAY.saturating_mul(90),
        align: None,
        changes: false,
        overlap: LATE,
        by_default: true,
    }
}

/// A record of civil days. 200 days are the most that an old documentation allows at once; two of them are the days
/// that a window is widened by.
const fn civil(name: &'static str) -> Known {
    Known { max_window: DAY.saturating_mul(180), changes: true, overlap: SKEW, ..known(name, ACTIVITY) }
}

const TABLE: [Known; 8] = [
    Known { changes: true, overlap: MINUTE, ..known(GETMEAS, METRICS) },
    civil(GETACTIVITY),
    civil(GETWORKOUTS),
    civil(SLEEP_GETSUMMARY),
    known(HEART_LIST, METRICS),
    known(HEART_GET, METRICS),
    // 24 hours are silently all that an answer has, and a second of it goes to the uncertain bounds.
    Known {
        max_window: HOUR.saturating_mul(23),
        align: Some(HOUR),
        by_default: false,
        ..known(GETINTRADAYACTIVITY, ACTIVITY)
    },
    // 24 hours again, less two on each side for intervals that reach over the ends.
    Known {
        max_window: HOUR.saturating_mul(20),
        align: Some(HOUR),
        by_default: false,
        ..known(SLEEP_GET, ACTIVITY)
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

/// A record by its name, which is a constant here.
pub(super) fn record(name: &str) -> Record {
    #[expect(clippy::expect_used, reason = "a constant of the right shape")]
    name.parse().expect("a record's name")
}

/// What an app reads with these granted scopes.
pub(super) fn read_by(app: &ProviderApp, scopes: &[String]) -> Vec<RecordSpec> {
    let wanted = |known: &&Known| match app.records.as_slice() {
        [] => known.by_default,
        named => named.iter().any(|record| record.as_str() == known.name),
    };
    let granted = |known: &&Known| scopes.is_empty() || scopes.iter().any(|s| s == known.scope);
    let specs = TABLE.iter().filter(wanted).filter(granted).map(|known| RecordSpec {
        record: record(known.name),
        scope: known.scope,
        max_window: known.max_window,
        align: known.align,
        changes: known.changes,
        overlap: known.overlap,
    });
    specs.collect()
}
