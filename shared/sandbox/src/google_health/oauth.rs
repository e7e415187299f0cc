//! Codes and tokens of people, and tokens of the project's service account.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ohx_domain::Instant;
use rand::RngExt;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::consent::Request;
use super::wire::Refusal;
use super::{Simulator, SimulatorError, State};

/// Google tells no number; minutes.
const CODE_LIFE: Duration = Duration::from_secs(10 * 60);
const ACCESS_LIFE: Duration = Duration::from_secs(3_599);
const TESTING_LIFE: Duration = Duration::from_secs(7 * 86_400);
const EMAIL: &str = "ohx@sandbox.iam.gserviceaccount.com";

#[derive(Default)]
pub(super) struct Tokens {
    codes: HashMap<String, Code>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    project: HashMap<String, Instant>,
}

struct Code {
    person: u64,
    scopes: Vec<String>,
    redirect_uri: String,
    challenge: String,
    offline: bool,
    until: Instant,
}

struct Access {
    person: u64,
    scopes: Vec<String>,
    until: Instant,
}

#[derive(Clone)]
struct Refresh {
    person: u64,
    scopes: Vec<String>,
    until: Option<Instant>,
}

/// Who calls, and with which scopes.
pub(super) struct Caller {
    pub(super) person: u64,
    scopes: Vec<String>,
}

impl Caller {
    /// # Errors
    /// 403 where the scope was not granted.
    pub(super) fn needs(&self, scope: &str) -> Result<(), Refusal> {
        let wanted = format!("https://www.googleapis.com/auth/googlehealth.{scope}.readonly");
        if self.scopes.contains(&wanted) { Ok(()) } else { Err(Refusal::NO_SCOPE) }
    }
}

/// The project's service account.
pub(super) struct ServiceAccount {
    public: Vec<u8>,
    pem: String,
}

impl ServiceAccount {
    fn new() -> Option<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048).ok()?;
        let der: Pkcs8V1Der<'_> = pair.as_der().ok()?;
        let lines = BASE64.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n");
        Some(Self { public: pair.public_key().as_ref().to_vec(), pem })
    }
}

type Params = BTreeMap<String, String>;

struct Denied(StatusCode, &'static str);

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let Self(status, error) = self;
        (status, Json(json!({ "error": error, "error_description": "The sandbox refuses." }))).into_response()
    }
}

const GRANT: Denied = Denied(StatusCode::BAD_REQUEST, "invalid_grant");
const CLIENT: Denied = Denied(StatusCode::UNAUTHORIZED, "invalid_client");
const REQUEST: Denied = Denied(StatusCode::BAD_REQUEST, "invalid_request");

/// `POST /token`.
pub(super) async fn token(Shared(sim): Shared<Simulator>, Form(params): Form<Params>) -> Response {
    let get = |name: &str| params.get(name).map_or("", String::as_str);
    let result = match get("grant_type") {
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => sim.by_assertion(get("assertion")),
        kind => sim.check_client(&params).and_then(|()| match kind {
            "authorization_code" => sim.by_code(&params),
            "refresh_token" => sim.by_refresh_token(get("refresh_token")),
            _ => Err(REQUEST),
        }),
    };
    match result {
        Ok(body) => Json(body).into_response(),
        Err(denied) => {
            sim.state().stats.grants_refused += 1;
            denied.into_response()
        }
    }
}

/// `POST /revoke`: the whole grant of whose token it is.
pub(super) async fn revoke(Shared(sim): Shared<Simulator>, Form(params): Form<Params>) -> Response {
    let token = params.get("token").map_or("", String::as_str);
    let mut state = sim.state();
    let refresh = state.tokens.refresh.get(token).map(|known| known.person);
    match refresh.or_else(|| state.tokens.access.get(token).map(|known| known.person)) {
        Some(person) => {
            state.end_consent(person);
            StatusCode::OK.into_response()
        }
        None => Denied(StatusCode::BAD_REQUEST, "invalid_token").into_response(),
    }
}

impl Simulator {
    /// Who a bearer token is from.
    ///
    /// # Errors
    /// 401.
    pub(super) fn authenticate(&self, bearer: Option<&str>) -> Result<Caller, Refusal> {
        let now = self.now();
        let state = self.state();
        let known = bearer.and_then(|token| state.tokens.access.get(token)).filter(|known| now < known.until);
        let known = known.ok_or(Refusal::UNAUTHENTICATED)?;
        Ok(Caller { person: known.person, scopes: known.scopes.clone() })
    }

    /// Whether a bearer token is the service account's.
    pub(super) fn is_project(&self, bearer: Option<&str>) -> bool {
        let now = self.now();
        bearer.is_some_and(|token| self.state().tokens.project.get(token).is_some_and(|until| now < *until))
    }

    /// A code for a person who has said yes.
    pub(super) fn issue_code(&self, person: u64, request: &Request) -> String {
        let until = self.now() + CODE_LIFE;
        let mut state = self.state();
        let code = format!("4/0A{}", state.token());
        let issued = Code {
            person,
            scopes: request.granted(),
            redirect_uri: request.get("redirect_uri").to_owned(),
            challenge: request.get("code_challenge").to_owned(),
            // Without a prompt Google gives a returning person none; the sandbox gives nobody one.
            offline: request.get("access_type") == "offline" && request.get("prompt") == "consent",
            until,
        };
        state.tokens.codes.insert(code.clone(), issued);
        code
    }

