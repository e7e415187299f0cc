//! The consent page, codes, tokens and their rotation.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ohx_domain::Instant;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{Call, Simulator, bare, data};
use crate::page::{Look, escape};

const LOOK: Look = Look { title: "Sandbox for a contract", colour: "#7a1f4b" };

#[derive(Default)]
pub(super) struct Tokens {
    /// Person, challenge.
    codes: HashMap<String, (String, String)>,
    /// Person, none where it is the app's own; end.
    access: HashMap<String, (Option<String>, Instant)>,
    refresh: HashMap<String, String>,
}

impl Tokens {
    /// Takes a person's tokens out.
    pub(super) fn forget(&mut self, person: &str) {
        self.access.retain(|_, (of, _)| of.as_deref() != Some(person));
        self.refresh.retain(|_, of| of != person);
    }
}

type Pairs = BTreeMap<String, String>;

fn get<'p>(pairs: &'p Pairs, name: &str) -> &'p str {
    pairs.get(name).map(String::as_str).unwrap_or_default()
}

/// The page, and the decision, which is the same request with a `user`.
pub(super) fn consent(sim: &Simulator, request: &Pairs) -> Response {
    let config = &sim.0.config;
    let is = |name: &str, wanted: &str| get(request, name) == wanted;
    if !is("client_id", &config.client_id) || !is("redirect_uri", &config.redirect_uri) {
        return LOOK.refuse("client_id or redirect_uri is not the client's");
    }
    if !is("response_type", "code") || get(request, "scope") != sim.said("/scope").unwrap_or_default() {
        return LOOK.refuse("response_type or scope is not the contract's");
    }
    let (Some(user), Ok(mut back)) = (request.get("user"), Url::parse(&config.redirect_uri)) else {
        let mut form: String = request
            .iter()
            .map(|(n, v)| format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", escape(n), escape(v)))
            .collect();
        for (id, name) in &sim.state().persons {
            form += &format!("<button name=\"user\" value=\"{}\">{}</button>", escape(id), escape(name));
        }
        return Html(LOOK.document(&format!("<form method=\"post\">{form}</form>"))).into_response();
    };
    let mut state = sim.state();
    if state.persons.contains_key(user) {
        let code = state.token();
        state.tokens.codes.insert(code.clone(), (user.clone(), get(request, "code_challenge").to_owned()));
        back.query_pairs_mut().append_pair("code", &code);
    } else {
        back.query_pairs_mut().append_pair("error", "access_denied");
    }
    back.query_pairs_mut().append_pair("state", get(request, "state"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, back.to_string())]).into_response()
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

/// The token endpoint.
pub(super) fn token(sim: &Simulator, headers: &HeaderMap, form: &Pairs) -> Response {
    let config = &sim.0.config;
    let proven = if sim.said("/client_auth") == Some("basic") {
        let wanted = BASE64.encode(format!("{}:{}", config.client_id, config.client_secret).as_bytes());
        headers.get(header::AUTHORIZATION).is_some_and(|sent| *sent == format!("Basic {wanted}"))
    } else {
        get(form, "client_id") == config.client_id && get(form, "client_secret") == config.client_secret
    };
    if !proven {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let own = sim.said("/grant") == Some("client_credentials");
    let mut state = sim.state();
    let person = match (get(form, "grant_type"), own) {
        ("client_credentials", true) => None,
        ("authorization_code", false) => {
            let Some((person, challenge)) = state.tokens.codes.remove(get(form, "code")) else {
                return refused(StatusCode::BAD_REQUEST, "invalid_grant");
            };
            let verified = BASE64URL_NOPAD.encode(&Sha256::digest(get(form, "code_verifier"))) == challenge;
            if get(form, "redirect_uri") != config.redirect_uri || !(challenge.is_empty() || verified) {
                return refused(StatusCode::BAD_REQUEST, "invalid_grant");
            }
            Some(person)
        }
        ("refresh_token", false) => match state.tokens.refresh.remove(get(form, "refresh_token")) {
            Some(person) => Some(person),
            None => return refused(StatusCode::BAD_REQUEST, "invalid_grant"),
        },
        _ => return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
    };
    let access = state.token();
    let until = sim.0.clock.now() + config.access_life;
    state.tokens.access.insert(access.clone(), (person.clone(), until));
    let mut answer =
        json!({ "access_token": access, "token_type": "Bearer", "expires_in": config.access_life.as_secs() });
    if let Some(person) = person {
        let refresh = state.token();
        state.tokens.refresh.insert(refresh.clone(), person.clone());
        answer["refresh_token"] = json!(refresh);
        if config.contract.pointer("/account/in_token_answer") == Some(&Value::Bool(true)) {
            answer["user_id"] = json!(person);
        }
    }
    Json(answer).into_response()
}

/// The end of a token.
pub(super) fn revoke(sim: &Simulator, form: &Pairs) -> Response {
    let mut state = sim.state();
    if let Some(person) = state.tokens.refresh.remove(get(form, "token")) {
        state.tokens.access.retain(|_, (of, _)| of.as_ref() != Some(&person));
    }
    bare(200)
}

/// Whose a call is: a person's, or the app's own.
pub(super) fn authenticate(sim: &Simulator, headers: &HeaderMap) -> Option<Option<String>> {
    let sent = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let state = sim.state();
    let (person, until) = state.tokens.access.get(sent)?;
    (sim.0.clock.now() < *until).then(|| person.clone())
}

/// Who somebody is: whom the token is of, or whose the code was.
pub(super) fn account(sim: &Simulator, call: &Call<'_>, at: &Pairs) -> Response {
    let Some(of) = authenticate(sim, call.headers) else { return bare(401) };
    let person = match at.get("code") {
        Some(code) => sim.state().tokens.codes.remove(code).map(|(person, _)| person),
        None => of,
    };
    let Some(person) = person else { return bare(404) };
    let mut answer = json!({});
    data::set(&mut answer, sim.said("/account/at").unwrap_or_default(), json!(person));
    Json(answer).into_response()
}
