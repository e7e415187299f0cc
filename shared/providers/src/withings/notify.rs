//! Notifications: which are subscribed to, and what one says.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use ohx_domain::{Account, Instant, Interval, Record};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::GETMEAS;
use super::call::{Caller, is_empty_list, malformed, object};
use super::loose::Number;
use crate::{Notification, Notified, ProviderError, Remedy, Subscriptions};

/// The `appli` of what getmeas reads: weight and composition, temperature, blood pressure with pulse and SpO2.
const METRICS: [i64; 3] = [1, 2, 4];
/// The profile changed, or the patient has left.
const PROFILE: i64 = 46;
/// Topics that Withings documents and that are not read; metrics name no others.
const OTHERS: [i64; 17] = [16, 44, 46, 50, 51, 52, 53, 54, 55, 58, 60, 61, 62, 63, 98, 99, 100];

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
}

/// Subscribes to what is missing. `leaving` says whether the app's scopes include what notification 46 needs; it is a
/// convenience, so that its refusal for good leaves the others in force.
pub(super) async fn subscribe(
    caller: &Caller<'_>,
    callback: &Url,
    leaving: bool,
) -> Result<Subscriptions, ProviderError> {
    let have = listed(caller, callback).await?;
    let mut subscriptions = Subscriptions { kept: 0, made: 0 };
    for appli in METRICS.into_iter().chain(leaving.then_some(PROFILE)) {
        if have.contains(&appli) {
            subscriptions.kept += 1;
            continue;
        }
        let call = format!("notify subscribe (appli {appli})");
        let number = appli.to_string();
        let form = [("action", "subscribe"), ("callbackurl", callback.as_str()), ("appli", number.as_str())];
        match caller.post("notify", &form, &call).await.and_then(|answer| answer.success(&call).map(|_| ())) {
            Ok(()) => subscriptions.made += 1,
            Err(error) if appli == PROFILE && error.remedy() == Remedy::Permanent => {
                tracing::info!(%error, "no notification when the patient leaves; the next refused call will tell");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(subscriptions)
}

/// The `appli` that are subscribed for `callback` already.
async fn listed(caller: &Caller<'_>, callback: &Url) -> Result<Vec<i64>, ProviderError> {
    const CALL: &str = "notify list";
    let answer = caller.post("notify", &[("action", "list")], CALL).await?;
    let Some(body) = answer.success(CALL)? else { return Ok(Vec::new()) };
    let text = if is_empty_list(body) { "{}" } else { body.get() };
    let listed: Listed = object(text.as_bytes()).map_err(|problem| malformed(CALL, problem))?;
    let profiles = listed.profiles.unwrap_or_default().into_iter();
    let ours = profiles
        .filter(|p| p.callbackurl.as_deref().and_then(|url| Url::parse(url).ok()).as_ref() == Some(callback));
    Ok(ours.filter_map(|p| p.appli).map(|n| n.0).collect())
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
    let what = match appli {
        Some(n) if METRICS.contains(&n) => {
            #[expect(clippy::expect_used, reason = "a constant of the right shape")]
            let record: Record = GETMEAS.parse().expect("a record's name");
            let seconds = |name| field(name).and_then(|v| v.parse::<i64>().ok());
            let date = field("date").and_then(|v| v.parse::<Date>().ok());
            let claimed = claimed(seconds("startdate"), seconds("enddate"), date, now.as_second());
            Notification::Changed { records: vec![record], window: clamped(claimed, now) }
        }
        Some(PROFILE) if left => Notification::Revoked,
        Some(n) if OTHERS.contains(&n) => Notification::Irrelevant { topic: format!("appli-{n}") },
        Some(_) => Notification::Irrelevant { topic: "appli-other".into() },
        None => Notification::Irrelevant { topic: "appli-none".into() },
    };
    Ok(Notified { account: Account::new(account.to_owned()), what })
}

/// The window that a notification claims, in seconds; the last day where it claims none.
fn claimed(start: Option<i64>, end: Option<i64>, date: Option<Date>, now: i64) -> (i64, i64) {
    match (start, end, date) {
        (Some(start), Some(end), _) => (start, end),
        (Some(start), None, _) => (start, now),
        (None, Some(end), _) => (end.saturating_sub(DAY), end),
        // A day of the patient's calendar, wherever on Earth that is: from 14 hours before UTC's to 12 after.
        (None, None, Some(date)) => match TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)) {
            Ok(midnight) => (midnight.as_second() - 14 * 3600, midnight.as_second() + DAY + 12 * 3600),
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

    /// The window as seconds before now.
    fn window(body: &str) -> (i64, i64) {
        match said(body).what {
            Notification::Changed { records, window } => {
                assert_eq!(records, [GETMEAS.parse::<Record>().unwrap()]);
                (NOW - window.start.as_second(), NOW - window.end.as_second())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_window_is_widened_and_clamped() {
        let at = |before: i64| NOW - before;
        for appli in METRICS {
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
    fn a_date_is_that_day_anywhere_on_earth() {
        let body = "userid=1&appli=1&date=2026-09-01";
        let Notification::Changed { window, .. } = said(body).what else { panic!("changed") };
        assert_eq!(window.start.to_string(), "2026-08-31T09:59:00Z");
        assert_eq!(window.end.to_string(), "2026-09-02T12:01:00Z");
    }

    #[test]
    fn leaving_is_told_from_other_profile_changes_and_other_topics() {
        for action in ["delete", "unlink"] {
            assert_eq!(said(&format!("userid=1&appli=46&action={action}")).what, Notification::Revoked);
        }
        let topics = [
            ("appli=46&action=update", "appli-46"),
            ("appli=46", "appli-46"),
            ("appli=16&date=2026-10-03", "appli-16"),
            ("appli=44&startdate=1&enddate=2", "appli-44"),
            ("appli=51&deviceid=abc&startdate=1759741200", "appli-51"),
            ("appli=54", "appli-54"),
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
