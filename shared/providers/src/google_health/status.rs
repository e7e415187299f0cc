//! What Google's errors mean: by `error.status` and the reason in its details, never by its text.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use super::KIND;
use crate::wire::{Answer, object};
use crate::{ProviderError, Remedy};

/// Where a person gets a Google Health profile.
pub(super) const SIGN_UP: &str = "https://fitbit.google.com/auth/signup";

/// How long all calls pause where Google does not say.
const PAUSE: Duration = Duration::from_secs(60);
/// A Retry-After beyond this is not believed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

#[derive(Deserialize)]
struct Refusal {
    error: Detailed,
}

#[derive(Deserialize)]
struct Detailed {
    status: Option<String>,
    #[serde(default)]
    details: Option<Vec<Detail>>,
}

#[derive(Deserialize)]
struct Detail {
    reason: Option<String>,
}

/// A code, not a text: it is printed.
fn code(text: Option<String>) -> Option<String> {
    text.filter(|t| (1..=80).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
}

/// Google's names for a refusal: `error.status`, and the first reason.
pub(super) fn names(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(Refusal { error }) = object::<Refusal>(body) else { return (None, None) };
    let reason = error.details.unwrap_or_default().into_iter().find_map(|detail| code(detail.reason));
    (code(error.status), reason)
}

/// Whether the page was too large to be made in time: asked again with a smaller one.
pub(super) fn too_large(answer: &Answer) -> bool {
    answer.status == StatusCode::GATEWAY_TIMEOUT
        || names(&answer.body).0.as_deref() == Some("DEADLINE_EXCEEDED")
}

/// An answer that is no success, as an error.
pub(super) fn refused(call: &str, answer: &Answer) -> ProviderError {
    let (status, reason) = names(&answer.body);
    let mut shown = format!("HTTP {}", answer.status.as_u16());
    for name in [&status, &reason].into_iter().flatten() {
        shown.push(' ');
        shown.push_str(name);
    }
    let (status, reason) = (status.as_deref(), reason.as_deref());
    let after = answer.retry_after();
    let (remedy, meaning) = match (answer.status, status, reason) {
        (_, _, Some("ACCOUNT_NOT_LINKED")) => {
            return ProviderError::AccountNotLinked { provider: KIND, status: shown, sign_up: SIGN_UP };
        }
        (StatusCode::TOO_MANY_REQUESTS, ..)
        | (_, Some("RESOURCE_EXHAUSTED"), _)
        | (_, _, Some("RATE_LIMIT_EXCEEDED")) => {
            let after = after.unwrap_or(PAUSE).min(LONGEST_PAUSE);
            (Remedy::SlowDown { after }, "too many requests: all calls of this app pause")
        }
        (code, ..) if code.is_server_error() => {
            (Remedy::Retry { after }, "an error at the provider: it is tried again")
        }
        (StatusCode::UNAUTHORIZED, ..) => {
            (Remedy::Refresh, "the access token is not accepted: it is refreshed once")
        }
        (_, _, Some("SERVICE_DISABLED")) => (
            Remedy::Permanent,
            "the Google Health API is not enabled in the app's Google Cloud project: enable health.googleapis.com there",
        ),
        (StatusCode::FORBIDDEN, Some("PERMISSION_DENIED"), _)
        | (StatusCode::FORBIDDEN, _, Some("ACCESS_TOKEN_SCOPE_INSUFFICIENT")) => {
            return ProviderError::NotGranted {
                provider: KIND,
                call: call.to_owned(),
                status: shown,
                meaning: "the patient has not granted the scope: it can be granted by connecting again"
                    .into(),
            };
        }
        (StatusCode::FORBIDDEN, ..) => (
            Remedy::Retry { after },
            "refused without a reason that can be read, perhaps by a proxy before the provider",
        ),
        (StatusCode::NOT_FOUND, ..) => {
            (Remedy::Permanent, "there is no such thing: this is a defect, please report it")
        }
        (_, Some("FAILED_PRECONDITION"), _) => {
            (Remedy::Permanent, "something it needs is not as it has to be")
        }
        (code, ..) if code.is_client_error() => {
            (Remedy::Permanent, "the request is not accepted: this is a defect, please report it")
        }
        // Redirects and other oddities of what lies between.
        _ => (Remedy::Retry { after }, "not an answer of this API, perhaps of a proxy before it"),
    };
    ProviderError::Refused {
        provider: KIND,
        call: call.to_owned(),
        status: shown,
        meaning: meaning.to_owned(),
        remedy,
    }
}
