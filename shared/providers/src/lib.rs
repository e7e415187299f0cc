//! The providers: what the outside world really does, one module each.
//!
//! A module knows its provider's addresses, envelopes, status codes and quirks, and nothing of stores, events or
//! FHIR. What a record *means* is the mapping's business: a page passes through here as text, so that every digit
//! survives. To add a provider: implement [`Provider`], add it to [`by_kind`], write its mapping documents and its
//! simulator.

mod bases;
pub mod beurer;
pub mod catalogue;
mod credentials;
mod error;
pub mod fitbit_legacy;
pub mod google_health;
mod loose;
mod oauth;
pub mod omron;
#[cfg(test)]
mod scripted;
mod webhook;
mod windows;
mod wire;
pub mod withings;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use ohx_domain::{Account, Clock, Instant, Interval, ProviderApp, Query, Record, Sensitive};
use secrecy::SecretString;
use serde_json::value::RawValue;
use url::Url;

pub use credentials::Credentials;
pub use error::{ProviderError, Remedy};
pub use webhook::{Notification, Notified, Received, Subscriber, Subscriptions, WebhookRequest};

/// A provider app with its secrets: what every call needs.
#[derive(Debug, Clone)]
pub struct App {
    /// The configuration.
    pub config: ProviderApp,
    /// The client secret.
    pub secret: SecretString,
    /// Further secrets by the adapter's own names ([`Kind::secrets`]).
    pub secrets: BTreeMap<String, SecretString>,
}

/// A token pair, and what came with it.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Opens the API.
    pub access_token: SecretString,
    /// Gets the next pair. A refresh may bring none: then the one before stays good.
    pub refresh_token: Option<SecretString>,
    /// How long the access token lasts from when it was asked for.
    pub expires_in: Duration,
    /// What the patient granted. Empty where the provider does not say.
    pub scopes: Vec<String>,
    /// The patient's user id at the provider, where the answer has it.
    pub account: Option<Account>,
    /// The same person's user id at a service that this one replaces: the adapter's type, and the id.
    pub former: Option<(&'static str, Account)>,
}

/// A patient's own device, as the provider lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairedDevice {
    /// Its id at the provider, for this patient.
    pub id: String,
    /// What readings call it, where that is not its id.
    pub reading_id: Option<String>,
    /// What kind of thing it is, in the provider's words.
    pub kind: Option<String>,
    /// Its product name.
    pub model: Option<String>,
    /// The provider's number of its model.
    pub model_id: Option<String>,
    /// The version of its firmware.
    pub firmware: Option<String>,
    /// Charge in per cent.
    pub battery_percent: Option<u8>,
    /// Charge in the provider's words, such as `high`, where it gives no number.
    pub battery: Option<String>,
    /// When it last spoke to the provider. Absent where the provider does not say in which zone.
    pub last_sync: Option<Instant>,
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

impl Part {
    /// A part that holds nothing: `null`.
    pub fn nothing() -> Self {
        Self { text: Sensitive::new(RawValue::NULL.to_owned()), covers: None }
    }
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

/// How many calls a provider allows within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// So many calls.
    pub calls: u32,
    /// In any stretch of time of this length, at least a minute.
    pub per: Duration,
}

impl Allowance {
    /// What an option of the app says in place of the provider's `calls`.
    fn of(app: &ProviderApp, option: &str, calls: u32, per: Duration) -> Self {
        let said = app.options.get(option).and_then(|text| text.trim().parse().ok());
        Self { calls: said.filter(|calls| *calls > 0).unwrap_or(calls), per }
    }
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

    /// What the provider allows for each patient, where it counts them apart: its own figure, or what the app's options
    /// say in its place.
    fn patient_allowance(&self, _app: &ProviderApp) -> Option<Allowance> {
        None
    }

    /// Until when a patient, whose access token it is, has no calls left, where the provider's last answer said so.
    fn spent_until(&self, _access_token: &SecretString, _now: Instant) -> Option<Instant> {
        None
    }

