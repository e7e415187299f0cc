//! Times as FHIR writes them, with the offset of a zone.

use std::cell::RefCell;
use std::rc::Rc;

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use ohx_domain::Instant;

/// The zone of that name in the time zone database. Old names such as `Asia/Calcutta` are in it.
pub(crate) fn zone(name: Option<&str>) -> Option<TimeZone> {
    let plausible = |n: &&str| {
        (1..=64).contains(&n.len())
            && n.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+'))
    };
    name.filter(plausible).and_then(|n| TimeZone::get(n).ok())
}

/// The first instant of a civil day in a zone, and of the day after it. Where summer time takes midnight away, the
/// day begins when the clocks go on.
pub(crate) fn day(text: &str, zone: &TimeZone) -> Option<(Instant, Instant)> {
    let date = civil(text)?;
    let midnight = |date: Date| zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0)).compatible().ok();
    Some((midnight(date)?, midnight(date.tomorrow().ok()?)?))
}

/// A civil day as ISO 8601 writes it.
pub(crate) fn civil(text: &str) -> Option<Date> {
    let shape = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    text.parse().ok().filter(|date: &Date| shape && date.year() > 0)
}

/// A FHIR dateTime or instant: `2024-01-09T04:08:39+01:00`, with a fraction only where there is one. An offset that
/// is not of whole minutes (local mean time, before zones) cannot be written, and gives way to `+00:00`.
///
/// None outside the years 1 to 9999, which is all that FHIR can write.
#[cfg(test)]
pub(crate) fn written(at: Instant, zone: &TimeZone) -> Option<String> {
    write_with(at, zone.to_offset(at))
}

/// A zone, with the offsets that it had of late: readings lie close together, and looking an offset up costs more than
/// everything else about a time.
pub(crate) struct Zone {
    zone: TimeZone,
    /// From when to when (not included) an offset holds.
    known: RefCell<Vec<(Instant, Instant, Offset)>>,
}

impl Zone {
    pub(crate) fn new(zone: TimeZone) -> Self {
        Self { zone, known: RefCell::default() }
    }

    /// The zone of that name.
    pub(crate) fn named(name: Option<&str>) -> Option<Rc<Self>> {
        zone(name).map(|zone| Rc::new(Self::new(zone)))
    }

    pub(crate) fn time_zone(&self) -> &TimeZone {
        &self.zone
    }

    /// As [`written`].
    pub(crate) fn written(&self, at: Instant) -> Option<String> {
        let mut known = self.known.borrow_mut();
        let offset = match known.iter().find(|(from, to, _)| *from <= at && at < *to) {
            Some((.., offset)) => *offset,
            None => {
                let zone = &self.zone;
                let offset = zone.to_offset(at);
                let from = zone.preceding(at).next().map_or(Instant::MIN, |t| t.timestamp());
                let to = zone.following(at).next().map_or(Instant::MAX, |t| t.timestamp());
                // `preceding` leaves out a transition at the instant itself: then nothing is known of what is before.
                let from = if zone.to_offset(from) == offset { from } else { at };
                if known.len() < 8 {
                    known.push((from, to, offset));
                }
                offset
            }
        };
        write_with(at, offset)
    }
}

