//! OMRON's Partner API ("OMRON Wellness API"), read as the stored parts of its documentation and the published clients
//! of it describe it. OMRON's other clouds (the data service platform for enterprises, the app's own backend) are not
//! this one.
//!
//! What bites: two base URLs, one for the browser and one for everything else; who the patient is stands in a token
//! alone (`identity`); one endpoint has every record, answers errors with HTTP 200 (`status`), takes a day and no end,
//! and pages in several ways (`measurement`); notifications are signed with nothing (`notify`).
//! `docs/providers/omron.md` is the operator's side of it.

mod call;
mod identity;
mod measurement;
mod notify;
mod records;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use oauth2::AuthType;
use ohx_domain::{Clock, ProviderApp, Query, Record, SystemClock};
use secrecy::SecretString;
use url::Url;

use self::call::Caller;
use self::records::{OVERLAP, RECORDS};
use crate::bases::{bases, under};
use crate::oauth::{Proof, TokenEndpoint, challenge};
use crate::{
    App, Grant, Kind, Page, PageToken, Provider, ProviderError, Received, RecordSpec, Subscriber,
    Subscriptions, WebhookRequest,
};

/// The provider's type, in configuration and errors.
pub(crate) const KIND: &str = "omron";

/// The secret that the address for notifications ends in.
const WEBHOOK: &str = "webhook";
/// The same, while another one is being registered.
const WEBHOOK_PREVIOUS: &str = "webhook-previous";
/// The option that says whether PKCE is used.
const PKCE: &str = "pkce";
/// The option that says whether OMRON has registered the address for notifications.
const NOTIFICATIONS: &str = "notifications";

/// What this type of provider is.
pub(crate) const ABOUT: Kind = Kind {
    name: KIND,
    title: "OMRON Partner API",
    brand: "OMRON connect",
    records: RECORDS,
    base_urls: &["authorize", "api"],
    secrets: &[
        (WEBHOOK, "the last part of the address that OMRON sends notifications to: long and random"),
        (WEBHOOK_PREVIOUS, "the one before it, accepted as well while OMRON registers the new address"),
    ],
    options: &[
        (PKCE, "on (the default), or off where OMRON's consent page does not take it"),
        (NOTIFICATIONS, "registered, once OMRON has registered the address for notifications"),
        (OVERLAP, "how many days every run reads again for late uploads, 1 to 90; 14 if not said"),
    ],
    consent: true,
    push: true,
    replaced_by: None,
    successors: &[],
};

/// Needed for the id_token, which says who the patient is.
const OPENID: &str = "openid";
/// Needed for a refresh token.
const OFFLINE: &str = "offline_access";

/// How long an access token lasts where the answer does not say: what a client in production assumes.
const ACCESS_TOKEN: Duration = Duration::from_secs(3600);

/// The adapter. Holds nothing but the client and a clock: every call is given its app and token.
#[derive(Clone)]
pub struct Omron {
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Omron {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Omron").finish_non_exhaustive()
    }
}

/// Where an app's calls go.
struct Bases {
    /// The patient's browser.
    authorize: Url,
    /// Tokens and data.
    api: Url,
}

impl Bases {
    /// Production in the United States, or what the app says instead: staging, Europe, a simulator.
    fn of(app: &App) -> Result<Self, ProviderError> {
        let known = [
            ("authorize", "https://prd-oauth-website.ohiomron.com"),
            ("api", "https://prd-oauth.ohiomron.com/prd"),
        ];
        let [authorize, api] = bases(app, known)?;
        Ok(Self { authorize, api })
    }
}

fn wrong(app: &App, problem: String) -> ProviderError {
    ProviderError::Configuration { app: app.config.name.to_string(), problem }
}

/// Whether PKCE is used; also whether every option can be read.
fn pkce(app: &App) -> Result<bool, ProviderError> {
    records::check(&app.config).map_err(|problem| wrong(app, problem))?;
    match app.config.options.get(PKCE).map(String::as_str) {
        None | Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(_) => Err(wrong(app, format!("options.{PKCE} should be on or off"))),
    }
}

/// What the patient is asked for: what the app says, else what the records that it reads need. Never without the two
/// that a link cannot live without.
fn scopes_asked(app: &App) -> String {
    let mut scopes = app.config.scopes.clone();
    if scopes.is_empty() {
        scopes.extend(records::read_by(&app.config, &[]).iter().map(|spec| spec.scope.to_owned()));
    }
    for needed in [OPENID, OFFLINE] {
        if !scopes.iter().any(|scope| scope == needed) {
            scopes.push(needed.to_owned());
        }
    }
    scopes.join(" ")
}

