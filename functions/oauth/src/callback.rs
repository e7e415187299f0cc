//! The end of a consent.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use ohx_domain::{Link, LinkId, LinkState, ProviderName};
use ohx_events::plain::LinkConnected;
use ohx_events::{Envelope, Priority, types};
use ohx_link::{LinkError, Links, TokenPair, account_digest, audit, ticket};
use ohx_providers::{Grant, ProviderError, Remedy};
use ohx_runtime::trace::traceparent;
use ohx_store::{Connection, StoreError, TicketKind};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq as _;

use crate::out_of_reach;
use crate::pages::Page;

/// What a patient reads whose account exists, but not for health data.
const NO_PROFILE: &str = "This Google account has no Google Health (Fitbit) profile yet, so there is nothing to share. Set it up in the app or at fitbit.google.com/auth/signup with the same account, then open the address from your clinic again.";

const STATE: &str = "ohx_state";
const VERIFIER: &str = "ohx_verifier";

/// Where the provider sends the patient back to. It has to be registered with the provider as it is.
pub(crate) fn redirect_uri(links: &Links, provider: &ProviderName) -> url::Url {
    links.parts().public(&format!("oauth/callback/{provider}"))
}

/// A PKCE verifier: 256 random bits (RFC 7636, section 4.1).
pub(crate) fn new_verifier() -> SecretString {
    ticket::random().into()
}

/// Binds a consent to the browser that began it: somebody else's callback address does nothing in this one, and a code
/// that leaked is of no use without the verifier, which only this browser holds.
pub(crate) fn cookies(state: &str, verifier: &SecretString, secure: bool) -> [String; 2] {
    let secure = if secure { "; Secure" } else { "" };
    [(STATE, state), (VERIFIER, verifier.expose_secret())]
        .map(|(name, value)| format!("{name}={value}; Path=/; Max-Age=900; HttpOnly; SameSite=Lax{secure}"))
}

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

fn cookie_matches(headers: &HeaderMap, state: &str) -> bool {
    cookie(headers, STATE).is_some_and(|value| bool::from(value.as_bytes().ct_eq(state.as_bytes())))
}

/// What a provider may send back.
#[derive(Deserialize)]
pub(crate) struct Returned {
    state: Option<String>,
    code: Option<SecretString>,
}

pub(crate) async fn callback(
    State(links): State<Links>,
    Path(provider): Path<String>,
    Query(returned): Query<Returned>,
    headers: HeaderMap,
) -> Response {
    let begun = match begun(&links, &provider, &returned, &headers).await {
        Ok(begun) => begun,
        // Whose it is, is not known: there is nowhere to send anybody.
        Err(page) => return page.into_response(),
    };
    let (page, target) = match end(&links, &begun, returned.code).await {
        Ok(page) => (page, &begun.link.success_url),
        Err(page) => (page, &begun.link.error_url),
    };
    match target.as_deref().map(|target| links.redirects().allowed(target)) {
        Some(Ok(target)) => page.sent_to(target, begun.link.id),
        // It was allowed when the link was made.
        Some(Err(why)) => {
            tracing::warn!(link = %begun.link.id, %why, "the patient is not sent back");
            page.into_response()
        }
        None => page.into_response(),
    }
}

/// A consent that this browser began, and has come back from.
struct Begun {
    link: Link,
    verifier: SecretString,
}

fn stale() -> Page {
    let text = "This consent has expired, was used already, or began in another browser. Please open the address from your clinic again.";
    Page::error(StatusCode::BAD_REQUEST, "expired", text)
}

async fn begun(
    links: &Links,
    provider: &str,
    returned: &Returned,
    headers: &HeaderMap,
) -> Result<Begun, Page> {
    let parts = links.parts();
    let state = returned.state.as_deref().ok_or_else(stale)?;
    if !cookie_matches(headers, state) {
        return Err(stale());
    }
    let verifier: SecretString = cookie(headers, VERIFIER).ok_or_else(stale)?.into();
    let taken = parts.store.take_ticket(&ticket::digest(state), TicketKind::State, parts.clock.now()).await;
    let id = taken.map_err(|e| out_of_reach(&LinkError::Store(e)))?.ok_or_else(stale)?;
    let link = links.get(id).await.map_err(|e| out_of_reach(&e))?;
    if link.provider.as_str() != provider {
        return Err(stale());
    }
    Ok(Begun { link, verifier })
}

