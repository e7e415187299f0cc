//! Notifications: which are subscribed to, and what one says.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use ohx_domain::{Account, Instant, Interval, Record};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::call::{Caller, malformed};
use super::records::{
    GETACTIVITY, GETINTRADAYACTIVITY, GETMEAS, GETWORKOUTS, HEART_GET, HEART_LIST, SLEEP_GET,
    SLEEP_GETSUMMARY, record,
};
use super::{ACTIVITY, INFO, METRICS};
use crate::loose::Number;
use crate::wire::{is_empty_list, object};
use crate::{Notification, Notified, ProviderError, Remedy, Subscriptions};

/// What can be subscribed to, and what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Topic {
    appli: i64,
    scope: &'static str,
    /// The records that may have news.
    records: &'static [&'static str],
    /// Whether push works without it: its refusal for good leaves the others in force. These are topics for devices
    /// and plans that few have, whose scope is documented nowhere, and the one of leaving.
    optional: bool,
}

const fn topic(appli: i64, scope: &'static str, records: &'static [&'static str]) -> Topic {
    Topic { appli, scope, records, optional: false }
}

/// The profile changed, or the patient has left.
const PROFILE: i64 = 46;

const TOPICS: [Topic; 9] = [
    // Weight and composition; temperature; blood pressure with pulse and SpO2.
    topic(1, METRICS, &[GETMEAS]),
    topic(2, METRICS, &[GETMEAS]),
    topic(4, METRICS, &[GETMEAS]),
    topic(16, ACTIVITY, &[GETACTIVITY, GETWORKOUTS, GETINTRADAYACTIVITY]),
    topic(44, ACTIVITY, &[SLEEP_GETSUMMARY, SLEEP_GET]),
    Topic { optional: true, ..topic(PROFILE, INFO, &[]) },
    Topic { optional: true, ..topic(54, METRICS, &[HEART_LIST, HEART_GET]) },
    // Heart rate variability.
    Topic { optional: true, ..topic(62, METRICS, &[GETINTRADAYACTIVITY, SLEEP_GET]) },
    // Urine.
    Topic { optional: true, ..topic(63, METRICS, &[GETMEAS]) },
];

/// Topics that Withings documents and that nothing is read for; metrics name no others.
const OTHERS: [i64; 12] = [PROFILE, 50, 51, 52, 53, 55, 58, 60, 61, 98, 99, 100];

/// Clocks differ by as much.
const MARGIN: i64 = 60;
const DAY: i64 = 24 * 60 * 60;
/// The longest window that an unsigned notification can make us read. What lies further back comes with the nightly
/// question for changes.
const LONGEST: i64 = 31 * DAY;

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    profiles: Option<Vec<Profile>>,
}

#[derive(Deserialize)]
struct Profile {
    #[serde(default)]
    appli: Option<Number>,
    #[serde(default)]
    callbackurl: Option<String>,
    /// Unix seconds; `2147483647` is never.
    #[serde(default)]
    expires: Option<Number>,
}

/// A subscription that ends sooner than this is made anew: the next look is a night away, and a night may be missed.
const RENEW_BEFORE: i64 = 7 * DAY;
/// What Withings answers where the callback address did not answer HEAD with 200 at that moment.
const CALLBACK_SILENT: &str = "status 293";

/// The topics that tell of these records, and of leaving, as far as the scopes allow.
pub(super) fn needed(records: &[Record], scopes: &[String]) -> Vec<Topic> {
    let read = |topic: &Topic| topic.records.iter().any(|name| records.iter().any(|r| r.as_str() == *name));
    let granted = |topic: &Topic| scopes.iter().any(|scope| scope == topic.scope);
    TOPICS.into_iter().filter(|topic| granted(topic) && (topic.appli == PROFILE || read(topic))).collect()
}