fn write_with(at: Instant, offset: Offset) -> Option<String> {
    let offset = if offset.seconds() % 60 == 0 { offset } else { Offset::UTC };
    let civil = offset.to_datetime(at);
    let year = u16::try_from(civil.year()).ok().filter(|y| (1..=9999).contains(y))?;
    let mut out = String::with_capacity(25);
    let two = |out: &mut String, number: i32| {
        let number = number.unsigned_abs() % 100;
        for digit in [number / 10, number % 10] {
            out.push(char::from(b'0' + u8::try_from(digit).unwrap_or_default()));
        }
    };
    two(&mut out, i32::from(year / 100));
    two(&mut out, i32::from(year % 100));
    for (before, number) in [
        ('-', civil.month()),
        ('-', civil.day()),
        ('T', civil.hour()),
        (':', civil.minute()),
        (':', civil.second()),
    ] {
        out.push(before);
        two(&mut out, i32::from(number));
    }
    let nanos = civil.subsec_nanosecond();
    if nanos != 0 {
        let fraction = format!(".{nanos:09}");
        out.push_str(fraction.trim_end_matches('0'));
    }
    out.push(if offset.seconds() < 0 { '-' } else { '+' });
    two(&mut out, offset.seconds() / 3600);
    out.push(':');
    two(&mut out, offset.seconds() / 60 % 60);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(seconds: i64, name: &str) -> String {
        written(Instant::from_second(seconds).unwrap(), &zone(Some(name)).unwrap()).unwrap()
    }

    #[test]
    fn the_offset_is_the_zones_at_that_instant() {
        assert_eq!(shown(1_704_769_719, "Europe/Amsterdam"), "2024-01-09T04:08:39+01:00");
        assert_eq!(shown(1_720_000_000, "Europe/Amsterdam"), "2024-07-03T11:46:40+02:00");
        assert_eq!(shown(1_704_769_719, "America/St_Johns"), "2024-01-08T23:38:39-03:30");
        assert_eq!(shown(1_704_769_719, "Asia/Kathmandu"), "2024-01-09T08:53:39+05:45");
        // The hour that comes twice when summer time ends is told apart by the offset.
        assert_eq!(shown(1_729_987_200 + 1800, "Europe/Berlin"), "2024-10-27T02:30:00+02:00");
        assert_eq!(shown(1_729_987_200 + 5400, "Europe/Berlin"), "2024-10-27T02:30:00+01:00");
        assert_eq!(shown(-3_000_000_000, "Europe/Amsterdam"), "1874-12-07T18:40:00+00:00");
    }

    #[test]
    fn a_zone_is_one_of_the_database() {
        for name in ["", "Nowhere/Land", "../../etc/passwd", "Europe/Amsterdam\0"] {
            assert_eq!(zone(Some(name)), None, "{name}");
        }
        assert_eq!(zone(None), None);
        assert!(zone(Some("Asia/Calcutta")).is_some(), "a name of old");
    }

    #[test]
    fn a_civil_day_lasts_from_midnight_to_midnight() {
        let hours = |text: &str, name: &str| {
            let (start, end) = day(text, &zone(Some(name)).unwrap()).unwrap();
            let shown = written(start, &zone(Some(name)).unwrap()).unwrap();
            (shown, end.duration_since(start).as_hours())
        };
        assert_eq!(hours("2023-10-20", "Europe/Amsterdam"), ("2023-10-20T00:00:00+02:00".into(), 24));
        assert_eq!(hours("2023-10-29", "Europe/Amsterdam"), ("2023-10-29T00:00:00+02:00".into(), 25));
        assert_eq!(hours("2023-03-26", "Europe/Amsterdam"), ("2023-03-26T00:00:00+01:00".into(), 23));
        // Midnight did not exist: the clocks went from 23:59:59 to 01:00:00.
        assert_eq!(hours("2018-11-04", "America/Sao_Paulo"), ("2018-11-04T01:00:00-02:00".into(), 23));
        for text in ["", "2023-02-30", "20231020", "2023-10-20T00:00", "+002023-1", "-000001-01-01"] {
            assert_eq!(day(text, &TimeZone::UTC), None, "{text}");
        }
    }

    #[test]
    fn what_fhir_cannot_write_is_not_written() {
        assert_eq!(written(Instant::MIN, &TimeZone::UTC), None);
        let first = Instant::from_second(-62_135_596_800).unwrap();
        assert_eq!(written(first, &TimeZone::UTC).unwrap(), "0001-01-01T00:00:00+00:00");
    }

    proptest! {
        #[test]
        fn what_is_written_is_that_instant(micros in -50_000_000_000_000_000_i64..200_000_000_000_000_000, name in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"])) {
            let at = Instant::from_microsecond(micros).unwrap();
            let text = written(at, &zone(Some(name)).unwrap()).unwrap();
            prop_assert_eq!(text.parse::<Instant>().unwrap(), at);
        }

        #[test]
        fn what_is_remembered_changes_nothing(
            days in prop::collection::vec((0_i64..25_000, 0_i64..86_400, any::<bool>()), 1..60),
            name in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]),
        ) {
            let zone = zone(Some(name)).unwrap();
            let remembering = Zone::new(zone.clone());
            for (day, second, at_transition) in days {
                let mut at = Instant::from_second(day * 86_400 + second).unwrap();
                if at_transition && let Some(transition) = zone.following(at).next() {
                    at = transition.timestamp();
                }
                prop_assert_eq!(remembering.written(at), written(at, &zone));
            }
        }
    }
}
