//! How far the readings of an import are on their way to the EHR.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use secrecy::SecretString;

use super::words;
use crate::api::{ApiError, Sync};
use crate::page::{self, Frame};
use crate::session::SignedIn;
use crate::{Console, ConsoleError};

/// A sync, in words.
pub(super) struct Progress {
    /// Where to look again.
    pub(super) address: String,
    /// Whether nothing changes any more.
    pub(super) done: bool,
    /// Whether all is at the EHR.
    pub(super) well: bool,
    pub(super) title: &'static str,
    pub(super) text: String,
    pub(super) counts: Vec<(&'static str, u64)>,
    /// What else there is to know: failures, what the mapping left out.
    pub(super) notes: Vec<String>,
}

#[derive(Template)]
#[template(path = "progress-page.html")]
struct ProgressPage {
    frame: Frame,
    progress: Progress,
}

impl Progress {
    /// Of a sync that has just begun.
    pub(super) async fn begun(
        console: &Console,
        key: &SecretString,
        sync: String,
    ) -> Result<Self, ConsoleError> {
        match console.api.sync(key, &sync).await {
            Ok(shown) => Ok(Self::of(console, &sync, shown)),
            Err(ApiError::Unauthorized) => Err(ApiError::Unauthorized.into()),
            // The import itself went well: it is only not known yet how far it is.
            Err(_) => Ok(Self::waiting(console, &sync)),
        }
    }

    fn waiting(console: &Console, sync: &str) -> Self {
        Self {
            address: format!("{}/import/progress/{sync}/", console.base),
            done: false,
            well: false,
            title: "On the way to the EHR",
            text: "The readings are being written. You can leave this page: they arrive all the same.".into(),
            counts: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn of(console: &Console, id: &str, sync: Sync) -> Self {
        let mut progress = Self::waiting(console, id);
        let c = sync.counts;
        progress.counts = vec![
            ("New", c.created),
            ("Updated", c.updated),
            ("Unchanged", c.unchanged),
            ("Rejected", c.rejected),
        ];
        for request in sync.requests.iter().filter(|r| r.state == "failed") {
            let record = words::record(&request.record);
            let note = request.note.as_deref().unwrap_or("the exchange's log says why");
            progress.notes.push(format!("{record}: not imported: {note}"));
        }
        for (record, reasons) in &sync.left_out {
            let record = words::record(record);
            let reasons =
                reasons.iter().map(|(reason, n)| format!("{record}: {n} left out by the mapping: {reason}"));
            progress.notes.extend(reasons);
        }
        let failed = sync.requests.iter().any(|r| r.state == "failed");
        let waiting = sync.requests.iter().any(|r| !matches!(r.state.as_str(), "failed" | "published"));
        if failed && !waiting {
            progress.done = true;
            progress.title = "Not everything was imported";
            progress.text =
                "What is named below did not reach the EHR. Import the file again when its cause is mended: \
                             what is there already is not doubled."
                    .into();
        } else if sync.completed {
            progress.done = true;
            progress.well = c.rejected == 0;
            (progress.title, progress.text) = match (c.rejected, c.created + c.updated) {
                (0, 0) => (
                    "Nothing changed",
                    format!(
                        "The EHR had all {} already, as they should be.",
                        words::count(c.unchanged, "resource")
                    ),
                ),
                (0, _) => ("All at the EHR", "Every reading of the file has arrived.".to_owned()),
                (n, _) => (
                    "The EHR refused some",
                    format!(
                        "{} not accepted by the EHR. The dead letters say why.",
                        words::count(n, "resource")
                    ),
                ),
            };
        }
        progress
    }
}

/// `GET /console/import/progress/{sync}/`.
pub(crate) async fn progress(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(sync): Path<String>,
) -> Result<Response, ConsoleError> {
    let shown = match console.api.sync(&signed_in.key, &sync).await {
        Ok(shown) => shown,
        Err(ApiError::Refused { status: StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST, .. }) => {
            return Err(ConsoleError::NotFound);
        }
        Err(error) => return Err(error.into()),
    };
    let progress = Progress::of(&console, &sync, shown);
    let frame = Frame::new(&console, Some(&signed_in.session)).below("/import/");
    page::html(StatusCode::OK, &ProgressPage { frame, progress })
}