async fn end(links: &Links, begun: &Begun, code: Option<SecretString>) -> Result<Page, Page> {
    let Begun { link, verifier } = begun;
    let (parts, id) = (links.parts(), link.id);
    let Some(code) = code else {
        tracing::info!(link = %id, "the patient declined");
        return Err(Page::error(
            StatusCode::OK,
            "declined",
            "You did not share anything. To connect after all, open the address from your clinic again.",
        ));
    };
    let (app, adapter) = links.app(&link.provider).await.map_err(|e| out_of_reach(&e))?;
    let asked_at = parts.clock.now();
    let redirect = redirect_uri(links, &link.provider);
    let grant = adapter.exchange_code(&app, &code, &redirect, verifier).await.map_err(|source| {
        if let ProviderError::AccountNotLinked { .. } = source {
            tracing::info!(link = %id, error = %source, "no profile at the provider");
            return Page::error(StatusCode::OK, "no-profile", NO_PROFILE);
        }
        let again = matches!(source.remedy(), Remedy::Reauthorize | Remedy::Refresh);
        let page = out_of_reach(&LinkError::provider(id, source));
        if again { stale() } else { page }
    })?;
    connect(links, link, &grant, asked_at).await.map_err(|error| match error {
        LinkError::Store(StoreError::Conflict { .. }) => {
            tracing::warn!(link = %id, "the account is connected for another patient");
            Page::error(
                StatusCode::CONFLICT,
                "account-in-use",
                "This account is already connected for another patient. Please sign in at the provider with your own account, or ask your clinic.",
            )
        }
        error => out_of_reach(&error),
    })?;
    let again = link.state == LinkState::ReauthorizationRequired;
    let detail = json!({"provider": link.provider, "again": again});
    if let Err(error) = audit::note(parts, "patient", "link.consent", &format!("link:{id}"), &detail).await {
        // The patient has consented, and the tokens are stored.
        tracing::error!(link = %id, %error, "a consent is not in the audit log");
    }
    if let Err(error) = announce(links, link, again).await {
        // The tokens are stored: the nightly run finds the link and all that it lacks.
        tracing::error!(link = %id, error = %error, "link.connected was not sent; the nightly run will begin the sync");
    }
    Ok(Page::connected())
}

async fn connect(
    links: &Links,
    link: &Link,
    grant: &Grant,
    asked_at: ohx_domain::Instant,
) -> Result<(), LinkError> {
    let parts = links.parts();
    let id: LinkId = link.id;
    let account = grant.account.clone().ok_or(LinkError::State {
        link: id,
        state: link.state,
        hint: "the provider did not say whose account it is",
    })?;
    let pair = TokenPair::of(grant, None).ok_or(LinkError::State {
        link: id,
        state: link.state,
        hint: "the provider gave no refresh token: the app has to be allowed offline access",
    })?;
    let seal = |source| LinkError::Seal { of: format!("link {id}"), source };
    let (key, data_key) = parts.keyring.new_data_key(&id.to_string()).map_err(seal)?;
    let former = links.former(link, grant).await?;
    let connection = Connection {
        account_digest: account_digest(&link.provider, &account),
        sealed_account: links.seal_account(id, &key, &account)?,
        account,
        scopes: grant.scopes.clone(),
        data_key,
        sealed_tokens: pair.seal(id, &key)?,
        tokens_expire_at: asked_at + grant.expires_in,
        at: parts.clock.now(),
        history_start: former.until,
    };
    parts.store.connect(id, &connection).await?;
    // What fails from here on leaves the older links as they are; they end with the next consent, or by hand.
    if let Err(error) = links.succeed(id, former).await {
        tracing::error!(link = %id, error = %error, "the links that this one replaces could not be ended");
    }
    tracing::info!(link = %id, provider = %link.provider, "connected");
    Ok(())
}

async fn announce(links: &Links, link: &Link, again: bool) -> Result<(), LinkError> {
    let parts = links.parts();
    let now = parts.clock.now();
    let envelope = Envelope {
        id: format!("{}.connected.{}", link.id, now.as_microsecond()),
        event_type: types::LINK_CONNECTED,
        source: "oauth",
        link: link.id,
        sync: None,
        priority: Priority::High,
        time: now,
        traceparent: traceparent(),
    };
    let event = envelope.plain(&LinkConnected { provider: link.provider.clone(), again })?;
    parts.bus.publish(vec![event]).await?;
    Ok(())
}
