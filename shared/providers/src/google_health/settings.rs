//! The patient's time zone: civil days and civil filters are in it, and parts say it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use ohx_domain::Instant;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::call::{Caller, malformed};
use crate::ProviderError;
use crate::wire::object;

const CALL: &str = "settings";
/// How long a zone is taken for the patient's: a run over all records asks for it once.
const LASTS: Duration = Duration::from_secs(10 * 60);
/// How many are remembered.
const MOST: usize = 10_000;

/// A zone as the settings tell it. It stands in page tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Zone {
    /// Its name, where it is one that is known here.
    pub(super) name: Option<String>,
    /// The offset from UTC in seconds, for where the name is not known.
    offset: Option<i32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    #[serde(default)]
    time_zone: Option<String>,
    #[serde(default)]
    utc_offset: Option<String>,
}

impl Zone {
    fn read(body: &[u8]) -> Result<Self, ProviderError> {
        let settings: Settings = object(body).map_err(|problem| malformed(CALL, problem))?;
        let name = settings.time_zone.filter(|name| TimeZone::get(name).is_ok());
        let offset = settings.utc_offset.and_then(|text| text.strip_suffix('s')?.parse().ok());
        Ok(Self { name, offset })
    }

    /// Whether anything is known.
    pub(super) fn is_known(&self) -> bool {
        self.name.is_some() || self.offset.is_some()
    }

    /// The zone; UTC where nothing is known.
    pub(super) fn zone(&self) -> TimeZone {
        let named = self.name.as_deref().and_then(|name| TimeZone::get(name).ok());
        let fixed = || self.offset.and_then(|s| Offset::from_seconds(s).ok()).map(TimeZone::fixed);
        named.or_else(fixed).unwrap_or(TimeZone::UTC)
    }
}

/// The first instant of a civil day.
pub(super) fn midnight(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    date.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

/// The zones of those whose readings were just asked for, by a digest of their access token.
#[derive(Default)]
pub(super) struct Zones(Mutex<HashMap<[u8; 32], (Instant, Zone)>>);

impl Zones {
    fn key(caller: &Caller<'_>) -> [u8; 32] {
        Sha256::digest(caller.access_token.expose_secret()).into()
    }

    /// What is remembered.
    pub(super) fn remembered(&self, caller: &Caller<'_>, now: Instant) -> Option<Zone> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, zone) = known.get(&Self::key(caller))?;
        fresh(*at, now).then(|| zone.clone())
    }

    /// Asks for it. Nothing is known where the patient did not grant the scope.
    pub(super) async fn ask(&self, caller: &Caller<'_>, now: Instant) -> Result<Zone, ProviderError> {
        let zone = match caller.get("settings", &[], CALL).await {
            Ok(answer) => Zone::read(&answer.body)?,
            Err(ProviderError::NotGranted { .. }) => Zone::default(),
            Err(error) => return Err(error),
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, (at, _)| fresh(*at, now));
        }
        if known.len() < MOST {
            known.insert(Self::key(caller), (now, zone.clone()));
        }
        Ok(zone)
    }
}

fn fresh(at: Instant, now: Instant) -> bool {
    at <= now && now.duration_since(at).unsigned_abs() < LASTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_its_name_else_its_offset_else_utc() {
        let read = |text: &str| Zone::read(text.as_bytes()).unwrap();
        let named = read(r#"{"timeZone":"Europe/Amsterdam","utcOffset":"-18000s"}"#);
        assert_eq!(named.name.as_deref(), Some("Europe/Amsterdam"));
        assert_eq!(named.zone(), TimeZone::get("Europe/Amsterdam").unwrap());
        for unknown in [r#"{"timeZone":"Mars/Olympus","utcOffset":"-18000s"}"#, r#"{"utcOffset":"-18000s"}"#]
        {
            assert_eq!((read(unknown).name.clone(), read(unknown).is_known()), (None, true));
            assert_eq!(read(unknown).zone(), TimeZone::fixed(jiff::tz::offset(-5)));
        }
        for nothing in ["{}", r#"{"timeZone":null,"utcOffset":"an hour"}"#] {
            assert_eq!(read(nothing), Zone::default());
            assert_eq!(read(nothing).zone(), TimeZone::UTC);
        }
        assert!(Zone::read(b"[]").is_err());
    }
}
