//! The legacy Fitbit Web API, which Google has announced to end on 30 September 2026. Whether it still answers, and how, is
//! not known: so it is off unless the app says otherwise, and an answer that looks like the end is told as the end and
//! never as the patient's doing (`status`). `fitbit` (Google Health) replaces it.
//!
//! What bites: days and times are the patient's own, without an offset, so that each run asks for their zone first
//! (`zone`); every record has a longest range of its own (`records`); lists page by a URL that is not to be followed
//! (`walk`); 150 calls an hour are each patient's (`memory`); refresh tokens are good once; notifications are signed with
//! HMAC-SHA1 and a key that ends in `&` (`notify`). `docs/providers/fitbit-legacy.md` is the operator's side of it.

mod call;
mod cut;
mod devices;
mod memory;
mod notify;
mod oauth;
mod records;
mod status;
mod subscribe;
#[cfg(test)]
mod tests;
mod walk;
mod zone;

use std::sync::Arc;

use async_trait::async_trait;
use ohx_domain::{Clock, Instant, ProviderApp, Query, Record, SystemClock};
use secrecy::SecretString;
use url::Url;

use self::call::Caller;
use self::memory::Memory;
use self::records::RECORDS;
use crate::bases::bases;
use crate::{
    Allowance, App, Grant, Kind, Page, PageToken, PairedDevice, Provider, ProviderError, Received,
    RecordSpec, Subscriber, Subscriptions, WebhookRequest,
};

/// The provider's type, in configuration and errors.
pub(crate) const KIND: &str = "fitbit-legacy";

/// The option without which nothing is done.
const ACCEPT: &str = "accept-retired-service";
/// The option with the calls an hour that Fitbit allows for each patient.
pub(crate) const PATIENT_REQUESTS: &str = "patient-requests-per-hour";
/// The option with the subscriber's id.
const SUBSCRIBER: &str = "subscriber";
/// The secret that Fitbit tries the notification address with.
const WEBHOOK: &str = "webhook";

/// What this type of provider is.
pub(crate) const ABOUT: Kind = Kind {
    name: KIND,
    title: "Fitbit (legacy Web API, announced to end on 30 September 2026)",
    brand: "Fitbit",
    records: RECORDS,
    base_urls: &["consent", "api"],
    secrets: &[(WEBHOOK, "the verification code of the subscriber, from Fitbit's developer site")],
    options: &[
        (
            ACCEPT,
            "yes, to use a service that was announced to end on 30 September 2026; else every call is refused",
        ),
        (SUBSCRIBER, "the subscriber's id, where the app has several at Fitbit's developer site"),
        (PATIENT_REQUESTS, "the calls an hour for each patient; 150, as Fitbit counts them, if not said"),
    ],
    consent: true,
    push: true,
    replaced_by: Some("fitbit"),
    successors: &[
        ("weight", "weight"),
        ("fat", "body-fat"),
        ("heart", "daily-resting-heart-rate"),
        ("heart-intraday", "heart-rate"),
        ("hrv", "daily-heart-rate-variability"),
        ("spo2", "daily-oxygen-saturation"),
        ("br", "daily-respiratory-rate"),
        ("sleep", "sleep"),
        ("activities", "steps"),
        ("activities", "distance"),
        ("activities", "floors"),
        ("activities", "total-calories"),
        ("activities", "active-energy-burned"),
        ("exercise", "exercise"),
        ("temp-skin", "daily-sleep-temperature-derivations"),
        ("temp-core", "core-body-temperature"),
        ("cardioscore", "daily-vo2-max"),
        ("ecg", "electrocardiogram"),
    ],
};

/// The adapter. Every call is given its app and token; what is remembered between calls can be found out again.
pub struct FitbitLegacy {
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    memory: Memory,
}

impl std::fmt::Debug for FitbitLegacy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FitbitLegacy").finish_non_exhaustive()
    }
}

/// Where an app's calls go.
struct Bases {
    /// The patient's browser.
    consent: Url,
    /// Tokens, readings and subscriptions.
    api: Url,
}

impl Bases {
    /// Fitbit's, or what the app says instead: a simulator.
    ///
    /// # Errors
    /// [`ProviderError::Configuration`], also where the app does not say that it knows of the end.
    fn of(app: &App) -> Result<Self, ProviderError> {
        if app.config.options.get(ACCEPT).map(String::as_str) != Some("yes") {
            let problem = format!(
                "the legacy Fitbit Web API was announced to end on 30 September 2026: use type fitbit (Google Health) \
                 instead, or set options.{ACCEPT} to yes to go on as long as it answers"
            );
            return Err(configuration(app, problem));
        }
        let known = [("consent", "https://www.fitbit.com"), ("api", "https://api.fitbit.com")];
        let [consent, api] = bases(app, known)?;
        Ok(Self { consent, api })
    }
}

