//! What errors mean: the patient's, the app's, or the end of the service.
//!
//! In this order: too many calls; the API's own `errorType`s; then what only a host without this API says. Whether a
//! patient has left is for the token endpoint to say, and for it alone: it answers a refresh with `invalid_grant`. A 401
//! in the API's own words asks for a refresh; in Google's words, or without any, it does so too, but if a token of a
//! moment ago gets it, nobody there knows such tokens: the service is retired, and the patient has done nothing.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use super::KIND;
use crate::wire::{Answer, object};
use crate::{ProviderError, Remedy};

/// How many calls the patient has left.
pub(super) const REMAINING: &str = "fitbit-rate-limit-remaining";
/// In how many seconds there are all of them again.
pub(super) const RESET: &str = "fitbit-rate-limit-reset";
/// Calls are counted by the hour: a longer wait is not believed.
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
/// The wait where nothing tells it.
const WAIT: Duration = Duration::from_secs(15 * 60);

/// What a refusal says of itself: codes, not texts, as they are printed.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The API's own: the first `errorType`.
    own: Option<String>,
    /// Google's front end: `error.status`.
    google: Option<String>,
    /// Whether it has Google's shape.
    is_google: bool,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<Listed>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(default)]
    error_type: String,
}

fn code(text: &str) -> Option<String> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (plain && (1..=40).contains(&text.len())).then(|| text.to_owned())
}

impl Said {
    /// Reads both shapes.
    pub(super) fn read(body: &[u8]) -> Self {
        let Ok(refusal) = object::<Refusal>(body) else { return Self::default() };
        let google = refusal.error.as_ref().filter(|error| error.is_object());
        Self {
            own: refusal.errors.first().and_then(|listed| code(&listed.error_type)),
            google: google.and_then(|error| code(error.get("status")?.as_str()?)),
            is_google: google.is_some(),
        }
    }

    /// Whether it is the API that speaks.
    pub(super) fn is_legacy(&self) -> bool {
        self.own.is_some()
    }
}

/// The service has ended, as far as can be told.
pub(super) fn retired(call: String, status: String) -> ProviderError {
    ProviderError::Retired {
        provider: KIND,
        call,
        status,
        meaning: "the legacy Fitbit Web API was announced to end on 30 September 2026. Move the patients to type fitbit \
                  (Google Health): POST /api/base/provider-links/{id}/successor/ gives the address to consent at",
    }
}

/// The patient's calls of this hour are used up. Only theirs: the other patients' calls go on.
pub(super) fn spent(call: &str, after: Duration) -> ProviderError {
    ProviderError::Refused {
        provider: KIND,
        call: call.to_owned(),
        status: "rate limit".into(),
        meaning: "this patient's calls of this hour are used up: tried again when the hour is over".into(),
        remedy: Remedy::Spent { after },
    }
}

