//! `webhook`: takes a provider's notifications, and what gateways send ([`gateway`]).
//!
//! A notification is a hint: nothing in it is believed but that it is worth looking. It comes to an address that only
//! one link has, which nobody can guess, or to the app's address, where the adapter proves its origin as far as the
//! provider lets it be proven. It is answered at once, however slow the broker is ([`deadline`]); fetching is somebody else's
//! work. A burst becomes one request: the event waits a moment, and what comes meanwhile is merged into its row.

mod deadline;
mod gateway;

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, Method, StatusCode, header};
use ohx_domain::{Interval, LinkId, LinkState, ProviderApp, ProviderName, Query, Record, SyncId, SyncReason};
use ohx_link::{Asked, Asking, LinkError, Links, OpenLink, account_digest};
use ohx_providers::beurer::push::MAX_BODY_BYTES;
use ohx_providers::{Notification, Notified, ProviderError, Received, WebhookRequest};
use ohx_runtime::Problem;
use ohx_runtime::metrics::NOTIFICATIONS;
use ohx_seal::webhook_token_matches;

use crate::deadline::{Entered, in_time};

use ohx_runtime::caller::Caller;
pub use ohx_runtime::caller::{ForwardedHops, forwarded_hops};

/// How long an event waits for the rest of its burst.
const COALESCE: Duration = Duration::from_secs(1);
/// A notification is a few fields.
const MAX_BODY: usize = 64 * 1024;
/// How far back to look when a provider says that a patient has left: the call itself is what tells.
const LAST_LOOK: Duration = Duration::from_secs(24 * 3600);

/// The function's routes: one address for each link, and one for each app.
pub fn router(links: Links, hops: ForwardedHops) -> Router {
    Router::new()
        // Providers try the address with HEAD or GET before they accept it, and want exactly 200.
        .route("/webhook/{provider}/{link}/{token}", get(async || StatusCode::OK).post(receive))
        .route("/webhook/{provider}", get(app_address).post(app_address))
        .route("/webhook/{provider}/{token}", get(app_address_with_token).post(app_address_with_token))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .route("/gateway/{link}", post(gateway::push).layer(DefaultBodyLimit::max(MAX_BODY_BYTES + 1)))
        .layer(Extension(hops))
        .with_state(links)
}

async fn receive(
    State(links): State<Links>,
    Path((provider, link, token)): Path<(String, String, String)>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let entered = Entered::default();
    let work = {
        let (entered, link) = (entered.clone(), link.clone());
        async move {
            let wanted = accept(&links, [&provider, &link, &token], caller, &headers, &body).await?;
            enter_and_tell(&links, wanted, StatusCode::OK, &entered).await
        }
    };
    match in_time(entered, work).await {
        Ok(answer) => answer.into_response(),
        Err(problem) => {
            tracing::warn!(link, reason = problem.detail(), "notification refused");
            NOTIFICATIONS.with_label_values(&["any", "refused"]).inc();
            problem.into_response()
        }
    }
}

/// The same answer whatever was wrong with the address, so that nobody can try links out.
fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no link has this notification address")
}

fn unavailable(error: &LinkError) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

/// What a notification asks for, of one link.
struct Wanted {
    open: Arc<OpenLink>,
    /// The records that the link reads.
    read: Vec<Record>,
    what: Notification,
}

