//! `webhook`: takes a provider's notifications.
//!
//! A notification is a hint: nothing in it is believed but that it is worth looking. Its origin is proven by the
//! unguessable address that each link has of its own, and by the account it names. It is answered at once (Withings
//! waits two seconds); fetching is somebody else's work. A burst becomes one request: the event waits a moment, and
//! what comes meanwhile is merged into its row.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};
use ohx_domain::{Interval, LinkId, LinkState, ProviderName, Query, Record, SyncId, SyncReason};
use ohx_link::{Asked, Asking, LinkError, Links, OpenLink};
use ohx_providers::{Notification, Notified};
use ohx_runtime::Problem;
use ohx_runtime::metrics::NOTIFICATIONS;
use ohx_seal::webhook_token_matches;

/// How long an event waits for the rest of its burst.
const COALESCE: Duration = Duration::from_secs(1);
/// A notification is a few fields.
const MAX_BODY: usize = 64 * 1024;
/// How far back to look when a provider says that a patient has left: the call itself is what tells.
const LAST_LOOK: Duration = Duration::from_secs(24 * 3600);

/// The function's routes: one address for each link.
pub fn router(links: Links) -> Router {
    Router::new()
        // Providers try the address with HEAD or GET before they accept it, and want exactly 200.
        .route("/webhook/{provider}/{link}/{token}", get(async || StatusCode::OK).post(receive))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(links)
}

async fn receive(
    State(links): State<Links>,
    Path((provider, link, token)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match accept(&links, &provider, &link, &token, &headers, &body).await {
        Ok(()) => StatusCode::OK.into_response(),
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

async fn accept(
    links: &Links,
    provider: &str,
    link: &str,
    token: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), Problem> {
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
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let notified = adapter
        .notification(content_type, body, links.parts().clock.now())
        .map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.to_string()))?;
    let account = links.account(&open).await.map_err(|e| unavailable(&e))?;
    for Notified { account: named, what } in notified {
        if named == account {
            let read =
                adapter.records(&app.config, &open.link.scopes).into_iter().map(|s| s.record).collect();
            act(links, &open, read, what).await.map_err(|e| unavailable(&e))?;
        } else {
            tracing::warn!(link = %id, "a notification names another account than the link's");
            NOTIFICATIONS.with_label_values(&[provider.as_str(), "refused"]).inc();
        }
    }
    Ok(())
}

/// Does what a notification asks for; `read` are the records that this link reads.
async fn act(links: &Links, open: &OpenLink, read: Vec<Record>, what: Notification) -> Result<(), LinkError> {
    let provider = open.link.provider.as_str();
    let irrelevant = || NOTIFICATIONS.with_label_values(&[provider, "irrelevant"]).inc();
    let (records, window) = match what {
        Notification::Changed { mut records, window } => {
            records.retain(|record| read.contains(record));
            if records.is_empty() {
                irrelevant();
            }
            (records, window)
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
            return Ok(());
        }
    };
    if open.link.state != LinkState::Active {
        tracing::info!(link = %open.link.id, state = open.link.state.as_str(), "not active; the ledger will ask when it is");
        return Ok(());
    }
    let sync = SyncId::new();
    for record in records {
        let asking = Asking {
            record,
            query: Query::Window(window),
            reason: SyncReason::Notification,
            sync,
            source: "webhook",
            delay: COALESCE,
        };
        let outcome = match links.ask(&open.link, &asking).await? {
            Asked::Requested(_) => "requested",
            Asked::Merged(_) => "merged",
        };
        NOTIFICATIONS.with_label_values(&[provider, outcome]).inc();
    }
    Ok(())
}