/// An answer that is no success, as an error. `fresh` says that the access token was given out a moment ago.
pub(super) fn refused(call: &str, answer: &Answer, said: &Said, fresh: bool) -> ProviderError {
    let mut shown = format!("HTTP {}", answer.status.as_u16());
    for name in [&said.own, &said.google].into_iter().flatten() {
        shown.push(' ');
        shown.push_str(name);
    }
    if answer.status == StatusCode::TOO_MANY_REQUESTS || said.google.as_deref() == Some("RESOURCE_EXHAUSTED")
    {
        let reset = || answer.headers.get(RESET)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs);
        // The reset is what Fitbit counts by; Retry-After stands in for it.
        return spent(call, reset().or_else(|| answer.retry_after()).unwrap_or(WAIT).min(HOUR));
    }
    let after = answer.retry_after().map(|wait| wait.min(HOUR));
    let (remedy, meaning) = match (answer.status.as_u16(), said.own.as_deref()) {
        (_, Some("insufficient_scope" | "insufficient_permissions")) => {
            return ProviderError::NotGranted {
                provider: KIND,
                call: call.to_owned(),
                status: shown,
                meaning: "the patient has not granted the scope, or the app may not read it".into(),
            };
        }
        (401, Some(_)) | (_, Some("expired_token" | "invalid_token")) => {
            (Remedy::Refresh, "the access token is not accepted: it is refreshed once")
        }
        (500.., _) => (Remedy::Retry { after }, "an error at the provider: it is tried again"),
        (404 | 410, Some(_)) => {
            (Remedy::Permanent, "there is no such thing: this is a defect, please report it")
        }
        (404 | 410, None) => return retired(call.to_owned(), shown),
        (400..=499, Some(_)) => {
            (Remedy::Permanent, "the request is not accepted: this is a defect, please report it")
        }
        (401, None) if fresh => return retired(call.to_owned(), shown),
        (401, None) => (Remedy::Refresh, "the access token is not accepted: it is refreshed once"),
        (403, None) if said.is_google => return retired(call.to_owned(), shown),
        (400..=499, None) if said.is_google => {
            (Remedy::Permanent, "the request is not accepted: this is a defect, please report it")
        }
        // Of no shape that is known, or a redirect: what lies between, or the end, which a day tells apart.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str, headers: &[(&'static str, &str)], fresh: bool) -> ProviderError {
        let mut answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: http::HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        };
        for (name, value) in headers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            answer.headers.insert(name, value.parse().unwrap());
        }
        refused("weight", &answer, &Said::read(&answer.body), fresh)
    }

    fn own(kind: &str) -> String {
        format!(
            r#"{{"errors":[{{"errorType":"{kind}","fieldName":"n/a","message":"user 7GGNJL"}}],"success":false}}"#
        )
    }

    fn google(status: &str) -> String {
        format!(r#"{{"error":{{"code":403,"message":"user 7GGNJL","status":"{status}"}}}}"#)
    }

    #[test]
    fn only_the_patients_own_calls_pause() {
        let seconds =
            |headers: &[(&'static str, &str)]| match error(429, &own("system"), headers, false).remedy() {
                Remedy::Spent { after } => after.as_secs(),
                other => panic!("{other:?}"),
            };
        assert_eq!(seconds(&[("Retry-After", "120"), ("Fitbit-Rate-Limit-Reset", "1478")]), 1478);
        assert_eq!(seconds(&[("Retry-After", "120")]), 120);
        for name in ["Fitbit-Rate-Limit-Reset", "fitbit-rate-limit-reset", "Fitbit-rate-limit-reset"] {
            assert_eq!(seconds(&[(name, "1478")]), 1478, "{name}");
        }
        assert_eq!(seconds(&[("Retry-After", "99999")]), 3600);
        assert_eq!(seconds(&[]), WAIT.as_secs());
    }

    #[test]
    fn the_api_speaks_for_itself() {
        for kind in ["insufficient_scope", "insufficient_permissions"] {
            assert!(matches!(error(403, &own(kind), &[], false), ProviderError::NotGranted { .. }), "{kind}");
        }
        for (status, kind) in
            [(401, "expired_token"), (401, "invalid_token"), (401, "system"), (400, "invalid_token")]
        {
            for fresh in [false, true] {
                assert_eq!(error(status, &own(kind), &[], fresh).remedy(), Remedy::Refresh, "{kind}");
            }
        }
        for (status, kind) in [(400, "validation"), (404, "not_found"), (403, "request"), (409, "request")] {
            let error = error(status, &own(kind), &[], true);
            assert_eq!(error.remedy(), Remedy::Permanent, "{kind}");
            assert!(error.to_string().contains(kind) && !error.to_string().contains("7GGNJL"), "{error}");
        }
    }

    #[test]
    fn what_only_a_host_without_the_api_says_is_the_end_and_never_the_patients_doing() {
        let ends = [
            (403, google("PERMISSION_DENIED"), false),
            (404, google("NOT_FOUND"), false),
            (404, "<html>".to_owned(), false),
            (410, String::new(), false),
            (401, google("UNAUTHENTICATED"), true),
            (401, String::new(), true),
        ];
        for (status, body, fresh) in ends {
            let error = error(status, &body, &[], fresh);
            assert!(matches!(error, ProviderError::Retired { .. }), "{status}: {error}");
            assert!(error.to_string().contains("type fitbit"), "{error}");
        }
        assert_eq!(error(401, &google("UNAUTHENTICATED"), &[], false).remedy(), Remedy::Refresh);
        for (status, body) in [(403, ""), (403, "<html>"), (302, ""), (500, ""), (503, "{}"), (418, "[]")] {
            assert!(
                matches!(error(status, body, &[], true).remedy(), Remedy::Retry { .. }),
                "{status} {body}"
            );
        }
        for status in 300..=599 {
            for (body, fresh) in [(own("system"), true), (google("X"), false), (String::new(), true)] {
                assert_ne!(error(status, &body, &[], fresh).remedy(), Remedy::Reauthorize, "{status}");
            }
        }
    }
}