    fn check_client(&self, params: &Params) -> Result<(), Denied> {
        let is = |name: &str, wanted: &str| params.get(name).is_some_and(|value| value == wanted);
        let config = &self.0.config;
        let known = is("client_id", &config.client_id) && is("client_secret", &config.client_secret);
        if known { Ok(()) } else { Err(CLIENT) }
    }

    fn by_code(&self, params: &Params) -> Result<Value, Denied> {
        let now = self.now();
        let get = |name: &str| params.get(name).map_or("", String::as_str);
        let mut state = self.state();
        // Used up by the attempt, whatever comes of it.
        let code = state.tokens.codes.remove(get("code")).ok_or(GRANT)?;
        let verifier = BASE64URL_NOPAD.encode(&Sha256::digest(get("code_verifier")));
        if now >= code.until
            || get("redirect_uri") != code.redirect_uri
            || (!code.challenge.is_empty() && verifier != code.challenge)
        {
            return Err(GRANT);
        }
        let mut body = state.issue(code.person, &code.scopes, now);
        if code.offline {
            let token = format!("1//0g{}", state.token());
            let until = self.0.config.testing.then(|| now + TESTING_LIFE);
            let refresh = Refresh { person: code.person, scopes: code.scopes, until };
            state.tokens.refresh.insert(token.clone(), refresh);
            if let Some(body) = body.as_object_mut() {
                body.insert("refresh_token".into(), token.into());
                if until.is_some() {
                    body.insert("refresh_token_expires_in".into(), (TESTING_LIFE.as_secs() - 1).into());
                }
            }
        }
        Ok(body)
    }

    /// No refresh token comes with it: the one that was given stays.
    fn by_refresh_token(&self, token: &str) -> Result<Value, Denied> {
        let now = self.now();
        let mut state = self.state();
        let known =
            state.tokens.refresh.get(token).filter(|known| known.until.is_none_or(|until| now < until));
        let Refresh { person, scopes, .. } = known.cloned().ok_or(GRANT)?;
        state.stats.refreshes += 1;
        Ok(state.issue(person, &scopes, now))
    }

    fn account(&self) -> Option<&ServiceAccount> {
        self.0.account.get_or_init(ServiceAccount::new).as_ref()
    }

    /// The JSON key of the project's service account, as Google's console gives it; `base` is where the sandbox is.
    ///
    /// # Errors
    /// [`SimulatorError::NoKey`].
    pub fn service_account(&self, base: &str) -> Result<String, SimulatorError> {
        let account = self.account().ok_or(SimulatorError::NoKey)?;
        let key = json!({
            "type": "service_account", "project_id": "sandbox", "private_key_id": "sandbox-1",
            "private_key": account.pem, "client_email": EMAIL, "token_uri": format!("{base}/token"),
        });
        Ok(key.to_string())
    }

    /// RFC 7523: signed by the service account, for this endpoint, now.
    fn by_assertion(&self, assertion: &str) -> Result<Value, Denied> {
        let now = self.now();
        let account = self.account().ok_or(GRANT)?;
        let (message, signature) = assertion.rsplit_once('.').ok_or(GRANT)?;
        let decode = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| GRANT);
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &account.public)
            .verify(message.as_bytes(), &decode(signature)?)
            .map_err(|_| GRANT)?;
        let claims = message.split_once('.').ok_or(GRANT)?.1;
        let claims: Value = serde_json::from_slice(&decode(claims)?).map_err(|_| GRANT)?;
        let number = |name: &str| claims.get(name).and_then(Value::as_i64).unwrap_or(0);
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or("");
        let (issued, expires, second) = (number("iat"), number("exp"), now.as_second());
        let timely = issued <= second + 60 && second < expires && expires - issued <= 3600;
        let ours = text("iss") == EMAIL
            && text("scope").ends_with("/auth/cloud-platform")
            && text("aud").ends_with("/token");
        if !timely || !ours {
            return Err(GRANT);
        }
        let mut state = self.state();
        let token = format!("ya29.c.{}", state.token());
        state.tokens.project.insert(token.clone(), now + ACCESS_LIFE);
        Ok(json!({ "access_token": token, "expires_in": ACCESS_LIFE.as_secs(), "token_type": "Bearer" }))
    }
}

impl State {
    fn token(&mut self) -> String {
        BASE64URL_NOPAD.encode(&self.rng.random::<[u8; 24]>())
    }

    fn issue(&mut self, person: u64, scopes: &[String], now: Instant) -> Value {
        let token = format!("ya29.a0{}", self.token());
        let access = Access { person, scopes: scopes.to_vec(), until: now + ACCESS_LIFE };
        self.tokens.access.insert(token.clone(), access);
        json!({
            "access_token": token, "expires_in": ACCESS_LIFE.as_secs(), "scope": scopes.join(" "),
            "token_type": "Bearer",
        })
    }

    /// Whether a person has consented, and not ended it.
    pub(super) fn has_consented(&self, person: u64) -> bool {
        self.tokens.refresh.values().any(|known| known.person == person)
    }

    /// Ends every token of a person.
    pub(super) fn end_consent(&mut self, person: u64) {
        self.tokens.access.retain(|_, token| token.person != person);
        self.tokens.refresh.retain(|_, token| token.person != person);
    }
}
