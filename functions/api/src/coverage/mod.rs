//! Coverage: why is Tuesday missing?
//!
//! For every record of a link, its time is cut into spans that met one fate each, with the requests and dead letters that led
//! to it and, where nobody has asked, why. Times and counts only.

mod timeline;
mod why;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use ohx_domain::{
    Instant, Interval, Intervals, Link, LinkId, Query, Record, Request, RequestId, RequestState, SyncReason,
};
use ohx_link::Links;
use ohx_runtime::Problem;
use ohx_store::{BuriedLetter, LetterFilter, RequestsOfRecord};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use self::timeline::{Claim, Fate, Span, timeline};
use self::why::Why;
use crate::http::page::{self, narrowed};
use crate::http::{InQuery, Page};
use crate::{problem, store_problem};

/// What cursors of this list say.
const LIST: &str = "coverage";
/// How many requests of a record are looked at, the latest first.
const REQUESTS: u32 = 1000;
/// How many of them are shown for one span.
const SHOWN: usize = 5;
/// How many dead letters of a link are looked at, the latest first.
const LETTERS: u32 = 1000;

/// What is asked.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Of this link.
    #[param(value_type = LinkId)]
    link: String,
    /// Only of this record.
    #[param(value_type = Option<Record>)]
    record: Option<String>,
    /// From then on; without it, from the beginning of the link's history.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Instant>,
    /// Until then; without it, until now.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Instant>,
    /// At most so many items: 1 to 1000, 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Coverage)]
pub(crate) struct ShownCoverage {
    record: Record,
    /// The times whose readings are at the EHR.
    published: Intervals,
    /// What is missing between the start of the link's history and now, of what was asked for.
    missing: Intervals,
    /// The provider's clock up to which every change has been seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    cursor: Option<Instant>,
    /// All of the time that was asked for, cut where its fate changes.
    spans: Vec<ShownSpan>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CoverageSpan)]
pub(crate) struct ShownSpan {
    #[serde(flatten)]
    over: Interval,
    state: Fate,
    /// How often `fetch` has begun the requests of it.
    attempts: u32,
    /// What happened, and what will, for a person.
    why: Vec<String>,
    /// The requests that have to do with it, the latest first, five at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requests: Vec<ShownRequest>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CoverageRequest)]
pub(crate) struct ShownRequest {
    id: RequestId,
    reason: SyncReason,
    state: RequestState,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    requested_at: Instant,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Instant,
}

impl From<&Request> for ShownRequest {
    fn from(r: &Request) -> Self {
        let (requested_at, updated_at) = (r.requested_at, r.updated_at);
        Self {
            id: r.id,
            reason: r.reason,
            state: r.state,
            attempts: r.attempts,
            note: r.note.clone(),
            requested_at,
            updated_at,
        }
    }
}

/// What a request says of the time that it asks for. `None` where that is published as far as it could be.
fn claim(request: &Request, now: Instant) -> Option<Claim> {
    let over = match request.query {
        Query::Window(window) => window,
        Query::Since { since } => {
            let until = if request.state.is_open() { now } else { request.updated_at };
            Interval::new(since, until)?
        }
    };
    let fate = match request.state {
        RequestState::Failed => Fate::Failed,
        RequestState::Published if request.counts.rejected > 0 => Fate::Refused,
        RequestState::Published => return None,
        _ => Fate::OnItsWay,
    };
    Some(Claim { over, fate })
}

/// The span of time that is told of: what was asked for, else all of the link's history; up to now.
fn wanted(asked: &Asked, link: &Link, now: Instant) -> Result<Option<Interval>, Problem> {
    let Some(start) = asked.from.or(link.history_start) else { return Ok(None) };
    let end = asked.to.unwrap_or(now);
    if asked.from.is_some_and(|from| from >= end) {
        let detail = "from must be before to, and before now";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(Interval::new(start, end.min(now)))
}

/// What of a link's time is at the EHR, what is missing, and why.
#[utoipa::path(get, path = "/api/ingestors/coverage/", operation_id = "getCoverage", tag = "ingestors",
    params(Asked), responses((status = 200, description = "By record", body = Page<ShownCoverage>)))]
