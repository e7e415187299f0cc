//! Beurer by an agreement: a cloud that nobody describes in public, asked as its contract says.
//!
//! Beurer publishes no API for health data (`beurer.md`, section 5). An operator who has an agreement with Beurer writes
//! down what it says: addresses, grant, records, where an answer has what, and how notifications are proven. The whole of
//! it is one option of the provider app ([`document`]), checked when it is applied ([`check`]). Nothing here knows any
//! address or field; everything was tried out against a made-up cloud only, and nothing is done without the app's
//! consent to that.
//!
//! What is read becomes the one shape that all ways of Beurer's have (`"origin": "contract"`), and the same mapping
//! documents serve it. `docs/providers/beurer.md` is the operator's side.

mod call;
mod check;
mod document;
mod held;
mod pointer;
mod reading;
#[cfg(test)]
mod tests;
mod walk;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderMap;
use oauth2::AuthType;
use ohx_domain::{Account, Clock, Instant, ProviderApp, Query, Record, SystemClock};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::value::RawValue;
use url::Url;

use self::document::{ClientAuth, Contract, GrantKind};
use self::held::Held;
use crate::beurer::RECORDS;
use crate::oauth::{Proof, TokenEndpoint, challenge};
use crate::wire::{malformed, position};
use crate::{
    App, Credentials, Grant, Kind, Page, PageToken, Provider, ProviderError, Received, RecordSpec,
    Subscriber, Subscriptions, WebhookRequest, credentials,
};

/// The provider's type, in configuration and errors.
pub(crate) const KIND: &str = "beurer-contract";

/// The option without which nothing is done.
const ACCEPT: &str = "accept-unverified-contract";
/// The option with the contract.
const CONTRACT: &str = "contract";
/// The secret that proves notifications.
const WEBHOOK: &str = "webhook";
/// The same, while another one is being agreed on.
const WEBHOOK_PREVIOUS: &str = "webhook-previous";
/// The secret that `{secret}` in a header stands for.
const HEADER: &str = "header";

/// What this type of provider is.
pub(crate) const ABOUT: Kind = Kind {
    name: KIND,
    title: "Beurer, by a contract of the operator's (unverified: Beurer publishes no API)",
    brand: "Beurer",
    records: RECORDS,
    base_urls: &[],
    secrets: &[
        (WEBHOOK, "what proves notifications, as the contract's webhook says: at least 20 characters"),
        (WEBHOOK_PREVIOUS, "the one before it, accepted as well while it is replaced"),
        (HEADER, "what {secret} stands for in the contract's headers"),
    ],
    options: &[
        (
            ACCEPT,
            "yes, to use a contract that was never tried out with this program; else every call is refused",
        ),
        (CONTRACT, "the contract as YAML or JSON: addresses, grant, records, fields, webhook"),
    ],
    consent: true,
    push: true,
    replaced_by: None,
    successors: &[],
};

/// The longest window where there is no contract to say so.
const WINDOW_DAYS: u32 = 31;
/// What is read again where there is no contract to say so.
const OVERLAP_HOURS: u32 = 72;
/// Changes are asked for by our clock: far more than two clocks that are kept in time differ by.
const SKEW: Duration = Duration::from_secs(10 * 60);

fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 60 * 60)
}

fn hours(hours: u32) -> Duration {
    Duration::from_secs(u64::from(hours) * 60 * 60)
}

/// How far back is read again.
fn overlap(contract: &Contract) -> Duration {
    hours(contract.overlap_hours)
}

/// The adapter. Holds nothing but the client and a clock: every call is given its app and token.
#[derive(Clone)]
pub struct BeurerContract {
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for BeurerContract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BeurerContract").finish_non_exhaustive()
    }
}

/// Whether an app's options are a contract that can work.
///
/// # Errors
/// What is missing or wrong, with its option and place, and what it should be.
pub(crate) fn check(app: &ProviderApp) -> Result<(), String> {
    Contract::of(app).map(|_| ())
}

/// A contract with the app that it is of.
struct Agreed<'a> {
    app: &'a App,
    contract: Contract,
    headers: HeaderMap,
}

fn wrong(app: &App, problem: String) -> ProviderError {
    ProviderError::Configuration { app: app.config.name.to_string(), problem }
}

impl<'a> Agreed<'a> {
    fn of(app: &'a App) -> Result<Self, ProviderError> {
        let contract = Contract::of(&app.config).map_err(|problem| wrong(app, problem))?;
        let secret = app.secrets.get(HEADER).map(|secret| secret.expose_secret());
        let headers = contract.headers(secret);
        let headers = headers.map_err(|problem| wrong(app, format!("options.{CONTRACT}: {problem}")))?;
        Ok(Self { app, contract, headers: headers.into_iter().collect() })
    }

    fn scope(&self) -> String {
        match self.app.config.scopes.as_slice() {
            [] => self.contract.scope.clone(),
            named => named.join(" "),
        }
    }

