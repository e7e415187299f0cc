//! Noting who did what.

use ohx_domain::Instant;
use ohx_runtime::parts::Parts;
use ohx_store::{AuditEntry, NewAudit, Result, SharedStore};
use serde_json::Value;

/// Notes in the audit log that `actor` did `action` to `subject`. `detail` is a JSON object of names and counts, or null;
/// never a health value, a secret, or who the patient is.
///
/// # Errors
/// Where the store cannot keep it.
pub async fn note(
    parts: &Parts,
    actor: &str,
    action: &str,
    subject: &str,
    detail: &Value,
) -> Result<AuditEntry> {
    note_in(&parts.store, parts.clock.now(), actor, action, subject, detail).await
}

/// The same without the other parts.
///
/// # Errors
/// As [`note`].
pub async fn note_in(
    store: &SharedStore,
    at: Instant,
    actor: &str,
    action: &str,
    subject: &str,
    detail: &Value,
) -> Result<AuditEntry> {
    let detail = if detail.is_null() { "{}".to_owned() } else { detail.to_string() };
    let (actor, action, subject) = (actor.to_owned(), action.to_owned(), subject.to_owned());
    let entry = store.append_audit(&NewAudit { actor, action, subject, detail }, at).await?;
    tracing::info!(seq = entry.seq, actor = entry.what.actor, action = entry.what.action, "in the audit log");
    Ok(entry)
}