    /// Where to send the patient's browser. Adapters whose provider knows PKCE send the challenge of `verifier` (RFC
    /// 7636), which has 43 to 128 unreserved characters.
    ///
    /// # Errors
    /// [`ProviderError::Configuration`] where the app's base URLs are not usable.
    fn authorize_url(
        &self,
        app: &App,
        redirect: &Url,
        state: &str,
        verifier: &SecretString,
    ) -> Result<Url, ProviderError>;

    /// Turns the code of a callback into tokens. Called inside the callback: a code may live 30 seconds only.
    async fn exchange_code(
        &self,
        app: &App,
        code: &SecretString,
        redirect: &Url,
        verifier: &SecretString,
    ) -> Result<Grant, ProviderError>;

    /// Gets the next token pair.
    async fn refresh(&self, app: &App, refresh_token: &SecretString) -> Result<Grant, ProviderError>;

    /// The same where it is known with which redirect URI the grant began: some token endpoints want it again.
    async fn refresh_at(
        &self,
        app: &App,
        refresh_token: &SecretString,
        _redirect: &Url,
    ) -> Result<Grant, ProviderError> {
        self.refresh(app, refresh_token).await
    }

    /// Whether the provider takes the app's own credentials. Asked without a patient; changes nothing there.
    ///
    /// # Errors
    /// Where its answer tells nothing of them, or there is none.
    async fn check_credentials(
        &self,
        app: &App,
        redirect: &Url,
        _now: Instant,
    ) -> Result<Credentials, ProviderError> {
        credentials::told(self.refresh_at(app, &credentials::made_up(), redirect).await)
    }

    /// After how long without a refresh a pair is refreshed although nobody needs it, so that it does not end unused. Refresh tokens
    /// end after half a year and more where it is known (Google's after six months without use, Withings' a year after they
    /// were issued).
    fn refresh_after_idle(&self) -> Duration {
        Duration::from_secs(25 * 24 * 3600)
    }

    /// Ends a grant at the provider. `false` where the provider has no way to be told.
    async fn revoke(
        &self,
        _app: &App,
        _access_token: &SecretString,
        _refresh_token: &SecretString,
    ) -> Result<bool, ProviderError> {
        Ok(false)
    }

    /// Ends the notifications of a patient to a link's own address; gives how many subscriptions ended. `None` where they end
    /// with the grant, or are the app's and not the patient's.
    async fn unsubscribe(
        &self,
        _app: &App,
        _access_token: &SecretString,
        _address: &Url,
    ) -> Result<Option<u32>, ProviderError> {
        Ok(None)
    }

    /// Reads one page.
    async fn fetch(
        &self,
        app: &App,
        access_token: &SecretString,
        record: &Record,
        query: &Query,
        page: Option<&PageToken>,
    ) -> Result<Page, ProviderError>;

    /// Whether the provider lists a patient's devices.
    fn lists_devices(&self) -> bool {
        false
    }

    /// The patient's devices, where the provider lists them.
    async fn devices(
        &self,
        _app: &App,
        _access_token: &SecretString,
    ) -> Result<Vec<PairedDevice>, ProviderError> {
        Ok(Vec::new())
    }

    /// Makes sure that notifications of everything the app reads come to one of the subscriber's addresses, as far as
    /// these granted scopes allow (empty: all that the app asks for).
    async fn subscribe(
        &self,
        app: &App,
        scopes: &[String],
        access_token: &SecretString,
        subscriber: Subscriber<'_>,
    ) -> Result<Subscriptions, ProviderError>;

    /// Reads a notification that came to a link's own address. It names every record that may have news; which of them
    /// a link reads is the caller's to look up in [`Provider::records`].
    ///
    /// # Errors
    /// [`ProviderError::Malformed`].
    fn notification(
        &self,
        _content_type: &str,
        _body: &[u8],
        _now: Instant,
    ) -> Result<Vec<Notified>, ProviderError> {
        Err(wire::malformed(
            self.kind(),
            "a link's notification address",
            "it calls the app's address".into(),
        ))
    }

