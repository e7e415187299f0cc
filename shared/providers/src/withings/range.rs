//! A window in Withings' words: whole seconds, or civil days.

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ohx_domain::{Instant, Interval, Query};

/// Parameters of a call.
pub(super) type Form = Vec<(&'static str, String)>;

/// The second that an instant lies in, and the first one that is not before it.
pub(super) fn second(at: Instant) -> (i64, i64) {
    // Rounded towards zero, with a remainder of the same sign.
    let (second, rest) = (at.as_second(), at.subsec_nanosecond());
    (second - i64::from(rest < 0), second + i64::from(rest > 0))
}

/// Whether bounds are inclusive is not documented, so that they are set one second outwards where it matters: a
/// reading twice costs nothing, a missed one is lost.
fn before(at: Instant) -> i64 {
    (second(at).0 - 1).max(0)
}

/// `startdate` and `enddate`.
pub(super) fn seconds(window: &Interval) -> Form {
    let end = second(window.end).1.max(1);
    vec![("startdate", before(window.start).to_string()), ("enddate", end.to_string())]
}

/// The query as `startdate` and `enddate`, or `lastupdate`.
pub(super) fn seconds_or_changes(query: &Query) -> Form {
    match query {
        Query::Window(window) => seconds(window),
        Query::Since { since } => changes(*since),
    }
}

fn changes(since: Instant) -> Form {
    vec![("lastupdate", before(since).to_string())]
}

/// The query as `startdateymd` and `enddateymd`, or `lastupdate`.
///
/// A row is a civil day of the patient's own zone, which no query can name, and a window counts as read only if every
/// local day that it touches was. Local days begin up to 14 hours before and 12 hours after UTC's of the same name:
/// one day more on both sides is safe wherever the patient is.
pub(super) fn days_or_changes(query: &Query) -> Form {
    match query {
        Query::Window(window) => {
            let (first, last) = (date(window.start), date(window.end));
            let (first, last) = (first.saturating_sub(1.day()), last.saturating_add(1.day()));
            vec![("startdateymd", first.to_string()), ("enddateymd", last.to_string())]
        }
        Query::Since { since } => changes(*since),
    }
}

fn date(at: Instant) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn window(start: &str, end: &str) -> Query {
        Query::Window(Interval::new(at(start), at(end)).unwrap())
    }

    #[test]
    fn bounds_are_whole_seconds_that_miss_nothing() {
        let seconds = |start, end| seconds_or_changes(&window(start, end));
        let whole = seconds("1970-01-01T00:01:40Z", "1970-01-01T00:03:20Z");
        assert_eq!(whole, [("startdate", "99".to_owned()), ("enddate", "200".to_owned())]);
        let partial = seconds("1970-01-01T00:01:40.5Z", "1970-01-01T00:03:20.000001Z");
        assert_eq!(partial, [("startdate", "99".to_owned()), ("enddate", "201".to_owned())]);
        let early = seconds("1969-12-31T23:00:00Z", "1969-12-31T23:30:00Z");
        assert_eq!(early, [("startdate", "0".to_owned()), ("enddate", "1".to_owned())]);
        let since = seconds_or_changes(&Query::Since { since: at("1970-01-01T00:01:40.9Z") });
        assert_eq!(since, [("lastupdate", "99".to_owned())]);
    }

    #[test]
    fn days_are_wider_by_one_on_both_sides() {
        let form = days_or_changes(&window("2026-03-01T23:59:59Z", "2026-12-31T00:00:00Z"));
        let expected = [("startdateymd", "2026-02-28".to_owned()), ("enddateymd", "2027-01-01".to_owned())];
        assert_eq!(form, expected);
        let since = days_or_changes(&Query::Since { since: at("1970-01-01T00:01:40.9Z") });
        assert_eq!(since, [("lastupdate", "99".to_owned())]);
        let ever = Query::Window(Interval::new(Instant::MIN, Instant::MAX).unwrap());
        assert_eq!(days_or_changes(&ever).len(), 2);
    }

    proptest! {
        /// Whoever wears the watch, wherever: the local day of every instant of the window is asked for.
        #[test]
        fn every_local_day_is_asked_for(
            start in 0_i64..4_000_000_000, length in 1_i64..10_000_000, inside in 0.0_f64..1.0,
            offset in -12_i32 * 3600..=14 * 3600
        ) {
            let instant = |s| Instant::from_second(s).unwrap();
            let query = Query::Window(Interval::new(instant(start), instant(start + length)).unwrap());
            let bounds: Vec<Date> = days_or_changes(&query).iter().map(|(_, day)| day.parse().unwrap()).collect();
            let moment = instant(start + (length as f64 * inside) as i64);
            let local = TimeZone::fixed(jiff::tz::Offset::from_seconds(offset).unwrap()).to_datetime(moment).date();
            prop_assert!(bounds[0] <= local && local <= bounds[1]);
        }
    }
}
