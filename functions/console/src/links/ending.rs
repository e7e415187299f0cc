//! The end of a link: asked for, and what was done so far.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;

use super::api::{Receipt, Signed, Step};
use super::one::found;
use super::words::{self, Badge};
use crate::form::Sent;
use crate::page::{self, Frame};
use crate::session::SignedIn;
use crate::words::{When, count, sentence};
use crate::{Console, ConsoleError};

#[derive(Template)]
#[template(path = "link-disconnect.html")]
struct AskPage {
    frame: Frame,
    id: String,
    patient: String,
    provider: String,
}

#[derive(Template)]
#[template(path = "link-receipt.html")]
struct ReceiptPage {
    frame: Frame,
    id: String,
    patient: String,
    provider: String,
    at: When,
    reason: String,
    title: &'static str,
    done: bool,
    completed: Option<When>,
    steps: Vec<Row>,
    jws: String,
}

struct Row {
    name: String,
    badge: Badge,
    count: Option<String>,
    why: Option<String>,
    at: When,
}

impl From<Step> for Row {
    fn from(step: Step) -> Self {
        let name = words::step(&step.step);
        let thing = if step.step == "unsubscribe" { "subscription" } else { "resource" };
        Self {
            name: match step.ehr {
                Some(ehr) => format!("{name}, at {ehr}"),
                None => name,
            },
            badge: words::step_state(&step.state),
            count: step.count.map(|n| count(n, thing)),
            why: step.why.as_deref().map(sentence),
            at: step.at.into(),
        }
    }
}

/// `GET /console/links/{id}/disconnect/`: asks.
pub(crate) async fn ask(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, ConsoleError> {
    let link = found(console.api.link(&signed_in.key, &id).await)?;
    let frame = Frame::new(&console, Some(&signed_in.session)).below("/links/");
    let page = AskPage { frame, id: link.id, patient: link.patient, provider: link.provider };
    page::html(StatusCode::OK, &page)
}

#[derive(Deserialize)]
pub(crate) struct Ending {
    mark: Option<String>,
}

/// `POST /console/links/{id}/disconnect/`: does it, and goes on to the receipt.
pub(crate) async fn end(
    State(console): State<Console>,
    Path(id): Path<String>,
    Sent { signed_in, form }: Sent<Ending>,
) -> Result<Response, Response> {
    let mark = form.mark.as_deref() == Some("yes");
    let ended = found(console.api.disconnect(&signed_in.key, &id, mark).await);
    ended.map_err(ConsoleError::into_response)?;
    Ok(console.to(&format!("/links/{id}/receipt/")))
}

/// `GET /console/links/{id}/receipt/`.
pub(crate) async fn receipt(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, ConsoleError> {
    let link = found(console.api.link(&signed_in.key, &id).await)?;
    let Signed { receipt, jws } = found(console.api.receipt(&signed_in.key, &id).await)?;
    let Receipt { provider, disconnected_at, reason, state, completed_at, steps } = receipt;
    let title = match state.as_str() {
        "complete" => "Everything is done",
        "incomplete" => "Not everything could be done",
        _ => "It is ending",
    };
    let page = ReceiptPage {
        frame: Frame::new(&console, Some(&signed_in.session)).below("/links/"),
        id: link.id,
        patient: link.patient,
        provider,
        at: disconnected_at.into(),
        reason: sentence(&reason),
        title,
        done: state != "pending",
        completed: completed_at.map(When::from),
        steps: steps.into_iter().map(Row::from).collect(),
        jws,
    };
    page::html(StatusCode::OK, &page)
}