impl Omron {
    /// The adapter on an outbound client, which brings timeouts, TLS and a user agent, and follows no redirects.
    pub fn new(http: reqwest::Client) -> Self {
        Self { http, clock: Arc::new(SystemClock) }
    }

    /// The same with another clock, which judges whether an id_token has expired.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    fn endpoint(&self, app: &App) -> Result<TokenEndpoint<'_>, ProviderError> {
        Ok(TokenEndpoint {
            provider: KIND,
            http: &self.http,
            url: under(&Bases::of(app)?.api, "connect/token"),
            auth: AuthType::RequestBody,
            lasts: ACCESS_TOKEN,
        })
    }

    async fn refreshed(
        &self,
        app: &App,
        token: &SecretString,
        redirect: Option<&Url>,
    ) -> Result<Grant, ProviderError> {
        let extra = redirect.map(|redirect| ("redirect_uri", redirect.to_string()));
        let extra: Vec<_> = extra.into_iter().collect();
        let tokens = self.endpoint(app)?.exchange(app, Proof::Refresh { token }, &extra).await?;
        // Whose it is is known: nothing about that may spoil a token that has perhaps replaced the one before.
        Ok(tokens.grant)
    }
}

#[async_trait]
impl Provider for Omron {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn records(&self, app: &ProviderApp, scopes: &[String]) -> Vec<RecordSpec> {
        records::read_by(app, scopes)
    }

    /// No limit is published.
    fn default_requests_per_minute(&self) -> u32 {
        60
    }

    fn authorize_url(
        &self,
        app: &App,
        redirect: &Url,
        state: &str,
        verifier: &SecretString,
    ) -> Result<Url, ProviderError> {
        let mut url = under(&Bases::of(app)?.authorize, "connect/authorize");
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &app.config.client_id)
            .append_pair("redirect_uri", redirect.as_str())
            .append_pair("scope", &scopes_asked(app))
            .append_pair("state", state);
        if pkce(app)? {
            url.query_pairs_mut()
                .append_pair("code_challenge", &challenge(verifier))
                .append_pair("code_challenge_method", "S256");
        }
        Ok(url)
    }

    async fn exchange_code(
        &self,
        app: &App,
        code: &SecretString,
        redirect: &Url,
        verifier: &SecretString,
    ) -> Result<Grant, ProviderError> {
        let verifier = if pkce(app)? { Some(verifier) } else { None };
        let proof = Proof::Code { code, redirect, verifier };
        let tokens = self.endpoint(app)?.exchange(app, proof, &[("scope", scopes_asked(app))]).await?;
        let account = identity::account(&tokens, &app.config.client_id, self.clock.now())?;
        Ok(Grant { account: Some(account), ..tokens.grant })
    }

    /// Every known client names the redirect URI again: [`Provider::refresh_at`] does.
    async fn refresh(&self, app: &App, refresh_token: &SecretString) -> Result<Grant, ProviderError> {
        self.refreshed(app, refresh_token, None).await
    }

    async fn refresh_at(
        &self,
        app: &App,
        refresh_token: &SecretString,
        redirect: &Url,
    ) -> Result<Grant, ProviderError> {
        self.refreshed(app, refresh_token, Some(redirect)).await
    }

    /// Best effort. Whether there still is such an endpoint is not certain: where there is none, nothing was revoked.
    async fn revoke(
        &self,
        app: &App,
        access_token: &SecretString,
        refresh_token: &SecretString,
    ) -> Result<bool, ProviderError> {
        let (endpoint, url) = (self.endpoint(app)?, under(&Bases::of(app)?.api, "connect/revocation"));
        for (token, hint) in [(refresh_token, "refresh_token"), (access_token, "access_token")] {
            match endpoint.revoke(app, url.clone(), token, &[("token_type_hint", hint)]).await {
                Ok(()) => {}
                Err(ProviderError::Refused { status, .. }) if matches!(&*status, "HTTP 404" | "HTTP 405") => {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
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
            wrong(app, format!("omron has no record {record}: it has {}", RECORDS.join(", ")))
        })?;
        let Query::Window(window) = query else {
            return Err(wrong(app, format!("omron cannot say what changed of {record}")));
        };
        let caller = Caller { http: &self.http, api: Bases::of(app)?.api, access_token };
        measurement::fetch(&caller, known, window, page).await
    }

    /// OMRON's staff register the one address of an app by hand; nobody can ask whether they have.
    async fn subscribe(
        &self,
        app: &App,
        _scopes: &[String],
        _access_token: &SecretString,
        subscriber: Subscriber<'_>,
    ) -> Result<Subscriptions, ProviderError> {
        notify::registered(app, subscriber.app_address)
    }

    async fn receive(&self, app: &App, request: WebhookRequest<'_>) -> Result<Received, ProviderError> {
        Ok(notify::receive(app, &request))
    }
}
