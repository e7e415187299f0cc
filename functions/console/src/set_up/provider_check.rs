//! The live test of a provider app: what the provider says to its credentials.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Map;

use super::edit::{Happened, Step};
use super::form::sentence;
use super::providers::read_one;
use super::{Given, read};
use crate::page;
use crate::session::SignedIn;
use crate::{Console, ConsoleError};

#[derive(Deserialize)]
struct Report {
    reachable: Option<bool>,
    credentials: String,
    problem: Option<String>,
}

impl Report {
    fn steps(self) -> Vec<Step> {
        let Self { reachable, credentials, problem } = self;
        if credentials == "not-used" {
            let text = "There is nothing to ask: readings of this type come by file, or are sent.";
            return vec![Step::new(Happened::Well, "Nothing to test", text)];
        }
        let problem = problem.map(|problem| sentence(&problem));
        let (reached, asked) = match reachable {
            Some(true) => (
                Step::new(
                    Happened::Well,
                    "The provider answers",
                    "Its address is right, and it can be reached.",
                ),
                true,
            ),
            Some(false) => {
                let mut step = Step::new(Happened::Badly, "The provider does not answer", problem.clone());
                step.advice = Some(
                    "Is the provider's address right (Advanced, below)? Can the exchange reach the internet? It may also be \
                     a passing fault: try again in a minute.",
                );
                (step, false)
            }
            None => (Step::new(Happened::Not, "The provider was not asked", problem.clone()), false),
        };
        let taken = match credentials.as_str() {
            "accepted" => {
                Step::new(Happened::Well, "It takes the client id and the secret", "Patients can connect.")
            }
            "refused" => {
                let mut step =
                    Step::new(Happened::Badly, "It refuses the client id or the secret", None::<String>);
                step.advice = Some(
                    "Copy both again from the app's page at the provider: enter them below, save, and test again.",
                );
                step
            }
            _ if !asked => {
                Step::new(Happened::Not, "The client id and the secret were not tried", None::<String>)
            }
            _ => {
                let mut step = Step::new(Happened::Badly, "It does not say whether it takes them", problem);
                step.advice = Some(
                    "Is the redirect address registered there, letter by letter? Is the provider's address right (Advanced, below)? If \
                     both are, try again later; the first patient's consent will show it.",
                );
                step
            }
        };
        vec![reached, taken]
    }
}

/// `POST /console/set-up/providers/{name}/check/`: the live test of what is saved.
pub(crate) async fn check(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(name): Path<String>,
    given: Given,
) -> Result<Response, Response> {
    let checked = async {
        read(&console, &signed_in, given)?;
        let address = ["base", "providers", name.as_str(), "check"];
        let report: Report = console.api.post(&signed_in.key, &address, &Map::new()).await?;
        let mut page = read_one(&console, &signed_in, &name).await?;
        page.steps = report.steps();
        page::html(StatusCode::OK, &page)
    };
    checked.await.map_err(ConsoleError::into_response)
}
