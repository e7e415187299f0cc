//! Wall clocks and zones.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use ohx_domain::Instant;
use serde::Serialize;

/// What became of a wall clock time that summer time makes unclear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Shift {
    /// The clocks went forward over it: it did not exist, and was moved forward by as much.
    DstGap,
    /// The clocks went back over it: it came twice, and is taken for the first of the two.
    DstOverlap,
}

/// When a reading was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The instant.
    pub(crate) at: Instant,
    /// RFC 3339, with the offset of the place.
    pub(crate) text: String,
    pub(crate) shift: Option<Shift>,
}

/// The zone of that IANA name. The mapping looks it up by the same rule.
pub(crate) fn named(name: &str) -> Option<TimeZone> {
    let plausible = (1..=64).contains(&name.len())
        && name != "Etc/Unknown"
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+'));
    plausible.then(|| TimeZone::get(name).ok()).flatten()
}

/// A wall clock time in a zone. In a gap it is moved forward, of two it is the earlier.
pub(crate) fn resolve(local: DateTime, zone: &TimeZone) -> Option<Moment> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let shift = match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => None,
        AmbiguousOffset::Gap { .. } => Some(Shift::DstGap),
        AmbiguousOffset::Fold { .. } => Some(Shift::DstOverlap),
    };
    let at = ambiguous.compatible().ok()?;
    Some(Moment { at, text: written(at, zone.to_offset(at)), shift })
}

/// A wall clock time at an offset.
pub(crate) fn at_offset(local: DateTime, offset: Offset) -> Option<Moment> {
    let at = offset.to_timestamp(local).ok()?;
    Some(Moment { at, text: written(at, offset), shift: None })
}

/// An instant, as the clocks of a zone show it.
pub(crate) fn moment(at: Instant, zone: &TimeZone) -> Moment {
    Moment { at, text: written(at, zone.to_offset(at)), shift: None }
}

/// RFC 3339, without fractions of a second where there are none.
pub(crate) fn written(at: Instant, offset: Offset) -> String {
    at.display_with_offset(offset).to_string()
}

/// An RFC 3339 time: the instant, and the offset that it was written with. `Z` and `-00:00` say that the offset is not
/// known.
pub(crate) fn rfc3339(text: &str) -> Option<(Instant, Option<Offset>)> {
    let at: Timestamp = (text.len() <= 40).then(|| text.parse().ok()).flatten()?;
    // FHIR writes the years 1 to 9999, and no device is older than Bluetooth.
    let plausible = text.as_bytes().get(10).is_some_and(|b| matches!(b, b'T' | b't'));
    if !plausible {
        return None;
    }
    if text.ends_with(['Z', 'z']) || text.ends_with("-00:00") {
        return Some((at, None));
    }
    let digits = text.get(text.len().checked_sub(6)?..)?;
    let (sign, rest) = digits.split_at_checked(1)?;
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let seconds = (hours * 60 + minutes) * 60 * if sign == "-" { -1 } else { 1 };
    Some((at, Some(Offset::from_seconds(seconds).ok()?)))
}

/// The IANA name of a zone that always has this offset, where there is one: whole hours only.
pub(crate) fn fixed_name(offset: Offset) -> Option<String> {
    let seconds = offset.seconds();
    if seconds % 3600 != 0 || !(-12..=14).contains(&(seconds / 3600)) {
        return None;
    }
    // POSIX counts westwards.
    Some(match seconds / 3600 {
        0 => "Etc/UTC".to_owned(),
        hours @ 1.. => format!("Etc/GMT-{hours}"),
        hours => format!("Etc/GMT+{}", -hours),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(text: &str) -> DateTime {
        text.parse().unwrap()
    }

    #[test]
    fn a_gap_is_moved_forward_and_of_two_the_earlier_counts() {
        let berlin = named("Europe/Berlin").unwrap();
        for (clock, written, shift) in [
            ("2026-10-04T07:41:00", "2026-10-04T07:41:00+02:00", None),
            ("2026-03-29T02:30:00", "2026-03-29T03:30:00+02:00", Some(Shift::DstGap)),
            ("2026-10-25T02:30:00", "2026-10-25T02:30:00+02:00", Some(Shift::DstOverlap)),
            ("2026-10-25T03:00:00", "2026-10-25T03:00:00+01:00", None),
        ] {
            let moment = resolve(local(clock), &berlin).unwrap();
            assert_eq!((moment.text.as_str(), moment.shift), (written, shift));
        }
    }

    #[test]
    fn a_zone_is_one_of_the_database() {
        for name in ["", "Nowhere/Land", "../../etc/passwd", "Etc/Unknown", "+02:00", "Europe/Berlin\0"] {
            assert_eq!(named(name), None, "{name}");
        }
        assert!(named("Asia/Calcutta").is_some(), "a name of old");
    }

    #[test]
    fn an_offset_is_what_was_written() {
        let seconds = |text: &str| rfc3339(text).map(|(_, offset)| offset.map(Offset::seconds));
        assert_eq!(seconds("2026-10-04T07:41:00+02:00"), Some(Some(7200)));
        assert_eq!(seconds("2026-10-04T07:41:00.25-03:30"), Some(Some(-12600)));
        assert_eq!(seconds("2026-10-04T07:41:00Z"), Some(None));
        assert_eq!(seconds("2026-10-04T07:41:00-00:00"), Some(None));
        for text in ["2026-10-04", "2026-10-04T07:41:00", "2026-10-04 07:41:00+02:00", "", "+02:00", "ä"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn every_whole_hour_has_a_name() {
        for hours in -12_i8..=14 {
            let offset = Offset::constant(hours);
            let zone = named(&fixed_name(offset).unwrap()).unwrap();
            assert_eq!(zone.to_offset(Timestamp::UNIX_EPOCH), offset);
        }
        assert_eq!(fixed_name(Offset::from_seconds(19_800).unwrap()), None);
    }
}
