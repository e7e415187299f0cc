//! Notifications: proving that one is Google's, and what it says.
//!
//! The address is proven by two calls with `{"type":"verification"}`: 201 to the one with our secret in
//! `Authorization`, 401 to the one without. A notification is proven by its signature over the body; the secret is asked
//! for as well where the app says so, because some have been seen without it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{HeaderMap, Method, StatusCode, header};
use jiff::ToSpan as _;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ohx_domain::{Account, Instant, Interval};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::call::malformed;
use super::keyset::Keysets;
use super::records::known;
use super::tink::Signature;
use super::{Bases, WEBHOOK, WEBHOOK_AUTHORIZATION, WEBHOOK_PREVIOUS, configuration};
use crate::loose::Text;
use crate::wire::position;
use crate::{App, Notification, Notified, ProviderError, Received, WebhookRequest};

/// The signature's header, and its older spelling.
const SIGNATURE: [&str; 2] = ["google-health-api-signature", "x-healthapi-signature"];

/// Clocks differ by as much.
const MARGIN: i64 = 60;
const DAY: i64 = 24 * 60 * 60;
/// The longest window that one notification makes us read.
const LONGEST: i64 = 31 * DAY;

/// Reads a request to the app's address.
pub(super) async fn receive(
    http: &reqwest::Client,
    keysets: &Keysets,
    app: &App,
    request: WebhookRequest<'_>,
) -> Result<Received, ProviderError> {
    let refused = |why: &str| Ok(Received::Refused { answer: StatusCode::UNAUTHORIZED, why: why.to_owned() });
    let required = match app.config.options.get(WEBHOOK_AUTHORIZATION).map(String::as_str) {
        None | Some("optional") => false,
        Some("required") => true,
        Some(_) => {
            let problem = format!("options.{WEBHOOK_AUTHORIZATION} should be required or optional");
            return Err(configuration(app, problem));
        }
    };
    if request.method != Method::POST {
        let why = "notifications are POSTs".to_owned();
        return Ok(Received::Refused { answer: StatusCode::METHOD_NOT_ALLOWED, why });
    }
    // Before the body is looked at: whoever tries the address learns nothing else.
    let authorized = authorized(app, request.headers);
    if is_verification(request.body) {
        return match authorized {
            true => Ok(Received::Handshake(StatusCode::CREATED)),
            false if !app.secrets.contains_key(WEBHOOK) => {
                refused("a verification, but the app has no secret named webhook")
            }
            false => refused("a verification without the right Authorization header"),
        };
    }
    if required && !authorized {
        return refused("the Authorization header is not the secret named webhook");
    }
    let Some(header) = SIGNATURE.iter().find_map(|name| request.headers.get(*name)) else {
        return refused("it is not signed");
    };
    let Some(signature) = Signature::read(header.as_bytes()) else {
        return refused("its signature has not Tink's shape");
    };
    let address = Bases::of(app)?.keyset;
    let Some(key) = keysets.key(http, &address, signature.key, request.now).await? else {
        return refused("it is signed with a key that Google does not publish");
    };
    if !key.verifies(&signature, request.body) {
        return refused("its signature is not over this body");
    }
    let notified = read(request.body, request.now)?;
    Ok(Received::Notified { answer: StatusCode::NO_CONTENT, notified })
}

/// Whether the Authorization header is our secret, or the one before it, in constant time.
fn authorized(app: &App, headers: &HeaderMap) -> bool {
    let Some(given) = headers.get(header::AUTHORIZATION) else { return false };
    let given = Sha256::digest(given.as_bytes());
    let known = [WEBHOOK, WEBHOOK_PREVIOUS].iter().filter_map(|name| app.secrets.get(*name));
    let equal = |secret: &secrecy::SecretString| {
        let secret = secret.expose_secret();
        !secret.is_empty() && verify_slices_are_equal(&given, &Sha256::digest(secret)).is_ok()
    };
    known.fold(false, |found, secret| found | equal(secret))
}

fn is_verification(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        what: String,
    }
    crate::wire::object::<Typed>(body).is_ok_and(|typed| typed.what == "verification")
}

#[derive(Deserialize)]
struct Said {
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    health_user_id: Text,
    #[serde(default)]
    data_type: Option<String>,
    #[serde(default)]
    intervals: Option<Vec<Value>>,
    /// `UPSERT` or `DELETE`.
    operation: Option<String>,
}

