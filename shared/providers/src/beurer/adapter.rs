//! Beurer among the other providers: its records are known, and nobody can be asked for them.

use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::{Instant, ProviderApp, Query, Record};
use secrecy::SecretString;
use url::Url;

use super::{KIND, RECORDS};
use crate::{
    App, Credentials, Grant, Kind, Page, PageToken, Provider, ProviderError, RecordSpec, Subscriber,
    Subscriptions,
};

/// What this type of provider is.
pub(crate) const ABOUT: Kind = Kind {
    name: KIND,
    title: "Beurer: HealthManager Pro exports, and readings from a Bluetooth gateway",
    brand: "Beurer",
    records: RECORDS,
    base_urls: &[],
    secrets: &[],
    options: &[],
    consent: false,
    push: false,
    replaced_by: None,
    successors: &[],
};

/// The adapter. Beurer has no API for health data, so every call says that readings are brought.
#[derive(Debug, Clone, Copy)]
pub struct Beurer;

fn brought(app: &App) -> ProviderError {
    let problem =
        "Beurer has no API to ask: readings come by CSV import or from a gateway (docs/providers/beurer.md)";
    ProviderError::Configuration { app: app.config.name.to_string(), problem: problem.into() }
}

#[async_trait]
impl Provider for Beurer {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn records(&self, app: &ProviderApp, _scopes: &[String]) -> Vec<RecordSpec> {
        let wanted = |name: &str| app.records.is_empty() || app.records.iter().any(|r| r.as_str() == name);
        let spec = |name: &str| {
            let record: Record = name.parse().ok()?;
            Some(RecordSpec {
                record,
                scope: "",
                max_window: Duration::ZERO,
                align: None,
                changes: false,
                overlap: Duration::ZERO,
            })
        };
        RECORDS.iter().filter(|name| wanted(name)).filter_map(|name| spec(name)).collect()
    }

    /// Nothing is ever asked.
    fn default_requests_per_minute(&self) -> u32 {
        1
    }

    fn authorize_url(&self, app: &App, _: &Url, _: &str, _: &SecretString) -> Result<Url, ProviderError> {
        Err(brought(app))
    }

    async fn exchange_code(
        &self,
        app: &App,
        _: &SecretString,
        _: &Url,
        _: &SecretString,
    ) -> Result<Grant, ProviderError> {
        Err(brought(app))
    }

    async fn refresh(&self, app: &App, _: &SecretString) -> Result<Grant, ProviderError> {
        Err(brought(app))
    }

    async fn check_credentials(&self, _: &App, _: &Url, _: Instant) -> Result<Credentials, ProviderError> {
        Ok(Credentials::NotUsed)
    }

    async fn fetch(
        &self,
        app: &App,
        _: &SecretString,
        _: &Record,
        _: &Query,
        _: Option<&PageToken>,
    ) -> Result<Page, ProviderError> {
        Err(brought(app))
    }

    async fn subscribe(
        &self,
        app: &App,
        _: &[String],
        _: &SecretString,
        _: Subscriber<'_>,
    ) -> Result<Subscriptions, ProviderError> {
        Err(brought(app))
    }
}
