//! Syncs, coverage and dead letters.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query as Parameters, State};
use axum::response::IntoResponse;
use http::StatusCode;
use ohx_domain::{
    Counts, Instant, Interval, Intervals, LinkId, LinkState, Query, Record, Request, RequestId, RequestState,
    SyncId, SyncReason,
};
use ohx_link::{Asked, Asking, LinkError, Links};
use ohx_runtime::Problem;
use serde::{Deserialize, Serialize};

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

/// `POST /api/ingestors/syncs/`: asks for readings of a link now.
pub(crate) async fn start(
    State(links): State<Links>,
    body: Result<Json<NewSync>, axum::extract::rejection::JsonRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Json(new) = body.map_err(|e| Problem::new(e.status(), e.body_text()))?;
    let link = links.get(new.link).await.map_err(problem)?;
    if link.state != LinkState::Active {
        let hint = "only an active link can be synchronised; send the patient its connect address";
        return Err(problem(LinkError::State { link: link.id, state: link.state, hint }));
    }
    let parts = links.parts();
    let now = parts.clock.now();
    let (app, provider) = links.app(&link.provider).await.map_err(problem)?;
    let window = window(&new, now)?;
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
    Ok((StatusCode::ACCEPTED, Json(show(&links, sync).await?)))
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

#[derive(Deserialize)]
pub(crate) struct OfLink {
    link: String,
}

#[derive(Serialize)]
pub(crate) struct ShownCoverage {
    record: Record,
    /// The times whose readings are at the EHR.
    published: Intervals,
    /// What is missing between the start of the link's history and now.
    missing: Intervals,
    /// The provider's clock up to which every change has been seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Instant>,
}

/// `GET /api/ingestors/coverage/?link=`: why is Tuesday missing?
pub(crate) async fn coverage(
    State(links): State<Links>,
    Parameters(of): Parameters<OfLink>,
) -> Result<Json<Vec<ShownCoverage>>, Problem> {
    let link = links.get(read(&of.link)?).await.map_err(problem)?;
    let (app, provider) = links.app(&link.provider).await.map_err(problem)?;
    let parts = links.parts();
    let wanted = link.history_start.and_then(|start| Interval::new(start, parts.clock.now()));
    let mut shown = Vec::new();
    for spec in provider.records(&app.config, &link.scopes) {
        let known = parts.store.coverage(link.id, &spec.record).await.map_err(store_problem)?;
        let missing = wanted.map(|w| known.published.gaps(w)).unwrap_or_default();
        shown.push(ShownCoverage {
            record: spec.record,
            published: known.published,
            missing,
            cursor: known.cursor,
        });
    }
    Ok(Json(shown))
}

#[derive(Deserialize)]
pub(crate) struct Letters {
    link: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
pub(crate) struct ShownLetter {
    key: String,
    event_type: String,
    function: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<LinkId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<RequestId>,
    reason: String,
    attempts: u32,
    at: Instant,
}

/// `GET /api/publishers/dead-letters/`: what could not be done, newest first.
pub(crate) async fn dead_letters(
    State(links): State<Links>,
    Parameters(which): Parameters<Letters>,
) -> Result<Json<Vec<ShownLetter>>, Problem> {
    let link = which.link.as_deref().map(read).transpose()?;
    let limit = which.limit.unwrap_or(100).clamp(1, 1000);
    let letters = links.parts().store.dead_letters(link, limit).await.map_err(store_problem)?;
    let shown = letters.into_iter().map(|l| ShownLetter {
        key: l.key,
        event_type: l.event_type,
        function: l.function,
        link: l.link,
        request: l.request,
        reason: l.reason,
        attempts: l.attempts,
        at: l.at,
    });
    Ok(Json(shown.collect()))
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
