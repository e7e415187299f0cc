//! Codes, tokens and their rotation, signatures and nonces.

use std::collections::HashMap;
use std::time::Duration;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use ohx_domain::Instant;
use rand::RngExt;
use serde_json::json;
use sha2::Sha256;

use super::wire::{Answer, Call, Refusal};
use super::{Simulator, State};
use crate::faults::take;

const CODE_LIFE: Duration = Duration::from_secs(30);
const ACCESS_LIFE: Duration = Duration::from_secs(10_800);
const REFRESH_LIFE: Duration = Duration::from_secs(365 * 86_400);
/// How long a refresh token lives on after it was used, unless its successor's access token is used before.
const GRACE: Duration = Duration::from_secs(8 * 3600);
const NONCE_LIFE: Duration = Duration::from_secs(30 * 60);

#[derive(Default)]
pub(super) struct Tokens {
    codes: HashMap<String, Code>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    nonces: HashMap<String, Instant>,
}

struct Code {
    person: u64,
    scope: String,
    redirect_uri: String,
    until: Instant,
}

struct Access {
    person: u64,
    scope: String,
    until: Instant,
    /// The refresh token it was got with, which dies when this token is first used.
    parent: Option<String>,
}

#[derive(Clone)]
struct Refresh {
    person: u64,
    scope: String,
    until: Instant,
    used: bool,
    parent: Option<String>,
}

/// Who calls, and with which scopes.
pub(super) struct Caller {
    pub(super) person: u64,
    scope: String,
}

impl Caller {
    /// # Errors
    /// Status 277 where the scope was not granted.
    pub(super) fn needs(&self, scope: &str) -> Result<(), Refusal> {
        if self.scope.split(',').any(|granted| granted == scope) { Ok(()) } else { Err(Refusal::NO_SCOPE) }
    }
}

/// `POST /v2/signature`.
pub(super) fn signature(sim: &Simulator, action: &str, call: &Call) -> Result<Answer, Refusal> {
    if action != "getnonce" {
        return Err(Refusal::NOT_IMPLEMENTED);
    }
    let timestamp = call.get("timestamp").ok_or(Refusal::INVALID)?;
    let client_id = call.get("client_id").ok_or(Refusal::INVALID)?;
    sim.check_signature(client_id, &format!("getnonce,{client_id},{timestamp}"), call)?;
    let now = sim.now();
    let mut state = sim.state();
    let nonce = state.token();
    state.tokens.nonces.insert(nonce.clone(), now + NONCE_LIFE);
    Ok(Answer::Body(json!({ "nonce": nonce })))
}

/// `POST /v2/oauth2`.
pub(super) fn tokens(sim: &Simulator, action: &str, call: &Call) -> Result<Answer, Refusal> {
    let result = match action {
        "requesttoken" => sim.check_client(action, call).and_then(|()| match call.get("grant_type") {
            Some("authorization_code") => by_code(sim, call),
            Some("refresh_token") => by_refresh_token(sim, call),
            _ => Err(Refusal::INVALID),
        }),
        "revoke" => sim.check_client(action, call).and_then(|()| {
            let person = call.get("userid").and_then(|id| id.parse().ok());
            let person = person.ok_or(Refusal(247, "The userid provided is absent, or incorrect"))?;
            sim.state().end_consent(person);
            Ok(Answer::Body(json!({})))
        }),
        _ => Err(Refusal::NOT_IMPLEMENTED),
    };
    if result.is_err() {
        sim.state().stats.grants_refused += 1;
    }
    result
}

fn by_code(sim: &Simulator, call: &Call) -> Result<Answer, Refusal> {
    let now = sim.now();
    let code = call.get("code").ok_or(Refusal::INVALID)?;
    let mut state = sim.state();
    // Used up by the attempt, whatever comes of it.
    let code = state.tokens.codes.remove(code).ok_or(Refusal::INVALID)?;
    if now >= code.until || call.get("redirect_uri") != Some(&code.redirect_uri) {
        return Err(Refusal::INVALID);
    }
    if sim.0.config.one_grant_per_person {
        state.forget_tokens(code.person);
    }
    Ok(state.issue(code.person, &code.scope, None, now))
}

fn by_refresh_token(sim: &Simulator, call: &Call) -> Result<Answer, Refusal> {
    let now = sim.now();
    let token = call.get("refresh_token").ok_or(Refusal::INVALID)?;
    let mut state = sim.state();
    let known =
        state.tokens.refresh.get_mut(token).filter(|known| now < known.until).ok_or(Refusal::INVALID)?;
    if !known.used {
        // The grace runs from the first use: using the old token again does not prolong it.
        known.used = true;
        known.until = known.until.min(now + GRACE);
    }
    let Refresh { person, scope, .. } = known.clone();
    let answer = state.issue(person, &scope, Some(token), now);
    state.stats.refreshes += 1;
    Ok(if take(&mut state.faults.drop_refresh) { Answer::Dropped } else { answer })
}

