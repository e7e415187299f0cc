//! Codes, tokens and their rotation.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::Form;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ohx_domain::Instant;
use rand::RngExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::consent::Request;
use super::{Rotation, Simulator, State};
use crate::drop_reply::drop_reply;
use crate::faults::take;

const CODE_LIFE: Duration = Duration::from_secs(300);

#[derive(Default)]
pub(super) struct Tokens {
    codes: HashMap<String, Code>,
    access: HashMap<String, (Grant, Instant)>,
    refresh: HashMap<String, Grant>,
}

/// Who has granted what.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) person: String,
    scope: String,
}

impl Grant {
    pub(super) fn has(&self, scope: &str) -> bool {
        self.scope.split(' ').any(|granted| granted == scope)
    }
}

struct Code {
    grant: Grant,
    redirect_uri: String,
    challenge: String,
    until: Instant,
}

type Params = Form<BTreeMap<String, String>>;

/// What is refused, as RFC 6749 section 5.2 has it.
fn refused(sim: &Simulator, status: StatusCode, error: &str) -> Response {
    sim.state().stats.grants_refused += 1;
    (status, axum::Json(json!({ "error": error }))).into_response()
}

/// `POST /connect/token`.
pub(super) async fn token(Shared(sim): Shared<Simulator>, Form(params): Params) -> Response {
    sim.state().count("token", "");
    let config = &sim.0.config;
    let get = |name: &str| params.get(name).map(String::as_str).unwrap_or_default();
    if get("client_id") != config.client_id || get("client_secret") != config.client_secret {
        return refused(&sim, StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let invalid_grant = || refused(&sim, StatusCode::BAD_REQUEST, "invalid_grant");
    let now = sim.now();
    match get("grant_type") {
        "authorization_code" => {
            // Used up by the attempt, whatever comes of it.
            let Some(code) = sim.state().tokens.codes.remove(get("code")) else { return invalid_grant() };
            let verified = BASE64URL_NOPAD.encode(&Sha256::digest(get("code_verifier"))) == code.challenge;
            let bound = code.redirect_uri == get("redirect_uri");
            if now >= code.until || !bound || !(code.challenge.is_empty() || verified) {
                return invalid_grant();
            }
            let refresh = code.grant.has("offline_access");
            axum::Json(sim.issue(code.grant, refresh, now)).into_response()
        }
        "refresh_token" => {
            // Every known client sends it; whether OMRON wants it is not known.
            if !sim.state().redirects.iter().any(|known| known == get("redirect_uri")) {
                return refused(&sim, StatusCode::BAD_REQUEST, "invalid_request");
            }
            let (grant, rotates) = {
                let mut state = sim.state();
                let rotates = state.manner.rotation == Rotation::Strict;
                let Some(grant) = state.tokens.refresh.get(get("refresh_token")).cloned() else {
                    drop(state);
                    return invalid_grant();
                };
                if rotates {
                    state.tokens.refresh.remove(get("refresh_token"));
                }
                state.stats.refreshes += 1;
                (grant, rotates)
            };
            let answer = sim.issue(grant, rotates, now);
            if take(&mut sim.state().faults.drop_refresh) {
                drop_reply()
            } else {
                axum::Json(answer).into_response()
            }
        }
        _ => refused(&sim, StatusCode::BAD_REQUEST, "unsupported_grant_type"),
    }
}

/// `POST /connect/revocation`: an empty 200, whatever happens. A refresh token ends all of its grant.
pub(super) async fn revocation(Shared(sim): Shared<Simulator>, Form(params): Params) -> Response {
    let mut state = sim.state();
    state.count("revocation", "");
    let token = params.get("token").cloned().unwrap_or_default();
    if let Some(grant) = state.tokens.refresh.remove(&token) {
        state.forget(&grant.person);
        state.stats.revoked += 1;
    }
    state.tokens.access.remove(&token);
    StatusCode::OK.into_response()
}

/// A JWT that nobody has signed.
fn jwt(claims: &Value) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    format!("{}.{}.", part(&json!({ "alg": "none", "typ": "JWT" })), part(claims))
}

impl Simulator {
    /// A code for a person who has said yes.
    pub(super) fn issue_code(&self, person: &str, request: &Request, redirect_uri: &str) -> String {
        let until = self.now() + CODE_LIFE;
        let grant = Grant { person: person.to_owned(), scope: request.scope.clone() };
        let challenge = request.code_challenge.clone();
        let mut state = self.state();
        let code = state.token();
        let issued = Code { grant, redirect_uri: redirect_uri.to_owned(), challenge, until };
        state.tokens.codes.insert(code.clone(), issued);
        code
    }

    fn issue(&self, grant: Grant, refresh: bool, now: Instant) -> Value {
        let config = &self.0.config;
        let until = now + config.access_life;
        let mut state = self.state();
        let manner = state.manner;
        let (nonce, refresh) = (state.token(), refresh.then(|| state.token()));
        let claims = json!({
            "sub": grant.person, "aud": config.client_id, "iat": now.as_second(), "exp": until.as_second(),
        });
        let access = if manner.no_id_token {
            jwt(&json!({ "custom:userId": grant.person, "jti": nonce }))
        } else {
            nonce
        };
        let seconds = config.access_life.as_secs();
        let expires = if manner.expires_as_text { json!(seconds.to_string()) } else { json!(seconds) };
        let mut body = json!({ "access_token": access, "expires_in": expires, "token_type": "Bearer" });
        if grant.has("openid") && !manner.no_id_token {
            body["id_token"] = json!(jwt(&claims));
        }
        if let Some(refresh) = refresh {
            body["refresh_token"] = json!(refresh);
            state.tokens.refresh.insert(refresh, grant.clone());
        }
        state.tokens.access.insert(access, (grant, until));
        body
    }

    /// Who a bearer token is from.
    pub(super) fn authenticate(&self, bearer: Option<&str>) -> Option<Grant> {
        let now = self.now();
        let mut state = self.state();
        let known = bearer.and_then(|token| state.tokens.access.get(token)).filter(|(_, until)| now < *until);
        let grant = known.map(|(grant, _)| grant.clone());
        if grant.is_none() {
            state.stats.unauthorized += 1;
        }
        grant
    }

    /// The person ends the connection on OMRON's side: every token dies, and nobody is told.
    ///
    /// # Errors
    /// [`super::SimulatorError::UnknownPerson`].
    pub fn unlink(&self, person: &str) -> Result<(), super::SimulatorError> {
        let mut state = self.state();
        if !state.persons.contains_key(person) {
            return Err(super::SimulatorError::UnknownPerson);
        }
        state.forget(person);
        Ok(())
    }
}

impl State {
    fn token(&mut self) -> String {
        HEXLOWER.encode(&self.rng.random::<[u8; 20]>())
    }

    fn forget(&mut self, person: &str) {
        self.tokens.access.retain(|_, (grant, _)| grant.person != person);
        self.tokens.refresh.retain(|_, grant| grant.person != person);
    }

    /// Counts a call.
    pub(super) fn count(&mut self, what: &str, of: &str) {
        let name = if of.is_empty() { what.to_owned() } else { format!("{what}/{of}") };
        *self.stats.calls.entry(name).or_insert(0) += 1;
    }
}
