//! Consent, tokens, and whose they are.

use std::time::Duration;

use http::StatusCode;
use oauth2::AuthType;
use ohx_domain::Account;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use super::call::{Caller, malformed};
use super::records::scopes_asked;
use super::status::refused;
use super::{Bases, KIND};
use crate::bases::under;
use crate::loose::Text;
use crate::oauth::{Proof, TokenEndpoint, challenge};
use crate::wire::{Answer, object};
use crate::{App, Grant, ProviderError};

/// How long an access token lasts where the answer does not say.
const LASTS: Duration = Duration::from_secs(3_599);

/// Where the patient consents. `access_type` and `prompt` bring a refresh token, also to somebody who was here before.
pub(super) fn authorize_url(
    accounts: &Url,
    app: &App,
    redirect: &Url,
    state: &str,
    verifier: &SecretString,
) -> Url {
    let mut url = under(accounts, "o/oauth2/v2/auth");
    url.query_pairs_mut()
        .append_pair("client_id", &app.config.client_id)
        .append_pair("redirect_uri", redirect.as_str())
        .append_pair("response_type", "code")
        .append_pair("scope", &scopes_asked(app).join(" "))
        .append_pair("access_type", "offline")
        .append_pair("prompt", "consent")
        .append_pair("state", state)
        .append_pair("code_challenge", &challenge(verifier))
        .append_pair("code_challenge_method", "S256");
    url
}

fn endpoint<'a>(http: &'a reqwest::Client, bases: &Bases) -> TokenEndpoint<'a> {
    let url = under(&bases.oauth, "token");
    TokenEndpoint { provider: KIND, http, url, auth: AuthType::RequestBody, lasts: LASTS }
}

/// A callback's code as tokens.
pub(super) async fn exchange(
    http: &reqwest::Client,
    bases: &Bases,
    app: &App,
    code: &SecretString,
    redirect: &Url,
    verifier: &SecretString,
) -> Result<Grant, ProviderError> {
    let proof = Proof::Code { code, redirect, verifier: Some(verifier) };
    Ok(endpoint(http, bases).exchange(app, proof, &[]).await?.grant)
}

/// A new access token. The refresh token stays the same.
pub(super) async fn refresh(
    http: &reqwest::Client,
    bases: &Bases,
    app: &App,
    token: &SecretString,
) -> Result<Grant, ProviderError> {
    Ok(endpoint(http, bases).exchange(app, Proof::Refresh { token }, &[]).await?.grant)
}

/// Ends a grant, with all of its scopes. A token that is dead already is as good.
pub(super) async fn revoke(
    http: &reqwest::Client,
    oauth: &Url,
    token: &SecretString,
) -> Result<(), ProviderError> {
    const CALL: &str = "revocation";
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let request = http.post(under(oauth, "revoke")).form(&[("token", token.expose_secret())]);
    let answer = Answer::read(KIND, request.send().await, CALL).await?;
    let dead = answer.status == StatusCode::BAD_REQUEST
        && object::<Refusal>(&answer.body).is_ok_and(|refusal| refusal.error == "invalid_token");
    if answer.status.is_success() || dead { Ok(()) } else { Err(refused(CALL, &answer)) }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    health_user_id: Option<Text>,
    legacy_user_id: Option<Text>,
}

/// Whose token it is: the id that notifications name, and the one of the Fitbit Web API.
pub(super) async fn identity(caller: &Caller<'_>) -> Result<(Account, Option<Account>), ProviderError> {
    const CALL: &str = "identity";
    let answer = caller.get("identity", &[], CALL).await?;
    let identity: Identity = object(&answer.body).map_err(|problem| malformed(CALL, problem))?;
    let account = |text: Option<Text>| text.map(|t| t.0).filter(|t| !t.is_empty()).map(Account::new);
    let health = account(identity.health_user_id).ok_or_else(|| malformed(CALL, "it has no healthUserId"))?;
    Ok((health, account(identity.legacy_user_id)))
}
