//! The contract as its operator writes it down: what is asked, and where in an answer what stands.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use ohx_domain::ProviderApp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::{ACCEPT, CONTRACT, check};

/// A contract. Nothing in it has a default that names somebody's server or field.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contract {
    #[serde(deserialize_with = "address")]
    pub(super) base_url: Url,
    #[serde(deserialize_with = "address")]
    pub(super) authorize_url: Url,
    #[serde(deserialize_with = "address")]
    pub(super) token_url: Url,
    pub(super) revoke_url: Option<Url>,
    pub(super) grant: GrantKind,
    #[serde(default)]
    pub(super) client_auth: ClientAuth,
    #[serde(default = "yes")]
    pub(super) pkce: bool,
    #[serde(default)]
    pub(super) scope: String,
    /// For a token answer without `expires_in`.
    #[serde(default = "an_hour")]
    pub(super) token_lifetime_seconds: u32,
    pub(super) account: AccountAt,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default = "three_days")]
    pub(super) overlap_hours: u32,
    #[serde(default = "a_month")]
    pub(super) max_window_days: u32,
    pub(super) records: BTreeMap<String, RecordAt>,
    pub(super) webhook: Option<Webhook>,
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    Url::parse(&text).map_err(|_| D::Error::custom("an address should be an http or https URL"))
}

fn yes() -> bool {
    true
}

fn an_hour() -> u32 {
    3600
}

fn three_days() -> u32 {
    72
}

fn a_month() -> u32 {
    31
}

/// How tokens are got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum GrantKind {
    /// Each patient's own, for the code of the consent page.
    AuthorizationCode,
    /// The app's own, for all patients.
    ClientCredentials,
}

/// How the app proves itself at the token endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClientAuth {
    /// Id and secret in the form.
    #[default]
    Body,
    /// HTTP Basic.
    Basic,
}

/// Where the patient's user id is: with a `url` at `at` of what it answers, else the `user_id` of the token answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountAt {
    pub(super) url: Option<String>,
    pub(super) at: Option<String>,
    #[serde(default)]
    pub(super) in_token_answer: bool,
}

/// How a record is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordAt {
    /// Below `base_url`.
    pub(super) url: String,
    /// For a window, with `{start}` and `{end}`.
    #[serde(default)]
    pub(super) query: BTreeMap<String, String>,
    /// For what changed since an instant, with `{since}`.
    pub(super) changes: Option<BTreeMap<String, String>>,
    /// How `{start}`, `{end}` and `{since}` are written.
    #[serde(default)]
    pub(super) time_parameter: Written,
    /// Where the list is; the answer itself where it is empty.
    #[serde(default)]
    pub(super) items: String,
    #[serde(default)]
    pub(super) paging: Paging,
    pub(super) time: TimeAt,
    pub(super) id: Option<String>,
    pub(super) device: Option<DeviceAt>,
    /// Where it says whether the patient has typed it in.
    pub(super) manual: Option<String>,
    pub(super) values: BTreeMap<String, ValueAt>,
}

/// How an instant is written in a parameter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Written {
    /// `2026-10-04T05:41:00Z`.
    #[default]
    Rfc3339,
    /// Seconds since 1970.
    UnixSeconds,
    /// Milliseconds since 1970.
    UnixMilliseconds,
    /// `2026-10-04`. Whose day is not known, so that a day more is asked for at each end.
    Date,
}

/// How the next page is found.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Paging {
    /// There is one page.
    #[default]
    None,
    /// The answer has a text for the next request.
    Cursor {
        /// The parameter that it is sent as.
        parameter: String,
        /// Where it is.
        at: String,
    },
    /// Counting.
    Offset {
        /// The parameter of the count.
        parameter: String,
        /// How many items a page has; one with fewer is the last.
        size: u32,
        /// The first page's.
        #[serde(default)]
        first: u32,
        /// What is counted.
        #[serde(default)]
        counts: Counted,
    },
}

/// What an offset counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Counted {
    #[default]
    Items,
    Pages,
}

