//! Readings that a Bluetooth gateway or a companion app sends: `POST /gateway/{link}`, or `POST /gateway/{link}?user=1` where
//! the device has several users and one of them is this link's patient.
//!
//! A gateway stands in somebody's home, so it holds a token that is good for one link only. What is wrong with a reading
//! stays with it; the others are taken.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use ohx_domain::{LinkId, SyncId};
use ohx_link::{Brought, LinkError, Links, OpenLink};
use ohx_providers::beurer;
use ohx_providers::beurer::push::{self, Outcome, PushError};
use ohx_runtime::Problem;
use ohx_runtime::metrics::NOTIFICATIONS;
use ohx_seal::gateway_token_matches;
use serde::{Deserialize, Serialize};

/// What became of what was sent. No values.
#[derive(Serialize)]
struct Taken {
    /// The sync by which the readings travel; absent where none was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    sync: Option<SyncId>,
    accepted: usize,
    readings: Vec<Outcome>,
}

/// Which user of a device that several people share.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    user: Option<u8>,
}

pub(crate) async fn push(
    State(links): State<Links>,
    Path(link): Path<String>,
    user: Result<Query<User>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match take(&links, &link, user, &headers, body).await {
        Ok(response) => response,
        Err(problem) => {
            tracing::warn!(link, reason = problem.detail(), "gateway refused");
            NOTIFICATIONS.with_label_values(&["any", "refused"]).inc();
            problem.into_response()
        }
    }
}

async fn take(
    links: &Links,
    link: &str,
    user: Result<Query<User>, QueryRejection>,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let open = authorized(links, link, headers).await?;
    let Query(User { user }) = user.map_err(|e| Problem::new(e.status(), e.body_text()))?;
    let body = body.map_err(|e| Problem::new(e.status(), e.body_text()))?;
    let pushed = push::read_for(&body, links.parts().clock.now(), user).map_err(|e| refused(&e))?;
    let accepted = pushed.accepted();
    let sync = match accepted {
        0 => None,
        _ => {
            let brought = Brought::of(pushed.records, None);
            let unavailable = |e: LinkError| match e {
                LinkError::State { .. } => Problem::new(StatusCode::CONFLICT, e.to_string()),
                e => Problem::new(StatusCode::SERVICE_UNAVAILABLE, e.to_string()),
            };
            Some(links.bring(&open, brought, "webhook").await.map_err(unavailable)?)
        }
    };
    NOTIFICATIONS.with_label_values(&[open.link.provider.as_str(), "pushed"]).inc();
    // With some readings refused the gateway has to look, but need not send the others again.
    let status = match (accepted, pushed.readings.len()) {
        (0, 1..) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::ACCEPTED,
    };
    Ok((status, Json(Taken { sync, accepted, readings: pushed.readings })).into_response())
}

/// The link whose token was sent. One answer for every way in which it can be wrong.
async fn authorized(links: &Links, link: &str, headers: &HeaderMap) -> Result<OpenLink, Problem> {
    let wrong = || {
        let detail = "send the link's gateway token: Authorization: Bearer <token>";
        Problem::new(StatusCode::UNAUTHORIZED, detail)
    };
    let given = headers.get(header::AUTHORIZATION).and_then(|v: &HeaderValue| v.to_str().ok());
    let token = given.and_then(|v| v.strip_prefix("Bearer ")).ok_or_else(wrong)?;
    let id: LinkId = link.parse().map_err(|_| wrong())?;
    let open = match links.open(id).await {
        Ok(open) => open,
        Err(LinkError::Unknown(_) | LinkError::State { .. }) => return Err(wrong()),
        Err(error) => return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    };
    let (app, _) = links
        .app(&open.link.provider)
        .await
        .map_err(|e| Problem::new(StatusCode::SERVICE_UNAVAILABLE, e.to_string()))?;
    if app.config.kind != beurer::KIND || !gateway_token_matches(&open.key, token.trim()) {
        return Err(wrong());
    }
    Ok(open)
}

fn refused(error: &PushError) -> Problem {
    let status = match error {
        PushError::TooLarge { .. } | PushError::TooMany { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    };
    Problem::new(status, format!("nothing was taken: {error}")).with("code", error.code())
}
