//! Replaying many letters, and what became of each.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;

use super::api::{Many, Refused, Which};
use crate::form::Sent;
use crate::page::{self, Frame};
use crate::words::{count, given, sentence};
use crate::{Console, ConsoleError};

/// How many letters are replayed at once: each of them may ask a store and a bus.
const AT_ONCE: u32 = 200;

#[derive(Template)]
#[template(path = "letters-replayed.html")]
struct ReplayedPage {
    frame: Frame,
    title: String,
    outcomes: Vec<String>,
    says: Vec<(String, String)>,
    refused: Vec<Refused>,
    form: Values,
    next: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Values {
    #[serde(default)]
    function: String,
    #[serde(default)]
    link: String,
    #[serde(default)]
    cursor: String,
}

/// `POST /console/dead-letters/replay/`: those of a filter, or all where there is none.
pub(crate) async fn many(
    State(console): State<Console>,
    Sent { signed_in, form }: Sent<Values>,
) -> Result<Response, Response> {
    let (function, link) = (given(Some(&form.function)), given(Some(&form.link)));
    let all = function.is_none() && link.is_none();
    let which = Which { link, function, all, limit: AT_ONCE, cursor: given(Some(&form.cursor)) };
    let many = console.api.replay_many(&signed_in.key, &which).await;
    let Many { replayed, mut refused, next } =
        many.map_err(|error| ConsoleError::from(error).into_response())?;
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for one in &replayed {
        *counts.entry(one.outcome.as_str()).or_default() += 1;
    }
    let outcome = |(outcome, n): (&str, u64)| {
        let letters = count(n, "letter");
        match outcome {
            "asked" => format!("{letters}: asked for again; each goes when that is at the EHR"),
            "on-its-way" => format!("{letters}: an earlier replay is still on its way"),
            "sent" => format!("{letters}: sent again, and gone"),
            other => format!("{letters}: {other}"),
        }
    };
    for one in &mut refused {
        one.detail = sentence(&one.detail);
    }
    let page = ReplayedPage {
        frame: Frame::new(&console, Some(&signed_in.session)).below("/dead-letters/"),
        title: match (replayed.len(), refused.len()) {
            (0, 0) => "There was nothing to replay".to_owned(),
            (n, 0) => format!("{} replayed", count(u64::try_from(n).unwrap_or(0), "letter")),
            (n, m) => format!("{n} replayed, {m} not"),
        },
        outcomes: counts.into_iter().map(outcome).collect(),
        says: replayed.into_iter().map(|one| (one.letter, sentence(&one.says))).collect(),
        refused,
        form,
        next,
    };
    page::html(StatusCode::OK, &page).map_err(ConsoleError::into_response)
}