    fn endpoint<'h>(&self, http: &'h reqwest::Client) -> TokenEndpoint<'h> {
        TokenEndpoint {
            provider: KIND,
            http,
            url: self.contract.token_url.clone(),
            auth: match self.contract.client_auth {
                ClientAuth::Body => AuthType::RequestBody,
                ClientAuth::Basic => AuthType::BasicAuth,
            },
            lasts: Duration::from_secs(self.contract.token_lifetime_seconds.into()),
        }
    }

    /// A token of the app's own.
    async fn own(&self, http: &reqwest::Client) -> Result<Grant, ProviderError> {
        let scope = self.scope();
        let extra = if scope.is_empty() { Vec::new() } else { vec![("scope", scope)] };
        let tokens = self.endpoint(http).exchange_with(self.app, Proof::Own, &extra, &self.headers).await?;
        Ok(tokens.grant)
    }

    /// The patient's user id, asked for with a token, and with the code where the token is the app's.
    async fn account(
        &self,
        http: &reqwest::Client,
        token: &SecretString,
        code: &SecretString,
    ) -> Result<Account, ProviderError> {
        let failed = |problem: &str| malformed(KIND, "account", problem.to_owned());
        let (Some(path), Some(at)) = (&self.contract.account.url, &self.contract.account.at) else {
            return Err(failed("the token answer has no user_id"));
        };
        let url = call::address(&self.contract, path, &[("code", code.expose_secret())]);
        let url = url.ok_or_else(|| failed("the code cannot stand in an address"))?;
        let body = call::get(http, &self.headers, token.expose_secret(), url, "account").await?;
        let body: &RawValue =
            serde_json::from_slice(&body).map_err(|e| malformed(KIND, "account", position(&e)))?;
        let id = pointer::text(body, at).filter(|id| pointer::is_name(id, 256));
        id.map(Account::new).ok_or_else(|| failed("there is no user id where the contract says"))
    }
}

/// A grant as it is kept: every token with whose it is.
fn kept(grant: Grant, account: Account) -> Grant {
    let pack = |token: &SecretString| Held::new(&account, token).pack();
    Grant {
        access_token: pack(&grant.access_token),
        refresh_token: grant.refresh_token.as_ref().map(pack),
        account: Some(account),
        ..grant
    }
}

/// The app's own token for a patient: what gets the next one is the app's secret, and only whose it is has to be kept.
fn kept_own(grant: Grant, account: Account) -> Grant {
    let nothing = SecretString::from(String::new());
    kept(Grant { refresh_token: Some(nothing), ..grant }, account)
}

impl BeurerContract {
    /// The adapter on an outbound client, which brings timeouts, TLS and a user agent, and follows no redirects.
    pub fn new(http: reqwest::Client) -> Self {
        Self { http, clock: Arc::new(SystemClock) }
    }

    /// The same with another clock, which judges whether a reading lies in the future.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }
}

