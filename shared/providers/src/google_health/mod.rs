//! Google Health API v4: what Fitbit and Pixel Watch data come through since the Fitbit Web API ended, read as Google's
//! discovery document and pages and reports of live calls describe it.
//!
//! What bites: one data type has three spellings (`records`); an empty page may be followed by a full one (`walk`);
//! filters know only `>=` and `<`, and sleep only by its end (`filter`); nobody can ask what changed, so that the last
//! days are read again; a notification is signed with Tink's ECDSA, and an address is proven by two calls (`notify`);
//! who has no Google Health profile gets a 400 (`status`). `docs/providers/fitbit.md` is the operator's side of it.

mod account;
mod call;
mod cut;
mod devices;
mod filter;
mod keyset;
mod notify;
mod oauth;
mod records;
mod settings;
mod status;
mod steps;
mod subscribe;
#[cfg(test)]
mod tests;
mod tink;
mod walk;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::{Clock, ProviderApp, Query, Record, SystemClock};
use secrecy::SecretString;
use url::Url;

use self::call::Caller;
use self::keyset::Keysets;
use self::records::RECORDS;
use self::settings::Zones;
use self::subscribe::Remembered;
use crate::bases::bases;
use crate::{
    Allowance, App, Grant, Kind, Page, PageToken, PairedDevice, Provider, ProviderError, Received,
    RecordSpec, Subscriber, Subscriptions, WebhookRequest,
};

/// The provider's type, in configuration and errors.
pub(crate) const KIND: &str = "fitbit";

/// The secret that Google is to send in `Authorization`, the whole value of the header.
pub(super) const WEBHOOK: &str = "webhook";
/// The same, while it is being replaced.
pub(super) const WEBHOOK_PREVIOUS: &str = "webhook-previous";
/// The service account's key, as Google's console gives it.
pub(super) const SERVICE_ACCOUNT: &str = "service-account";
/// The option with the Google Cloud project's number.
pub(super) const PROJECT: &str = "project";
/// The option with the calls a minute that Google allows for each patient.
pub(crate) const PATIENT_REQUESTS: &str = "patient-requests-per-minute";
/// The option with the subscriber's id.
pub(super) const SUBSCRIBER_ID: &str = "subscriber-id";
/// The option that says whether notifications need the secret, too.
pub(super) const WEBHOOK_AUTHORIZATION: &str = "webhook-authorization";

/// What this type of provider is.
pub(crate) const ABOUT: Kind = Kind {
    name: KIND,
    title: "Fitbit and Pixel Watch (Google Health API)",
    brand: "Google Health (Fitbit)",
    records: RECORDS,
    base_urls: &["api", "accounts", "oauth", "keyset"],
    secrets: &[
        (WEBHOOK, "what Google sends as the Authorization header of its notifications, the whole value"),
        (WEBHOOK_PREVIOUS, "the value before it, accepted as well while it is being replaced"),
        (SERVICE_ACCOUNT, "the JSON key of a service account of the project, to register for notifications"),
    ],
    options: &[
        (PROJECT, "the Google Cloud project's number (not its id), to register for notifications"),
        (SUBSCRIBER_ID, "the subscriber's id there, 4 to 36 characters; ohx- and the app's name if not said"),
        (
            WEBHOOK_AUTHORIZATION,
            "required: notifications need the Authorization header beside their signature; optional (the default): \
             the signature is enough",
        ),
        (
            PATIENT_REQUESTS,
            "the calls a minute for each patient; 150 if not said, 300 for an app that is verified",
        ),
    ],
    consent: true,
    push: true,
    replaced_by: None,
    successors: &[],
};

/// The adapter. Every call is given its app and token; what is remembered between calls can be asked for again.
pub struct GoogleHealth {
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    zones: Zones,
    keysets: Keysets,
    subscribers: Remembered,
}

impl std::fmt::Debug for GoogleHealth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GoogleHealth").finish_non_exhaustive()
    }
}

/// Where an app's calls go.
pub(super) struct Bases {
    /// Readings and subscribers.
    pub(super) api: Url,
    /// The patient's browser.
    pub(super) accounts: Url,
    /// Tokens.
    pub(super) oauth: Url,
    /// The keys that notifications are signed with, the whole address.
    pub(super) keyset: Url,
}

