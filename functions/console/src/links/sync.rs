//! How far a sync of a link is.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use ohx_domain::RequestState;

use super::api::{Request, Sync};
use super::one::found;
use super::words::{self, Badge};
use crate::page::{self, Frame};
use crate::session::SignedIn;
use crate::words::{When, record, sentence};
use crate::{Console, ConsoleError};

#[derive(Template)]
#[template(path = "link-sync.html")]
struct SyncPage {
    frame: Frame,
    link: String,
    patient: String,
    id: String,
    done: bool,
    title: &'static str,
    finished: usize,
    counts: [(&'static str, u64); 5],
    rows: Vec<Row>,
}

struct Row {
    record: String,
    badge: Badge,
    over: Option<(When, When)>,
    since: Option<When>,
    says: String,
    note: Option<String>,
}

impl From<Request> for Row {
    fn from(request: Request) -> Self {
        let c = request.counts;
        let mut says = format!("{} new, {} updated, {} unchanged", c.created, c.updated, c.unchanged);
        if c.rejected > 0 {
            says.push_str(&format!(", {} refused by the EHR", c.rejected));
        }
        if c.skipped > 0 {
            says.push_str(&format!(", {} left out by the mapping", c.skipped));
        }
        if request.attempts > 1 {
            says.push_str(&format!("; tried {} times", request.attempts));
        }
        Self {
            record: record(&request.record),
            badge: words::request(request.state),
            over: request.start.zip(request.end).map(|(start, end)| (start.into(), end.into())),
            since: request.since.map(When::from),
            says,
            note: request.note.as_deref().map(sentence),
        }
    }
}

/// `GET /console/links/{id}/syncs/{sync}/`.
pub(crate) async fn page(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path((link, id)): Path<(String, String)>,
) -> Result<Response, ConsoleError> {
    let of = found(console.api.link(&signed_in.key, &link).await)?;
    let Sync { completed, counts: c, requests } = found(console.api.sync_of_link(&signed_in.key, &id).await)?;
    let ended = |r: &&Request| matches!(r.state, RequestState::Published | RequestState::Failed);
    let finished = requests.iter().filter(ended).count();
    let done = finished == requests.len();
    let title = match (completed, done) {
        (true, _) if c.rejected == 0 => "All at the EHR",
        (true, _) => "The EHR refused some",
        (false, true) => "Not everything arrived",
        (false, false) => "On the way to the EHR",
    };
    let page = SyncPage {
        frame: Frame::new(&console, Some(&signed_in.session)).below("/links/"),
        link: of.id,
        patient: of.patient,
        id,
        done,
        title,
        finished,
        counts: [
            ("New", c.created),
            ("Updated", c.updated),
            ("Unchanged", c.unchanged),
            ("Refused", c.rejected),
            ("Left out", c.skipped),
        ],
        rows: requests.into_iter().map(Row::from).collect(),
    };
    page::html(StatusCode::OK, &page)
}
