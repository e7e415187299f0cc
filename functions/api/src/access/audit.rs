//! The audit log, as it is read.

use axum::Json;
use axum::extract::State;
use data_encoding::HEXLOWER;
use ohx_domain::Instant;
use ohx_link::Links;
use ohx_runtime::Problem;
use ohx_store::{AuditEntry, AuditFilter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::http::InQuery;
use crate::http::page::{self, Page};
use crate::store_problem;

/// What cursors of this list say.
const LIST: &str = "audit";

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

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    /// Only what this caller did.
    actor: Option<String>,
    /// Only what was done to this.
    subject: Option<String>,
    /// At most so many items: 1 to 1000, 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// Who did what to what.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct ShownEntry {
    seq: i64,
    #[schema(value_type = String, format = DateTime)]
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

/// Who did what, newest first.
#[utoipa::path(get, path = "/api/base/audit/", operation_id = "listAudit", tag = "base",
    params(Listing), responses((status = 200, description = "Entries", body = Page<ShownEntry>)))]
pub(crate) async fn list(
    State(links): State<Links>,
    InQuery(listing): InQuery<Listing>,
) -> Result<Json<Page<ShownEntry>>, Problem> {
    let limit = page::limit(listing.limit)?;
    let before: Option<String> = page::key(LIST, listing.cursor.as_deref())?;
    let before = before.and_then(|seq| seq.parse().ok());
    let Listing { actor, subject, .. } = listing;
    let filter = AuditFilter { before, actor, subject, limit };
    let found = links.parts().store.audit_entries(&filter).await.map_err(store_problem)?;
    Ok(Json(Page::new(LIST, found, limit, |entry: &AuditEntry| entry.seq.to_string())))
}