/// Reads a notification, or a list of them; what cannot be read hides nothing else.
///
/// # Errors
/// [`ProviderError::Malformed`] where none can be read.
fn read(body: &[u8], now: Instant) -> Result<Vec<Notified>, ProviderError> {
    let wrong = |problem: String| malformed("us with a notification", problem);
    let body: Value = serde_json::from_slice(body).map_err(|e| wrong(position(&e)))?;
    let items = match body {
        Value::Array(items) => items,
        one => vec![one],
    };
    let (all, mut notified) = (items.len(), Vec::new());
    for item in items {
        match serde_json::from_value::<Said>(item) {
            Ok(Said { data }) if !data.health_user_id.0.is_empty() => notified.push(data.notified(now)),
            _ => tracing::warn!("one of {all} notifications names no user; it is left out"),
        }
    }
    if notified.is_empty() && all > 0 {
        return Err(wrong("it has no healthUserId".into()));
    }
    Ok(notified)
}

impl Data {
    fn notified(self, now: Instant) -> Notified {
        let name = self.data_type.unwrap_or_default().replace('_', "-");
        let what = match known(&name) {
            Some(known) => {
                let claimed = claimed(&self.intervals.unwrap_or_default());
                let (records, window) = (vec![known.record()], clamped(claimed, now));
                match self.operation.as_deref() {
                    // Only where it says when: a revoked consent is told of in the same words (sheet, section A9).
                    Some("DELETE") if claimed.is_some() => Notification::Removed { records, window },
                    _ => Notification::Changed { records, window },
                }
            }
            None => Notification::Irrelevant { topic: "another-data-type".into() },
        };
        Notified { account: Account::new(self.health_user_id.0), what }
    }
}

/// The time around all intervals, in seconds; `None` where they tell none.
fn claimed(intervals: &[Value]) -> Option<(i64, i64)> {
    let spans: Vec<(i64, i64)> = intervals.iter().filter_map(|i| physical(i).or_else(|| civil(i))).collect();
    let start = spans.iter().map(|span| span.0).min()?;
    Some((start, spans.iter().map(|span| span.1).max()?))
}

fn physical(interval: &Value) -> Option<(i64, i64)> {
    let at = |name: &str| -> Option<i64> {
        let text = interval.get("physicalTimeInterval")?.get(name)?.as_str()?;
        Some(text.parse::<Instant>().ok()?.as_second())
    };
    Some((at("startTime")?, at("endTime")?))
}

/// Civil times, wherever on Earth that is.
fn civil(interval: &Value) -> Option<(i64, i64)> {
    let text = |name: &str| -> Option<DateTime> {
        interval.get("civilIso8601TimeInterval")?.get(name)?.as_str()?.parse().ok()
    };
    let members = |name: &str| -> Option<DateTime> {
        let time = interval.get("civilDateTimeInterval")?.get(name)?;
        let number = |group: &str, member: &str| -> Option<i8> {
            Some(i8::try_from(time.get(group)?.get(member)?.as_i64()?).unwrap_or(-1))
        };
        let year = i16::try_from(time.get("date")?.get("year")?.as_i64()?).ok()?;
        let (month, day) = (number("date", "month")?, number("date", "day")?);
        let clock = |member| number("time", member).unwrap_or(0);
        DateTime::new(year, month, day, clock("hours"), clock("minutes"), clock("seconds"), 0).ok()
    };
    let start = text("startTime").or_else(|| members("startDateTime"))?;
    let end = text("endTime").or_else(|| members("endDateTime"))?;
    let utc = |at: DateTime, hours: i64| -> Option<i64> {
        let at = TimeZone::UTC.to_timestamp(at).ok()?;
        Some(at.checked_add(hours.hours()).ok()?.as_second())
    };
    Some((utc(start, -14)?, utc(end, 12)?))
}

