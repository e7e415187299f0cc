//! `oauth`: a patient's consent, from the first click to the stored tokens.
//!
//! `GET /oauth/connect/{ticket}` begins it: a one-time `state`, bound to the browser by a cookie, and a redirect to
//! the provider. `GET /oauth/callback/{provider}` ends it: the code is exchanged right there (Withings gives it 30
//! seconds), the tokens are sealed and stored, and `link.connected` is published. Everything else that a new link
//! needs (subscriptions, history) follows from that event.

mod callback;
mod pages;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use ohx_domain::LinkState;
use ohx_link::{LinkError, Links, ticket};
use ohx_store::TicketKind;

use pages::Page;

/// How long a patient may take at the provider.
const CONSENT: std::time::Duration = std::time::Duration::from_secs(15 * 60);

/// The function's routes.
pub fn router(links: Links) -> Router {
    Router::new()
        .route("/oauth/connect/{ticket}", get(connect))
        .route("/oauth/callback/{provider}", get(callback::callback))
        .with_state(links)
}

/// What a patient reads when something of ours is out of reach.
pub(crate) fn out_of_reach(error: &LinkError) -> Page {
    tracing::error!(error = %error, "consent not possible");
    Page::error(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "Something is out of reach at the moment. Please try again in a few minutes.",
    )
}

async fn connect(State(links): State<Links>, Path(ticket): Path<String>) -> Response {
    begin(&links, &ticket).await.unwrap_or_else(IntoResponse::into_response)
}

async fn begin(links: &Links, ticket: &str) -> Result<Response, Page> {
    let parts = links.parts();
    let now = parts.clock.now();
    let store = |e| out_of_reach(&LinkError::Store(e));
    let link = parts
        .store
        .peek_ticket(&ticket::digest(ticket), TicketKind::Connect, now)
        .await
        .map_err(store)?
        .ok_or_else(|| {
            Page::error(
                StatusCode::NOT_FOUND,
                "expired",
                "This address has expired or was never valid. Please ask your clinic for a new one.",
            )
        })?;
    let link = links.get(link).await.map_err(|e| out_of_reach(&e))?;
    if !matches!(link.state, LinkState::Pending | LinkState::ReauthorizationRequired) {
        return Err(Page::error(
            StatusCode::CONFLICT,
            "connected",
            "This account is connected already. You can close this page.",
        ));
    }
    let (app, provider) = links.app(&link.provider).await.map_err(|e| out_of_reach(&e))?;
    let state = ticket::issue(parts, link.id, TicketKind::State, CONSENT).await.map_err(store)?;
    let verifier = callback::new_verifier();
    let redirect = callback::redirect_uri(links, &link.provider);
    let target = provider
        .authorize_url(&app, &redirect, &state, &verifier)
        .map_err(|source| out_of_reach(&LinkError::provider(link.id, source)))?;
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, target.as_str())]).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let secure = parts.public_url.scheme() == "https";
    for cookie in callback::cookies(&state, &verifier, secure) {
        if let Ok(cookie) = cookie.parse() {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
    Ok(response)
}
