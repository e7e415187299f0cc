//! Withings Health Data API ("public API", v2), read as its OpenAPI document, its developer guides and reports of
//! live calls describe it.
//!
//! What bites: HTTP answers 200 for almost everything, and the JSON envelope's `status` tells (`status`); an
//! authorization code lives 30 seconds; refresh tokens rotate; numbers come as text and text as numbers (`loose`);
//! notifications are not signed (`notify`). `docs/providers/withings.md` is the operator's side of it.

mod call;
mod civil;
mod devices;
mod getactivity;
mod getintradayactivity;
mod getmeas;
mod getworkouts;
mod heart_get;
mod heart_list;
mod list;
mod notify;
mod oauth;
mod range;
mod records;
mod signature;
mod sleep_get;
mod sleep_getsummary;
mod status;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use ohx_domain::{Instant, ProviderApp, Query, Record};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use self::call::Caller;
use self::records::{
    GETACTIVITY, GETINTRADAYACTIVITY, GETMEAS, GETWORKOUTS, HEART_GET, HEART_LIST, RECORDS, SLEEP_GET,
    SLEEP_GETSUMMARY,
};
use crate::bases::{bases, under};
use crate::{
    App, Credentials, Grant, Kind, Notified, Page, PageToken, PairedDevice, Provider, ProviderError,
    RecordSpec, Subscriber, Subscriptions,
};

/// The provider's type, in configuration and errors.
pub(crate) const KIND: &str = "withings";

/// What this type of provider is.
pub(crate) const ABOUT: Kind = Kind {
    name: KIND,
    title: "Withings Health Data API",
    brand: "Withings",
    records: RECORDS,
    base_urls: &["api", "consent"],
    secrets: &[],
    options: &[],
    consent: true,
    push: true,
    replaced_by: None,
    successors: &[],
};

/// Opens point measurements and ECG, and notifications of them.
const METRICS: &str = "user.metrics";
/// Opens activity, workouts and sleep, and notifications of them.
const ACTIVITY: &str = "user.activity";
/// Opens notification 46: the patient has left.
const INFO: &str = "user.info";

/// The adapter. Holds nothing but the client: every call is given its app and token.
#[derive(Debug, Clone)]
pub struct Withings {
    http: reqwest::Client,
}

/// Where an app's calls go.
struct Bases {
    /// API and tokens.
    api: Url,
    /// The patient's browser.
    consent: Url,
}

impl Bases {
    /// The public cloud, or what the app says instead: the US medical cloud, a simulator.
    fn of(app: &App) -> Result<Self, ProviderError> {
        let known = [("api", "https://wbsapi.withings.net"), ("consent", "https://account.withings.com")];
        let [api, consent] = bases(app, known)?;
        Ok(Self { api, consent })
    }
}

/// What the patient is asked for: what the app says, else what this adapter uses.
fn scopes_asked(app: &App) -> Vec<String> {
    match app.config.scopes.as_slice() {
        [] => [INFO, METRICS, ACTIVITY].map(String::from).to_vec(),
        named => named.to_vec(),
    }
}

impl Withings {
    /// The adapter on an outbound client, which brings timeouts, TLS and a user agent, and follows no redirects.
    pub fn new(http: reqwest::Client) -> Self {
        Self { http }
    }

    fn caller<'a>(&'a self, app: &App, access_token: &'a SecretString) -> Result<Caller<'a>, ProviderError> {
        Ok(Caller { http: &self.http, api: Bases::of(app)?.api, access_token })
    }
}

#[async_trait]
impl Provider for Withings {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn records(&self, app: &ProviderApp, scopes: &[String]) -> Vec<RecordSpec> {
        records::read_by(app, scopes)
    }

    /// The free plan allows 120 a minute; the rest is left for refreshes, and for the several requests of one `subscribe`.
    fn default_requests_per_minute(&self) -> u32 {
        100
    }

    /// PKCE is not documented by Withings and no known client sends it, so `state` alone ties the answer to us.
    fn authorize_url(
        &self,
        app: &App,
        redirect: &Url,
        state: &str,
        _verifier: &SecretString,
    ) -> Result<Url, ProviderError> {
        let mut url = under(&Bases::of(app)?.consent, "oauth2_user/authorize2");
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &app.config.client_id)
            .append_pair("state", state)
            .append_pair("scope", &scopes_asked(app).join(","))
            .append_pair("redirect_uri", redirect.as_str());
        Ok(url)
    }

    async fn exchange_code(
        &self,
        app: &App,
        code: &SecretString,
        redirect: &Url,
        _verifier: &SecretString,
    ) -> Result<Grant, ProviderError> {
        oauth::exchange(&self.http, &Bases::of(app)?.api, app, oauth::Proof::Code { code, redirect }).await
    }

    async fn refresh(&self, app: &App, refresh_token: &SecretString) -> Result<Grant, ProviderError> {
        oauth::exchange(&self.http, &Bases::of(app)?.api, app, oauth::Proof::Refresh { token: refresh_token })
            .await
    }

    async fn check_credentials(
        &self,
        app: &App,
        _redirect: &Url,
        now: Instant,
    ) -> Result<Credentials, ProviderError> {
        signature::check(&self.http, &Bases::of(app)?.api, app, now).await
    }

    async fn fetch(
        &self,
        app: &App,
        access_token: &SecretString,
        record: &Record,
        query: &Query,
        page: Option<&PageToken>,
    ) -> Result<Page, ProviderError> {
        let wrong =
            |problem: String| ProviderError::Configuration { app: app.config.name.to_string(), problem };
        let window = || match query {
            Query::Window(window) => Ok(window),
            Query::Since { .. } => Err(wrong(format!("withings cannot say what changed of {record}"))),
        };
        let caller = &self.caller(app, access_token)?;
        match record.as_str() {
            GETMEAS => getmeas::fetch(caller, query, page).await,
            GETACTIVITY => getactivity::CIVIL.fetch(caller, query, page).await,
            GETWORKOUTS => getworkouts::CIVIL.fetch(caller, query, page).await,
            SLEEP_GETSUMMARY => sleep_getsummary::CIVIL.fetch(caller, query, page).await,
            HEART_LIST => heart_list::fetch(caller, window()?, page).await,
            HEART_GET => heart_get::fetch(caller, window()?, page).await,
            GETINTRADAYACTIVITY => getintradayactivity::fetch(caller, window()?, page).await,
            SLEEP_GET => sleep_get::fetch(caller, window()?, page).await,
            _ => Err(wrong(format!("withings has no record {record}: it has {}", RECORDS.join(", ")))),
        }
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
        let scopes = if scopes.is_empty() { scopes_asked(app) } else { scopes.to_vec() };
        let records: Vec<Record> = self.records(&app.config, &scopes).into_iter().map(|s| s.record).collect();
        let topics = notify::needed(&records, &scopes);
        let caller = self.caller(app, access_token)?;
        notify::subscribe(&caller, subscriber.address, &topics, subscriber.now).await
    }

    async fn unsubscribe(
        &self,
        app: &App,
        access_token: &SecretString,
        address: &Url,
    ) -> Result<Option<u32>, ProviderError> {
        notify::unsubscribe(&self.caller(app, access_token)?, address).await.map(Some)
    }

    fn notification(
        &self,
        _content_type: &str,
        body: &[u8],
        now: Instant,
    ) -> Result<Vec<Notified>, ProviderError> {
        notify::read(body, now).map(|notified| vec![notified])
    }
}

impl Caller<'_> {
    fn bearer(&self) -> &str {
        self.access_token.expose_secret()
    }
}