async fn accept(
    links: &Links,
    [provider, link, token]: [&str; 3],
    caller: Caller,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<Wanted>, Problem> {
    let provider: ProviderName = provider.parse().map_err(|_| unknown())?;
    let id: LinkId = link.parse().map_err(|_| unknown())?;
    let open = match links.open(id).await {
        Ok(open) => open,
        Err(LinkError::Unknown(_) | LinkError::State { .. }) => return Err(unknown()),
        Err(error) => return Err(unavailable(&error)),
    };
    if open.link.provider != provider || !webhook_token_matches(&open.key, token) {
        return Err(unknown());
    }
    let (app, adapter) = links.app(&provider).await.map_err(|e| unavailable(&e))?;
    from_where_it_may(&app.config, caller)?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let notified = adapter
        .notification(content_type, body, links.parts().clock.now())
        .map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.to_string()))?;
    let account = links.account(&open).await.map_err(|e| unavailable(&e))?;
    let open = Arc::new(open);
    let read: Vec<_> =
        adapter.records(&app.config, &open.link.scopes).into_iter().map(|s| s.record).collect();
    let mut all = Vec::new();
    for Notified { account: named, what } in notified {
        if named == account {
            all.push(Wanted { open: open.clone(), read: read.clone(), what });
        } else {
            tracing::warn!(link = %id, "a notification names another account than the link's");
            NOTIFICATIONS.with_label_values(&[provider.as_str(), "refused"]).inc();
        }
    }
    Ok(all)
}

/// Whether the app takes notifications from where a call came from.
fn may_notify(Caller(address): Caller, app: &ProviderApp) -> bool {
    app.notify_from.is_empty()
        || address.is_some_and(|address| app.notify_from.iter().any(|network| network.contains(&address)))
}

/// Refuses a call from outside of the networks that the app takes notifications from, as if there were nothing here.
fn from_where_it_may(app: &ProviderApp, caller: Caller) -> Result<(), Problem> {
    if may_notify(caller, app) {
        return Ok(());
    }
    let from = caller.0.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string());
    tracing::warn!(provider = %app.name, from, "a notification came from outside of notify_from");
    Err(unknown())
}

async fn app_address(
    State(links): State<Links>,
    Path(provider): Path<String>,
    caller: Caller,
    request: (Method, RawQuery, HeaderMap, Bytes),
) -> Response {
    for_app(links, provider, None, caller, request).await
}

async fn app_address_with_token(
    State(links): State<Links>,
    Path((provider, token)): Path<(String, String)>,
    caller: Caller,
    request: (Method, RawQuery, HeaderMap, Bytes),
) -> Response {
    for_app(links, provider, Some(token), caller, request).await
}

async fn for_app(
    links: Links,
    provider: String,
    token: Option<String>,
    caller: Caller,
    (method, RawQuery(query), headers, body): (Method, RawQuery, HeaderMap, Bytes),
) -> Response {
    let entered = Entered::default();
    let work = {
        let (entered, provider) = (entered.clone(), provider.clone());
        async move {
            let request = WebhookRequest {
                method: &method,
                token: token.as_deref(),
                query: query.as_deref().unwrap_or(""),
                headers: &headers,
                body: &body,
                now: links.parts().clock.now(),
            };
            let (answer, wanted) = receive_for_app(&links, &provider, caller, request).await?;
            enter_and_tell(&links, wanted, answer, &entered).await
        }
    };
    match in_time(entered, work).await {
        Ok(answer) => answer.into_response(),
        Err(problem) => {
            tracing::warn!(provider, reason = problem.detail(), "notification refused");
            NOTIFICATIONS.with_label_values(&["any", "refused"]).inc();
            problem.into_response()
        }
    }
}

