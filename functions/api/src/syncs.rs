//! Syncs.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::{Extension, Json};
use http::{HeaderName, StatusCode, header};
use ohx_domain::{
    Counts, Instant, Interval, Link, LinkId, LinkState, Query, Record, Request, RequestId, RequestState,
    SyncId, SyncReason,
};
use ohx_link::{Asked, Asking, LinkError, Links};
use ohx_runtime::Problem;
use ohx_store::SyncSummary;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::access::Principal;
use crate::access::audit::Audited;
use crate::http::extract::of_parameter;
use crate::http::{InBody, InPath, InQuery, Page, page};
use crate::{problem, read, store_problem};

/// What a sync reads where no window is given and the provider cannot say what changed.
const DEFAULT_WINDOW: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest window of one sync: two years. It is cut into as many requests as the provider's windows need.
const LONGEST: Duration = Duration::from_secs(2 * 366 * 24 * 3600);

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSync {
    link: LinkId,
    /// Everything measured from here on; without it, what changed since the last time.
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Instant>,
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Instant>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Sync)]
pub(crate) struct ShownSync {
    id: SyncId,
    /// Whether every request has been published.
    completed: bool,
    counts: Counts,
    /// What the mapping left out, by record and reason; never a value.
    left_out: BTreeMap<Record, BTreeMap<String, u64>>,
    requests: Vec<ShownRequest>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SyncRequest)]
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
    #[schema(value_type = String, format = DateTime)]
    requested_at: Instant,
    #[schema(value_type = String, format = DateTime)]
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
#[derive(Serialize, ToSchema)]
#[schema(as = StartedSync)]
pub(crate) struct Started {
    #[serde(flatten)]
    sync: ShownSync,
    /// Where the link's history begins earlier than before from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Extended>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ExtendedHistory)]
pub(crate) struct Extended {
    /// Where it begins now.
    #[schema(value_type = String, format = DateTime)]
    start: Instant,
    /// Where it began.
    #[schema(value_type = String, format = DateTime)]
    was: Instant,
}

/// Asks for readings of a link now. A `from` before the beginning of its history extends that.
#[utoipa::path(post, path = "/api/ingestors/syncs/", operation_id = "startSync", tag = "ingestors",
    request_body = NewSync, responses((status = 202, description = "What was asked", body = Started)))]
pub(crate) async fn start(
    State(links): State<Links>,
    principal: Principal,
    InBody(new): InBody<NewSync>,
) -> Result<impl IntoResponse, Problem> {
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

/// How far it is.
#[utoipa::path(get, path = "/api/ingestors/syncs/{id}/", operation_id = "getSync", tag = "ingestors",
    params(("id" = SyncId, Path, description = "The sync")), responses((status = 200, description = "How far it is", body = ShownSync)))]
pub(crate) async fn one(
    State(links): State<Links>,
    InPath(id): InPath<String>,
) -> Result<Json<ShownSync>, Problem> {
    let id: SyncId = read(&id)?;
    known(&links, id).await.map(Json)
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

/// A sync, seen as a whole.
#[derive(Serialize, ToSchema)]
#[schema(as = SyncSummary)]
pub(crate) struct ShownSummary {
    id: SyncId,
    /// How many requests it has.
    requests: u64,
    /// How many of them have work left.
    open: u64,
    /// How many were given up.
    failed: u64,
    counts: Counts,
    #[schema(value_type = String, format = DateTime)]
    requested_at: Instant,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Instant,
}

impl From<SyncSummary> for ShownSummary {
    fn from(s: SyncSummary) -> Self {
        Self {
            id: s.id,
            requests: s.requests,
            open: s.open,
            failed: s.failed,
            counts: s.counts,
            requested_at: s.requested_at,
            updated_at: s.updated_at,
        }
    }
}

/// Which syncs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    /// Of this link.
    #[param(value_type = LinkId)]
    link: String,
    /// At most so many items: 1 to 1000, 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// A link's syncs, the latest first: what people, notifications and nights have asked for.
#[utoipa::path(get, path = "/api/ingestors/syncs/", operation_id = "listSyncs", tag = "ingestors", params(Listing),
    responses((status = 200, description = "Syncs", body = Page<ShownSummary>)))]
