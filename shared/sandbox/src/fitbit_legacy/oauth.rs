//! Codes, tokens and their rotation.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use ohx_domain::Instant;
use rand::RngExt;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::consent::Request;
use super::wire::{Refusal, ended};
use super::{Simulator, SimulatorError, State};
use crate::drop_reply::drop_reply;
use crate::faults::take;

const CODE_LIFE: Duration = Duration::from_secs(10 * 60);
const ACCESS_LIFE: Duration = Duration::from_secs(28_800);

#[derive(Default)]
pub(super) struct Tokens {
    codes: HashMap<String, Code>,
    access: HashMap<String, Access>,
    /// A refresh token, and its grant. One that was used is not here any more.
    refresh: HashMap<String, Grant>,
}

#[derive(Clone)]
struct Grant {
    person: String,
    scopes: Vec<String>,
}

struct Code {
    grant: Grant,
    redirect_uri: String,
    challenge: String,
    until: Instant,
}

struct Access {
    grant: Grant,
    until: Instant,
}

/// Who calls, and with which scopes.
pub(super) struct Caller {
    pub(super) person: String,
    scopes: Vec<String>,
}

impl Caller {
    /// # Errors
    /// 403 `insufficient_scope`.
    pub(super) fn needs(&self, scope: &str) -> Result<(), Refusal> {
        if self.scopes.iter().any(|granted| granted == scope) {
            Ok(())
        } else {
            Err(Refusal::new(403, "insufficient_scope"))
        }
    }
}

type Fields = HashMap<String, String>;

/// `POST /oauth2/token`.
pub(super) async fn token(
    Shared(sim): Shared<Simulator>,
    headers: HeaderMap,
    Form(form): Form<Fields>,
) -> Response {
    *sim.state().stats.calls.entry("token".into()).or_insert(0) += 1;
    let retired = sim.state().faults.retired;
    if let Some(ended) = ended(retired, false) {
        return ended;
    }
    let by_code = form.get("grant_type").map(String::as_str) == Some("authorization_code");
    let given = sim
        .check_client(&headers)
        .and_then(|()| if by_code { sim.by_code(&form) } else { sim.by_refresh_token(&form) });
    match given {
        Ok(_) if !by_code && take(&mut sim.state().faults.drop_refresh) => drop_reply(),
        Ok(answer) => answer,
        Err(refused) => {
            sim.state().stats.grants_refused += 1;
            refused.into_response()
        }
    }
}

/// `POST /oauth2/revoke`: either token ends both.
pub(super) async fn revoke(
    Shared(sim): Shared<Simulator>,
    headers: HeaderMap,
    Form(form): Form<Fields>,
) -> Response {
    *sim.state().stats.calls.entry("revoke".into()).or_insert(0) += 1;
    let retired = sim.state().faults.retired;
    if let Some(ended) = ended(retired, false) {
        return ended;
    }
    if let Err(refused) = sim.check_client(&headers) {
        return refused.into_response();
    }
    let mut state = sim.state();
    let token = form.get("token").cloned().unwrap_or_default();
    let of_access = state.tokens.access.get(&token).map(|access| access.grant.person.clone());
    let person = of_access.or_else(|| state.tokens.refresh.get(&token).map(|grant| grant.person.clone()));
    match person {
        Some(person) => {
            state.end_grants(&person);
            Json(json!({})).into_response()
        }
        None => Refusal::new(400, "invalid_token").into_response(),
    }
}

impl Simulator {
    /// HTTP Basic.
    fn check_client(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let config = &self.0.config;
        let expected = BASE64.encode(format!("{}:{}", config.client_id, config.client_secret).as_bytes());
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let same =
            given.and_then(|value| value.strip_prefix("Basic ")).is_some_and(|basic| basic == expected);
        if same { Ok(()) } else { Err(Refusal::new(401, "invalid_client")) }
    }

