//! What of a window is read at once, and where that may be cut.

use jiff::{Timestamp, ToSpan as _};
use ohx_domain::{Instant, Interval};

use super::filter::days;
use super::records::{Known, Steps};
use super::settings::{Zone, midnight};

const HOUR: i64 = 3_600;

/// From an instant to another, which is not in it.
pub(super) type Span = (Timestamp, Timestamp);

/// The window, widened to what can be asked for; `None` where nothing of it can be read yet.
pub(super) fn stretch(known: &Known, window: &Interval, zone: &Zone, now: Instant) -> Option<Span> {
    let whole = |seconds: i64| {
        let start = window.start.as_second().div_euclid(seconds) * seconds;
        let start = if Timestamp::from_second(start).is_ok_and(|s| s > window.start) {
            start - seconds
        } else {
            start
        };
        let mut end = window.end.as_second().div_euclid(seconds) * seconds;
        while Timestamp::from_second(end).is_ok_and(|e| e < window.end) {
            end += seconds;
        }
        Some((Timestamp::from_second(start).ok()?, Timestamp::from_second(end).ok()?))
    };
    match known.steps {
        Steps::Whole => whole(1),
        Steps::Hours(_) => whole(HOUR),
        Steps::Days(_) => {
            let zone = zone.zone();
            let (first, after) = days(window.start, window.end, &zone);
            let over = zone.to_datetime(now).date();
            let (start, end) = (midnight(first, &zone)?, midnight(after.min(over), &zone)?);
            (start < end).then_some((start, end))
        }
    }
}

/// The step that ends at `until`, in Unix seconds; the latest where that is nowhere inside.
pub(super) fn step_of(known: &Known, (start, end): Span, until: Option<i64>, zone: &Zone) -> Span {
    let until = until.and_then(|second| Timestamp::from_second(second).ok());
    let end = until.filter(|until| start < *until && *until < end).unwrap_or(end);
    let from = match known.steps {
        Steps::Whole => None,
        Steps::Hours(hours) => end.checked_sub(i64::from(hours).hours()).ok(),
        Steps::Days(days) => {
            let zone = zone.zone();
            let date = zone.to_datetime(end).date();
            date.checked_sub(days.days()).ok().and_then(|date| midnight(date, &zone))
        }
    };
    (from.unwrap_or(start).max(start), end)
}

