//! Dead letters: what could not be done, why, and once more.

mod api;
mod one;
mod replay;

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use self::api::Letter;
pub(crate) use self::one::{discard, page as one, replay};
pub(crate) use self::replay::many as replay_many;
use crate::api::ApiError;
use crate::page::{self, Frame};
use crate::session::SignedIn;
use crate::words::{When, given, query, sentence};
use crate::{Console, ConsoleError};

/// How many letters are on a page.
const SHOWN: usize = 50;
/// How many are counted by reason: one page of the API.
const COUNTED: usize = 1000;

/// The functions that letters are given up by.
const FUNCTIONS: [&str; 5] = ["nightly", "fetch", "transform", "publish", "devices"];

#[derive(Template)]
#[template(path = "letters.html")]
struct LettersPage {
    frame: Frame,
    asked: Asked,
    error: Option<String>,
    /// How many there are, by function and reason, the most first; empty on later pages.
    reasons: Vec<Reason>,
    /// Whether there are more than were counted.
    more: bool,
    total: usize,
    rows: Vec<Row>,
    next: Option<String>,
    narrowed: bool,
    notice: Option<&'static str>,
}

struct Reason {
    function: String,
    reason: String,
    count: usize,
}

struct Row {
    id: String,
    at: When,
    function: String,
    reason: String,
    link: Option<String>,
    attempts: u32,
    replayed: Option<When>,
}

impl From<Letter> for Row {
    fn from(letter: Letter) -> Self {
        Self {
            id: letter.id,
            at: letter.at.into(),
            function: letter.function,
            reason: sentence(&letter.reason),
            link: letter.link,
            attempts: letter.attempts,
            replayed: letter.replay.map(|replay| replay.at.into()),
        }
    }
}

/// A reason without what it names, so that those of a kind are counted together: an address, an identifier, an id.
fn alike(reason: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches([':', ',', '.', ';']);
        let end = word.get(bare.len()..).unwrap_or_default();
        let names = bare.contains("://") || (bare.len() >= 12 && bare.contains(|c: char| c.is_ascii_digit()));
        if names { format!("…{end}") } else { word.to_owned() }
    };
    reason.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    function: String,
    #[serde(default)]
    link: String,
    #[serde(default)]
    cursor: String,
    did: Option<String>,
}

/// `GET /console/dead-letters/`.
pub(crate) async fn page(
    State(console): State<Console>,
    signed_in: SignedIn,
    Query(asked): Query<Asked>,
) -> Result<Response, ConsoleError> {
    let narrowing = [
        ("function", given(Some(&asked.function))),
        ("link", given(Some(&asked.link))),
        ("cursor", given(Some(&asked.cursor))),
    ];
    let first = given(Some(&asked.cursor)).is_none();
    let ask = async |limit: usize| {
        let limit = limit.to_string();
        let mut wanted = vec![("limit", limit.as_str())];
        wanted.extend(narrowing.iter().filter_map(|(name, value)| Some((*name, (*value)?))));
        console.api.letters(&signed_in.key, &wanted).await
    };
    let page = match ask(SHOWN).await {
        Ok(page) => Ok(page),
        Err(ApiError::Refused {
            status: StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY,
            problem,
        }) => Err(problem.detail.as_deref().map(sentence).unwrap_or_default()),
        Err(error) => return Err(error.into()),
    };
    let (items, next, error) = match page {
        Ok(page) => (page.items, page.next, None),
        Err(error) => (Vec::new(), None, Some(error)),
    };
    let (reasons, total, more) = match (first, &next) {
        (true, None) => (reasons(&items), items.len(), false),
        (true, Some(_)) => {
            let all = ask(COUNTED).await?;
            (reasons(&all.items), all.items.len(), all.next.is_some())
        }
        (false, _) => (Vec::new(), 0, false),
    };
    let next = next.map(|next| {
        let [function, link, _] = narrowing;
        format!("{}/dead-letters/?{}", console.base, query(&[function, link, ("cursor", Some(&next))]))
    });
    let notice = match asked.did.as_deref() {
        Some("discarded") => {
            Some("The letter was discarded. What the ledger lacks, the nightly run asks for.")
        }
        Some("gone") => {
            Some("That letter is gone: what it stood for is at the EHR, or somebody has discarded it.")
        }
        _ => None,
    };
    let page = LettersPage {
        frame: Frame::new(&console, Some(&signed_in.session)).at("/dead-letters/"),
        narrowed: narrowing.iter().any(|(_, value)| value.is_some()),
        asked,
        error,
        reasons,
        more,
        total,
        rows: items.into_iter().map(Row::from).collect(),
        next,
        notice,
    };
    page::html(StatusCode::OK, &page)
}

/// How many letters have which reason, the most first.
fn reasons(letters: &[Letter]) -> Vec<Reason> {
    let mut counts: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for letter in letters {
        *counts.entry((&letter.function, alike(&letter.reason))).or_default() += 1;
    }
    let one = |((function, reason), count): ((&str, String), usize)| Reason {
        function: function.to_owned(),
        reason: sentence(&reason),
        count,
    };
    let mut reasons: Vec<Reason> = counts.into_iter().map(one).collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_a_kind_are_one() {
        let reason = "Observation https://ohx.test/ns/withings/getmeas|yuv5.5149666569.body-weight: HTTP 422, business-rule";
        assert_eq!(alike(reason), "Observation …: HTTP 422, business-rule");
        assert_eq!(alike("link 01a200ad-0000-7000-8000-000000000009 has ended"), "link … has ended");
        assert_eq!(alike("given up after 12 attempts"), "given up after 12 attempts");
    }
}
