//! The filters that Google takes, and the refusals of those it does not.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use ohx_domain::Instant;

use super::types::{Time, Type};
use super::wire::Refusal;

/// From when on, and before when, in Unix seconds: of the point's start, or its end for sleep. Civil bounds are read in
/// the person's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) from: i64,
    pub(super) before: i64,
}

impl Bounds {
    pub(super) const ALL: Self = Self { from: i64::MIN, before: i64::MAX };
}

const MEMBER: Refusal = Refusal::invalid("INVALID_DATA_POINT_FILTER_DATA_TYPE_MEMBER");
const GRAMMAR: Refusal = Refusal::invalid("INVALID_DATA_POINT_FILTER");
const RANGE: Refusal = Refusal::invalid("INVALID_TIME_RANGE");

/// Reads a filter: comparisons by `>=` and `<`, joined by `AND`.
///
/// # Errors
/// 400, as Google answers.
pub(super) fn read(known: &Type, filter: &str, zone: &TimeZone) -> Result<Bounds, Refusal> {
    let mut bounds = Bounds::ALL;
    for comparison in filter.split(" AND ") {
        let (left, right) = comparison.split_once('"').ok_or(GRAMMAR)?;
        let literal = right.strip_suffix('"').ok_or(GRAMMAR)?;
        let (name, operator) = left.trim().rsplit_once(' ').ok_or(GRAMMAR)?;
        let field = known.field();
        let member = name.trim().strip_prefix(&field).and_then(|m| m.strip_prefix('.')).ok_or(MEMBER)?;
        let at = second(known, member, literal, zone)?;
        match operator {
            ">=" => bounds.from = bounds.from.max(at),
            "<" if known.time != Time::Ecg => bounds.before = bounds.before.min(at),
            _ => return Err(GRAMMAR),
        }
    }
    if bounds.from >= bounds.before { Err(RANGE) } else { Ok(bounds) }
}

fn second(known: &Type, member: &str, literal: &str, zone: &TimeZone) -> Result<i64, Refusal> {
    let civil = |at: DateTime| zone.to_timestamp(at).map(|at| at.as_second()).map_err(|_| GRAMMAR);
    let date = || literal.parse::<Date>().map_err(|_| GRAMMAR);
    // Seconds are all that the sandbox knows: what begins within one begins after it.
    let instant = || {
        let at: Instant = literal.parse().map_err(|_| GRAMMAR)?;
        Ok(at.as_second() + i64::from(at.subsec_nanosecond() > 0))
    };
    match (known.time, member) {
        (Time::Interval | Time::Ecg, "interval.start_time")
        | (Time::Sample, "sample_time.physical_time")
        | (Time::Sleep, "interval.end_time") => instant(),
        (Time::Daily, "date") => civil(date()?.at(0, 0, 0, 0)),
        (Time::Interval | Time::Session, "interval.civil_start_time")
        | (Time::Sample, "sample_time.civil_time")
        | (Time::Sleep, "interval.civil_end_time") => {
            civil(literal.parse::<DateTime>().or_else(|_| Ok(date()?.at(0, 0, 0, 0)))?)
        }
        _ => Err(MEMBER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(record: &str, filter: &str) -> Result<Bounds, Refusal> {
        read(Type::named(record).unwrap(), filter, &TimeZone::get("Europe/Amsterdam").unwrap())
    }

    #[test]
    fn what_google_takes() {
        let day = 1_763_593_200;
        for (record, filter) in [
            (
                "steps",
                r#"steps.interval.start_time >= "2025-11-19T23:00:00Z" AND steps.interval.start_time < "2025-11-20T23:00:00Z""#,
            ),
            (
                "steps",
                r#"steps.interval.civil_start_time >= "2025-11-20" AND steps.interval.civil_start_time < "2025-11-21T00:00:00""#,
            ),
            ("daily-vo2-max", r#"daily_vo2_max.date >= "2025-11-20" AND daily_vo2_max.date < "2025-11-21""#),
            (
                "sleep",
                r#"sleep.interval.civil_end_time >= "2025-11-20" AND sleep.interval.civil_end_time < "2025-11-21""#,
            ),
        ] {
            assert_eq!(of(record, filter), Ok(Bounds { from: day, before: day + 86_400 }), "{filter}");
        }
        let open =
            of("electrocardiogram", r#"electrocardiogram.interval.start_time >= "2025-11-19T23:00:00Z""#);
        assert_eq!(open, Ok(Bounds { from: day, before: i64::MAX }));
    }

    #[test]
    fn what_google_refuses() {
        let at = "\"2025-11-19T23:00:00Z\"";
        for (record, filter, refusal) in [
            ("sleep", format!("sleep.interval.start_time >= {at}"), MEMBER),
            ("exercise", format!("exercise.interval.start_time >= {at}"), MEMBER),
            ("heart-rate", format!("heart-rate.sample_time.physical_time >= {at}"), MEMBER),
            ("heart-rate", format!("heartRate.sample_time.physical_time >= {at}"), MEMBER),
            ("weight", format!("weight.interval.start_time >= {at}"), MEMBER),
            ("electrocardiogram", format!("electrocardiogram.interval.start_time < {at}"), GRAMMAR),
            ("weight", format!("weight.sample_time.physical_time > {at}"), GRAMMAR),
            ("weight", format!("weight.sample_time.physical_time <= {at}"), GRAMMAR),
            ("weight", "weight.sample_time.physical_time >= 2025".to_owned(), GRAMMAR),
            ("weight", r#"weight.sample_time.physical_time >= "2025-11-20""#.to_owned(), GRAMMAR),
            ("daily-vo2-max", r#"daily_vo2_max.date >= "2025-11-20T00:00:00Z""#.to_owned(), GRAMMAR),
            (
                "steps",
                format!("steps.interval.start_time >= {at} AND steps.interval.start_time < {at}"),
                RANGE,
            ),
            ("steps", String::new(), GRAMMAR),
        ] {
            assert_eq!(of(record, &filter), Err(refusal), "{filter}");
        }
    }
}