/// What is sensible of a claimed window: a minute wider on both sides, not in the future, 31 days at most. A window
/// that is nothing then becomes the last day.
fn clamped(claimed: Option<(i64, i64)>, now: Instant) -> Interval {
    let latest = now.as_second() + MARGIN;
    let window = |start: i64, end: i64| {
        let end = end.saturating_add(MARGIN).min(latest);
        let start = start.saturating_sub(MARGIN).max(end.saturating_sub(LONGEST)).max(0);
        Interval::new(Instant::from_second(start).ok()?, Instant::from_second(end).ok()?)
    };
    let sensible = claimed.filter(|(start, end)| start <= end).and_then(|(start, end)| window(start, end));
    let last_day = || window(now.as_second() - DAY, now.as_second());
    // The last resort is for clocks before 1970.
    sensible.or_else(last_day).unwrap_or(Interval { start: Instant::UNIX_EPOCH, end: Instant::MAX })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: &str = "2026-11-20T12:00:00Z";
    const PHYSICAL: &str = r#"{"physicalTimeInterval":{"startTime":"2026-11-20T08:00:00Z","endTime":"2026-11-20T08:15:00Z"},"civilDateTimeInterval":{"startDateTime":{"date":{"year":2026,"month":11,"day":20},"time":{"hours":9}},"endDateTime":{"date":{"year":2026,"month":11,"day":20},"time":{"hours":9,"minutes":15}}},"civilIso8601TimeInterval":{"startTime":"2026-11-20T09:00:00","endTime":"2026-11-20T09:15:00"}}"#;

    fn said(data_type: &str, intervals: &str) -> String {
        format!(
            r#"{{"data":{{"version":"1","clientProvidedSubscriptionName":"subscriptions/abc","healthUserId":"111111256096816351","operation":"UPSERT","dataType":"{data_type}","intervals":[{intervals}]}}}}"#
        )
    }

    fn notified(body: &str) -> Vec<Notified> {
        read(body.as_bytes(), NOW.parse().unwrap()).unwrap()
    }

    fn window(intervals: &str) -> (String, String) {
        match notified(&said("steps", intervals)).remove(0).what {
            Notification::Changed { records, window } => {
                assert_eq!(records.len(), 1);
                (window.start.to_string(), window.end.to_string())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_object_or_a_list_name_person_record_and_window() {
        let one = said("steps", PHYSICAL);
        for body in [one.clone(), format!("[{one}]")] {
            let [Notified { account, what: Notification::Changed { records, window } }] =
                &notified(&body)[..]
            else {
                panic!()
            };
            assert_eq!(account.reveal(), "111111256096816351");
            assert_eq!(records[0].as_str(), "steps");
            assert_eq!(
                (window.start.to_string(), window.end.to_string()),
                ("2026-11-20T07:59:00Z".into(), "2026-11-20T08:16:00Z".into())
            );
        }
        let three = format!(
            "[{one},{{\"data\":{{}}}},{}]",
            said("daily_resting_heart_rate", PHYSICAL).replace("UPSERT", "DELETE")
        );
        let both = notified(&three);
        assert_eq!(both.len(), 2, "one that is malformed hides no other");
        assert!(
            matches!(&both[1].what, Notification::Removed { records, .. } if records[0].as_str() == "daily-resting-heart-rate")
        );
        assert!(notified("[]").is_empty());
        assert_eq!(
            notified(&said("nutrition-log", PHYSICAL))[0].what,
            Notification::Irrelevant { topic: "another-data-type".into() }
        );
    }

    #[test]
    fn the_window_is_around_all_intervals_in_any_of_their_forms() {
        let iso = r#"{"civilIso8601TimeInterval":{"startTime":"2026-11-19T09:00:00","endTime":"2026-11-19T10:00:00"}}"#;
        assert_eq!(window(iso), ("2026-11-18T18:59:00Z".into(), "2026-11-19T22:01:00Z".into()));
        let members = r#"{"civilDateTimeInterval":{"startDateTime":{"date":{"year":2026,"month":11,"day":19},"time":{"hours":9}},"endDateTime":{"date":{"year":2026,"month":11,"day":19},"time":{"hours":10}}}}"#;
        assert_eq!(window(members), window(iso));
        assert_eq!(
            window(&format!("{iso},{PHYSICAL}")),
            ("2026-11-18T18:59:00Z".into(), "2026-11-20T08:16:00Z".into())
        );
        let last_day = ("2026-11-19T11:59:00Z".to_owned(), "2026-11-20T12:01:00Z".to_owned());
        for nothing in [
            "",
            "{}",
            "7",
            r#"{"physicalTimeInterval":{"startTime":"soon"}}"#,
            r#"{"physicalTimeInterval":{"startTime":"2027-01-01T00:00:00Z","endTime":"2027-01-02T00:00:00Z"}}"#,
        ] {
            assert_eq!(window(nothing), last_day, "{nothing}");
        }
        let years = r#"{"physicalTimeInterval":{"startTime":"2020-01-01T00:00:00Z","endTime":"2026-11-20T00:00:00Z"}}"#;
        assert_eq!(window(years), ("2026-10-20T00:01:00Z".into(), "2026-11-20T00:01:00Z".into()));
    }

    #[test]
    fn who_is_meant_is_required_and_never_printed() {
        for body in ["", "{}", "7", "[{}]", r#"{"data":{"healthUserId":""}}"#, "<html>"] {
            let error = read(body.as_bytes(), NOW.parse().unwrap()).unwrap_err();
            assert!(matches!(error, ProviderError::Malformed { .. }), "{body}");
        }
        assert!(!format!("{:?}", notified(&said("steps", PHYSICAL))).contains("1111112560"));
    }

    proptest! {
        #[test]
        fn whatever_comes_the_window_is_sensible(start in any::<i64>(), end in any::<i64>()) {
            let now: Instant = NOW.parse().unwrap();
            let window = clamped(Some((start, end)), now);
            prop_assert!(window.start < window.end && window.end.as_second() <= now.as_second() + MARGIN);
            prop_assert!(window.end.as_second() - window.start.as_second() <= LONGEST);
        }

        #[test]
        fn no_body_panics(text in r#"[\[\]{}:,"a-z0-9 ]{0,60}"#) {
            let _ = read(text.as_bytes(), NOW.parse().unwrap());
        }
    }
}
