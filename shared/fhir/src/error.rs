//! What can go wrong with an EHR endpoint as a whole.

use std::time::Duration;

use ohx_domain::EhrName;

/// Why an EHR endpoint did not take what it was given.
///
/// Every one of them is worth another try, at once or after somebody has acted: what had been written before stays
/// written, and writing it again changes nothing. What is wrong with a single reading is no error but an
/// [`Outcome::Rejected`](crate::Outcome::Rejected). Texts name the endpoint and never quote its answer, which may
/// hold health data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EhrError {
    /// No answer, or one that asks for patience (HTTP 408, 409, 429, 5xx).
    #[error("EHR endpoint {ehr} is not available for {call}: {problem}; trying again later is safe")]
    Unavailable {
        /// The endpoint.
        ehr: EhrName,
        /// What was asked.
        call: &'static str,
        /// The HTTP status, or the kind of transport failure.
        problem: String,
        /// How long the server asked to wait (`Retry-After`), if it did.
        retry_after: Option<Duration>,
        /// Whether the server may still be at work on what was asked: it was sent, and nobody knows what became of it.
        in_doubt: bool,
    },
    /// The endpoint refuses the credentials (401) or what they are used for (403).
    #[error(
        "EHR endpoint {ehr} refused {call} with HTTP {status}: check its credentials, and that they may search, create and \
         update Observation and Device"
    )]
    Unauthorized {
        /// The endpoint.
        ehr: EhrName,
        /// What was asked.
        call: &'static str,
        /// 401 or 403.
        status: u16,
    },
    /// The endpoint's authorization server gives no access token that could be used.
    #[error("EHR endpoint {ehr} has no access token ({code}): {problem}")]
    NoToken {
        /// The endpoint.
        ehr: EhrName,
        /// The error code of RFC 6749 or RFC 7523, `http-<status>` where the server told none, `scope` where it granted less
        /// than was asked for, `token-type` or `no-token-response`.
        code: String,
        /// What to do. It holds nothing of the server's answer but the missing scopes.
        problem: String,
    },
    /// What answered is not a FHIR server as it should be: a proxy's HTML page, a wrong base URL, a broken Bundle.
    #[error("EHR endpoint {ehr} did not answer {call} as a FHIR server does: {problem}")]
    NotFhir {
        /// The endpoint.
        ehr: EhrName,
        /// What was asked.
        call: &'static str,
        /// What is wrong with the answer, never its text.
        problem: String,
    },
    /// A FHIR server that cannot be written to in the configured way.
    #[error("EHR endpoint {ehr} cannot be used as configured: {problem}")]
    Unsupported {
        /// The endpoint.
        ehr: EhrName,
        /// What it lacks and what to change.
        problem: String,
    },
}

impl EhrError {
    /// Whether the server may still be at work on what was asked.
    pub fn in_doubt(&self) -> bool {
        matches!(self, Self::Unavailable { in_doubt: true, .. })
    }

    /// How long the server asked to wait, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            Self::Unauthorized { .. }
            | Self::NoToken { .. }
            | Self::NotFhir { .. }
            | Self::Unsupported { .. } => None,
        }
    }
}