/// Where the parts of a step may be cut: its hours or its civil days.
pub(super) fn edges(known: &Known, (start, end): Span, zone: &Zone) -> Vec<Timestamp> {
    let mut edges = vec![start];
    let zone = zone.zone();
    let mut date = zone.to_datetime(start).date();
    let mut at = start;
    while at < end {
        let next = match known.steps {
            Steps::Days(_) => date.tomorrow().ok().and_then(|tomorrow| {
                date = tomorrow;
                midnight(tomorrow, &zone)
            }),
            _ => at.checked_add(1.hour()).ok(),
        };
        at = next.filter(|next| at < *next).unwrap_or(end).min(end);
        edges.push(at);
    }
    edges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::records::known;
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn zone(name: &str) -> Zone {
        serde_json::from_value(json!({ "name": name, "offset": null })).unwrap()
    }

    /// Every step of a window.
    fn steps(
        record: &str,
        window: &Interval,
        zone_name: &str,
        now: Timestamp,
    ) -> Vec<(Timestamp, Timestamp)> {
        let known = known(record).unwrap();
        let (zone, mut until) = (zone(zone_name), None);
        let Some(whole) = stretch(known, window, &zone, now) else { return Vec::new() };
        let mut all = Vec::new();
        loop {
            let step = step_of(known, whole, until, &zone);
            all.push(step);
            if step.0 <= whole.0 {
                return all;
            }
            until = Some(step.0.as_second());
        }
    }

    #[test]
    fn days_are_whole_and_over_also_where_the_clock_changes() {
        let window = Interval::new(at("2026-10-24T08:00:00Z"), at("2026-10-26T08:15:00Z")).unwrap();
        let now = at("2026-10-26T08:20:00Z");
        let [step] = steps("steps", &window, "Europe/Amsterdam", now)[..] else { panic!() };
        assert_eq!(
            step,
            (at("2026-10-23T22:00:00Z"), at("2026-10-25T23:00:00Z")),
            "two days, one of 25 hours"
        );
        let edges = edges(known("steps").unwrap(), step, &zone("Europe/Amsterdam"));
        assert_eq!(edges, [step.0, at("2026-10-24T22:00:00Z"), step.1]);
        // A quarter of an hour of a day that is over is all of that day; of today it is nothing yet.
        let quarter = |day: &str| {
            let start = at(&format!("{day}T08:00:00Z"));
            steps("steps", &Interval::new(start, start + 15.minutes()).unwrap(), "Europe/Amsterdam", now)
        };
        assert_eq!(quarter("2026-10-25"), [(at("2026-10-24T22:00:00Z"), at("2026-10-25T23:00:00Z"))]);
        assert_eq!(quarter("2026-10-26"), []);
    }

    #[test]
    fn long_windows_are_read_in_steps_from_the_latest_back() {
        let now = at("2026-11-21T12:00:00Z");
        let window = Interval::new(at("2026-10-24T12:00:00Z"), now).unwrap();
        let rollup = steps("total-calories", &window, "Europe/Amsterdam", now);
        assert_eq!(
            rollup,
            [
                (at("2026-11-06T23:00:00Z"), at("2026-11-20T23:00:00Z")),
                (at("2026-10-23T22:00:00Z"), at("2026-11-06T23:00:00Z")),
            ]
        );
        assert_eq!(steps("floors", &window, "Europe/Amsterdam", now).len(), 1);
        assert_eq!(steps("steps", &window, "Europe/Amsterdam", now).len(), 4);
        assert_eq!(steps("heart-rate", &window, "Europe/Amsterdam", now).len(), 28);
        assert_eq!(steps("weight", &window, "Europe/Amsterdam", now), [(window.start, window.end)]);
    }

    proptest! {
        /// Steps touch, hold the window as far as its days are over, and are as long as allowed at most.
        #[test]
        fn steps_hold_the_window(
            start in 1_600_000_000_i64..1_800_000_000, length in 1_i64..10_000_000, nanos in 0_i32..1_000_000_000,
            name in prop::sample::select(vec!["steps", "total-calories", "floors", "heart-rate", "oxygen-saturation", "weight"]),
            zone_name in prop::sample::select(vec!["Europe/Amsterdam", "America/New_York", "Asia/Kathmandu", "UTC"])
        ) {
            let start = Timestamp::new(start, nanos).unwrap();
            let window = Interval::new(start, start + length.seconds()).unwrap();
            let known = known(name).unwrap();
            let now = window.end + 40.days_as_hours();
            let all = steps(name, &window, zone_name, now);
            prop_assert!(all.first().unwrap().1 >= window.end);
            prop_assert!(all.last().unwrap().0 <= window.start);
            for pair in all.windows(2) {
                prop_assert_eq!(pair[0].0, pair[1].1);
            }
            for step in all {
                let edges = edges(known, step, &zone(zone_name));
                prop_assert_eq!((edges[0], edges[edges.len() - 1]), step);
                prop_assert!(edges.windows(2).all(|e| e[0] < e[1]));
                match known.steps {
                    Steps::Days(days) => prop_assert!(edges.len() as i32 - 1 <= days),
                    Steps::Hours(hours) => prop_assert!(edges.len() as i32 - 1 <= hours),
                    Steps::Whole => {}
                }
            }
        }
    }

    trait Days {
        fn days_as_hours(self) -> jiff::Span;
    }

    impl Days for i32 {
        fn days_as_hours(self) -> jiff::Span {
            (i64::from(self) * 24).hours()
        }
    }
}
