//! Consent and tokens. A refresh token is good once; who is connected stands in the answer.

use std::time::Duration;

use oauth2::AuthType;
use ohx_domain::Instant;
use secrecy::SecretString;
use url::Url;

use super::call::unheard;
use super::memory::Memory;
use super::records::scopes_asked;
use super::{KIND, status};
use crate::bases::under;
use crate::oauth::{Proof, TokenEndpoint, challenge};
use crate::wire::malformed;
use crate::{App, Grant, ProviderError};

/// How long an access token lasts where the answer does not say.
const LASTS: Duration = Duration::from_secs(28_800);

/// Where the patient consents.
pub(super) fn authorize_url(
    consent: &Url,
    app: &App,
    redirect: &Url,
    state: &str,
    verifier: &SecretString,
) -> Url {
    let mut url = under(consent, "oauth2/authorize");
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &app.config.client_id)
        .append_pair("redirect_uri", redirect.as_str())
        .append_pair("scope", &scopes_asked(app).join(" "))
        .append_pair("state", state)
        .append_pair("code_challenge", &challenge(verifier))
        .append_pair("code_challenge_method", "S256");
    url
}

fn endpoint<'a>(http: &'a reqwest::Client, api: &Url) -> TokenEndpoint<'a> {
    let url = under(api, "oauth2/token");
    TokenEndpoint { provider: KIND, http, url, auth: AuthType::BasicAuth, lasts: LASTS }
}

/// What only a host without this endpoint says is the end of the service; whatever the endpoint itself says stays.
fn judged(memory: &Memory, api: &Url, now: Instant, error: ProviderError) -> ProviderError {
    match error {
        ProviderError::Refused { call, status, .. }
            if matches!(&*status, "HTTP 403" | "HTTP 404" | "HTTP 410") =>
        {
            status::retired(call, status)
        }
        ProviderError::Refused { ref status, .. } if status.starts_with("HTTP 5") => {
            unheard(memory, api, now, error)
        }
        ProviderError::Transport { .. } => unheard(memory, api, now, error),
        other => other,
    }
}

/// A callback's code as tokens.
#[expect(clippy::too_many_arguments, reason = "what a token endpoint needs, and where it is remembered")]
pub(super) async fn exchange(
    http: &reqwest::Client,
    api: &Url,
    memory: &Memory,
    now: Instant,
    app: &App,
    code: &SecretString,
    redirect: &Url,
    verifier: &SecretString,
) -> Result<Grant, ProviderError> {
    let proof = Proof::Code { code, redirect, verifier: Some(verifier) };
    let extra = [("client_id", app.config.client_id.clone())];
    let tokens = endpoint(http, api).exchange(app, proof, &extra).await;
    let grant = tokens.map_err(|error| judged(memory, api, now, error))?.grant;
    if grant.account.is_none() {
        return Err(malformed(KIND, "the token endpoint", "it has no user_id".into()));
    }
    given(memory, now, &grant);
    Ok(grant)
}

/// The next pair.
pub(super) async fn refresh(
    http: &reqwest::Client,
    api: &Url,
    memory: &Memory,
    now: Instant,
    app: &App,
    token: &SecretString,
) -> Result<Grant, ProviderError> {
    let tokens = endpoint(http, api).exchange(app, Proof::Refresh { token }, &[]).await;
    let grant = tokens.map_err(|error| judged(memory, api, now, error))?.grant;
    given(memory, now, &grant);
    Ok(grant)
}

fn given(memory: &Memory, now: Instant, grant: &Grant) {
    memory.learn(&grant.access_token, now, |known| known.fresh = true);
}

/// Ends a grant, both tokens of it. `false` where the service is no longer there to be told.
pub(super) async fn revoke(
    http: &reqwest::Client,
    api: &Url,
    memory: &Memory,
    now: Instant,
    app: &App,
    token: &SecretString,
) -> Result<bool, ProviderError> {
    let revoked = endpoint(http, api).revoke(app, under(api, "oauth2/revoke"), token, &[]).await;
    match revoked.map_err(|error| judged(memory, api, now, error)) {
        Ok(()) => Ok(true),
        Err(ProviderError::Retired { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
