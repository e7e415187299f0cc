//! Filters: what a window is in the words of each kind of time. Only `>=` and `<` exist.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::records::{Known, Time};
use super::settings::Zone;

/// The civil days that an instant and one after it lie in, and every day between.
pub(super) fn days(start: Timestamp, end: Timestamp, zone: &TimeZone) -> (Date, Date) {
    let first = zone.to_datetime(start).date();
    let last = zone.to_datetime(end.checked_sub(1.nanosecond()).unwrap_or(end).max(start)).date();
    (first, last.tomorrow().unwrap_or(last))
}

/// One day more on both sides.
fn wider((first, after): (Date, Date)) -> (Date, Date) {
    (first.yesterday().unwrap_or(first), after.tomorrow().unwrap_or(after))
}

/// The filter for what lies from `start` on and before `end`; `None` where it cannot be narrowed down.
pub(super) fn filter(known: &Known, start: Timestamp, end: Timestamp, zone: &Zone) -> Option<String> {
    let name = known.field();
    let between = |member: &str, from: &str, to: &str| {
        format!(r#"{name}.{member} >= "{from}" AND {name}.{member} < "{to}""#)
    };
    let instants = |member: &str| between(member, &start.to_string(), &end.to_string());
    Some(match known.time {
        Time::Interval => instants("interval.start_time"),
        Time::Sample => instants("sample_time.physical_time"),
        Time::Sleep => instants("interval.end_time"),
        Time::Open => format!(r#"{name}.interval.start_time >= "{start}""#),
        Time::Daily => {
            let dates = days(start, end, &zone.zone());
            let (from, to) = if zone.is_known() { dates } else { wider(dates) };
            between("date", &from.to_string(), &to.to_string())
        }
        // Civil times are of the zone that the person was in, which may have been another.
        Time::Session => {
            let (from, to) = wider(days(start, end, &zone.zone()));
            between("interval.civil_start_time", &from.to_string(), &to.to_string())
        }
        Time::Ever => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::records::known;
    use super::*;

    fn of(record: &str, start: &str, end: &str, zone: &str) -> Option<String> {
        let zone = serde_json::from_value(serde_json::json!({ "name": zone, "offset": null })).unwrap();
        filter(known(record).unwrap(), start.parse().unwrap(), end.parse().unwrap(), &zone)
    }

    #[test]
    fn each_kind_of_time_has_its_own_words() {
        let (start, end) = ("2026-11-19T23:30:00Z", "2026-11-21T00:00:00Z");
        let cases = [
            (
                "steps",
                r#"steps.interval.start_time >= "2026-11-19T23:30:00Z" AND steps.interval.start_time < "2026-11-21T00:00:00Z""#,
            ),
            (
                "heart-rate",
                r#"heart_rate.sample_time.physical_time >= "2026-11-19T23:30:00Z" AND heart_rate.sample_time.physical_time < "2026-11-21T00:00:00Z""#,
            ),
            ("daily-vo2-max", r#"daily_vo2_max.date >= "2026-11-20" AND daily_vo2_max.date < "2026-11-22""#),
            (
                "exercise",
                r#"exercise.interval.civil_start_time >= "2026-11-19" AND exercise.interval.civil_start_time < "2026-11-23""#,
            ),
            (
                "sleep",
                r#"sleep.interval.end_time >= "2026-11-19T23:30:00Z" AND sleep.interval.end_time < "2026-11-21T00:00:00Z""#,
            ),
            ("electrocardiogram", r#"electrocardiogram.interval.start_time >= "2026-11-19T23:30:00Z""#),
        ];
        for (record, expected) in cases {
            assert_eq!(of(record, start, end, "Europe/Amsterdam").as_deref(), Some(expected), "{record}");
        }
        assert_eq!(of("height", start, end, "Europe/Amsterdam"), None);
    }

    #[test]
    fn no_window_becomes_an_empty_one() {
        // A quarter of an hour, the end of a day, and the hour that there is twice.
        for (start, end) in [
            ("2026-11-20T08:00:00Z", "2026-11-20T08:15:00Z"),
            ("2026-11-20T22:59:59.9Z", "2026-11-20T23:00:00Z"),
            ("2026-10-25T00:50:00Z", "2026-10-25T01:10:00Z"),
        ] {
            for record in ["daily-resting-heart-rate", "exercise"] {
                let filter = of(record, start, end, "Europe/Amsterdam").unwrap();
                let dates: Vec<&str> = filter.split('"').skip(1).step_by(2).collect();
                assert!(dates[0] < dates[1], "{filter}");
            }
        }
        let unknown = filter(
            known("daily-resting-heart-rate").unwrap(),
            "2026-11-20T12:00:00Z".parse().unwrap(),
            "2026-11-20T13:00:00Z".parse().unwrap(),
            &Zone::default(),
        );
        assert!(unknown.is_some_and(|f| f.contains("\"2026-11-19\"") && f.contains("\"2026-11-22\"")));
    }
}