/// When a reading was measured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeAt {
    pub(super) at: String,
    /// `rfc3339`, `unix-seconds`, `unix-milliseconds`, `local`, or a pattern with percent signs.
    pub(super) format: String,
    /// An IANA name, the same for all.
    pub(super) zone: Option<String>,
    /// Where a record has it.
    pub(super) zone_at: Option<String>,
}

impl TimeAt {
    /// Whether it is a wall clock's.
    pub(super) fn is_local(&self) -> bool {
        self.format == "local" || self.format.contains('%')
    }
}

/// The device that measured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceAt {
    pub(super) id: String,
    pub(super) model: Option<String>,
}

/// A value, and the unit that it is in: always the same, or as the record says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValueAt {
    pub(super) at: String,
    pub(super) unit: Option<String>,
    pub(super) unit_at: Option<String>,
    /// Their words for ours.
    #[serde(default)]
    pub(super) units: BTreeMap<String, String>,
}

/// How notifications come to the app's address.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Webhook {
    pub(super) header: String,
    pub(super) algorithm: Algorithm,
    #[serde(default)]
    pub(super) encoding: Encoding,
    /// What stands before a signature, such as `sha256=`.
    #[serde(default)]
    pub(super) prefix: String,
    /// Where the list of events is; without it the body is one.
    pub(super) events: Option<String>,
    /// Where an event has the user id.
    pub(super) account: String,
    /// Where an event says what it is about; without it every record may have news.
    pub(super) topic: Option<String>,
    /// Their words for our records.
    #[serde(default)]
    pub(super) records: BTreeMap<String, String>,
    /// Their words for the end of a connection.
    #[serde(default)]
    pub(super) revoked: Vec<String>,
    #[serde(default = "ok")]
    pub(super) answer: u16,
}

fn ok() -> u16 {
    200
}

/// How a notification proves its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Algorithm {
    /// The header is the secret.
    SharedSecret,
    HmacSha1,
    HmacSha256,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Encoding {
    #[default]
    Hex,
    Base64,
}

impl Contract {
    /// The contract of an app.
    ///
    /// # Errors
    /// What is missing or wrong, with its option and place, and what it should be.
    pub(super) fn of(app: &ProviderApp) -> Result<Self, String> {
        if app.options.get(ACCEPT).map(String::as_str) != Some("yes") {
            return Err(format!(
                "Beurer publishes no API for health data, and no contract of one was ever tried out with this program: \
                 set options.{ACCEPT} to yes where you hold such an agreement (docs/providers/beurer.md)"
            ));
        }
        let text = app.options.get(CONTRACT).ok_or_else(|| {
            format!("options.{CONTRACT} should be the contract, as YAML or JSON (docs/providers/beurer.md)")
        })?;
        let contract: Self = serde_saphyr::from_str(text).map_err(|e| {
            let told = e.to_string();
            let first = told.lines().next().unwrap_or_default().trim_start_matches("error: ");
            format!("options.{CONTRACT}: {first}")
        })?;
        check::check(&contract, app).map_err(|problem| format!("options.{CONTRACT}: {problem}"))?;
        Ok(contract)
    }

    /// The headers of every call, with what `{secret}` stands for.
    pub(super) fn headers(&self, secret: Option<&str>) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let header = |(name, value): (&String, &String)| {
            let wrong = |should: &str| format!("headers.{name} should {should}");
            let named: HeaderName = name.parse().map_err(|_| wrong("be the name of an HTTP header"))?;
            if matches!(
                named.as_str(),
                "authorization" | "accept" | "content-type" | "content-length" | "host"
            ) {
                return Err(wrong("be left out: every call has its own"));
            }
            let text = match (value.contains("{secret}"), secret) {
                (false, _) => value.clone(),
                (true, Some(secret)) => value.replace("{secret}", secret),
                (true, None) => return Err(wrong("have a secret to name: set secrets.header")),
            };
            let mut value = HeaderValue::from_str(&text).map_err(|_| wrong("be printable ASCII"))?;
            value.set_sensitive(true);
            Ok((named, value))
        };
        self.headers.iter().map(header).collect()
    }
}