pub(crate) async fn list(
    State(links): State<Links>,
    InQuery(listing): InQuery<Listing>,
) -> Result<Json<Page<ShownSummary>>, Problem> {
    let limit = page::limit(listing.limit)?;
    let before: Option<SyncId> = page::key("syncs", listing.cursor.as_deref())?;
    let link = listing.link.parse::<LinkId>().map_err(|e| of_parameter("link", e.to_string()))?;
    let link = links.get(link).await.map_err(problem)?;
    let found = links.parts().store.syncs_of_link(link.id, before, limit).await.map_err(store_problem)?;
    Ok(Json(Page::new("syncs", found, limit, |sync| sync.id.to_string())))
}

/// Ends what of a sync is not done yet. What was read already may still reach the EHR. Nothing is forgotten by it: what is
/// missing then is asked for by the nightly run, or by another sync.
#[utoipa::path(post, path = "/api/ingestors/syncs/{id}/cancel/", operation_id = "cancelSync", tag = "ingestors",
    params(("id" = SyncId, Path, description = "The sync")),
    responses((status = 200, description = "How far it was", body = ShownSync)))]
pub(crate) async fn cancel(
    State(links): State<Links>,
    InPath(id): InPath<String>,
) -> Result<Json<ShownSync>, Problem> {
    let id: SyncId = read(&id)?;
    known(&links, id).await?;
    let parts = links.parts();
    let note = "cancelled through the API";
    let ended = parts.store.cancel_sync(id, note, parts.clock.now()).await.map_err(store_problem)?;
    tracing::info!(sync = %id, ended, "a sync was cancelled");
    show(&links, id).await.map(Json)
}

async fn known(links: &Links, id: SyncId) -> Result<ShownSync, Problem> {
    let sync = show(links, id).await?;
    if sync.requests.is_empty() {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("sync {id} is not known")));
    }
    Ok(sync)
}

/// How often a sync is looked at whose progress somebody follows.
const LOOK: Duration = Duration::from_secs(1);
/// How long one connection follows a sync; the caller comes again by itself where it is not done.
const FOLLOWED: u32 = 600;

/// A sync's progress as server-sent events: `progress` with the whole sync whenever it has moved, and `done` when nothing of it is
/// open any more; then the stream ends. It also ends after ten minutes, and the browser's `EventSource` connects again.
#[utoipa::path(get, path = "/api/ingestors/syncs/{id}/events/", operation_id = "followSync", tag = "ingestors",
    params(("id" = SyncId, Path, description = "The sync")),
    responses((status = 200, description = "Events, each with the sync as its data", body = String,
        content_type = "text/event-stream")))]
pub(crate) async fn events(
    State(links): State<Links>,
    InPath(id): InPath<String>,
) -> Result<impl IntoResponse, Problem> {
    let id: SyncId = read(&id)?;
    let first = known(&links, id).await?;
    let stop = Box::pin(ohx_runtime::shutdown_signal());
    let begin =
        Following { links, id, next: Some(first), last: String::new(), looks: 0, finished: false, stop };
    let stream = futures_util::stream::unfold(Some(begin), |following| async {
        let mut following = following?;
        let event = following.event().await?;
        let more = !following.finished;
        Some((Ok::<_, std::convert::Infallible>(event), more.then_some(following)))
    });
    let stream = Sse::new(stream).keep_alive(KeepAlive::default());
    // Proxies are not to gather it.
    Ok(([(header::CACHE_CONTROL, "no-store"), (HeaderName::from_static("x-accel-buffering"), "no")], stream))
}

/// Somebody who follows a sync.
struct Following {
    links: Links,
    id: SyncId,
    /// What was seen before the first event.
    next: Option<ShownSync>,
    last: String,
    looks: u32,
    finished: bool,
    /// The end of the process, which nobody who follows may hold up.
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Following {
    /// The next event, as soon as there is something to tell; `None` ends the stream.
    async fn event(&mut self) -> Option<Event> {
        loop {
            let seen = match self.next.take() {
                Some(seen) => seen,
                None => {
                    self.looks += 1;
                    if self.looks > FOLLOWED {
                        return None;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(LOOK) => {}
                        () = &mut self.stop => return None,
                    }
                    // A database that is away for a moment is no end; one that stays away is, by and by.
                    match show(&self.links, self.id).await {
                        Ok(seen) => seen,
                        Err(_) => continue,
                    }
                }
            };
            let done = seen.requests.iter().all(|request| !request.state.is_open());
            let text = serde_json::to_string(&seen).unwrap_or_default();
            if !done && text == self.last {
                continue;
            }
            self.last.clone_from(&text);
            self.finished = done;
            return Some(Event::default().event(if done { "done" } else { "progress" }).data(text));
        }
    }
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
