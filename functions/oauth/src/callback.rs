//! The end of a consent.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::HeaderMap;
use ohx_domain::{Link, LinkId, LinkState, ProviderName};
use ohx_events::plain::LinkConnected;
use ohx_events::{Envelope, Priority, types};
use ohx_link::{LinkError, Links, TokenPair, account_digest, audit, ticket};
use ohx_providers::{Grant, ProviderError, Remedy};
use ohx_runtime::trace::traceparent;
use ohx_store::{Connection, StoreError, TicketKind};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq as _;

use crate::about::About;
use crate::notice::{Notice, Problem, allowed, notice, sent_to};
use crate::page::{Frame, html};
use crate::words::Language;
use crate::{Oauth, cookies, see_other};

/// Where the provider sends the patient back to. It has to be registered with the provider as it is.
pub(crate) fn redirect_uri(links: &Links, provider: &ProviderName) -> url::Url {
    links.parts().public(&format!("oauth/callback/{provider}"))
}

/// A PKCE verifier: 256 random bits (RFC 7636, section 4.1).
pub(crate) fn new_verifier() -> SecretString {
    ticket::random().into()
}

fn cookie_matches(headers: &HeaderMap, state: &str) -> bool {
    cookies::get(headers, cookies::STATE)
        .is_some_and(|value| bool::from(value.as_bytes().ct_eq(state.as_bytes())))
}

/// What a provider may send back.
#[derive(Deserialize)]
pub(crate) struct Returned {
    state: Option<String>,
    code: Option<SecretString>,
}

/// `GET /oauth/callback/{provider}`: on to the patient's own page, or to the app that wants the patient back.
pub(crate) async fn callback(
    State(oauth): State<Oauth>,
    Path(provider): Path<String>,
    Query(returned): Query<Returned>,
    headers: HeaderMap,
) -> Response {
    let language = Language::of(None, &headers);
    let begun = match begun(&oauth.links, &provider, &returned, &headers).await {
        Ok(begun) => begun,
        // Whose it is, is not known: there is nowhere to send anybody.
        Err(problem) => return notice(&oauth, language, problem, None, None),
    };
    let id = begun.link.id;
    match end(&oauth.links, &begun, returned.code).await {
        Ok(()) => match allowed(&oauth, id, begun.link.success_url.as_deref()) {
            Some(target) => sent_to(target, id, "connected"),
            None => own_page(&oauth, &begun.link, language).await,
        },
        Err(problem) => match allowed(&oauth, id, begun.link.error_url.as_deref()) {
            Some(target) => sent_to(target, id, problem.word()),
            None => {
                let about = About::of(&oauth, &begun.link, language).await.ok();
                notice(&oauth, language, problem, about.as_ref(), None)
            }
        },
    }
}

/// Leads to the patient's own page, at an address that is made for it now.
async fn own_page(oauth: &Oauth, link: &Link, language: Language) -> Response {
    match ticket::issue(oauth.links.parts(), link.id, TicketKind::Page, oauth.lasts()).await {
        Ok(ticket) => see_other(&format!("{}/link/{ticket}/?lang={}", oauth.base, language.code())),
        Err(error) => {
            // The patient is connected, and can have an address from the clinic.
            tracing::error!(link = %link.id, %error, "the patient's own page has no address");
            let frame = Frame::once(oauth, language);
            let title = frame.words.page.connected.to_owned();
            let text = frame.words.page.steady.to_owned();
            html(http::StatusCode::OK, &Notice { frame, title, text, link: None })
        }
    }
}

/// A consent that this browser began, and has come back from.
struct Begun {
    link: Link,
    verifier: SecretString,
}

async fn begun(
    links: &Links,
    provider: &str,
    returned: &Returned,
    headers: &HeaderMap,
) -> Result<Begun, Problem> {
    let parts = links.parts();
    let state = returned.state.as_deref().ok_or(Problem::Stale)?;
    if !cookie_matches(headers, state) {
        return Err(Problem::Stale);
    }
    let verifier: SecretString = cookies::get(headers, cookies::VERIFIER).ok_or(Problem::Stale)?.into();
    let taken = parts.store.take_ticket(&ticket::digest(state), TicketKind::State, parts.clock.now()).await;
    let id = taken.map_err(|e| Problem::out_of_reach(&LinkError::Store(e)))?.ok_or(Problem::Stale)?;
    let link = links.get(id).await.map_err(|e| Problem::out_of_reach(&e))?;
    if link.provider.as_str() != provider {
        return Err(Problem::Stale);
    }
    Ok(Begun { link, verifier })
}

async fn end(links: &Links, begun: &Begun, code: Option<SecretString>) -> Result<(), Problem> {
    let Begun { link, verifier } = begun;
    let (parts, id) = (links.parts(), link.id);
    let Some(code) = code else {
        tracing::info!(link = %id, "the patient declined");
        return Err(Problem::Declined);
    };
    let (app, adapter) = links.app(&link.provider).await.map_err(|e| Problem::out_of_reach(&e))?;
    let asked_at = parts.clock.now();
    let redirect = redirect_uri(links, &link.provider);
    let grant = adapter.exchange_code(&app, &code, &redirect, verifier).await.map_err(|source| {
        if let ProviderError::AccountNotLinked { .. } = source {
            tracing::info!(link = %id, error = %source, "no profile at the provider");
            return Problem::NoProfile;
        }
        let again = matches!(source.remedy(), Remedy::Reauthorize | Remedy::Refresh);
        let problem = Problem::out_of_reach(&LinkError::provider(id, source));
        if again { Problem::Stale } else { problem }
    })?;
    connect(links, link, &grant, asked_at).await.map_err(|error| match error {
        LinkError::Store(StoreError::Conflict { .. }) => {
            tracing::warn!(link = %id, "the account is connected for another patient");
            Problem::AccountInUse
        }
        error => Problem::out_of_reach(&error),
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
    Ok(())
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
