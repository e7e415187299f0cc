//! The live test of an EHR endpoint: what the server is, and whether it lets us in.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Map;

use super::edit::{Happened, Step};
use super::ehrs::read_one;
use super::form::sentence;
use super::{Given, read, words};
use crate::page;
use crate::session::SignedIn;
use crate::{Console, ConsoleError};

/// What an endpoint is, as the API found.
#[derive(Deserialize)]
struct Report {
    usable: bool,
    problem: Option<String>,
    fhir_version: Option<String>,
    software: Option<String>,
    strategy: Option<String>,
    sent_as: Option<String>,
    notes: Vec<String>,
}

impl Report {
    fn steps(self) -> Vec<Step> {
        let Self { usable, problem, fhir_version, software, strategy, sent_as, notes } = self;
        let advice = problem.as_deref().and_then(words::at_the_ehr);
        let failed = |title: &str, text: Option<&String>| {
            let mut step = Step::new(Happened::Badly, title, text.map(|problem| sentence(problem)));
            step.advice = advice;
            step
        };
        // Without a token nothing is asked; so the server itself was not reached yet.
        let token = problem.as_deref().is_some_and(|problem| problem.contains("access token"));
        let server = match (&fhir_version, &strategy) {
            (Some(version), _) => {
                let software = software.map(|name| format!(" It calls itself {name}.")).unwrap_or_default();
                Step::new(
                    Happened::Well,
                    "A FHIR server answers",
                    format!("It speaks FHIR {version}.{software}"),
                )
            }
            (None, Some(_)) if usable => Step::new(
                Happened::Well,
                "A FHIR server answers",
                "It does not show us what it is able to do; readings are written as is configured.",
            ),
            (None, _) if token => Step::new(Happened::Not, "The server was not asked", None::<String>),
            (None, _) => failed("No FHIR server answers as it should", problem.as_ref()),
        };
        let reached = server.happened == Happened::Well;
        let access = match (&problem, reached || token) {
            (_, _) if usable => Step::new(Happened::Well, "It lets Open Health Exchange in", None::<String>),
            (problem, true) => failed("It does not let Open Health Exchange in", problem.as_ref()),
            (_, false) => Step::new(Happened::Not, "Whether it lets us in was not tried", None::<String>),
        };
        let mut steps = vec![server, access];
        if let (Some(strategy), Some(sent_as)) = (&strategy, &sent_as)
            && usable
        {
            let text = format!("Strategy {strategy}, sent as {sent_as}.");
            steps.push(Step::new(Happened::Well, "How readings are written is known", text));
        }
        if usable {
            steps.extend(notes.iter().map(|note| Step::new(Happened::Note, "Good to know", sentence(note))));
        }
        steps
    }
}

/// `POST /console/set-up/ehrs/{name}/check/`: the live test of what is saved.
pub(crate) async fn check(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(name): Path<String>,
    given: Given,
) -> Result<Response, Response> {
    let checked = async {
        read(&console, &signed_in, given)?;
        let address = ["publishers", "ehr-endpoints", name.as_str(), "check"];
        let report: Report = console.api.post(&signed_in.key, &address, &Map::new()).await?;
        let mut page = read_one(&console, &signed_in, &name).await?;
        page.steps = report.steps();
        page::html(StatusCode::OK, &page)
    };
    checked.await.map_err(ConsoleError::into_response)
}
