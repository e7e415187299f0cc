//! What the types of provider are, for people and programs that configure one.

use std::time::Duration;

use ohx_domain::{ProviderApp, ProviderName, Record};
use serde::Serialize;

use crate::{Kind, Provider, RecordSpec};

/// A type of provider: its records, capabilities and limits.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ProviderType))]
pub struct Listed {
    /// Its name, as configuration says it.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// For a person.
    pub title: &'static str,
    /// Whether a patient consents in the browser; else readings are brought by import or push.
    pub consent: bool,
    /// Whether it notifies of news.
    pub push: bool,
    /// Calls a minute that an app has where its configuration says nothing.
    pub requests_per_minute: u32,
    /// Its records.
    pub records: Vec<ListedRecord>,
    /// The names of its base URLs.
    pub base_urls: &'static [&'static str],
    /// Secrets beside the client secret.
    pub secrets: Vec<Named>,
    /// Options.
    pub options: Vec<Named>,
}

/// A name that configuration may use, and what it is.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ProviderSetting))]
pub struct Named {
    /// The name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
}

/// A record, and how it is read.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ProviderRecord))]
pub struct ListedRecord {
    /// Its name.
    pub record: Record,
    /// The scope without which it cannot be read.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub scope: &'static str,
    /// Whether an app reads it that names no records.
    pub by_default: bool,
    /// The longest window that is asked for at once, in days (rounded down; 0 is less than a day).
    pub max_window_days: u64,
    /// How far back it is read again for late data, in hours.
    pub overlap_hours: u64,
    /// Whether the provider says what changed since an instant.
    pub changes: bool,
}

fn named(told: &'static [(&'static str, &'static str)]) -> Vec<Named> {
    told.iter().map(|(name, about)| Named { name, about }).collect()
}

fn hours(duration: Duration) -> u64 {
    duration.as_secs() / 3600
}

/// One type, told by its adapter.
pub fn listed(kind: &Kind, adapter: &dyn Provider) -> Option<Listed> {
    let name: ProviderName = kind.name.parse().ok()?;
    let mut app = ProviderApp {
        name,
        kind: kind.name.to_owned(),
        client_id: String::new(),
        base_urls: Default::default(),
        scopes: Vec::new(),
        records: Vec::new(),
        requests_per_minute: None,
        notify_from: Vec::new(),
        options: Default::default(),
    };
    let usual: Vec<Record> = adapter.records(&app, &[]).into_iter().map(|spec| spec.record).collect();
    app.records = kind.records.iter().filter_map(|name| name.parse().ok()).collect();
    let records = adapter.records(&app, &[]).into_iter().map(|spec: RecordSpec| ListedRecord {
        by_default: usual.contains(&spec.record),
        record: spec.record,
        scope: spec.scope,
        max_window_days: hours(spec.max_window) / 24,
        overlap_hours: hours(spec.overlap),
        changes: spec.changes,
    });
    Some(Listed {
        kind: kind.name,
        title: kind.title,
        consent: kind.consent,
        push: kind.push,
        requests_per_minute: adapter.default_requests_per_minute(),
        records: records.collect(),
        base_urls: kind.base_urls,
        secrets: named(kind.secrets),
        options: named(kind.options),
    })
}