impl Bases {
    /// Google's, or what the app says instead: a simulator.
    pub(super) fn of(app: &App) -> Result<Self, ProviderError> {
        let known = [
            ("api", "https://health.googleapis.com"),
            ("accounts", "https://accounts.google.com"),
            ("oauth", "https://oauth2.googleapis.com"),
            ("keyset", "https://www.gstatic.com/googlehealthapi/webhooks/webhooks_public_keyset.json"),
        ];
        let [api, accounts, oauth, keyset] = bases(app, known)?;
        Ok(Self { api, accounts, oauth, keyset })
    }
}

/// The app's configuration cannot work.
pub(super) fn configuration(app: &App, problem: impl Into<String>) -> ProviderError {
    ProviderError::Configuration { app: app.config.name.to_string(), problem: problem.into() }
}

impl GoogleHealth {
    /// The adapter on an outbound client, which brings timeouts, TLS and a user agent, and follows no redirects.
    pub fn new(http: reqwest::Client) -> Self {
        Self::with_clock(http, Arc::new(SystemClock))
    }

    /// The same with a clock of its own. It tells which days are over, and dates the proofs of a service account.
    pub fn with_clock(http: reqwest::Client, clock: Arc<dyn Clock>) -> Self {
        Self {
            http,
            clock,
            zones: Zones::default(),
            keysets: Keysets::default(),
            subscribers: Remembered::default(),
        }
    }

    fn caller<'a>(&'a self, app: &App, access_token: &'a SecretString) -> Result<Caller<'a>, ProviderError> {
        Ok(Caller { http: &self.http, api: Bases::of(app)?.api, access_token })
    }
}

#[async_trait]
impl Provider for GoogleHealth {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn records(&self, app: &ProviderApp, scopes: &[String]) -> Vec<RecordSpec> {
        records::read_by(app, scopes)
    }

    /// Google counts 120,000 a minute for a project, and 86,400,000 a day, which is 60,000 a minute.
    fn default_requests_per_minute(&self) -> u32 {
        60_000
    }

    /// 2.5 a second for each user of an app that is not verified; 300 a minute for others.
    fn patient_allowance(&self, app: &ProviderApp) -> Option<Allowance> {
        Some(Allowance::of(app, PATIENT_REQUESTS, 150, Duration::from_secs(60)))
    }

    fn authorize_url(
        &self,
        app: &App,
        redirect: &Url,
        state: &str,
        verifier: &SecretString,
    ) -> Result<Url, ProviderError> {
        Ok(oauth::authorize_url(&Bases::of(app)?.accounts, app, redirect, state, verifier))
    }

    async fn exchange_code(
        &self,
        app: &App,
        code: &SecretString,
        redirect: &Url,
        verifier: &SecretString,
    ) -> Result<Grant, ProviderError> {
        let bases = Bases::of(app)?;
        let mut grant = oauth::exchange(&self.http, &bases, app, code, redirect, verifier).await?;
        let caller = Caller { http: &self.http, api: bases.api, access_token: &grant.access_token };
        let (account, former) = oauth::identity(&caller).await?;
        grant.account = Some(account);
        grant.former = former.map(|account| ("fitbit-legacy", account));
        Ok(grant)
    }

    async fn refresh(&self, app: &App, refresh_token: &SecretString) -> Result<Grant, ProviderError> {
        oauth::refresh(&self.http, &Bases::of(app)?, app, refresh_token).await
    }

    async fn revoke(
        &self,
        app: &App,
        _access_token: &SecretString,
        refresh_token: &SecretString,
    ) -> Result<bool, ProviderError> {
        oauth::revoke(&self.http, &Bases::of(app)?.oauth, refresh_token).await.map(|()| true)
    }

    async fn fetch(
        &self,
        app: &App,
        access_token: &SecretString,
        record: &Record,
        query: &Query,
        page: Option<&PageToken>,
    ) -> Result<Page, ProviderError> {
        let known = records::known(record.as_str()).ok_or_else(|| {
            configuration(app, format!("{KIND} has no record {record}: it has {}", RECORDS.join(", ")))
        })?;
        let Query::Window(window) = query else {
            return Err(configuration(app, format!("{KIND} cannot say what changed of {record}")));
        };
        let caller = self.caller(app, access_token)?;
        walk::fetch(&caller, &self.zones, known, window, page, self.clock.now()).await
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
        _access_token: &SecretString,
        subscriber: Subscriber<'_>,
    ) -> Result<Subscriptions, ProviderError> {
        self.subscribers.subscribe(&self.http, app, scopes, subscriber.app_address, self.clock.now()).await
    }

    async fn receive(&self, app: &App, request: WebhookRequest<'_>) -> Result<Received, ProviderError> {
        notify::receive(&self.http, &self.keysets, app, request).await
    }
}
