//! What becomes of a page: as the API tells it, and as a page shows it.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::text::pretty;
use crate::Console;
use crate::api::{ApiError, Problem};

/// The most Observations whose JSON is shown.
const MOST_SHOWN: usize = 100;

#[derive(Serialize)]
struct Ask<'a> {
    document: &'a str,
    page: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare_with: Option<&'a str>,
}

#[derive(Deserialize)]
struct Answer {
    records: u64,
    made: usize,
    observations: Vec<Observation>,
    left_out: BTreeMap<String, u64>,
    never_read: BTreeMap<String, u64>,
    compared: Option<Compared>,
}

#[derive(Deserialize)]
struct Observation {
    kind: String,
    taken: String,
    resource: Box<RawValue>,
}

#[derive(Deserialize)]
struct Compared {
    with: u32,
    unchanged: BTreeMap<String, u64>,
    differ: usize,
    readings: Vec<Difference>,
    left_out: Vec<LeftOut>,
}

#[derive(Deserialize)]
struct Difference {
    kind: String,
    change: String,
    #[serde(default)]
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    path: String,
    before: Option<Box<RawValue>>,
    after: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct LeftOut {
    reason: String,
    before: u64,
    after: u64,
}

/// What became of a page.
pub(super) struct Preview {
    pub(super) title: String,
    pub(super) resources: Vec<Resource>,
    /// How many are not shown.
    pub(super) more: usize,
    /// Reason and count.
    pub(super) left_out: Vec<(String, u64)>,
    /// Fields that no rule looked at, and how often each was there.
    pub(super) never_read: Vec<(String, u64)>,
    pub(super) compared: Option<Shown>,
}

pub(super) struct Resource {
    pub(super) kind: String,
    pub(super) taken: String,
    pub(super) json: String,
}

/// What is otherwise than with the active version.
pub(super) struct Shown {
    pub(super) with: u32,
    pub(super) unchanged: u64,
    pub(super) differ: usize,
    pub(super) rows: Vec<Row>,
}

pub(super) struct Row {
    pub(super) kind: String,
    pub(super) change: &'static str,
    /// What of it.
    pub(super) path: String,
    pub(super) before: String,
    pub(super) after: String,
}

/// What is wrong, and where.
#[derive(Default)]
pub(super) struct Mistake {
    pub(super) text: String,
    /// From 1; 0 where it is about no line.
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) snippet: String,
    pub(super) hint: String,
    /// Whether it is the payload's and not the document's.
    pub(super) of_page: bool,
}

impl From<Problem> for Mistake {
    fn from(problem: Problem) -> Self {
        let text = problem.detail.unwrap_or_else(|| "The exchange refuses it.".to_owned());
        let more = *problem.more;
        // Where it is stands beside it.
        let text = match text.split_once(&format!("line {}, column {}: ", more.line, more.column)) {
            Some((_, what)) if more.line > 0 => what.to_owned(),
            _ => text,
        };
        let mut letters = text.chars();
        let text = letters.next().map(|l| l.to_uppercase().chain(letters).collect()).unwrap_or_default();
        Self {
            text,
            line: more.line,
            column: more.column,
            snippet: more.snippet,
            hint: more.hint,
            of_page: false,
        }
    }
}

/// What a problem of the API is: a mistake in what was sent, or an error.
pub(super) fn mistake(error: ApiError) -> Result<Mistake, ApiError> {
    match error {
        ApiError::Refused { status, problem } if matches!(status.as_u16(), 400 | 409 | 413 | 422) => {
            Ok(problem.into())
        }
        other => Err(other),
    }
}

/// Tries a document out on a page. The page is in this call's body, and nowhere else.
pub(super) async fn preview(
    console: &Console,
    key: &SecretString,
    document: &str,
    page: &str,
    active: Option<&str>,
) -> Result<Result<Preview, Mistake>, ApiError> {
    let page = match serde_json::from_str::<&RawValue>(page.trim()) {
        Ok(page) => page,
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let text = format!("The payload is no JSON: look at its line {line}, column {column}.");
            return Ok(Err(Mistake { text, line, column, of_page: true, ..Mistake::default() }));
        }
    };
    let ask = Ask { document, page, compare_with: active };
    let address = ["transformers", "mappings", "preview"];
    match console.api.post::<Answer>(key, &address, &ask).await {
        Ok(answer) => Ok(Ok(answer.into())),
        Err(error) => mistake(error).map(Err),
    }
}

fn counted(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

impl From<Answer> for Preview {
    fn from(answer: Answer) -> Self {
        let records = usize::try_from(answer.records).unwrap_or(usize::MAX);
        let title = format!(
            "{} of {}",
            counted(answer.made, "Observation", "Observations"),
            counted(records, "record", "records")
        );
        let resources: Vec<_> =
            answer.observations.into_iter().take(MOST_SHOWN).map(Resource::from).collect();
        Self {
            title,
            more: answer.made.saturating_sub(resources.len()),
            resources,
            left_out: answer.left_out.into_iter().collect(),
            never_read: answer.never_read.into_iter().collect(),
            compared: answer.compared.map(Shown::from),
        }
    }
}

impl From<Observation> for Resource {
    fn from(observation: Observation) -> Self {
        Self { kind: observation.kind, taken: observation.taken, json: pretty(observation.resource.get()) }
    }
}

impl From<Compared> for Shown {
    fn from(compared: Compared) -> Self {
        let mut rows = Vec::new();
        for difference in compared.readings {
            let change = match difference.change.as_str() {
                "changed" => "changed",
                "identity-changed" => "another identity: the EHR would get it once more",
                "no-longer-made" => "no longer made",
                "newly-made" => "newly made",
                _ => "differs",
            };
            if difference.changes.is_empty() {
                let kind = difference.kind.clone();
                rows.push(Row {
                    kind,
                    change,
                    path: String::new(),
                    before: String::new(),
                    after: String::new(),
                });
            }
            for Change { path, before, after } in difference.changes {
                let text =
                    |raw: Option<Box<RawValue>>| raw.map(|raw| raw.get().to_owned()).unwrap_or_default();
                let (before, after) = (text(before), text(after));
                rows.push(Row { kind: difference.kind.clone(), change, path, before, after });
            }
        }
        rows.extend(compared.left_out.into_iter().map(|left| Row {
            kind: String::new(),
            change: "left out",
            path: left.reason,
            before: left.before.to_string(),
            after: left.after.to_string(),
        }));
        Self {
            with: compared.with,
            unchanged: compared.unchanged.values().sum(),
            differ: compared.differ,
            rows,
        }
    }
}
