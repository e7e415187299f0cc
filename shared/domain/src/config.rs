//! Configuration that is data: provider apps.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{ProviderName, Record};

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
    /// The networks that notifications may come from, such as `203.0.113.0/24`; empty for anywhere. Who is behind them is
    /// not proven by that: a notification stays a hint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify_from: Vec<IpNet>,
    /// What else this app needs said, by the adapter's own names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}
