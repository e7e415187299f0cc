//! Dead letters: listed, replayed and discarded.
//!
//! A replay is a fresh fetch. What a letter stood for is asked for again through the ledger, never sent again from a copy:
//! there is none. A letter that has a request stays until what was asked in its place is published.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query as Parameters, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderValue, StatusCode, header};
use ohx_domain::{Instant, LetterId, LinkId, Query, Record, Request, RequestId, RequestState};
use ohx_events::Function;
use ohx_link::{LinkError, Links, Replayed};
use ohx_runtime::Problem;
use ohx_store::{BuriedLetter, LetterCursor, LetterFilter};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::access::audit::Audited;
use crate::{problem, read, store_problem};

const AT: &str = "/api/publishers/dead-letters/";

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Letters {
    link: Option<String>,
    function: Option<Function>,
    after: Option<String>,
    limit: Option<u32>,
}

impl Letters {
    fn filter(&self) -> Result<LetterFilter, Problem> {
        Ok(LetterFilter {
            link: self.link.as_deref().map(read).transpose()?,
            function: self.function.map(|function| function.as_str().to_owned()),
            after: self.after.as_deref().map(read::<LetterCursor>).transpose()?,
            limit: self.limit.unwrap_or(100).clamp(1, 1000),
        })
    }
}

/// Where the page after these letters begins, if there may be one.
fn next(found: &[BuriedLetter], filter: &LetterFilter) -> Option<String> {
    let full = found.len() == filter.limit as usize;
    found.last().filter(|_| full).map(|last| LetterCursor::from(last).to_string())
}

#[derive(Serialize)]
pub(crate) struct ShownLetter {
    id: LetterId,
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
    /// What was asked in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<ShownReplay>,
}

#[derive(Serialize)]
pub(crate) struct ShownReplay {
    request: RequestId,
    at: Instant,
}

impl From<BuriedLetter> for ShownLetter {
    fn from(BuriedLetter { id, letter, replay }: BuriedLetter) -> Self {
        Self {
            id,
            key: letter.key,
            event_type: letter.event_type,
            function: letter.function,
            link: letter.link,
            request: letter.request,
            reason: letter.reason,
            attempts: letter.attempts,
            at: letter.at,
            replay: replay.map(|replay| ShownReplay { request: replay.request, at: replay.at }),
        }
    }
}

/// `GET /api/publishers/dead-letters/`: what could not be done, newest first. Where there may be more, the header `Link` names
/// the next page.
pub(crate) async fn list(
    State(links): State<Links>,
    which: Result<Parameters<Letters>, QueryRejection>,
) -> Result<Response, Problem> {
    let Parameters(which) = which.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    let filter = which.filter()?;
    let found = links.parts().store.letters(&filter).await.map_err(store_problem)?;
    let next = next(&found, &filter);
    let shown: Vec<ShownLetter> = found.into_iter().map(Into::into).collect();
    let mut response = Json(shown).into_response();
    if let Some(after) = next {
        let mut url = format!("{AT}?after={after}&limit={}", filter.limit);
        if let Some(link) = filter.link {
            url.push_str(&format!("&link={link}"));
        }
        if let Some(function) = which.function {
            url.push_str(&format!("&function={function}"));
        }
        if let Ok(value) = HeaderValue::try_from(format!("<{url}>; rel=\"next\"")) {
            response.headers_mut().insert(header::LINK, value);
        }
    }
    Ok(response)
}

/// One letter, with the state of the work behind it.
#[derive(Serialize)]
pub(crate) struct ShownWhole {
    #[serde(flatten)]
    letter: ShownLetter,
    /// What it stands for, while the ledger still has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    stands_for: Option<ShownWork>,
    /// What was asked in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed_as: Option<ShownWork>,
}

#[derive(Serialize)]
pub(crate) struct ShownWork {
    request: RequestId,
    record: Record,
    #[serde(flatten)]
    query: Query,
    state: RequestState,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    updated_at: Instant,
}

impl From<Request> for ShownWork {
    fn from(request: Request) -> Self {
        Self {
            request: request.id,
            record: request.record,
            query: request.query,
            state: request.state,
            attempts: request.attempts,
            note: request.note,
            updated_at: request.updated_at,
        }
    }
}

async fn find(links: &Links, id: &str) -> Result<BuriedLetter, Problem> {
    let id: LetterId = read(id)?;
    let found = links.parts().store.letter(id).await.map_err(store_problem)?;
    let gone = || {
        Problem::new(StatusCode::NOT_FOUND, format!("dead letter {id} is not known: it may be done by now"))
    };
    found.ok_or_else(gone)
}

