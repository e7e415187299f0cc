//! Syncs.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::StatusCode;
use ohx_domain::{
    Counts, Instant, Interval, Link, LinkId, LinkState, Query, Record, Request, RequestId, RequestState,
    SyncId, SyncReason,
};
use ohx_link::{Asked, Asking, LinkError, Links};
use ohx_runtime::Problem;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::access::Principal;
use crate::access::audit::Audited;
use crate::{problem, read, store_problem};

/// What a sync reads where no window is given and the provider cannot say what changed.
const DEFAULT_WINDOW: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest window of one sync: two years. It is cut into as many requests as the provider's windows need.
const LONGEST: Duration = Duration::from_secs(2 * 366 * 24 * 3600);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSync {
    link: LinkId,
    /// Everything measured from here on; without it, what changed since the last time.
    from: Option<Instant>,
    to: Option<Instant>,
}

#[derive(Serialize)]
pub(crate) struct ShownSync {
    id: SyncId,
    /// Whether every request has been published.
    completed: bool,
    counts: Counts,
    /// What the mapping left out, by record and reason; never a value.
    left_out: BTreeMap<Record, BTreeMap<String, u64>>,
    requests: Vec<ShownRequest>,
}

#[derive(Serialize)]
pub(crate) struct ShownRequest {
    id: RequestId,
    record: Record,
    #[serde(flatten)]
    query: Query,
    reason: SyncReason,
    state: RequestState,
    attempts: u32,
    counts: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    requested_at: Instant,
    updated_at: Instant,
}

impl From<Request> for ShownRequest {
    fn from(r: Request) -> Self {
        Self {
            id: r.id,
            record: r.record,
            query: r.query,
            reason: r.reason,
            state: r.state,
            attempts: r.attempts,
            counts: r.counts,
            note: r.note,
            requested_at: r.requested_at,
            updated_at: r.updated_at,
        }
    }
}

/// A sync that was started.
#[derive(Serialize)]
pub(crate) struct Started {
    #[serde(flatten)]
    sync: ShownSync,
    /// Where the link's history begins earlier than before from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Extended>,
}

#[derive(Serialize)]
pub(crate) struct Extended {
    /// Where it begins now.
    start: Instant,
    /// Where it began.
    was: Instant,
}

/// `POST /api/ingestors/syncs/`: asks for readings of a link now. A `from` before the beginning of its history extends that.
pub(crate) async fn start(
    State(links): State<Links>,
    principal: Principal,
    body: Result<Json<NewSync>, axum::extract::rejection::JsonRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Json(new) = body.map_err(|e| Problem::new(e.status(), e.body_text()))?;
    let link = links.get(new.link).await.map_err(problem)?;
    principal.sees(&link)?;
    if link.state != LinkState::Active {
        let hint = "only an active link can be synchronised; send the patient its connect address";
        return Err(problem(LinkError::State { link: link.id, state: link.state, hint }));
    }
    let parts = links.parts();
    let now = parts.clock.now();
    let (app, provider) = links.app(&link.provider).await.map_err(problem)?;
    let window = window(&new, now)?;
    let history = extend_history(&links, &link, &new).await?;
    let sync = SyncId::new();
    for spec in provider.records(&app.config, &link.scopes) {
        let coverage = parts.store.coverage(link.id, &spec.record).await.map_err(store_problem)?;
        let queries: Vec<Query> = match (new.from, coverage.cursor) {
            (None, Some(cursor)) if spec.changes => vec![Query::Since { since: cursor - spec.overlap }],
            _ => spec.windows(window).map(Query::Window).collect(),
        };
        for query in queries {
            let asking = Asking {
                record: spec.record.clone(),
                query,
                reason: SyncReason::Manual,
                sync,
                source: "api",
                delay: Duration::ZERO,
            };
            let (Asked::Requested(_) | Asked::Merged(_)) =
                links.ask(&link, &asking).await.map_err(problem)?;
        }
    }
    let audited = Extension(Audited::new(format!("link:{}", link.id), json!({"sync": sync})));
    Ok((StatusCode::ACCEPTED, audited, Json(Started { sync: show(&links, sync).await?, history })))
}

