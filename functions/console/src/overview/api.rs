//! What the API says of the whole.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;

use crate::api::{Api, ApiError};

#[derive(Deserialize)]
pub(super) struct Overview {
    pub(super) at: Timestamp,
    pub(super) fresh_within_hours: u64,
    pub(super) providers: Vec<Provider>,
    pub(super) published: Published,
}

#[derive(Deserialize)]
pub(super) struct Provider {
    pub(super) provider: String,
    pub(super) links: Links,
    pub(super) flow: Flow,
}

#[derive(Deserialize)]
pub(super) struct Links {
    pub(super) pending: u64,
    pub(super) active: u64,
    pub(super) reauthorization_required: u64,
    pub(super) disconnected: u64,
}

#[derive(Deserialize)]
pub(super) struct Flow {
    pub(super) fresh: u64,
    pub(super) stale: u64,
    pub(super) failing: u64,
}

#[derive(Deserialize)]
pub(super) struct Published {
    pub(super) from: Timestamp,
    pub(super) step_seconds: u64,
    pub(super) series: Vec<Series>,
}

#[derive(Deserialize)]
pub(super) struct Series {
    pub(super) provider: String,
    pub(super) counts: Vec<u64>,
}

impl Api {
    /// Counts of links and readings; `span` is `day`, `week` or `month`.
    pub(super) async fn overview(&self, key: &SecretString, span: &str) -> Result<Overview, ApiError> {
        self.get(key, &["metrics", "overview"], &[("span", span)]).await
    }
}
