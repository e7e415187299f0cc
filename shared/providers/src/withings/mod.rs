//! Withings Health Data API ("public API", v2), read as its OpenAPI document, its developer guides and reports of
//! live calls describe it.
//!
//! What bites: HTTP answers 200 for almost everything, and the JSON envelope's `status` tells ([`status`]); an
//! authorization code lives 30 seconds; refresh tokens rotate; numbers come as text and text as numbers ([`loose`]);
//! notifications are not signed ([`notify`]). `docs/providers/withings.md` is the operator's side of it.

mod call;
mod getmeas;
mod loose;
mod notify;
mod oauth;
mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::{Instant, Query, Record};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use self::call::Caller;
use crate::{App, Grant, Notified, Page, PageToken, Provider, ProviderError, RecordSpec, Subscriptions};

/// The provider's type, in configuration and errors.
pub(crate) const KIND: &str = "withings";

/// Opens getmeas, and notifications of what it reads.
const METRICS: &str = "user.metrics";
/// Opens notification 46: the patient has left.
const INFO: &str = "user.info";

/// The one record that is read so far, by the name of its action.
const GETMEAS: &str = "getmeas";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

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
        let problem =
            |problem: String| ProviderError::Configuration { app: app.config.name.to_string(), problem };
        let parse = |url: &str| Url::parse(url).map_err(|e| problem(e.to_string()));
        let mut bases = Self {
            api: parse("https://wbsapi.withings.net")?,
            consent: parse("https://account.withings.com")?,
        };
        for (name, url) in &app.config.base_urls {
            if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
                return Err(problem(format!("base_urls.{name} should be an http or https URL")));
            }
            match name.as_str() {
                "api" => bases.api = url.clone(),
                "consent" => bases.consent = url.clone(),
                _ => {
                    return Err(problem(format!(
                        "base_urls.{name} is unknown: withings has api and consent"
                    )));
                }
            }
        }
        Ok(bases)
    }
}

/// `path` under `base`, whose own path is kept.
fn under(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    let joined = format!("{}/{path}", base.path().trim_end_matches('/'));
    url.set_path(&joined);
    url
}

/// What the patient is asked for: what the app says, else what this adapter uses.
fn scopes_asked(app: &App) -> Vec<String> {
    if app.config.scopes.is_empty() { vec![INFO.into(), METRICS.into()] } else { app.config.scopes.clone() }
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

    fn records(&self, scopes: &[String]) -> Vec<RecordSpec> {
        if !scopes.is_empty() && !scopes.iter().any(|s| s == METRICS) {
            return Vec::new();
        }
        #[expect(clippy::expect_used, reason = "a constant of the right shape")]
        let record: Record = GETMEAS.parse().expect("a record's name");
        vec![RecordSpec {
            record,
            scope: METRICS,
            max_window: 90 * DAY,
            changes: true,
            overlap: Duration::from_secs(60),
        }]
    }

    /// The free plan allows 120 a minute; the rest is left for refreshes, and for the several requests of one `subscribe`.
    fn default_requests_per_minute(&self) -> u32 {
        100
    }

    /// PKCE is not documented by Withings and no known client sends it, so `state` alone ties the answer to us.
    fn authorize_url(&self, app: &App, redirect: &Url, state: &str) -> Result<Url, ProviderError> {
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
    ) -> Result<Grant, ProviderError> {
        oauth::exchange(&self.http, &Bases::of(app)?.api, app, oauth::Proof::Code { code, redirect }).await
    }

    async fn refresh(&self, app: &App, refresh_token: &SecretString) -> Result<Grant, ProviderError> {
        oauth::exchange(&self.http, &Bases::of(app)?.api, app, oauth::Proof::Refresh { token: refresh_token })
            .await
    }

    async fn fetch(
        &self,
        app: &App,
        access_token: &SecretString,
        record: &Record,
        query: &Query,
        page: Option<&PageToken>,
    ) -> Result<Page, ProviderError> {
        if record.as_str() != GETMEAS {
            let problem = format!("withings has no record {record}: it has {GETMEAS}");
            return Err(ProviderError::Configuration { app: app.config.name.to_string(), problem });
        }
        getmeas::fetch(&self.caller(app, access_token)?, query, page).await
    }

    async fn subscribe(
        &self,
        app: &App,
        access_token: &SecretString,
        callback: &Url,
    ) -> Result<Subscriptions, ProviderError> {
        let leaving = scopes_asked(app).iter().any(|s| s == INFO);
        notify::subscribe(&self.caller(app, access_token)?, callback, leaving).await
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
