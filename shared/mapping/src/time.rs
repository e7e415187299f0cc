//! Times as FHIR writes them, with the offset of a zone.

use jiff::tz::TimeZone;
use ohx_domain::Instant;

/// The zone of that name in the time zone database; UTC where there is none.
pub(crate) fn zone(name: Option<&str>) -> TimeZone {
    let plausible = |n: &&str| {
        (1..=64).contains(&n.len())
            && n.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+'))
    };
    name.filter(plausible).and_then(|n| TimeZone::get(n).ok()).unwrap_or(TimeZone::UTC)
}

/// A FHIR dateTime or instant: `2024-01-09T04:08:39+01:00`, with a fraction only where there is one. An offset that
/// is not of whole minutes (local mean time, before zones) cannot be written, and gives way to `+00:00`.
///
/// None outside the years 1 to 9999, which is all that FHIR can write.
pub(crate) fn written(at: Instant, zone: &TimeZone) -> Option<String> {
    let offset = zone.to_offset(at);
    let offset = if offset.seconds() % 60 == 0 { offset } else { jiff::tz::Offset::UTC };
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
        written(Instant::from_second(seconds).unwrap(), &zone(Some(name))).unwrap()
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
    fn an_unknown_zone_is_utc() {
        for name in ["", "Nowhere/Land", "../../etc/passwd", "Europe/Amsterdam\0"] {
            assert_eq!(shown(0, name), "1970-01-01T00:00:00+00:00", "{name}");
        }
        assert_eq!(written(Instant::UNIX_EPOCH, &zone(None)).unwrap(), "1970-01-01T00:00:00+00:00");
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
            let text = written(at, &zone(Some(name))).unwrap();
            prop_assert_eq!(text.parse::<Instant>().unwrap(), at);
        }
    }
}
