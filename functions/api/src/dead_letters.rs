//! Dead letters: listed, replayed and discarded.
//!
//! A replay is a fresh fetch. What a letter stood for is asked for again through the ledger, never sent again from a copy:
//! there is none. A letter that has a request stays until what was asked in its place is published.

use axum::extract::State;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::StatusCode;
use ohx_domain::{Instant, LetterId, LinkId, Query, Record, Request, RequestId, RequestState};
use ohx_events::Function;
use ohx_link::{LinkError, Links, Replayed};
use ohx_runtime::Problem;
use ohx_store::{BuriedLetter, LetterCursor, LetterFilter};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::access::audit::Audited;
use crate::http::page::{self, narrowed};
use crate::http::{InBody, InPath, InQuery, Page};
use crate::{problem, read, store_problem};

/// What cursors of this list say.
const LIST: &str = "dead-letters";

/// Which letters.
#[derive(Deserialize, Default, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Letters {
    /// Only of this link.
    #[param(value_type = Option<LinkId>)]
    link: Option<String>,
    /// Only of this function.
    #[param(value_type = Option<String>)]
    function: Option<Function>,
    /// At most so many items: 1 to 1000, 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

impl Letters {
    fn filter(&self) -> Result<LetterFilter, Problem> {
        let after: Option<String> = page::key(LIST, self.cursor.as_deref())?;
        Ok(LetterFilter {
            link: narrowed("link", self.link.as_deref())?,
            function: self.function.map(|function| function.as_str().to_owned()),
            after: narrowed::<LetterCursor>("cursor", after.as_deref())?,
            limit: page::limit(self.limit)?,
        })
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetter)]
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
    #[schema(value_type = String, format = DateTime)]
    at: Instant,
    /// What was asked in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<ShownReplay>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Replay)]
pub(crate) struct ShownReplay {
    request: RequestId,
    #[schema(value_type = String, format = DateTime)]
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

/// What could not be done, newest first.
#[utoipa::path(get, path = "/api/publishers/dead-letters/", operation_id = "listDeadLetters", tag = "publishers", params(Letters),
    responses((status = 200, description = "Dead letters", body = Page<ShownLetter>)))]
pub(crate) async fn list(
    State(links): State<Links>,
    InQuery(which): InQuery<Letters>,
) -> Result<Json<Page<ShownLetter>>, Problem> {
    let filter = which.filter()?;
    let found = links.parts().store.letters(&filter).await.map_err(store_problem)?;
    Ok(Json(Page::new(LIST, found, filter.limit, |last| LetterCursor::from(last).to_string())))
}

/// One letter, with the state of the work behind it.
#[derive(Serialize, ToSchema)]
#[schema(as = WholeDeadLetter)]
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

#[derive(Serialize, ToSchema)]
#[schema(as = LetterWork)]
pub(crate) struct ShownWork {
    request: RequestId,
    record: Record,
    #[serde(flatten)]
    query: Query,
    state: RequestState,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[schema(value_type = String, format = DateTime)]
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

/// One letter, with the work that it stands for.
#[utoipa::path(get, path = "/api/publishers/dead-letters/{id}/", operation_id = "getDeadLetter", tag = "publishers",
    params(("id" = LetterId, Path, description = "The letter")), responses((status = 200, description = "The letter", body = ShownWhole)))]
pub(crate) async fn one(
    State(links): State<Links>,
    InPath(id): InPath<String>,
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
#[derive(Serialize, ToSchema)]
#[schema(as = Replayed)]
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
    #[schema(value_type = Object)]
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

/// Asks again for what a letter stood for.
#[utoipa::path(post, path = "/api/publishers/dead-letters/{id}/replay/", operation_id = "replayDeadLetter", tag = "publishers",
    params(("id" = LetterId, Path, description = "The letter")), responses((status = 202, description = "What became of it", body = ShownReplayed)))]
pub(crate) async fn replay(
    State(links): State<Links>,
    InPath(id): InPath<String>,
) -> Result<impl IntoResponse, Problem> {
    let buried = find(&links, &id).await?;
    let replayed = links.replays("api").replay(&buried).await.map_err(problem)?;
    Ok((StatusCode::ACCEPTED, Json(ShownReplayed::new(buried.id, replayed))))
}

/// Which letters to replay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LettersToReplay)]
pub(crate) struct Many {
    /// Those of this link.
    #[schema(value_type = Option<LinkId>)]
    link: Option<String>,
    /// Those of this function.
    #[schema(value_type = Option<String>)]
    function: Option<Function>,
    /// Every letter: nobody asks for that by leaving something out.
    #[serde(default)]
    all: bool,
    /// At most so many letters: 1 to 1000, 100 where nothing is said.
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the answer before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ManyReplayed {
    replayed: Vec<ShownReplayed>,
    /// Those that cannot be replayed, and what to do instead.
    refused: Vec<Refused>,
    /// Give it as `cursor` for the next ones; null on the last page.
    #[schema(required = true)]
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RefusedReplay)]
pub(crate) struct Refused {
    letter: LetterId,
    detail: String,
}

/// Asks again for what the letters of a link, of a function, or all of them stood for, newest first. What
/// several of them stand for is asked for once.
#[utoipa::path(post, path = "/api/publishers/dead-letters/replay/", operation_id = "replayDeadLetters", tag = "publishers",
    request_body = Many, responses((status = 202, description = "What became of them", body = ManyReplayed)))]
pub(crate) async fn replay_many(
    State(links): State<Links>,
    InBody(many): InBody<Many>,
) -> Result<impl IntoResponse, Problem> {
    let Many { link, function, all, cursor, limit } = many;
    if all == (link.is_some() || function.is_some()) {
        let detail = "say which: \"link\", \"function\" or both, or \"all\": true";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let filter = Letters { link, function, limit, cursor }.filter()?;
    let found = links.parts().store.letters(&filter).await.map_err(store_problem)?;
    let full = found.len() == filter.limit as usize;
    let last = found.last().filter(|_| full);
    let next = last.map(|last| page::cursor(LIST, &LetterCursor::from(last).to_string()));
    let mut many = ManyReplayed { replayed: Vec::new(), refused: Vec::new(), next };
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

/// Forgets a letter without doing anything for it. What the ledger lacks stays
/// lacking, and the nightly run asks for it.
#[utoipa::path(delete, path = "/api/publishers/dead-letters/{id}/", operation_id = "discardDeadLetter", tag = "publishers",
    params(("id" = LetterId, Path, description = "The letter")), responses((status = 204, description = "It is forgotten")))]
pub(crate) async fn discard(
    State(links): State<Links>,
    InPath(id): InPath<String>,
) -> Result<StatusCode, Problem> {
    let buried = find(&links, &id).await?;
    links.parts().store.discard(buried.id).await.map_err(store_problem)?;
    tracing::info!(letter = %buried.id, function = buried.letter.function, "a dead letter was discarded");
    Ok(StatusCode::NO_CONTENT)
}
