//! Errors as FHIR tells them: an HTTP status and an OperationOutcome.

use axum::http::StatusCode;
use serde_json::json;

/// Why a request, or an entry of a bundle, was refused. Never holds a value of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    /// From `http://hl7.org/fhir/issue-type`.
    code: &'static str,
    diagnostics: String,
    /// Seconds for the header `Retry-After`.
    pub(super) retry_after: Option<u64>,
}

impl Refused {
    pub(super) fn new(status: StatusCode, code: &'static str, diagnostics: impl Into<String>) -> Self {
        Self { status, code, diagnostics: diagnostics.into(), retry_after: None }
    }

    /// 400: not even readable.
    pub(super) fn malformed(diagnostics: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "structure", diagnostics)
    }

    /// 422: readable, but not a resource that FHIR allows.
    pub(super) fn unprocessable(code: &'static str, diagnostics: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, diagnostics)
    }

    /// 404.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "no such resource")
    }

    /// 412: more than one resource matches a condition.
    pub(super) fn multiple() -> Self {
        let text = "more than one resource matches the condition";
        Self::new(StatusCode::PRECONDITION_FAILED, "multiple-matches", text)
    }

    /// The OperationOutcome.
    pub(super) fn outcome(&self) -> serde_json::Value {
        json!({
            "resourceType": "OperationOutcome",
            "issue": [{ "severity": "error", "code": self.code, "diagnostics": self.diagnostics }],
        })
    }
}