#[async_trait]
impl Provider for BeurerContract {
    fn kind(&self) -> &'static str {
        KIND
    }

    /// What the contract has. Without one, everything: asking for it then says what is wrong.
    fn records(&self, app: &ProviderApp, _scopes: &[String]) -> Vec<RecordSpec> {
        let contract = Contract::of(app).ok();
        let wanted = |name: &str| {
            let agreed = contract.as_ref().is_none_or(|contract| contract.records.contains_key(name));
            agreed && (app.records.is_empty() || app.records.iter().any(|record| record.as_str() == name))
        };
        let spec = |name: &str| {
            let record: Record = name.parse().ok()?;
            let agreed = contract.as_ref().and_then(|contract| contract.records.get(name));
            let changes = agreed.is_some_and(|record| record.changes.is_some());
            let again = contract.as_ref().map_or(hours(OVERLAP_HOURS), overlap);
            Some(RecordSpec {
                record,
                scope: "",
                max_window: days(contract.as_ref().map_or(WINDOW_DAYS, |c| c.max_window_days)),
                align: None,
                changes,
                overlap: if changes { SKEW } else { again },
            })
        };
        RECORDS.iter().filter(|name| wanted(name)).filter_map(|name| spec(name)).collect()
    }

    /// No limit is published.
    fn default_requests_per_minute(&self) -> u32 {
        30
    }

    fn authorize_url(
        &self,
        app: &App,
        redirect: &Url,
        state: &str,
        verifier: &SecretString,
    ) -> Result<Url, ProviderError> {
        let agreed = Agreed::of(app)?;
        let mut url = agreed.contract.authorize_url.clone();
        let scope = agreed.scope();
        {
            let mut pairs = url.query_pairs_mut();
            pairs
                .append_pair("response_type", "code")
                .append_pair("client_id", &app.config.client_id)
                .append_pair("redirect_uri", redirect.as_str())
                .append_pair("state", state);
            if !scope.is_empty() {
                pairs.append_pair("scope", &scope);
            }
            if agreed.contract.pkce && agreed.contract.grant == GrantKind::AuthorizationCode {
                pairs
                    .append_pair("code_challenge", &challenge(verifier))
                    .append_pair("code_challenge_method", "S256");
            }
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
        let agreed = Agreed::of(app)?;
        if agreed.contract.grant == GrantKind::ClientCredentials {
            let grant = agreed.own(&self.http).await?;
            let account = agreed.account(&self.http, &grant.access_token, code).await?;
            return Ok(kept_own(grant, account));
        }
        let verifier = agreed.contract.pkce.then_some(verifier);
        let proof = Proof::Code { code, redirect, verifier };
        let endpoint = agreed.endpoint(&self.http);
        let grant = endpoint.exchange_with(app, proof, &[], &agreed.headers).await?.grant;
        let account = match (&grant.account, agreed.contract.account.in_token_answer) {
            (Some(account), true) => account.clone(),
            _ => agreed.account(&self.http, &grant.access_token, code).await?,
        };
        Ok(kept(grant, account))
    }

    async fn refresh(&self, app: &App, refresh_token: &SecretString) -> Result<Grant, ProviderError> {
        let agreed = Agreed::of(app)?;
        let held = Held::unpack(refresh_token)?;
        let account = Account::new(held.account);
        if agreed.contract.grant == GrantKind::ClientCredentials {
            return Ok(kept_own(agreed.own(&self.http).await?, account));
        }
        let token = SecretString::from(held.token);
        let proof = Proof::Refresh { token: &token };
        let grant = agreed.endpoint(&self.http).exchange_with(app, proof, &[], &agreed.headers).await?.grant;
        Ok(kept(grant, account))
    }

    async fn check_credentials(
        &self,
        app: &App,
        _redirect: &Url,
        _now: Instant,
    ) -> Result<Credentials, ProviderError> {
        let agreed = Agreed::of(app)?;
        let got = match agreed.contract.grant {
            GrantKind::ClientCredentials => match agreed.own(&self.http).await {
                // Here the grant is the credentials.
                Ok(_) => return Ok(Credentials::Accepted),
                refused => refused,
            },
            GrantKind::AuthorizationCode => {
                let token = credentials::made_up();
                let proof = Proof::Refresh { token: &token };
                let endpoint = agreed.endpoint(&self.http);
                endpoint.exchange_with(app, proof, &[], &agreed.headers).await.map(|tokens| tokens.grant)
            }
        };
        credentials::told(got)
    }

    async fn revoke(
        &self,
        app: &App,
        access_token: &SecretString,
        refresh_token: &SecretString,
    ) -> Result<bool, ProviderError> {
        let agreed = Agreed::of(app)?;
        let url = agreed.contract.revoke_url.as_ref();
        // The app's own token is not one patient's to end.
        let Some(url) = url.filter(|_| agreed.contract.grant == GrantKind::AuthorizationCode) else {
            return Ok(false);
        };
        let endpoint = agreed.endpoint(&self.http);
        for (packed, hint) in [(refresh_token, "refresh_token"), (access_token, "access_token")] {
            let token = SecretString::from(Held::unpack(packed)?.token);
            let extra = [("token_type_hint", hint)];
            endpoint.revoke_with(app, url.clone(), &token, &extra, &agreed.headers).await?;
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
        let agreed = Agreed::of(app)?;
        let kind = crate::beurer::Kind::ALL.into_iter().find(|kind| kind.as_str() == record.as_str());
        let of = kind.and_then(|kind| Some((kind, agreed.contract.records.get(record.as_str())?)));
        let (kind, of) = of.ok_or_else(|| {
            let names: Vec<&str> = agreed.contract.records.keys().map(String::as_str).collect();
            wrong(app, format!("options.{CONTRACT} has no record {record}: it has {}", names.join(", ")))
        })?;
        let held = Held::unpack(access_token)?;
        let asking = walk::Asking {
            http: &self.http,
            contract: &agreed.contract,
            headers: &agreed.headers,
            held: &held,
            now: self.clock.now(),
        };
        asking.page(kind, of, query, page).await
    }

    /// The address is agreed on with Beurer; nobody can ask whether it is called.
    async fn subscribe(
        &self,
        app: &App,
        _scopes: &[String],
        _access_token: &SecretString,
        _subscriber: Subscriber<'_>,
    ) -> Result<Subscriptions, ProviderError> {
        let agreed = Agreed::of(app)?;
        webhook::ready(app, &agreed.contract).map_err(|problem| wrong(app, problem))?;
        Ok(Subscriptions { kept: 1, made: 0, refused: 0 })
    }

    async fn receive(&self, app: &App, request: WebhookRequest<'_>) -> Result<Received, ProviderError> {
        let agreed = Agreed::of(app)?;
        webhook::receive(app, &agreed.contract, &request)
    }
}
