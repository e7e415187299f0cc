//! Problems about documents: RFC 9457, with members for an editor beside the text.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use ohx_mapping::DocumentError;
use ohx_runtime::Problem;
use ohx_store::StoreError;
use serde::Serialize;

use super::check::Refused;

/// A problem, and where it is.
#[derive(Debug)]
pub(super) struct Refusal {
    problem: Problem,
    members: Option<Box<Members>>,
}

/// Extension members. Each is there where there is something to say.
#[derive(Debug, Default, Serialize)]
struct Members {
    /// From 1.
    #[serde(skip_serializing_if = "is_zero")]
    line: usize,
    /// In characters, from 1.
    #[serde(skip_serializing_if = "is_zero")]
    column: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    hint: String,
    /// The line of the document, with a caret below the column.
    #[serde(skip_serializing_if = "String::is_empty")]
    snippet: String,
    /// The name of the example that does not hold.
    #[serde(skip_serializing_if = "String::is_empty")]
    example: String,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Members {
    fn of(refused: &Refused) -> Self {
        let about = match refused {
            Refused::Document(DocumentError { line, column, snippet, .. }) => {
                Self { line: *line, column: *column, snippet: snippet.clone(), ..Self::default() }
            }
            Refused::Example(error) => Self { example: error.example.clone(), ..Self::default() },
            Refused::Unusable { why, .. } => Self::of(why),
            _ => Self::default(),
        };
        Self { hint: refused.hint(), ..about }
    }
}

/// What is wrong, without what the members say.
fn detail(refused: &Refused) -> String {
    match refused {
        Refused::Document(error) if error.line > 0 => {
            format!("mapping document, line {}, column {}: {}", error.line, error.column, error.what)
        }
        Refused::Document(error) => format!("mapping document: {}", error.what),
        Refused::Unusable { name, version, why } => {
            format!("version {version} of mapping {name} cannot be activated: {}", detail(why))
        }
        other => other.to_string(),
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let taken = matches!(&refused, Refused::Version { version, .. } if *version >= ohx_domain::FIRST_SAVED_VERSION);
        let status = match &refused {
            Refused::Unusable { .. } => StatusCode::CONFLICT,
            _ if taken => StatusCode::CONFLICT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let problem = Problem::new(status, detail(&refused));
        Self { problem, members: Some(Box::new(Members::of(&refused))) }
    }
}

impl From<DocumentError> for Refusal {
    fn from(error: DocumentError) -> Self {
        Refused::Document(error).into()
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, members: None }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        crate::store_problem(error).into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(flatten)]
            problem: &'a Problem,
            #[serde(flatten)]
            members: &'a Members,
        }
        let Self { problem, members } = self;
        let Some(members) = members else { return problem.into_response() };
        let body = serde_json::to_vec(&Body { problem: &problem, members: &members }).unwrap_or_default();
        (problem.status(), [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}
