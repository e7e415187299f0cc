//! What a refusal means. OMRON's list of error codes is not public, so that only what says so itself is taken for more
//! than a passing error.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::KIND;
use crate::wire::object;
use crate::{ProviderError, Remedy};

/// Where the provider does not say how long to wait.
const PAUSE: Duration = Duration::from_secs(60);
/// A Retry-After beyond this is not believed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// What a refusal says of itself.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The error code, where it is one: printed, so that it is bounded.
    code: Option<String>,
    /// Everything it says, in lower case; never printed.
    text: String,
}

impl Said {
    /// Reads the body of a refusal, in any of the shapes that this API and gateways before one have.
    pub(super) fn read(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Refusal {
            #[serde(default)]
            error_code: Value,
            #[serde(default)]
            reason: Value,
            #[serde(default)]
            message: Value,
            #[serde(default)]
            error: Value,
            #[serde(default, rename = "error_description")]
            description: Value,
        }
        let Ok(refusal) = object::<Refusal>(body) else { return Self::default() };
        let text = |value: &Value| match value {
            Value::String(text) => text.trim().to_lowercase(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        let code = Some(text(&refusal.error_code)).filter(|code| {
            let fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
            (1..=40).contains(&code.len()) && code.bytes().all(fit)
        });
        let all = [refusal.error_code, refusal.reason, refusal.message, refusal.error, refusal.description];
        Self { code, text: all.iter().map(text).collect::<Vec<_>>().join(" ") }
    }

    fn has(&self, any: &[&str]) -> bool {
        any.iter().any(|word| self.text.contains(word))
    }

    /// Whether it is clearly about the access token.
    fn about_the_token(&self) -> bool {
        let bad = ["expired", "invalid", "not valid", "revoked", "unauthori"];
        self.code.as_deref() == Some("401")
            || self.has(&["invalid_token", "unauthorized"])
            || (self.has(&["token"]) && self.has(&bad))
    }

    fn about_the_quota(&self) -> bool {
        self.code.as_deref() == Some("429") || self.has(&["too many requests", "rate limit", "throttl"])
    }
}

fn error(call: &str, status: String, remedy: Remedy, meaning: &str) -> ProviderError {
    ProviderError::Refused {
        provider: KIND,
        call: call.to_owned(),
        status,
        meaning: meaning.to_owned(),
        remedy,
    }
}

const TOKEN: &str = "the access token is not accepted: it is refreshed once, and should that not help, the patient \
                     has to connect again";
const QUOTA: &str = "too many requests: all calls of this app pause";

fn pause(retry_after: Option<Duration>) -> Remedy {
    Remedy::SlowDown { after: retry_after.unwrap_or(PAUSE).min(LONGEST_PAUSE) }
}

/// The error for a status other than 0 in an HTTP 200.
pub(super) fn refused(call: &str, status: i64, retry_after: Option<Duration>, said: &Said) -> ProviderError {
    let text = match &said.code {
        Some(code) => format!("status {status}, errorCode {code}"),
        None => format!("status {status}"),
    };
    let after = retry_after.map(|wait| wait.min(LONGEST_PAUSE));
    if status == 401 || said.about_the_token() {
        return error(call, text, Remedy::Refresh, TOKEN);
    }
    if status == 429 || said.about_the_quota() {
        return error(call, text, pause(retry_after), QUOTA);
    }
    error(call, text, Remedy::Retry { after }, "an error at OMRON: it is tried again")
}

/// The error for an HTTP status other than 200.
pub(super) fn refused_http(
    call: &str,
    status: StatusCode,
    retry_after: Option<Duration>,
    said: &Said,
) -> ProviderError {
    let after = retry_after.map(|wait| wait.min(LONGEST_PAUSE));
    let retry = Remedy::Retry { after };
    let (remedy, meaning) = match status.as_u16() {
        401 => (Remedy::Refresh, TOKEN),
        429 => (pause(retry_after), QUOTA),
        403 if said.about_the_token() => (Remedy::Refresh, TOKEN),
        403 | 408 | 425 => (retry, "refused without a reason that can be read: it is tried again"),
        404 | 405 => (Remedy::Permanent, "the address is not OMRON's API: check the app's base_urls"),
        400..=499 => (
            Remedy::Permanent,
            "the request is not accepted: perhaps the agreement with OMRON does not include this record",
        ),
        500..=599 => (retry, "OMRON is out of order: it is tried again"),
        _ => (retry, "an answer that the API never gives: check the app's base_urls and what lies between"),
    };
    error(call, format!("HTTP {}", status.as_u16()), remedy, meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Remedy = Remedy::Retry { after: None };

    fn remedy(status: i64, body: &str) -> Remedy {
        refused("x", status, None, &Said::read(body.as_bytes())).remedy()
    }

    #[test]
    fn only_what_is_clearly_about_the_token_asks_for_another() {
        let about = [
            r#"{"status":1,"reason":"The access token expired","errorCode":"X17"}"#,
            r#"{"status":1,"reason":"Invalid TOKEN"}"#,
            r#"{"status":1,"errorCode":401}"#,
            r#"{"status":1,"errorCode":"401"}"#,
            r#"{"status":1,"reason":"Unauthorized"}"#,
            r#"{"status":1,"error":"invalid_token"}"#,
        ];
        for body in about {
            assert_eq!(remedy(1, body), Remedy::Refresh, "{body}");
        }
        let not = [
            r#"{"status":1,"reason":"Invalid since"}"#,
            r#"{"status":1,"reason":null,"errorCode":{}}"#,
            r#"{"status":1,"reason":"pagination token missing"}"#,
            r#"{"status":1}"#,
            "[]",
        ];
        for body in not {
            assert_eq!(remedy(1, body), RETRY, "{body}");
        }
        assert_eq!(remedy(401, "{}"), Remedy::Refresh);
        assert_eq!(remedy(429, "{}"), Remedy::SlowDown { after: PAUSE });
        assert_eq!(remedy(7, r#"{"reason":"Too Many Requests"}"#), Remedy::SlowDown { after: PAUSE });
    }

    #[test]
    fn an_http_status_never_ends_a_grant() {
        let remedy = |status: u16, after: Option<u64>, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            refused_http("x", status, after.map(Duration::from_secs), &Said::read(body.as_bytes())).remedy()
        };
        assert_eq!(remedy(401, None, ""), Remedy::Refresh);
        assert_eq!(remedy(403, None, ""), RETRY);
        assert_eq!(remedy(403, None, r#"{"message":"The security token is expired"}"#), Remedy::Refresh);
        assert_eq!(remedy(429, Some(7), ""), Remedy::SlowDown { after: Duration::from_secs(7) });
        assert_eq!(remedy(429, Some(99_999), ""), Remedy::SlowDown { after: LONGEST_PAUSE });
        assert_eq!(remedy(503, Some(5), ""), Remedy::Retry { after: Some(Duration::from_secs(5)) });
        assert_eq!(remedy(400, None, ""), Remedy::Permanent);
        assert_eq!(remedy(302, None, ""), RETRY);
        for status in 201..=599 {
            assert_ne!(remedy(status, None, ""), Remedy::Reauthorize, "{status}");
        }
    }

    #[test]
    fn an_error_code_is_told_and_nothing_else() {
        let said = Said::read(br#"{"reason":"user 7d1b has no token","errorCode":"E-1042"}"#);
        let shown = format!("{0} {0:?}", refused("x", 3, None, &said));
        assert!(shown.contains("status 3, errorCode e-1042") && !shown.contains("7d1b"), "{shown}");
        let long = format!(r#"{{"errorCode":"{}"}}"#, "x".repeat(41));
        for body in [r#"{"errorCode":"user 7d1b"}"#, &long, r#"{"errorCode":""}"#] {
            let shown = refused("x", 3, None, &Said::read(body.as_bytes())).to_string();
            assert!(shown.contains("with status 3: "), "{shown}");
        }
    }
}