/// Subscribes to those of `topics` that are missing.
///
/// # Errors
/// The first refusal, but for topics that push works without, and for those that this patient or plan does not allow:
/// the nightly run brings what they would have told of. A callback address that did not answer is told in any case: it may
/// have been slow just then.
pub(super) async fn subscribe(
    caller: &Caller<'_>,
    callback: &Url,
    topics: &[Topic],
    now: Instant,
) -> Result<Subscriptions, ProviderError> {
    let have = listed(caller, callback, now).await?;
    let mut subscriptions = Subscriptions { kept: 0, made: 0, refused: 0 };
    for topic in topics {
        let appli = topic.appli;
        if have.contains(&appli) {
            subscriptions.kept += 1;
            continue;
        }
        let call = format!("notify subscribe (appli {appli})");
        let number = appli.to_string();
        let form = [("action", "subscribe"), ("callbackurl", callback.as_str()), ("appli", number.as_str())];
        match caller.post("notify", &form, &call).await.and_then(|answer| answer.success(&call).map(|_| ())) {
            Ok(()) => subscriptions.made += 1,
            Err(error)
                if matches!(error, ProviderError::NotGranted { .. })
                    || (topic.optional && error.remedy() == Remedy::Permanent && !is_silent(&error)) =>
            {
                tracing::info!(%error, "no notifications of this; the nightly run looks for it");
                subscriptions.refused += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(subscriptions)
}

/// Ends every subscription of this patient for `callback`; gives how many there were.
///
/// # Errors
/// The first refusal: those before it have ended, and those after it are tried with the next call.
pub(super) async fn unsubscribe(caller: &Caller<'_>, callback: &Url) -> Result<u32, ProviderError> {
    let mut ended = 0;
    // Those too that would end soon by themselves.
    for appli in listed(caller, callback, Instant::MIN).await? {
        let call = format!("notify revoke (appli {appli})");
        let number = appli.to_string();
        let form = [("action", "revoke"), ("callbackurl", callback.as_str()), ("appli", number.as_str())];
        caller.post("notify", &form, &call).await?.success(&call)?;
        ended += 1;
    }
    Ok(ended)
}

fn is_silent(error: &ProviderError) -> bool {
    matches!(error, ProviderError::Refused { status, .. } if status == CALLBACK_SILENT)
}

/// The `appli` that are subscribed for `callback` already, and will be for a while.
async fn listed(caller: &Caller<'_>, callback: &Url, now: Instant) -> Result<Vec<i64>, ProviderError> {
    const CALL: &str = "notify list";
    let answer = caller.post("notify", &[("action", "list")], CALL).await?;
    let Some(body) = answer.success(CALL)? else { return Ok(Vec::new()) };
    let text = if is_empty_list(body) { "{}" } else { body.get() };
    let listed: Listed = object(text.as_bytes()).map_err(|problem| malformed(CALL, problem))?;
    let profiles = listed.profiles.unwrap_or_default().into_iter();
    let ours = profiles
        .filter(|p| p.callbackurl.as_deref().and_then(|url| Url::parse(url).ok()).as_ref() == Some(callback));
    let soon = now.as_second() + RENEW_BEFORE;
    let lasting = ours.filter(|p| p.expires.as_ref().is_none_or(|expires| expires.0 > soon));
    Ok(lasting.filter_map(|p| p.appli).map(|n| n.0).collect())
}

/// Reads a notification: a few form fields, unsigned, none to be believed beyond "look here".
///
/// # Errors
/// [`ProviderError::Malformed`] where it names no user.
pub(super) fn read(body: &[u8], now: Instant) -> Result<Notified, ProviderError> {
    let fields: BTreeMap<_, _> = form_urlencoded::parse(body).collect();
    let field = |name: &str| fields.get(name).map(|v| v.trim()).filter(|v| !v.is_empty());
    let account =
        field("userid").ok_or_else(|| malformed("us with a notification", "it has no userid".into()))?;
    let appli: Option<i64> = field("appli").and_then(|v| v.parse().ok());
    let left = matches!(field("action"), Some("delete" | "unlink"));
    let news = TOPICS.iter().find(|topic| Some(topic.appli) == appli && !topic.records.is_empty());
    let what = match (appli, news) {
        (_, Some(topic)) => {
            let seconds = |name| field(name).and_then(|v| v.parse::<i64>().ok());
            let date = field("date").and_then(|v| v.parse::<Date>().ok());
            let claimed = claimed(seconds("startdate"), seconds("enddate"), date, now.as_second());
            let records = topic.records.iter().map(|name| record(name)).collect();
            Notification::Changed { records, window: clamped(claimed, now) }
        }
        (Some(PROFILE), None) if left => Notification::Revoked,
        (Some(n), None) if OTHERS.contains(&n) => Notification::Irrelevant { topic: format!("appli-{n}") },
        (Some(_), None) => Notification::Irrelevant { topic: "appli-other".into() },
        (None, None) => Notification::Irrelevant { topic: "appli-none".into() },
    };
    Ok(Notified { account: Account::new(account.to_owned()), what })
}

/// The window that a notification claims, in seconds; the last day where it claims none.
fn claimed(start: Option<i64>, end: Option<i64>, date: Option<Date>, now: i64) -> (i64, i64) {
    match (start, end, date) {
        (Some(start), Some(end), _) => (start, end),
        (Some(start), None, _) => (start, now),
        (None, Some(end), _) => (end.saturating_sub(DAY), end),
        // A day of the patient's calendar, wherever on Earth that is: UTC's, and one day more on both sides.
        (None, None, Some(date)) => match TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)) {
            Ok(midnight) => (midnight.as_second() - DAY, midnight.as_second() + 2 * DAY),
            Err(_) => (now - DAY, now),
        },
        (None, None, None) => (now - DAY, now),
    }
}

/// What is sensible of a claimed window: a minute wider on both sides, not in the future, 31 days at most. A window
/// that is nothing then (reversed, or all in the future) becomes the last day.
fn clamped((start, end): (i64, i64), now: Instant) -> Interval {
    let latest = now.as_second() + MARGIN;
    let window = |start: i64, end: i64| {
        let end = end.saturating_add(MARGIN).min(latest);
        let start = start.saturating_sub(MARGIN).max(end.saturating_sub(LONGEST)).max(0);
        Interval::new(Instant::from_second(start).ok()?, Instant::from_second(end).ok()?)
    };
    let sensible = if start <= end { window(start, end) } else { None };
    let last_day = || window(now.as_second() - DAY, now.as_second());
    // The last resort is for clocks before 1970.
    sensible.or_else(last_day).unwrap_or(Interval { start: Instant::UNIX_EPOCH, end: Instant::MAX })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn said(body: &str) -> Notified {
        read(body.as_bytes(), Instant::from_second(NOW).unwrap()).unwrap()
    }

    fn changed(body: &str) -> (Vec<String>, Interval) {
        match said(body).what {
            Notification::Changed { records, window } => {
                (records.iter().map(Record::to_string).collect(), window)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The window as seconds before now.
    fn window(body: &str) -> (i64, i64) {
        let (_, window) = changed(body);
        (NOW - window.start.as_second(), NOW - window.end.as_second())
    }

    #[test]
    fn a_topic_names_the_records_that_may_have_news() {
        let expected: [(i64, &[&str]); 8] = [
            (1, &["getmeas"]),
            (2, &["getmeas"]),
            (4, &["getmeas"]),
            (16, &["getactivity", "getworkouts", "getintradayactivity"]),
            (44, &["sleep-getsummary", "sleep-get"]),
            (54, &["heart-list", "heart-get"]),
            (62, &["getintradayactivity", "sleep-get"]),
            (63, &["getmeas"]),
        ];
        for (appli, records) in expected {
            let body = format!("userid=1&appli={appli}&startdate={}&enddate={}", NOW - 90, NOW - 80);
            assert_eq!(changed(&body).0, records, "{appli}");
            assert_eq!(window(&body), (150, 20), "{appli}");
        }
    }

    #[test]
    fn only_topics_of_what_is_read_and_granted_are_needed() {
        let names = |records: &[&str], scopes: &[&str]| -> Vec<i64> {
            let records: Vec<Record> = records.iter().map(|r| r.parse().unwrap()).collect();
            let scopes: Vec<String> = scopes.iter().map(|s| (*s).to_owned()).collect();
            needed(&records, &scopes).iter().map(|t| t.appli).collect()
        };
        let all = [INFO, METRICS, ACTIVITY];
        assert_eq!(names(super::super::RECORDS, &all), [1, 2, 4, 16, 44, 46, 54, 62, 63]);
        assert_eq!(names(&["getmeas"], &all), [1, 2, 4, 46, 63]);
        assert_eq!(names(&["getworkouts", "sleep-get"], &all), [16, 44, 46, 62]);
        assert_eq!(names(&["getworkouts", "sleep-get"], &[ACTIVITY]), [16, 44]);
        assert_eq!(names(&["heart-get"], &[METRICS]), [54]);
        assert_eq!(names(&[], &[METRICS, ACTIVITY]), [0_i64; 0]);
    }

    #[test]
    fn a_window_is_widened_and_clamped() {
        let at = |before: i64| NOW - before;
        for appli in [1, 2, 4] {
            let body = format!("userid=12345&appli={appli}&startdate={}&enddate={}", at(5000), at(4000));
            assert_eq!(window(&body), (5060, 3940));
        }
        // Up to now, and into the future.
        assert_eq!(window(&format!("userid=1&appli=1&startdate={}&enddate={}", at(100), at(0))), (160, -60));
        assert_eq!(
            window(&format!("userid=1&appli=1&startdate={}&enddate={}", at(100), at(-9999))),
            (160, -60)
        );
        // Only a start, only an end, a single instant.
        assert_eq!(window(&format!("userid=1&appli=1&startdate={}", at(100))), (160, -60));
        assert_eq!(window(&format!("userid=1&appli=1&enddate={}", at(100))), (100 + DAY + 60, 40));
        assert_eq!(window(&format!("userid=1&appli=1&startdate={0}&enddate={0}", at(100))), (160, 40));
        // Years.
        assert_eq!(window(&format!("userid=1&appli=1&startdate=0&enddate={}", at(100))), (40 + LONGEST, 40));
    }

    #[test]
    fn without_a_sensible_window_it_is_the_last_day() {
        let last_day = (DAY + 60, -60);
        let future = NOW + 10 * DAY;
        for fields in [
            String::new(),
            "&startdate=&enddate=".into(),
            "&startdate=soon&enddate=later".into(),
            "&startdate=1000&enddate=500".into(),
            format!("&startdate={future}&enddate={}", future + 5),
            "&date=yesterday".into(),
        ] {
            assert_eq!(window(&format!("userid=1&appli=4{fields}")), last_day, "{fields}");
        }
    }

    #[test]
    fn a_date_is_that_day_and_one_more_on_both_sides() {
        let (_, window) = changed("userid=1&appli=16&date=2026-09-01");
        assert_eq!(window.start.to_string(), "2026-08-30T23:59:00Z");
        assert_eq!(window.end.to_string(), "2026-09-03T00:01:00Z");
        // Today, of which nothing is known yet beyond now.
        let (_, window) = changed("userid=1&appli=16&date=2026-09-21");
        assert_eq!(window.start.to_string(), "2026-09-19T23:59:00Z");
        assert_eq!(window.end.as_second(), NOW + MARGIN);
    }

    #[test]
    fn leaving_is_told_from_other_profile_changes_and_other_topics() {
        for action in ["delete", "unlink"] {
            assert_eq!(said(&format!("userid=1&appli=46&action={action}")).what, Notification::Revoked);
        }
        let topics = [
            ("appli=46&action=update", "appli-46"),
            ("appli=46", "appli-46"),
            ("appli=51&deviceid=abc&startdate=1759741200", "appli-51"),
            ("appli=55", "appli-55"),
            ("appli=987654", "appli-other"),
            ("appli=one", "appli-none"),
            ("action=delete", "appli-none"),
        ];
        for (fields, topic) in topics {
            let expected = Notification::Irrelevant { topic: topic.into() };
            assert_eq!(said(&format!("userid=1&{fields}")).what, expected, "{fields}");
        }
    }

    #[test]
    fn a_user_is_required_and_never_printed() {
        let now = Instant::from_second(NOW).unwrap();
        for body in ["", "appli=1", "userid=&appli=1", "{\"userid\":1}", "<html>"] {
            assert!(matches!(read(body.as_bytes(), now), Err(ProviderError::Malformed { .. })), "{body}");
        }
        let notified = said("extra=1&appli=1&userid=987650123&another=%ff");
        assert_eq!(notified.account.reveal(), "987650123");
        assert!(!format!("{notified:?}").contains("987650123"));
    }

    proptest! {
        #[test]
        fn whatever_comes_the_window_is_sensible(start in any::<i64>(), end in any::<i64>(), near in any::<bool>()) {
            let (start, end) = if near { (NOW + start % (90 * DAY), NOW + end % (90 * DAY)) } else { (start, end) };
            let (from, to) = window(&format!("userid=1&appli=1&startdate={start}&enddate={end}"));
            prop_assert!(to >= -MARGIN && from > to && from - to <= LONGEST);
        }

        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&body, Instant::from_second(NOW).unwrap());
        }
    }
}
