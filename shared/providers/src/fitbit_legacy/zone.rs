//! The patient's zone: the API's days and times are in it and do not say so.

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use ohx_domain::{Instant, Interval};
use serde::{Deserialize, Serialize};

use super::KIND;
use super::call::Caller;
use super::records::Known;
use crate::ProviderError;
use crate::loose::Number;
use crate::wire::{malformed, object};

const CALL: &str = "profile";

/// A zone as the profile tells it. It stands in page tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Zone {
    /// Its name, where it is one that is known here; else that of the fixed zone of its offset, where there is one.
    pub(super) name: Option<String>,
    /// The offset from UTC in milliseconds, when it was asked for.
    pub(super) offset: Option<i64>,
}

#[derive(Deserialize)]
struct Profile {
    #[serde(default)]
    user: Option<User>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    #[serde(default)]
    timezone: Option<String>,
    #[serde(default, rename = "offsetFromUTCMillis")]
    offset: Option<Number>,
}

impl Zone {
    fn read(body: &[u8]) -> Result<Self, ProviderError> {
        let profile: Profile = object(body).map_err(|problem| malformed(KIND, CALL, problem))?;
        let user = profile.user.ok_or_else(|| malformed(KIND, CALL, "it has no user".into()))?;
        let offset = user.offset.map(|n| n.0);
        let named = user.timezone.filter(|name| TimeZone::get(name).is_ok());
        Ok(Self { name: named.or_else(|| offset.and_then(fixed)), offset })
    }

    fn zone(&self) -> Option<TimeZone> {
        let named = self.name.as_deref().and_then(|name| TimeZone::get(name).ok());
        let seconds = self.offset.and_then(|millis| i32::try_from(millis / 1000).ok());
        named.or_else(|| Some(TimeZone::fixed(Offset::from_seconds(seconds?).ok()?)))
    }

    /// The instant of a local time without an offset. Where the clocks went back, the first of the two.
    pub(super) fn instant(&self, local: &str) -> Option<Instant> {
        let local: DateTime = local.parse().ok()?;
        self.zone()?.to_timestamp(local).ok()
    }

    /// The local day as an interval; `None` where the zone is not known.
    pub(super) fn day(&self, date: Date) -> Option<Interval> {
        let zone = self.zone()?;
        let midnight = |date: Date| zone.to_timestamp(date.at(0, 0, 0, 0)).ok();
        Interval::new(midnight(date)?, midnight(date.tomorrow().ok()?)?)
    }

    /// The first and the last local day that a window touches and that there may be something of; `None` where there is
    /// none. Where the zone is not known, a day more on both sides.
    pub(super) fn days(&self, known: &Known, window: &Interval, now: Instant) -> Option<(Date, Date)> {
        let zone = self.zone();
        let days = |date: Date, days: i64| date.checked_add(jiff::Span::new().days(days)).ok();
        let slack = i64::from(zone.is_none());
        let zone = zone.unwrap_or(TimeZone::UTC);
        let before_end = window.end.checked_sub(std::time::Duration::from_nanos(1)).ok()?;
        let first = days(zone.to_datetime(window.start).date(), -slack)?;
        let last = days(zone.to_datetime(before_end).date(), slack + i64::from(known.ahead))?;
        let today = zone.to_datetime(now).date();
        let latest = if known.finished { days(today, -1 - slack) } else { days(today, slack) }?;
        let last = last.min(latest);
        (first <= last).then_some((first, last))
    }
}

/// The name of the zone that is always so many milliseconds from UTC, where they are whole hours: the names' sign is the
/// other way round.
fn fixed(millis: i64) -> Option<String> {
    const HOUR: i64 = 60 * 60 * 1000;
    let name = match millis / HOUR {
        0 => "Etc/GMT".to_owned(),
        hours => format!("Etc/GMT{:+}", -hours),
    };
    (millis % HOUR == 0 && TimeZone::get(&name).is_ok()).then_some(name)
}

/// Asks for it, and remembers it for the patient's other records. Nothing is known where the scope was not granted.
pub(super) async fn ask(caller: &Caller<'_>) -> Result<Zone, ProviderError> {
    let zone = match caller.get("1/user/-/profile.json", &[], CALL).await {
        Ok(answer) => Zone::read(&answer.body)?,
        Err(ProviderError::NotGranted { .. }) => Zone::default(),
        Err(error) => return Err(error),
    };
    caller.memory.learn(caller.access_token, caller.now, |known| known.zone = Some(zone.clone()));
    Ok(zone)
}

#[cfg(test)]
mod tests {
    use super::super::records::known;
    use super::*;

    fn read(text: &str) -> Zone {
        Zone::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_zone_is_its_name_else_its_offset() {
        let named = read(
            r#"{"user":{"timezone":"Europe/Amsterdam","offsetFromUTCMillis":3600000,"weightUnit":"en_US"}}"#,
        );
        assert_eq!((named.name.as_deref(), named.offset), (Some("Europe/Amsterdam"), Some(3_600_000)));
        let offset = |millis: &str| {
            read(&format!(r#"{{"user":{{"timezone":"Mars/Olympus","offsetFromUTCMillis":{millis}}}}}"#))
        };
        assert_eq!(offset("\"-18000000\"").name.as_deref(), Some("Etc/GMT+5"));
        assert_eq!(offset("46800000").name.as_deref(), Some("Etc/GMT-13"));
        assert_eq!(offset("0").name.as_deref(), Some("Etc/GMT"));
        let half = offset("19800000");
        assert_eq!(half.name, None);
        assert_eq!(half.instant("2026-06-01T05:30:00").unwrap().to_string(), "2026-06-01T00:00:00Z");
        assert_eq!(read(r#"{"user":{}}"#), Zone::default());
        assert!(Zone::read(b"{}").is_err() && Zone::read(b"[]").is_err());
        let now = "2026-10-25T12:00:00Z".parse().unwrap();
        // Whole local days, of 25 hours where the clocks went back; never of tomorrow, or of today where totals are.
        let (start, end) = ("2026-10-24T22:30:00Z".parse().unwrap(), "2026-10-25T23:00:00Z".parse().unwrap());
        let window = Interval::new(start, end).unwrap();
        let days = |zone: &Zone, record: &str| {
            zone.days(known(record).unwrap(), &window, now).map(|(a, b)| format!("{a} {b}"))
        };
        assert_eq!(days(&named, "weight").as_deref(), Some("2026-10-25 2026-10-25"));
        assert_eq!(days(&named, "sleep").as_deref(), Some("2026-10-25 2026-10-25"));
        assert_eq!(days(&named, "activities"), None);
        assert_eq!(days(&Zone::default(), "weight").as_deref(), Some("2026-10-23 2026-10-26"));
        let long = named.day("2026-10-25".parse().unwrap()).unwrap();
        assert_eq!(long.end.duration_since(long.start).as_hours(), 25);
    }
}
