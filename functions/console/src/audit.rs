//! The audit log: who did what to which link or configuration.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::api::Page;
use crate::page::{self, Frame};
use crate::session::SignedIn;
use crate::words::{When, given, query};
use crate::{Console, ConsoleError};

/// How many entries are on a page.
const LIMIT: &str = "50";
/// How much of a hash is shown.
const HASH: usize = 12;

#[derive(Deserialize)]
struct Entry {
    seq: i64,
    at: Timestamp,
    actor: String,
    action: String,
    subject: String,
    detail: Value,
    hash: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    asked: Asked,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    seq: i64,
    at: When,
    actor: String,
    /// The query of the page of what this caller did.
    only: String,
    action: String,
    subject: String,
    /// The link that it is about.
    link: Option<String>,
    detail: Vec<(String, String)>,
    hash: String,
}

impl From<Entry> for Row {
    fn from(entry: Entry) -> Self {
        let detail = match entry.detail {
            Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, shown(value))).collect(),
            Value::Null => Vec::new(),
            other => vec![(String::new(), shown(other))],
        };
        Self {
            seq: entry.seq,
            at: entry.at.into(),
            only: query(&[("actor", Some(&entry.actor))]),
            actor: entry.actor,
            action: entry.action,
            link: entry.subject.strip_prefix("link:").filter(|id| !id.contains(' ')).map(str::to_owned),
            subject: entry.subject,
            detail,
            hash: entry.hash.chars().take(HASH).collect(),
        }
    }
}

fn shown(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    actor: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    cursor: String,
}

/// `GET /console/audit/`.
pub(crate) async fn page(
    State(console): State<Console>,
    signed_in: SignedIn,
    Query(asked): Query<Asked>,
) -> Result<Response, ConsoleError> {
    let narrowing = [("actor", given(Some(&asked.actor))), ("subject", given(Some(&asked.subject)))];
    let mut wanted = vec![("limit", LIMIT)];
    wanted.extend(narrowing.iter().filter_map(|(name, value)| Some((*name, (*value)?))));
    wanted.extend(given(Some(&asked.cursor)).map(|cursor| ("cursor", cursor)));
    let found: Page<Entry> = console.api.get(&signed_in.key, &["base", "audit"], &wanted).await?;
    let next = found.next.map(|next| {
        let [actor, subject] = narrowing;
        format!("{}/audit/?{}", console.base, query(&[actor, subject, ("cursor", Some(&next))]))
    });
    let rows = found.items.into_iter().map(Row::from).collect();
    let frame = Frame::new(&console, Some(&signed_in.session)).at("/audit/");
    page::html(StatusCode::OK, &AuditPage { frame, asked, rows, next })
}