    fn by_code(&self, form: &Fields) -> Result<Response, Refusal> {
        let dead = || Refusal::new(400, "invalid_grant");
        let now = self.now();
        let mut state = self.state();
        // Used up by the attempt, whatever comes of it.
        let code = state.tokens.codes.remove(form.get("code").ok_or_else(dead)?).ok_or_else(dead)?;
        let verifier = form.get("code_verifier").ok_or_else(dead)?;
        let same = BASE64URL_NOPAD.encode(&Sha256::digest(verifier)) == code.challenge;
        if now >= code.until || !same || form.get("redirect_uri") != Some(&code.redirect_uri) {
            return Err(dead());
        }
        Ok(state.issue(code.grant, now))
    }

    fn by_refresh_token(&self, form: &Fields) -> Result<Response, Refusal> {
        let dead = || Refusal::new(400, "invalid_grant");
        let now = self.now();
        let mut state = self.state();
        let token = form.get("refresh_token").ok_or_else(dead)?;
        let grant = state.tokens.refresh.remove(token).ok_or_else(dead)?;
        state.stats.refreshes += 1;
        Ok(state.issue(grant, now))
    }

    /// Who a bearer token is from.
    ///
    /// # Errors
    /// 401 `expired_token` or `invalid_token`.
    pub(super) fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let now = self.now();
        let mut state = self.state();
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let found = match state.tokens.access.get(token) {
            Some(access) if now < access.until => {
                let Grant { person, scopes } = access.grant.clone();
                Ok(Caller { person, scopes })
            }
            Some(_) => Err(Refusal::new(401, "expired_token")),
            None => Err(Refusal::new(401, "invalid_token")),
        };
        state.stats.unauthorized += u64::from(found.is_err());
        found
    }

    /// A code for a person who has said yes.
    pub(super) fn issue_code(&self, person: &str, request: &Request) -> String {
        let until = self.now() + CODE_LIFE;
        let mut state = self.state();
        let code = state.token();
        let issued = Code {
            grant: Grant { person: person.to_owned(), scopes: request.scopes() },
            redirect_uri: request.redirect_uri.clone(),
            challenge: request.code_challenge.clone(),
            until,
        };
        state.tokens.codes.insert(code.clone(), issued);
        code
    }

    /// The person ends the connection on Fitbit's side, or closes the account: every token dies, and a notification
    /// says so.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn unlink(&self, person: &str, account_closed: bool) -> Result<(), SimulatorError> {
        {
            let mut state = self.state();
            if !state.persons.contains_key(person) {
                return Err(SimulatorError::UnknownPerson);
            }
            state.end_grants(person);
        }
        self.notify_end(person, account_closed);
        let mut state = self.state();
        state.subscriptions.retain(|_, subscription| subscription.person != person);
        Ok(())
    }

    /// Every access token expires now.
    pub fn expire_access(&self) {
        let now = self.now();
        self.state().tokens.access.values_mut().for_each(|access| access.until = now);
    }
}

impl State {
    fn token(&mut self) -> String {
        HEXLOWER.encode(&self.rng.random::<[u8; 32]>())
    }

    fn issue(&mut self, grant: Grant, now: Instant) -> Response {
        let (access, refresh) = (self.token(), self.token());
        let answer = json!({
            "access_token": access,
            "expires_in": ACCESS_LIFE.as_secs(),
            "refresh_token": refresh,
            "scope": grant.scopes.join(" "),
            "token_type": "Bearer",
            "user_id": grant.person,
        });
        self.tokens.access.insert(access, Access { grant: grant.clone(), until: now + ACCESS_LIFE });
        self.tokens.refresh.insert(refresh, grant);
        Json(answer).into_response()
    }

    fn end_grants(&mut self, person: &str) {
        self.tokens.access.retain(|_, access| access.grant.person != person);
        self.tokens.refresh.retain(|_, grant| grant.person != person);
    }
}