/// `GET /api/publishers/dead-letters/{id}/`.
pub(crate) async fn one(
    State(links): State<Links>,
    Path(id): Path<String>,
) -> Result<Json<ShownWhole>, Problem> {
    let buried = find(&links, &id).await?;
    let work = async |request: Option<RequestId>| match request {
        Some(id) => links.parts().store.request_by_id(id).await.map_err(store_problem),
        None => Ok(None),
    };
    let stands_for = work(buried.letter.request).await?.map(Into::into);
    let replayed_as = work(buried.replay.map(|replay| replay.request)).await?.map(Into::into);
    Ok(Json(ShownWhole { letter: buried.into(), stands_for, replayed_as }))
}

/// What became of a replay.
#[derive(Serialize)]
pub(crate) struct ShownReplayed {
    letter: LetterId,
    /// `asked`, `on-its-way` or `sent`.
    outcome: &'static str,
    /// The same for a person.
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<RequestId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Record>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    query: Option<Query>,
}

impl ShownReplayed {
    fn new(letter: LetterId, replayed: Replayed) -> Self {
        let bare = |outcome, says| Self { letter, outcome, says, request: None, record: None, query: None };
        match replayed {
            Replayed::Asked { request, record, query } => {
                let of = match query {
                    Query::Window(window) => format!("measured from {} to {}", window.start, window.end),
                    Query::Since { since } => format!("changed since {since}"),
                };
                let says = format!(
                    "asked again for what was {of} of {record}; the letter goes when that is at the EHR"
                );
                Self {
                    request: Some(request),
                    record: Some(record),
                    query: Some(query),
                    ..bare("asked", says)
                }
            }
            Replayed::OnItsWay { request } => {
                let says = format!("request {request}, made by an earlier replay, is still on its way");
                Self { request: Some(request), ..bare("on-its-way", says) }
            }
            Replayed::Sent(what) => bare("sent", format!("{what}; the letter is gone")),
        }
    }
}

/// `POST /api/publishers/dead-letters/{id}/replay/`: asks again for what a letter stood for.
pub(crate) async fn replay(
    State(links): State<Links>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let buried = find(&links, &id).await?;
    let replayed = links.replays("api").replay(&buried).await.map_err(problem)?;
    Ok((StatusCode::ACCEPTED, Json(ShownReplayed::new(buried.id, replayed))))
}

/// Which letters to replay.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Many {
    link: Option<String>,
    function: Option<Function>,
    /// Every letter: nobody asks for that by leaving something out.
    #[serde(default)]
    all: bool,
    after: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
pub(crate) struct ManyReplayed {
    replayed: Vec<ShownReplayed>,
    /// Those that cannot be replayed, and what to do instead.
    refused: Vec<Refused>,
    /// Give it as `after` for the next ones; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Refused {
    letter: LetterId,
    detail: String,
}

/// `POST /api/publishers/dead-letters/replay/`: the same for the letters of a link, of a function, or all, newest first. What
/// several of them stand for is asked for once.
pub(crate) async fn replay_many(
    State(links): State<Links>,
    body: Result<Json<Many>, JsonRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Json(Many { link, function, all, after, limit }) =
        body.map_err(|e| Problem::new(e.status(), e.body_text()))?;
    if all == (link.is_some() || function.is_some()) {
        let detail = "say which: \"link\", \"function\" or both, or \"all\": true";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let filter = Letters { link, function, after, limit }.filter()?;
    let found = links.parts().store.letters(&filter).await.map_err(store_problem)?;
    let mut many = ManyReplayed { replayed: Vec::new(), refused: Vec::new(), next: next(&found, &filter) };
    let mut replays = links.replays("api");
    for buried in &found {
        match replays.replay(buried).await {
            Ok(replayed) => many.replayed.push(ShownReplayed::new(buried.id, replayed)),
            // Not about this letter: nothing further would succeed, and what was asked is not asked again.
            Err(error @ (LinkError::Store(_) | LinkError::Bus(_))) => return Err(problem(error)),
            Err(error) => many.refused.push(Refused { letter: buried.id, detail: error.to_string() }),
        }
    }
    let detail = json!({"replayed": many.replayed.len(), "refused": many.refused.len()});
    let audited = Extension(Audited::detail(detail));
    Ok((StatusCode::ACCEPTED, audited, Json(many)))
}

/// `DELETE /api/publishers/dead-letters/{id}/`: forgets a letter without doing anything for it. What the ledger lacks stays
/// lacking, and the nightly run asks for it.
pub(crate) async fn discard(
    State(links): State<Links>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let buried = find(&links, &id).await?;
    links.parts().store.discard(buried.id).await.map_err(store_problem)?;
    tracing::info!(letter = %buried.id, function = buried.letter.function, "a dead letter was discarded");
    Ok(StatusCode::NO_CONTENT)
}
