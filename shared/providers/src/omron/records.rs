//! The records that are read, and how.

use std::time::Duration;

use ohx_domain::{ProviderApp, Record};

use crate::RecordSpec;

/// The option with the days that are read again.
pub(super) const OVERLAP: &str = "overlap-days";

const DAY: u64 = 24 * 60 * 60;

/// OMRON cannot say what changed, and a cuff may hold weeks of readings before it meets its phone: so much is read
/// again every night, instead of a little every night and a lot now and then. A day of a patient is few rows, so that
/// it is one call either way.
const OVERLAP_DAYS: u64 = 14;

/// An answer has no end: only the paging is stopped where a window ends. Longer windows are fewer calls, shorter ones
/// bring recent readings sooner.
const MAX_WINDOW: Duration = Duration::from_secs(90 * DAY);

/// What is known of a record. Its name is also its `type` and its scope.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: &'static str,
    /// What the list is called in the answer.
    pub(super) list: &'static str,
    /// What the page's key is called in the next request.
    pub(super) key: &'static str,
    /// Whether it is read where the app's configuration names no records. Temperature and oxygen exist in Europe only.
    by_default: bool,
}

const TABLE: [Known; 5] = [
    Known {
        name: "bloodpressure",
        list: "bloodPressure",
        key: "bloodpressurePaginationKey",
        by_default: true,
    },
    Known { name: "weight", list: "weight", key: "weightPaginationKey", by_default: true },
    Known { name: "activity", list: "activity", key: "activityPaginationKey", by_default: true },
    Known { name: "temperature", list: "temperature", key: "temperaturePaginationKey", by_default: false },
    Known { name: "oxygen", list: "oxygen", key: "oxygenPaginationKey", by_default: false },
];

/// The names of all of them.
pub(crate) const RECORDS: &[&str] = &["bloodpressure", "weight", "activity", "temperature", "oxygen"];

/// The record of this name.
pub(super) fn known(name: &str) -> Option<&'static Known> {
    const { &TABLE }.iter().find(|known| known.name == name)
}

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
    let granted = |known: &&Known| scopes.is_empty() || scopes.iter().any(|s| s == known.name);
    let specs = const { &TABLE }.iter().filter(wanted).filter(granted).map(|known| RecordSpec {
        record: record(known.name),
        scope: known.name,
        max_window: MAX_WINDOW,
        align: None,
        changes: false,
        overlap: overlap(app),
    });
    specs.collect()
}

/// How far back is read again.
pub(super) fn overlap(app: &ProviderApp) -> Duration {
    Duration::from_secs(days(app).unwrap_or(OVERLAP_DAYS) * DAY)
}

fn days(app: &ProviderApp) -> Option<u64> {
    app.options.get(OVERLAP)?.parse().ok().filter(|days| (1..=90).contains(days))
}

/// What is wrong with the option.
pub(super) fn check(app: &ProviderApp) -> Result<(), String> {
    if app.options.contains_key(OVERLAP) && days(app).is_none() {
        return Err(format!("options.{OVERLAP} should be a whole number from 1 to 90"));
    }
    Ok(())
}
