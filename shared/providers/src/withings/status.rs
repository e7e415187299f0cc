//! What Withings' statuses mean. Withings publishes families of codes rather than meanings; the special cases are
//! those that several clients report from the field.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::StatusCode;

use super::KIND;
use crate::{ProviderError, Remedy};

/// Which kind of call was answered: the same status means less on an API call than on a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// With an access token, which can be refreshed.
    Api,
    /// For tokens: a refusal is about the grant itself.
    Token,
}

/// The application's quota is per minute, and there is no documented Retry-After.
const PAUSE: Duration = Duration::from_secs(60);
/// A Retry-After beyond this is not believed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// A feature that the app's plan does not include; also said of single data fields.
pub(super) const NOT_IN_PLAN: i64 = 2555;

const INVALID: &[RangeInclusive<i64>] = &[
    201..=213,
    216..=218,
    220..=221,
    223..=223,
    225..=225,
    227..=230,
    234..=236,
    238..=238,
    240..=252,
    254..=254,
    260..=267,
    271..=272,
    275..=276,
    283..=288,
    290..=290,
    293..=295,
    297..=297,
    300..=304,
    321..=321,
    323..=353,
    380..=382,
    400..=400,
    501..=511,
    523..=523,
    532..=532,
    3017..=3019,
];

/// What helps against a status, and what it means, for a person. Statuses that nobody lists count as passing.
pub(super) fn classify(status: i64, endpoint: Endpoint) -> (Remedy, &'static str) {
    let retry = |after| Remedy::Retry { after };
    match (status, endpoint) {
        // 342 is a bad signature and 343 a bad token or nonce; 303-305 are dead codes, 503 a dead code or refresh
        // token, whatever its documented label says.
        (100..=102 | 200 | 401 | 342 | 343 | 303..=305 | 503, Endpoint::Token) => (
            Remedy::Reauthorize,
            "the code or refresh token is not accepted any more: the patient has to connect again; where every link \
             sees this, check the app's client_id and client_secret",
        ),
        (100..=102 | 200 | 401 | 342 | 343, Endpoint::Api) => (
            Remedy::Refresh,
            "the access token is not accepted: it is refreshed once, and should that not help, the patient has to connect again",
        ),
        (601 | 602, _) => {
            (Remedy::SlowDown { after: PAUSE }, "too many requests: all calls of this app pause for a minute")
        }
        (522, _) => (retry(None), "Withings ran into a timeout of its own: it is tried again"),
        (524, _) => (retry(Some(PAUSE)), "Withings is in a bad state: it is tried again later"),
        (283 | 286 | 293, _) => (
            Remedy::Permanent,
            "the callback address is refused: it has to be public HTTPS with a host name, at most 255 characters, \
             registered for the app, and answer HEAD with exactly 200",
        ),
        (214 | 277 | 2553 | NOT_IN_PLAN, _) => (
            Remedy::Permanent,
            "not authorized for this: the patient has not granted the scope, or the app's plan does not include it",
        ),
        (2554, _) => (Remedy::Permanent, "not implemented by Withings"),
        (247 | 250, _) => (Remedy::Permanent, "the user id is not known to Withings"),
        _ if INVALID.iter().any(|range| range.contains(&status)) => (
            Remedy::Permanent,
            "invalid parameters: asking the same again cannot succeed; this is a defect, please report it",
        ),
        _ => (retry(None), "an error at Withings: it is tried again"),
    }
}

/// The error for an envelope that says no.
pub(super) fn refused(call: &str, status: i64, endpoint: Endpoint) -> ProviderError {
    let (remedy, meaning) = classify(status, endpoint);
    let (call, meaning) = (call.to_owned(), meaning.to_owned());
    let text = format!("status {status}");
    match (status, endpoint) {
        (214 | 277 | 2553 | NOT_IN_PLAN, Endpoint::Api) => {
            ProviderError::NotGranted { provider: KIND, call, status: text, meaning }
        }
        _ => ProviderError::Refused { provider: KIND, call, status: text, meaning, remedy },
    }
}

