//! Configuration: provider apps and EHR endpoints, as `ohx apply` and the API take them.
//!
//! [`check_provider`] and [`check_ehr`] hold the rules, for both alike.

mod check_ehr;
pub(crate) mod ehrs;
pub(crate) mod providers;

use std::collections::BTreeSet;

use http::StatusCode;
use ohx_domain::ProviderApp;
use ohx_link::Links;
use ohx_runtime::Problem;
use url::Url;

pub use check_ehr::{auth_name, check_ehr};

use crate::http::extract::of_field;

/// What is wrong with something that is to be configured. Shows no secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what}")]
pub struct Wrong {
    /// The field, such as `oauth/scope`.
    pub field: String,
    /// What is wrong with it, and what it should be.
    pub what: String,
}

impl Wrong {
    fn new(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self { field: field.into(), what: what.into() }
    }
}

impl From<Wrong> for Problem {
    fn from(Wrong { field, what }: Wrong) -> Self {
        of_field(StatusCode::UNPROCESSABLE_ENTITY, &format!("#/{field}"), what)
    }
}

/// Whether an address may be called at all. Names are judged when they are called: here only what is written in numbers.
fn check_reach(links: &Links, field: &str, url: &Url) -> Result<(), Wrong> {
    links
        .reach()
        .check(url)
        .map_err(|error| Wrong::new(field, format!("{}: {error}", field.replace('/', "."))))
}

/// Whether a map has only names that the adapter knows.
fn check_names<'n>(
    map: &str,
    mut names: impl Iterator<Item = &'n String>,
    known: &[&str],
) -> Result<(), Wrong> {
    let Some(name) = names.find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
    let has = match known {
        [] => "this type has none".to_owned(),
        known => format!("this type has {}", known.join(", ")),
    };
    Err(Wrong::new(map, format!("{map}.{name} is unknown: {has}")))
}

fn names_of(told: &[(&'static str, &'static str)]) -> Vec<&'static str> {
    told.iter().map(|(name, _)| *name).collect()
}

/// Whether a provider app, with secrets of these names beside the client secret, can be used.
///
/// # Errors
/// [`Wrong`], with the first thing that is.
pub fn check_provider<'n>(app: &ProviderApp, secrets: impl Iterator<Item = &'n String>) -> Result<(), Wrong> {
    let Some(kind) = ohx_providers::kind(&app.kind) else {
        let known: Vec<&str> = ohx_providers::KINDS.iter().map(|kind| kind.name).collect();
        return Err(Wrong::new("type", format!("type must be one of {known:?}, got {:?}", app.kind)));
    };
    check_names("base_urls", app.base_urls.keys(), kind.base_urls)?;
    check_names("options", app.options.keys(), &names_of(kind.options))?;
    check_names("secrets", secrets, &names_of(kind.secrets))?;
    if app.requests_per_minute == Some(0) {
        return Err(Wrong::new("requests_per_minute", "requests_per_minute must be at least 1"));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = app.records.iter().find(|record| !seen.insert(*record)) {
        return Err(Wrong::new("records", format!("records names {twice} twice")));
    }
    let known = kind.records;
    if let Some(unknown) = app.records.iter().find(|record| !known.contains(&record.as_str())) {
        let what = format!("{} has no record {unknown}; it has {}", app.kind, known.join(", "));
        return Err(Wrong::new("records", what));
    }
    ohx_providers::check(app).map_err(|what| Wrong::new("options", what))
}