/// The app's configuration cannot work.
fn configuration(app: &App, problem: String) -> ProviderError {
    ProviderError::Configuration { app: app.config.name.to_string(), problem }
}

impl FitbitLegacy {
    /// The adapter on an outbound client, which brings timeouts, TLS and a user agent, and follows no redirects.
    pub fn new(http: reqwest::Client) -> Self {
        Self { http, clock: Arc::new(SystemClock), memory: Memory::default() }
    }

    /// The same with another clock. It tells which days are over, and when a patient's hour of calls ends.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    fn caller<'a>(&'a self, app: &App, access_token: &'a SecretString) -> Result<Caller<'a>, ProviderError> {
        let (api, now) = (Bases::of(app)?.api, self.clock.now());
        Ok(Caller { http: &self.http, api, access_token, memory: &self.memory, now })
    }
}

#[async_trait]
impl Provider for FitbitLegacy {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn records(&self, app: &ProviderApp, scopes: &[String]) -> Vec<RecordSpec> {
        records::read_by(app, scopes)
    }

    /// Fitbit counts 150 an hour for each patient and none for the app. What is counted here is the app's: a pace that
    /// does not rush a service at its end.
    fn default_requests_per_minute(&self) -> u32 {
        120
    }

    fn patient_allowance(&self, app: &ProviderApp) -> Option<Allowance> {
        Some(Allowance::of(app, PATIENT_REQUESTS, 150, status::HOUR))
    }

    fn spent_until(&self, access_token: &SecretString, now: Instant) -> Option<Instant> {
        self.memory.of(access_token, now).spent.filter(|until| now < *until)
    }

    fn authorize_url(
        &self,
        app: &App,
        redirect: &Url,
        state: &str,
        verifier: &SecretString,
    ) -> Result<Url, ProviderError> {
        Ok(oauth::authorize_url(&Bases::of(app)?.consent, app, redirect, state, verifier))
    }

    async fn exchange_code(
        &self,
        app: &App,
        code: &SecretString,
        redirect: &Url,
        verifier: &SecretString,
    ) -> Result<Grant, ProviderError> {
        let (api, now) = (Bases::of(app)?.api, self.clock.now());
        oauth::exchange(&self.http, &api, &self.memory, now, app, code, redirect, verifier).await
    }

    async fn refresh(&self, app: &App, refresh_token: &SecretString) -> Result<Grant, ProviderError> {
        let (api, now) = (Bases::of(app)?.api, self.clock.now());
        oauth::refresh(&self.http, &api, &self.memory, now, app, refresh_token).await
    }

    async fn revoke(
        &self,
        app: &App,
        _access_token: &SecretString,
        refresh_token: &SecretString,
    ) -> Result<bool, ProviderError> {
        let (api, now) = (Bases::of(app)?.api, self.clock.now());
        oauth::revoke(&self.http, &api, &self.memory, now, app, refresh_token).await
    }

    async fn fetch(
        &self,
        app: &App,
        access_token: &SecretString,
        record: &Record,
        query: &Query,
        page: Option<&PageToken>,
    ) -> Result<Page, ProviderError> {
        let caller = self.caller(app, access_token)?;
        let known = records::known(record.as_str()).ok_or_else(|| {
            configuration(app, format!("{KIND} has no record {record}: it has {}", RECORDS.join(", ")))
        })?;
        let Query::Window(window) = query else {
            return Err(configuration(app, format!("{KIND} cannot say what changed of {record}")));
        };
        walk::fetch(&caller, known, window, page).await
    }

    fn lists_devices(&self) -> bool {
        true
    }

    async fn devices(
        &self,
        app: &App,
        access_token: &SecretString,
    ) -> Result<Vec<PairedDevice>, ProviderError> {
        devices::list(&self.caller(app, access_token)?).await
    }

    async fn subscribe(
        &self,
        app: &App,
        scopes: &[String],
        access_token: &SecretString,
        subscriber: Subscriber<'_>,
    ) -> Result<Subscriptions, ProviderError> {
        subscribe::subscribe(&self.caller(app, access_token)?, app, scopes, subscriber).await
    }

    async fn receive(&self, app: &App, request: WebhookRequest<'_>) -> Result<Received, ProviderError> {
        Bases::of(app)?;
        notify::receive(app, &request)
    }
}
