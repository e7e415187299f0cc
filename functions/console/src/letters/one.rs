//! One dead letter: its envelope, the work that it stands for, once more, or away with it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use ohx_domain::RequestState;
use serde::Deserialize;

use super::api::{Whole, Work};
use crate::api::ApiError;
use crate::form::{Bare, Sent};
use crate::page::{self, Frame};
use crate::session::SignedIn;
use crate::words::{When, count, record, sentence};
use crate::{Console, ConsoleError};

/// How long a letter may take to go once what it stood for is at the EHR, in seconds.
const SETTLES: i64 = 60;

#[derive(Template)]
#[template(path = "letter.html")]
struct LetterPage {
    frame: Frame,
    id: String,
    reason: String,
    facts: Vec<(&'static str, String)>,
    at: When,
    link: Option<String>,
    works: Vec<WorkShown>,
    /// Whether something asked in its place is still on its way: then the page looks again.
    waits: bool,
    notice: Option<&'static str>,
}

struct WorkShown {
    title: &'static str,
    record: String,
    over: Option<(When, When)>,
    since: Option<When>,
    state: &'static str,
    attempts: String,
    note: Option<String>,
    updated: When,
}

impl WorkShown {
    fn of(title: &'static str, work: Work) -> Self {
        Self {
            title,
            record: record(&work.record),
            over: work.start.zip(work.end).map(|(start, end)| (start.into(), end.into())),
            since: work.since.map(When::from),
            state: match work.state {
                RequestState::Requested => "asked for, not begun yet",
                RequestState::Fetching => "being read from the provider",
                RequestState::Fetched => "on its way to the EHR",
                RequestState::Published => "at the EHR",
                RequestState::Failed => "given up",
            },
            attempts: count(work.attempts.into(), "attempt"),
            note: work.note.as_deref().map(sentence),
            updated: work.updated_at.into(),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    did: Option<String>,
}

/// `GET /console/dead-letters/{id}/`. One that is gone leads to the list, which says so.
pub(crate) async fn page(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, ConsoleError> {
    let Whole { letter, stands_for, replayed_as } = match console.api.letter(&signed_in.key, &id).await {
        Ok(whole) => whole,
        Err(ApiError::Refused { status: StatusCode::NOT_FOUND, .. }) => {
            return Ok(console.to("/dead-letters/?did=gone"));
        }
        Err(ApiError::Refused { status: StatusCode::BAD_REQUEST, .. }) => return Err(ConsoleError::NotFound),
        Err(error) => return Err(error.into()),
    };
    let now = console.sessions.now();
    let waits = replayed_as.as_ref().is_some_and(|work| match work.state {
        RequestState::Failed => false,
        // The letter goes a moment after what it stood for has arrived; where that was refused again, it stays.
        RequestState::Published => now.duration_since(work.updated_at).as_secs() < SETTLES,
        _ => true,
    });
    let works = [
        stands_for.map(|work| WorkShown::of("What it stands for", work)),
        replayed_as.map(|work| WorkShown::of("What was asked in its place", work)),
    ];
    let page = LetterPage {
        frame: Frame::new(&console, Some(&signed_in.session)).below("/dead-letters/"),
        reason: sentence(&letter.reason),
        facts: vec![
            ("Given up by", letter.function),
            ("After", count(letter.attempts.into(), "attempt")),
            ("Event", letter.event_type),
            ("Key", letter.key),
        ],
        at: letter.at.into(),
        link: letter.link,
        works: works.into_iter().flatten().collect(),
        waits,
        notice: match asked.did.as_deref() {
            Some("asked") => Some("It was asked for again. The letter goes when that is at the EHR."),
            Some("on-its-way") => Some("What an earlier replay asked for is still on its way."),
            _ => None,
        },
        id: letter.id,
    };
    page::html(StatusCode::OK, &page)
}

/// `POST /console/dead-letters/{id}/replay/`.
pub(crate) async fn replay(
    State(console): State<Console>,
    Path(id): Path<String>,
    Sent { signed_in, .. }: Sent<Bare>,
) -> Result<Response, Response> {
    match console.api.replay(&signed_in.key, &id).await {
        Ok(replayed) if replayed.outcome == "sent" => Ok(console.to("/dead-letters/?did=gone")),
        Ok(replayed) => Ok(console.to(&format!("/dead-letters/{id}/?did={}", replayed.outcome))),
        Err(ApiError::Refused { status: StatusCode::NOT_FOUND, .. }) => {
            Ok(console.to("/dead-letters/?did=gone"))
        }
        Err(error) => Err(ConsoleError::from(error).into_response()),
    }
}

/// `POST /console/dead-letters/{id}/discard/`.
pub(crate) async fn discard(
    State(console): State<Console>,
    Path(id): Path<String>,
    Sent { signed_in, .. }: Sent<Bare>,
) -> Result<Response, Response> {
    match console.api.discard(&signed_in.key, &id).await {
        Ok(()) => Ok(console.to("/dead-letters/?did=discarded")),
        Err(ApiError::Refused { status: StatusCode::NOT_FOUND, .. }) => {
            Ok(console.to("/dead-letters/?did=gone"))
        }
        Err(error) => Err(ConsoleError::from(error).into_response()),
    }
}