pub(crate) async fn coverage(
    State(links): State<Links>,
    InQuery(asked): InQuery<Asked>,
) -> Result<Json<Page<ShownCoverage>>, Problem> {
    let only: Option<Record> = narrowed("record", asked.record.as_deref())?;
    let limit = page::limit(asked.limit)? as usize;
    let after: Option<String> = page::key(LIST, asked.cursor.as_deref())?;
    let id = narrowed::<LinkId>("link", Some(&asked.link))?;
    let link = links.get(id.unwrap_or_default()).await.map_err(problem)?;
    let (app, provider) = links.app(&link.provider).await.map_err(problem)?;
    let (store, now) = (&links.parts().store, links.parts().clock.now());
    let wanted = wanted(&asked, &link, now)?;
    let letters = LetterFilter { link: Some(link.id), limit: LETTERS, ..LetterFilter::default() };
    let letters = store.letters(&letters).await.map_err(store_problem)?;
    let doubted = store.tokens(link.id).await.map_err(store_problem)?.and_then(|tokens| tokens.refused);
    let mut why = Why { link: &link, now, doubted: doubted.map(|(since, _)| since), tail: None };
    let mut specs = provider.records(&app.config, &link.scopes);
    specs.sort_by(|a, b| a.record.cmp(&b.record));
    specs.retain(|spec| {
        only.as_ref().is_none_or(|only| *only == spec.record)
            && after.as_deref().is_none_or(|after| spec.record.as_str() > after)
    });
    let more = specs.len() > limit;
    specs.truncate(limit);
    let next = specs.last().filter(|_| more).map(|last| page::cursor(LIST, &last.record));
    let mut items = Vec::new();
    for spec in specs {
        let known = store.coverage(link.id, &spec.record).await.map_err(store_problem)?;
        why.tail = known.published.iter().last().map(|last| last.end);
        let requests = match wanted {
            Some(within) => {
                let of =
                    RequestsOfRecord { link: link.id, record: spec.record.clone(), within, limit: REQUESTS };
                store.requests_of_record(&of).await.map_err(store_problem)?
            }
            None => Vec::new(),
        };
        let claimed: Vec<(&Request, Claim)> =
            requests.iter().filter_map(|r| Some((r, claim(r, now)?))).collect();
        let claims: Vec<Claim> = claimed.iter().map(|(_, claim)| *claim).collect();
        let spans = wanted.map(|w| timeline(w, link.history_start, &known.published, &claims));
        let told = |span: Span| {
            let of: Vec<&Request> =
                span.claims.iter().filter_map(|place| claimed.get(*place)).map(|(r, _)| *r).collect();
            told(&why, &span, &of, &letters)
        };
        let history = link.history_start.and_then(|start| Interval::new(start, now));
        let missing = history.and_then(|h| {
            let within = wanted?;
            Interval::new(h.start.max(within.start), h.end.min(within.end))
        });
        items.push(ShownCoverage {
            record: spec.record,
            missing: missing.map(|w| known.published.gaps(w)).unwrap_or_default(),
            published: known.published,
            cursor: known.cursor,
            spans: spans.unwrap_or_default().into_iter().map(told).collect(),
        });
    }
    Ok(Json(Page { items, next }))
}

fn told(why: &Why<'_>, span: &Span, requests: &[&Request], letters: &[BuriedLetter]) -> ShownSpan {
    let about = |letter: &&BuriedLetter| {
        let request = letter.letter.request;
        request.is_some_and(|id| requests.iter().any(|r| r.id == id))
    };
    let letters: Vec<&BuriedLetter> = letters.iter().filter(about).collect();
    ShownSpan {
        over: span.over,
        state: span.fate,
        attempts: requests.iter().fold(0, |sum, r| sum.saturating_add(r.attempts)),
        why: why.tell(span, requests, &letters),
        requests: requests.iter().take(SHOWN).map(|r| (*r).into()).collect(),
    }
}