impl Simulator {
    /// Who a bearer token is from. The first use of an access token ends the refresh token it was got with.
    ///
    /// # Errors
    /// Status 401.
    pub(super) fn authenticate(&self, call: &Call) -> Result<Caller, Refusal> {
        let now = self.now();
        let token = call.bearer.as_deref().ok_or(Refusal::UNAUTHORIZED)?;
        let mut state = self.state();
        let tokens = &mut state.tokens;
        let access =
            tokens.access.get_mut(token).filter(|known| now < known.until).ok_or(Refusal::UNAUTHORIZED)?;
        let caller = Caller { person: access.person, scope: access.scope.clone() };
        let mut ancestor = access.parent.take();
        while let Some(dead) = ancestor.and_then(|name| tokens.refresh.remove(&name)) {
            ancestor = dead.parent;
        }
        Ok(caller)
    }

    /// A code for a person who has said yes.
    pub(super) fn issue_code(&self, person: u64, scope: &str, redirect_uri: &str) -> String {
        let until = self.now() + CODE_LIFE;
        let mut state = self.state();
        let code = state.token();
        let issued = Code { person, scope: scope.to_owned(), redirect_uri: redirect_uri.to_owned(), until };
        state.tokens.codes.insert(code.clone(), issued);
        code
    }

    /// Either the client's secret, or a nonce with a signature over action, client id and nonce.
    fn check_client(&self, action: &str, call: &Call) -> Result<(), Refusal> {
        let client_id = call.get("client_id").ok_or(Refusal::INVALID)?;
        if let Some(secret) = call.get("client_secret") {
            let known = client_id == self.0.config.client_id && secret == self.0.config.client_secret;
            return if known { Ok(()) } else { Err(BAD_SIGNATURE) };
        }
        let nonce = call.get("nonce").ok_or(Refusal::INVALID)?;
        self.check_signature(client_id, &format!("{action},{client_id},{nonce}"), call)?;
        let now = self.now();
        let until = self.state().tokens.nonces.remove(nonce);
        until.filter(|until| now < *until).map(|_| ()).ok_or(Refusal(343, "Invalid nonce"))
    }

    fn check_signature(&self, client_id: &str, message: &str, call: &Call) -> Result<(), Refusal> {
        let given = call.get("signature").ok_or(BAD_SIGNATURE)?;
        let given = HEXLOWER.decode(given.as_bytes()).map_err(|_| BAD_SIGNATURE)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.config.client_secret.as_bytes())
            .map_err(|_| BAD_SIGNATURE)?;
        mac.update(message.as_bytes());
        mac.verify_slice(&given).map_err(|_| BAD_SIGNATURE)?;
        if client_id == self.0.config.client_id { Ok(()) } else { Err(BAD_SIGNATURE) }
    }
}

const BAD_SIGNATURE: Refusal = Refusal(342, "The signature provided is invalid");

impl State {
    fn token(&mut self) -> String {
        HEXLOWER.encode(&self.rng.random::<[u8; 20]>())
    }

    fn issue(&mut self, person: u64, scope: &str, parent: Option<&str>, now: Instant) -> Answer {
        let (access, refresh) = (self.token(), self.token());
        let scope = scope.to_owned();
        let userid = self.number_or_text(i64::try_from(person).unwrap_or(i64::MAX));
        let mut body = json!({
            "userid": userid,
            "access_token": access,
            "refresh_token": refresh,
            "expires_in": ACCESS_LIFE.as_secs(),
            "scope": scope,
            "token_type": "Bearer",
        });
        if parent.is_none() {
            body["csrf_token"] = json!(self.token());
        }
        let parent = parent.map(str::to_owned);
        let until = now + ACCESS_LIFE;
        self.tokens
            .access
            .insert(access, Access { person, scope: scope.clone(), until, parent: parent.clone() });
        let until = now + REFRESH_LIFE;
        self.tokens.refresh.insert(refresh, Refresh { person, scope, until, used: false, parent });
        Answer::Body(body)
    }

    fn forget_tokens(&mut self, person: u64) {
        self.tokens.access.retain(|_, token| token.person != person);
        self.tokens.refresh.retain(|_, token| token.person != person);
    }

    /// Ends tokens and subscriptions of a person.
    pub(super) fn end_consent(&mut self, person: u64) {
        self.forget_tokens(person);
        self.subscriptions.retain(|subscription| subscription.person != person);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_the_documented_ones() {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"s3cr3t").unwrap();
        mac.update(b"requesttoken,abc123,n0nce-1");
        let expected = "2e8a03f24586899344938443a5b0437b8786c8995a82dc3c9d7f2d129e811f7c";
        assert_eq!(HEXLOWER.encode(&mac.finalize().into_bytes()), expected);
    }
}