/// Readings from before the beginning of a link's history are from now on part of it: what could not be fetched at once, the
/// nightly run asks for again.
async fn extend_history(links: &Links, link: &Link, new: &NewSync) -> Result<Option<Extended>, Problem> {
    let (Some(start), Some(was)) = (new.from, link.history_start) else { return Ok(None) };
    if start >= was {
        return Ok(None);
    }
    if let Some(older) = links.predecessor(link).await.map_err(problem)? {
        let detail = format!(
            "readings from before {was} came through link {older}, which this one replaces: fetched again they would be doubled"
        );
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let extended = links.parts().store.extend_history(link.id, start).await.map_err(store_problem)?;
    if extended {
        tracing::info!(link = %link.id, %start, %was, "its history begins earlier now");
    }
    Ok(extended.then_some(Extended { start, was }))
}

/// What is asked for, up to now at the latest.
fn window(new: &NewSync, now: Instant) -> Result<Interval, Problem> {
    let (start, end) = (new.from.unwrap_or(now - DEFAULT_WINDOW), new.to.unwrap_or(now).min(now));
    let detail = "from must be before to and now, and at most two years before it";
    Interval::new(start, end)
        .filter(|window| end.duration_since(window.start).unsigned_abs() <= LONGEST)
        .ok_or_else(|| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
}

/// `GET /api/ingestors/syncs/{id}/`: how far it is.
pub(crate) async fn one(
    State(links): State<Links>,
    Path(id): Path<String>,
) -> Result<Json<ShownSync>, Problem> {
    let id: SyncId = read(&id)?;
    let sync = show(&links, id).await?;
    if sync.requests.is_empty() {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("sync {id} is not known")));
    }
    Ok(Json(sync))
}

async fn show(links: &Links, id: SyncId) -> Result<ShownSync, Problem> {
    let store = &links.parts().store;
    let requests = store.requests_of_sync(id).await.map_err(store_problem)?;
    let left_out = store.skips_of_sync(id).await.map_err(store_problem)?;
    let mut counts = Counts::default();
    requests.iter().for_each(|r| counts += r.counts);
    let completed = requests.iter().all(|r| r.state == RequestState::Published);
    Ok(ShownSync {
        id,
        completed,
        counts,
        left_out,
        requests: requests.into_iter().map(Into::into).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_now_and_is_two_years_at_most() {
        let at = |text: &str| text.parse::<Instant>().unwrap();
        let now = at("2026-11-21T08:00:00Z");
        let asked = |from: Option<&str>, to: Option<&str>| {
            window(&NewSync { link: LinkId::new(), from: from.map(at), to: to.map(at) }, now).ok()
        };
        assert_eq!(asked(None, None), Interval::new(at("2026-11-14T08:00:00Z"), now));
        let start = at("2024-12-01T00:00:00Z");
        assert_eq!(
            asked(Some("2024-12-01T00:00:00Z"), Some("2030-01-01T00:00:00Z")),
            Interval::new(start, now)
        );
        let end = at("2024-12-02T00:00:00Z");
        assert_eq!(
            asked(Some("2024-12-01T00:00:00Z"), Some("2024-12-02T00:00:00Z")),
            Interval::new(start, end)
        );
        for (from, to) in [
            ("2024-01-01T00:00:00Z", "2026-11-21T00:00:00Z"),
            ("2026-11-21T00:00:00Z", "2026-11-20T00:00:00Z"),
            ("2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
            ("0001-01-01T00:00:00Z", "2026-11-20T00:00:00Z"),
        ] {
            assert_eq!(asked(Some(from), Some(to)), None, "{from}");
        }
    }
}