/// The error for an HTTP status that says no, where the body says nothing: proxies and firewalls before the API. They
/// know nothing of grants, so nothing here asks the patient to consent again.
pub(super) fn refused_http(
    call: &str,
    status: StatusCode,
    retry_after: Option<Duration>,
    endpoint: Endpoint,
) -> ProviderError {
    let after = retry_after.map(|wait| wait.min(LONGEST_PAUSE));
    let (remedy, meaning) = match status.as_u16() {
        429 => (
            Remedy::SlowDown { after: after.unwrap_or(PAUSE) },
            "too many requests: all calls of this app pause",
        ),
        401 if endpoint == Endpoint::Api => {
            (Remedy::Refresh, "the access token is not accepted: it is refreshed once")
        }
        401 | 403 | 408 | 425 => {
            (Remedy::Retry { after }, "refused before it reached the API: it is tried again")
        }
        400..=499 => (Remedy::Permanent, "the address is not Withings' API: check the app's base_urls"),
        500..=599 => (Remedy::Retry { after }, "Withings is out of order: it is tried again"),
        _ => (
            Remedy::Retry { after },
            "an answer that the API never gives: check the app's base_urls and what lies between",
        ),
    };
    ProviderError::Refused {
        provider: KIND,
        call: call.to_owned(),
        status: format!("HTTP {}", status.as_u16()),
        meaning: meaning.to_owned(),
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Remedy = Remedy::Retry { after: None };
    const MINUTE: Remedy = Remedy::SlowDown { after: Duration::from_secs(60) };

    /// The documented groups, written down apart from the table above, one line a group.
    fn documented() -> Vec<(&'static str, Remedy)> {
        vec![
            ("100-102,200,401,342,343", Remedy::Refresh),
            (
                "201-213,216-218,220,221,223,225,227-230,234-236,238,240-252,254,260-267,271,272,275,276,283-288,290,\
                 293-295,297,300-304,321,323-341,344-353,380-382,400,501-511,523,532,3017-3019",
                Remedy::Permanent,
            ),
            ("214,277,2553,2554,2555", Remedy::Permanent),
            (
                "215,219,222,224,226,231-233,237,253,255-259,268-270,273,274,278-282,289,291,292,296,298,305-320,322,\
                 370-375,383,391,402,516-521,525-531,533,700,1051-1054,2551,2552,2556-2559,3000-3016,3020-3024,\
                 5000-5006,6000,6010,6011,9000,10000",
                RETRY,
            ),
            ("522", RETRY),
            ("524", Remedy::Retry { after: Some(Duration::from_secs(60)) }),
            ("601,602", MINUTE),
            // Listed nowhere.
            ("1,99,103,199,239,299,354,403,404,500,512,534,600,603,1000,2550,2560,99999", RETRY),
        ]
    }

    fn numbers(text: &str) -> Vec<i64> {
        text.split(',')
            .map(str::trim)
            .flat_map(|piece| {
                let (from, to) = piece.split_once('-').unwrap_or((piece, piece));
                from.parse::<i64>().unwrap()..=to.parse::<i64>().unwrap()
            })
            .collect()
    }

    #[test]
    fn every_documented_status_has_its_remedy_on_an_api_call() {
        let mut seen = std::collections::BTreeSet::new();
        for (group, remedy) in documented() {
            for status in numbers(group) {
                assert!(seen.insert(status), "{status} is listed twice");
                assert_eq!(classify(status, Endpoint::Api).0, remedy, "{status}");
            }
        }
        assert!(seen.len() > 250, "the table is complete: {}", seen.len());
        assert_eq!(classify(-1, Endpoint::Api).0, RETRY);
    }

    #[test]
    fn on_the_token_endpoint_a_dead_grant_needs_the_patient_and_an_outage_does_not() {
        for status in numbers("100-102,200,401,342,343,303-305,503") {
            assert_eq!(classify(status, Endpoint::Token).0, Remedy::Reauthorize, "{status}");
        }
        for status in [522, 524, 700, 10000, 12345] {
            assert!(matches!(classify(status, Endpoint::Token).0, Remedy::Retry { .. }), "{status}");
        }
        for status in [601, 602] {
            assert_eq!(classify(status, Endpoint::Token).0, MINUTE);
        }
        assert_eq!(classify(2554, Endpoint::Token).0, Remedy::Permanent);
    }

    #[test]
    fn http_statuses_never_end_a_grant() {
        let remedy = |status: u16, after: Option<u64>, endpoint| {
            refused_http("x", StatusCode::from_u16(status).unwrap(), after.map(Duration::from_secs), endpoint)
                .remedy()
        };
        assert_eq!(remedy(429, None, Endpoint::Api), MINUTE);
        assert_eq!(remedy(429, Some(7), Endpoint::Token), Remedy::SlowDown { after: Duration::from_secs(7) });
        assert_eq!(remedy(503, Some(99_999), Endpoint::Api), Remedy::Retry { after: Some(LONGEST_PAUSE) });
        assert_eq!(remedy(401, None, Endpoint::Api), Remedy::Refresh);
        assert_eq!(remedy(404, None, Endpoint::Api), Remedy::Permanent);
        for status in 300..=599 {
            assert_ne!(remedy(status, None, Endpoint::Token), Remedy::Reauthorize, "{status}");
            assert_ne!(remedy(status, None, Endpoint::Token), Remedy::Refresh, "{status}");
        }
    }
}
