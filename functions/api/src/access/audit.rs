//! The audit log, as it is read.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use data_encoding::HEXLOWER;
use http::StatusCode;
use ohx_domain::Instant;
use ohx_link::Links;
use ohx_runtime::Problem;
use ohx_store::{AuditEntry, AuditFilter};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::store_problem;

/// What a handler adds to its response (as an `Extension`) for the audit log: what it was about, where the address does not
/// say, and more. Never a health value, a secret, or who the patient is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Audited {
    pub(crate) subject: Option<String>,
    /// A JSON object, or null.
    pub(crate) detail: Value,
}

impl Audited {
    pub(crate) fn new(subject: impl Into<String>, detail: Value) -> Self {
        Self { subject: Some(subject.into()), detail }
    }

    /// More, about what the address names.
    pub(crate) fn detail(detail: Value) -> Self {
        Self { subject: None, detail }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listing {
    /// Only entries before this number: the `next` of a page.
    before: Option<i64>,
    actor: Option<String>,
    subject: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
pub(crate) struct ShownEntry {
    seq: i64,
    at: Instant,
    actor: String,
    action: String,
    subject: String,
    detail: Value,
    /// The hash of the entry before it, and its own: SHA-256, in hexadecimal.
    previous: String,
    hash: String,
}

impl From<AuditEntry> for ShownEntry {
    fn from(entry: AuditEntry) -> Self {
        Self {
            seq: entry.seq,
            at: entry.at,
            actor: entry.what.actor,
            action: entry.what.action,
            subject: entry.what.subject,
            // Somebody may have written into the table what is no JSON.
            detail: serde_json::from_str(&entry.what.detail).unwrap_or(Value::String(entry.what.detail)),
            previous: HEXLOWER.encode(&entry.previous),
            hash: HEXLOWER.encode(&entry.hash),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct EntryPage {
    entries: Vec<ShownEntry>,
    /// Give it as `before` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

/// `GET /api/base/audit/`: who did what, newest first.
pub(crate) async fn list(
    State(links): State<Links>,
    query: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<EntryPage>, Problem> {
    let Query(listing) = query.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    let limit = listing.limit.unwrap_or(100).clamp(1, 1000);
    let Listing { before, actor, subject, .. } = listing;
    let filter = AuditFilter { before, actor, subject, limit };
    let found = links.parts().store.audit_entries(&filter).await.map_err(store_problem)?;
    let next = found.last().filter(|_| found.len() == limit as usize).map(|entry| entry.seq);
    Ok(Json(EntryPage { entries: found.into_iter().map(Into::into).collect(), next }))
}
