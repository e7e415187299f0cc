//! The providers: what the outside world really does, one module each.
//!
//! A module knows its provider's addresses, envelopes, status codes and quirks, and nothing of stores, events or
//! FHIR. What a record *means* is the mapping's business: a page passes through here as text, so that every digit
//! survives. To add a provider: implement [`Provider`], add it to [`by_kind`], write its mapping documents and its
//! simulator.

mod error;
mod windows;
pub mod withings;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::{Account, Instant, Interval, ProviderApp, Query, Record, Sensitive};
use secrecy::SecretString;
use serde_json::value::RawValue;
use url::Url;

pub use error::{ProviderError, Remedy};

/// A provider app with its secret: what every call needs.
#[derive(Debug, Clone)]
pub struct App {
    /// The configuration.
    pub config: ProviderApp,
    /// The client secret.
    pub secret: SecretString,
}

/// A token pair, and what came with it.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Opens the API.
    pub access_token: SecretString,
    /// Gets the next pair.
    pub refresh_token: SecretString,
    /// How long the access token lasts from when it was asked for.
    pub expires_in: Duration,
    /// What the patient granted. Empty where the provider does not say.
    pub scopes: Vec<String>,
    /// The patient's user id at the provider, where the answer has it.
    pub account: Option<Account>,
}

/// How a record is read.
#[derive(Debug, Clone)]
pub struct RecordSpec {
    /// Its name, in the provider's words.
    pub record: Record,
    /// The scope without which it cannot be read.
    pub scope: &'static str,
    /// The longest window to ask for at once.
    pub max_window: Duration,
    /// Where a long window is best cut: on whole multiples of this since the Unix epoch. See [`RecordSpec::windows`].
    pub align: Option<Duration>,
    /// Whether the provider can say what changed since an instant of its clock ([`Query::Since`]).
    pub changes: bool,
    /// How far back to read again: before the cursor where there are changes, else before now, for late data.
    pub overlap: Duration,
}

/// Where a page ends and the next begins, in the adapter's words. It may hold what was read already, so that it is
/// never printed, and good within one run only.
#[derive(Clone, PartialEq, Eq)]
pub struct PageToken(pub String);

impl fmt::Debug for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageToken")
    }
}

/// A piece of a page that can be mapped on its own.
#[derive(Debug, Clone)]
pub struct Part {
    /// The provider's own text.
    pub text: Sensitive<Box<RawValue>>,
    /// The times that it covers completely: every reading of this record in them is in the part. `None` where nothing
    /// is claimed. Where readings are gathered (the samples of an hour), only covered times make a gathered resource.
    pub covers: Option<Interval>,
}

/// One page of a provider's answer.
#[derive(Debug)]
pub struct Page {
    /// The page, cut into parts.
    pub parts: Vec<Part>,
    /// How many records they hold.
    pub records: u64,
    /// Where the next page begins; `None` on the last.
    pub next: Option<PageToken>,
    /// The provider's clock when it made the page, where it says.
    pub as_of: Option<Instant>,
}

/// Something happened at the provider. A hint: nothing in it is believed but that it is worth looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notification {
    /// There may be news of these records in this window (clamped to what is sensible).
    Changed {
        /// Which records.
        records: Vec<Record>,
        /// When they may have been measured.
        window: Interval,
    },
    /// The patient has ended the connection at the provider, or closed the account there.
    Revoked,
    /// Nothing that we read.
    Irrelevant {
        /// What it was, for the metrics: bounded, no personal data.
        topic: String,
    },
}

/// A notification, and whose it is.
#[derive(Debug, Clone)]
pub struct Notified {
    /// The provider user id it names.
    pub account: Account,
    /// What happened.
    pub what: Notification,
}

/// How notifications are registered for a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriptions {
    /// How many there were already, as they should be.
    pub kept: usize,
    /// How many were made.
    pub made: usize,
    /// How many the provider does not allow for this patient or app; the nightly run brings what they would tell of.
    pub refused: usize,
}

/// A provider's adapter.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Its type, as in [`ProviderApp::kind`].
    fn kind(&self) -> &'static str;

    /// The records that `app` reads (all that its configuration names, or the adapter's own choice where it names
    /// none), as far as these granted scopes allow (empty: all). Names that are not in [`record_names`] are left out.
    fn records(&self, app: &ProviderApp, scopes: &[String]) -> Vec<RecordSpec>;

    /// Calls a minute that an app has when its configuration says nothing.
    fn default_requests_per_minute(&self) -> u32;

    /// Where to send the patient's browser.
    ///
    /// # Errors
    /// [`ProviderError::Configuration`] where the app's base URLs are not usable.
    fn authorize_url(&self, app: &App, redirect: &Url, state: &str) -> Result<Url, ProviderError>;

    /// Turns the code of a callback into tokens. Called inside the callback: a code may live 30 seconds only.
    async fn exchange_code(
        &self,
        app: &App,
        code: &SecretString,
        redirect: &Url,
    ) -> Result<Grant, ProviderError>;

    /// Gets the next token pair.
    async fn refresh(&self, app: &App, refresh_token: &SecretString) -> Result<Grant, ProviderError>;

    /// Reads one page.
    async fn fetch(
        &self,
        app: &App,
        access_token: &SecretString,
        record: &Record,
        query: &Query,
        page: Option<&PageToken>,
    ) -> Result<Page, ProviderError>;

    /// Makes sure that notifications of everything the app reads come to `callback`, as far as these granted scopes
    /// allow (empty: all that the app asks for).
    async fn subscribe(
        &self,
        app: &App,
        scopes: &[String],
        access_token: &SecretString,
        callback: &Url,
    ) -> Result<Subscriptions, ProviderError>;

    /// Reads a notification: the query parameters and the form or JSON body of one request. It names every record that
    /// may have news; which of them a link reads is the caller's to look up in [`Provider::records`].
    ///
    /// # Errors
    /// [`ProviderError::Malformed`].
    fn notification(
        &self,
        content_type: &str,
        body: &[u8],
        now: Instant,
    ) -> Result<Vec<Notified>, ProviderError>;
}

/// The types of [`by_kind`], for checking configuration without a client.
pub const KINDS: &[&str] = &["withings"];

/// The records that a type of provider has, by name, for checking configuration without a client. Empty for a type
/// that is not in [`KINDS`].
pub fn record_names(kind: &str) -> &'static [&'static str] {
    match kind {
        withings::KIND => withings::RECORDS,
        _ => &[],
    }
}

/// The adapters by type, all on the same outbound HTTP client.
pub fn by_kind(http: &reqwest::Client) -> BTreeMap<&'static str, std::sync::Arc<dyn Provider>> {
    let all: [std::sync::Arc<dyn Provider>; 1] = [std::sync::Arc::new(withings::Withings::new(http.clone()))];
    all.into_iter().map(|p| (p.kind(), p)).collect()
}
