//! One reading of a body.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use ohx_domain::Instant;
use serde_json::value::RawValue;

use super::Common;
use super::error::ReadingError;
use super::json::{Object, text};
use super::values;
use crate::beurer::gatt::{self, Characteristic};
use crate::beurer::normal::{Reading, Writer};
use crate::beurer::zone::{self, Moment};
use crate::beurer::{AHEAD, Kind};

const DECODED: &[&str] = &["type", "effective", "values", "id", "user"];
const RAW: &[&str] = &["characteristic", "hex", "received", "context", "id", "user"];

/// Reads one reading: decoded, or a raw characteristic. Also the device's number of the user, where it is known.
pub(super) fn read(raw: &RawValue, common: &Common<'_>) -> Result<(Reading, Option<u8>), ReadingError> {
    let reading = Object::of(raw).ok_or(ReadingError::NotAnObject)?;
    let is_raw = reading.get("characteristic").is_some();
    reading.only(if is_raw { RAW } else { DECODED }).map_err(ReadingError::UnknownField)?;
    let id = match reading.get("id") {
        None => None,
        Some(id) => Some(text(id).filter(|id| is_id(id)).ok_or_else(|| {
            invalid("id", "1 to 64 letters, digits, hyphens, dots, colons and underscores")
        })?),
    };
    let user = match reading.get("user") {
        None => None,
        Some(user) => {
            Some(user.get().parse::<u8>().map_err(|_| invalid("user", "a whole number from 0 to 255"))?)
        }
    };
    if is_raw { characteristic(&reading, id, user, common) } else { decoded(&reading, id, user, common) }
}

fn is_id(id: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':' | b'_');
    (1..=64).contains(&id.len()) && id.bytes().all(good)
}

fn invalid(field: &str, must: &'static str) -> ReadingError {
    ReadingError::Invalid(field.to_owned(), must)
}

fn needed(reading: &Object<'_>, field: &str) -> Result<String, ReadingError> {
    let raw = reading.get(field).ok_or_else(|| ReadingError::Missing(field.to_owned()))?;
    text(raw).ok_or_else(|| invalid(field, "a text"))
}

/// What a reading begins with: its times, and what its identity is made of beside its values.
fn begin(
    kind: Kind,
    when: &Moment,
    local: Option<DateTime>,
    offset: Option<Offset>,
    common: &Common<'_>,
) -> Result<Writer, ReadingError> {
    if when.at.as_second() > common.now.as_second().saturating_add(AHEAD) {
        return Err(ReadingError::Future);
    }
    let mut writer = Writer::new(kind, when);
    match local {
        Some(local) => writer.local(local),
        // The same instant, however its offset was written.
        None => writer.text("utc", &when.at.to_string()),
    }
    if common.zone.is_none()
        && let Some(name) = offset.and_then(zone::fixed_name)
    {
        writer.text("zone", &name);
    }
    Ok(writer)
}

fn time(field: &str, text: &str) -> Result<(Instant, Option<Offset>), ReadingError> {
    zone::rfc3339(text).ok_or_else(|| invalid(field, "an RFC 3339 time with an offset"))
}

/// An instant as the place's clocks show it, as far as the place is known.
fn shown(at: Instant, offset: Option<Offset>, common: &Common<'_>) -> Moment {
    match (&common.zone, offset) {
        (Some(zone), _) => zone::moment(at, zone),
        (None, offset) => zone::moment(at, &TimeZone::fixed(offset.unwrap_or(Offset::UTC))),
    }
}

fn decoded(
    reading: &Object<'_>,
    id: Option<String>,
    user: Option<u8>,
    common: &Common<'_>,
) -> Result<(Reading, Option<u8>), ReadingError> {
    let kind = needed(reading, "type")?;
    let kind = Kind::ALL.into_iter().find(|k| k.as_str() == kind).ok_or_else(|| {
        invalid("type", "blood-pressure, weight, temperature, glucose or oxygen-saturation")
    })?;
    let (at, offset) = time("effective", &needed(reading, "effective")?)?;
    let mut writer = begin(kind, &shown(at, offset, common), None, offset, common)?;
    let values = reading.get("values").ok_or_else(|| ReadingError::Missing("values".to_owned()))?;
    values::write(kind, values, &mut writer)?;
    if let Some(id) = id {
        writer.text("id", &id);
    }
    Ok((writer.finish(), user))
}

fn characteristic(
    reading: &Object<'_>,
    id: Option<String>,
    user: Option<u8>,
    common: &Common<'_>,
) -> Result<(Reading, Option<u8>), ReadingError> {
    let uuid = needed(reading, "characteristic")?;
    let which = Characteristic::from_uuid(&uuid)
        .ok_or_else(|| invalid("characteristic", "2A35, 2A9D, 2A9C, 2A1C, 2A18, 2A5E or 2A5F"))?;
    let value = bytes("hex", &needed(reading, "hex")?)?;
    let context = match reading.get("context") {
        None => None,
        Some(_) => Some(bytes("context", &needed(reading, "context")?)?),
    };
    let received = match reading.get("received") {
        None => None,
        Some(_) => Some(time("received", &needed(reading, "received")?)?),
    };
    let decoded = gatt::decode(which, &value, context.as_deref(), common.model)?;
    let offset = received.and_then(|(_, offset)| offset);
    let when = match (decoded.local, &common.zone) {
        (Some(local), Some(zone)) => zone::resolve(local, zone).ok_or(gatt::GattError::Time)?,
        (Some(local), None) => {
            zone::at_offset(local, offset.ok_or(ReadingError::NoZone)?).ok_or(gatt::GattError::Time)?
        }
        (None, _) => shown(received.ok_or(ReadingError::NoTime)?.0, offset, common),
    };
    let mut writer = begin(decoded.kind, &when, decoded.local, offset, common)?;
    decoded.write(&mut writer);
    match (id, decoded.sequence) {
        (Some(id), _) => writer.text("id", &id),
        (None, Some(sequence)) => writer.text("id", &sequence.to_string()),
        (None, None) => {}
    }
    Ok((writer.finish(), decoded.user.or(user)))
}

/// Bytes in hexadecimal, with blanks, colons or hyphens between them or without.
fn bytes(field: &str, text: &str) -> Result<Vec<u8>, ReadingError> {
    let wrong = || invalid(field, "bytes in hexadecimal, at most 512");
    if text.len() > 4 * gatt::MAX_BYTES {
        return Err(wrong());
    }
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !matches!(c, ' ' | ':' | '-'))
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let byte = |pair: &[u32]| pair.iter().fold(0, |byte, digit| byte * 16 + digit);
    digits.chunks(2).map(|pair| u8::try_from(byte(pair)).map_err(|_| wrong())).collect()
}