/// What came to an app's own address: gives what the provider wants to hear, and what is asked for.
async fn receive_for_app(
    links: &Links,
    provider: &str,
    caller: Caller,
    request: WebhookRequest<'_>,
) -> Result<(StatusCode, Vec<Wanted>), Problem> {
    let provider: ProviderName = provider.parse().map_err(|_| unknown())?;
    let (app, adapter) = match links.app(&provider).await {
        Ok(found) => found,
        Err(LinkError::NoApp(_) | LinkError::NoAdapter { .. }) => return Err(unknown()),
        Err(error) => return Err(unavailable(&error)),
    };
    from_where_it_may(&app.config, caller)?;
    let received = adapter.receive(&app, request).await.map_err(|error| match error {
        ProviderError::Malformed { .. } => Problem::new(StatusCode::BAD_REQUEST, error.to_string()),
        error => Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    })?;
    let (answer, notified) = match received {
        Received::Notified { answer, notified } => (answer, notified),
        Received::Handshake(answer) => return Ok((answer, Vec::new())),
        Received::Refused { answer, why } => {
            tracing::warn!(%provider, why, "notification refused");
            NOTIFICATIONS.with_label_values(&[provider.as_str(), "refused"]).inc();
            return Ok((answer, Vec::new()));
        }
    };
    let mut all = Vec::new();
    for Notified { account, what } in notified {
        let digest = account_digest(&provider, &account);
        let found = links.parts().store.links_of_account(&digest).await;
        let ids = found.map_err(|e| unavailable(&LinkError::Store(e)))?;
        if ids.is_empty() {
            // Nobody learns which accounts are known here.
            NOTIFICATIONS.with_label_values(&[provider.as_str(), "unknown"]).inc();
        }
        for id in ids {
            let open = match links.open(id).await {
                Ok(open) => open,
                Err(LinkError::Unknown(_) | LinkError::State { .. }) => continue,
                Err(error) => return Err(unavailable(&error)),
            };
            let specs = adapter.records(&app.config, &open.link.scopes);
            let read = specs.into_iter().map(|s| s.record).collect();
            all.push(Wanted { open: Arc::new(open), read, what: what.clone() });
        }
    }
    Ok((answer, all))
}

/// Writes everything that is asked for into the ledger, and then sends the events.
async fn enter_and_tell(
    links: &Links,
    wanted: Vec<Wanted>,
    answer: StatusCode,
    entered: &Entered,
) -> Result<StatusCode, Problem> {
    let mut untold = Vec::new();
    for Wanted { open, read, what } in wanted {
        for asking in askings(links, &open, read, what) {
            let (asked, request) = links.enter(&open.link, &asking).await.map_err(|e| unavailable(&e))?;
            let outcome = match asked {
                Asked::Requested(_) => "requested",
                Asked::Merged(_) => "merged",
            };
            NOTIFICATIONS.with_label_values(&[open.link.provider.as_str(), outcome]).inc();
            untold.extend(request.map(|request| (open.link.clone(), request)));
        }
    }
    entered.all(answer);
    for (link, request) in untold {
        links.announce(&link, &request, "webhook", COALESCE).await.map_err(|e| unavailable(&e))?;
    }
    Ok(answer)
}

/// What a notification asks for; `read` are the records that this link reads.
fn askings(links: &Links, open: &OpenLink, read: Vec<Record>, what: Notification) -> Vec<Asking> {
    let provider = open.link.provider.as_str();
    let irrelevant = || NOTIFICATIONS.with_label_values(&[provider, "irrelevant"]).inc();
    let reason = match &what {
        Notification::Removed { .. } => SyncReason::Removal,
        _ => SyncReason::Notification,
    };
    let (records, window) = match what {
        Notification::Changed { mut records, window } | Notification::Removed { mut records, window } => {
            records.retain(|record| read.contains(record));
            // What was measured before the link's history begins is not wanted, or another link brought it.
            let wanted = open
                .link
                .history_start
                .map_or(Some(window), |start| Interval::new(window.start.max(start), window.end));
            if records.is_empty() || wanted.is_none() {
                irrelevant();
                return Vec::new();
            }
            (records, wanted.unwrap_or(window))
        }
        Notification::Revoked => {
            tracing::info!(link = %open.link.id, "the provider says that the patient has left; looking");
            NOTIFICATIONS.with_label_values(&[provider, "revoked"]).inc();
            let now = links.parts().clock.now();
            (read.into_iter().take(1).collect(), Interval { start: now - LAST_LOOK, end: now })
        }
        Notification::Irrelevant { topic } => {
            tracing::debug!(link = %open.link.id, topic, "nothing that we read");
            irrelevant();
            return Vec::new();
        }
    };
    if open.link.state != LinkState::Active {
        tracing::info!(link = %open.link.id, state = open.link.state.as_str(), "not active; the ledger will ask when it is");
        return Vec::new();
    }
    let sync = SyncId::new();
    let asking = |record| Asking {
        record,
        query: Query::Window(window),
        reason,
        sync,
        source: "webhook",
        delay: COALESCE,
    };
    records.into_iter().map(asking).collect()
}