    /// Reads a request to the app's own address, and proves its origin as far as the provider lets it be proven.
    ///
    /// # Errors
    /// [`ProviderError::Malformed`]; [`ProviderError::Transport`] where what proves it could not be fetched.
    async fn receive(&self, _app: &App, _request: WebhookRequest<'_>) -> Result<Received, ProviderError> {
        let why = format!("{} calls an address that each link has of its own", self.kind());
        Ok(Received::Refused { answer: StatusCode::NOT_FOUND, why })
    }
}

/// What a type of provider is, for checking and showing configuration without a client.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name, as in [`ProviderApp::kind`].
    pub name: &'static str,
    /// For a person.
    pub title: &'static str,
    /// What patients know the service by, whose account they have.
    pub brand: &'static str,
    /// Its records, by name.
    pub records: &'static [&'static str],
    /// The names of its base URLs ([`ProviderApp::base_urls`]).
    pub base_urls: &'static [&'static str],
    /// Secrets beside the client secret, and what each is.
    pub secrets: &'static [(&'static str, &'static str)],
    /// Options ([`ProviderApp::options`]), and what each does.
    pub options: &'static [(&'static str, &'static str)],
    /// How readings come: a consent in the browser, or files and pushes that somebody sends.
    pub consent: bool,
    /// Whether the provider notifies of news.
    pub push: bool,
    /// The type of the service that replaces this one.
    pub replaced_by: Option<&'static str>,
    /// Which of that service's records takes the place of which of these: ours, theirs.
    pub successors: &'static [(&'static str, &'static str)],
}

/// Every type of provider.
pub const KINDS: &[Kind] = &[
    withings::ABOUT,
    beurer::ABOUT,
    beurer::contract::ABOUT,
    omron::ABOUT,
    google_health::ABOUT,
    fitbit_legacy::ABOUT,
];

/// The type of this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// What is wrong with an app's options beyond their names, as far as that can be told without a call.
///
/// # Errors
/// The option and its place, and what it should be.
pub fn check(app: &ProviderApp) -> Result<(), String> {
    let number =
        |option: &str, least: u32| match app.options.get(option).map(|text| text.trim().parse::<u32>()) {
            Some(Err(_)) => Err(format!("option {option} must be a whole number")),
            Some(Ok(calls)) if calls < least => Err(format!("option {option} must be at least {least}")),
            _ => Ok(()),
        };
    match app.kind.as_str() {
        beurer::contract::KIND => beurer::contract::check(app),
        fitbit_legacy::KIND => number(fitbit_legacy::PATIENT_REQUESTS, 60),
        google_health::KIND => number(google_health::PATIENT_REQUESTS, 1),
        _ => Ok(()),
    }
}

/// The type whose mapping documents serve the records of this one: its own, but for a type that brings another one's
/// records in another way. Mappings have this type in their names.
pub fn mapped_as(kind: &str) -> &str {
    match kind {
        beurer::contract::KIND => beurer::KIND,
        own => own,
    }
}

/// The adapters by type, all on the same outbound HTTP client and clock.
pub fn by_kind(http: &reqwest::Client, clock: &Arc<dyn Clock>) -> BTreeMap<&'static str, Arc<dyn Provider>> {
    let all: [Arc<dyn Provider>; 6] = [
        Arc::new(withings::Withings::new(http.clone())),
        Arc::new(beurer::Beurer),
        Arc::new(beurer::contract::BeurerContract::new(http.clone()).with_clock(clock.clone())),
        Arc::new(omron::Omron::new(http.clone()).with_clock(clock.clone())),
        Arc::new(fitbit_legacy::FitbitLegacy::new(http.clone()).with_clock(clock.clone())),
        Arc::new(google_health::GoogleHealth::with_clock(http.clone(), clock.clone())),
    ];
    all.into_iter().map(|p| (p.kind(), p)).collect()
}
