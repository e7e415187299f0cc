//! Configuration that is data: provider apps and EHR endpoints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{EhrName, ProviderName, Record};

/// An app that is registered with a provider. Its client secret is stored apart, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderApp {
    /// What links refer to, and the last part of the redirect URL.
    pub name: ProviderName,
    /// Which adapter speaks to it, such as `withings`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The app's client id at the provider.
    pub client_id: String,
    /// Base URLs that differ from the provider's public cloud, by the adapter's own names (`api`, `consent`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub base_urls: BTreeMap<String, Url>,
    /// Scopes to ask for, where the adapter's default is not wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Which records this app reads, by the adapter's own names; empty for the adapter's default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Record>,
    /// Calls a minute that all links of this app share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// What else this app needs said, by the adapter's own names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// How OHX proves itself to an EHR endpoint. Secrets are stored apart, sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EhrAuth {
    /// Not at all: for test servers only.
    None,
    /// A static bearer token.
    Bearer,
}

/// How resources are written (`docs/identity.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteStrategy {
    /// PUT to a client-assigned id that is derived from the identifier: no race.
    Update,
    /// POST with `ifNoneExist` on the identifier, for servers that assign ids themselves.
    ConditionalCreate,
}

/// A FHIR R5 server that readings go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EhrEndpoint {
    /// What links refer to.
    pub name: EhrName,
    /// The FHIR base URL.
    pub base_url: Url,
    /// How OHX proves itself.
    #[serde(default = "no_auth")]
    pub auth: EhrAuth,
    /// How resources are written.
    #[serde(default = "update")]
    pub strategy: WriteStrategy,
    /// Entries in one batch, 1 to 500.
    #[serde(default = "batch_size")]
    pub batch_size: usize,
}

fn no_auth() -> EhrAuth {
    EhrAuth::None
}

fn update() -> WriteStrategy {
    WriteStrategy::Update
}

fn batch_size() -> usize {
    100
}
