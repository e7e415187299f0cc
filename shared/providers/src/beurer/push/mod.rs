//! What a gateway or a companion app sends: readings that it decoded, or raw characteristics.
//!
//! The contract is ours ([`schema`] has it as JSON Schema, `docs/providers/beurer.md` explains it):
//!
//! ```json
//! {"device": {"id": "B0-49-5F-00-10-71", "model": "BM54", "manufacturer": "Beurer"}, "zone": "Europe/Berlin",
//!  "readings": [
//!   {"type": "blood-pressure", "effective": "2026-10-04T07:41:00+02:00", "id": "17", "user": 1,
//!    "values": {"systolic": {"value": 128, "unit": "mmHg"}, "diastolic": {"value": 82, "unit": "mmHg"}}},
//!   {"characteristic": "2A35", "hex": "1E8000520061 00EA070A040729 00430001 0000", "received": "2026-10-04T07:42:10+02:00"}]}
//! ```
//!
//! What is wrong with a reading stays with it: it is named by its index, and the others are taken. A field that is not
//! known is refused by its name, so that no gateway believes that something was read that was not.

mod error;
mod json;
mod reading;
#[cfg(test)]
mod tests;
pub(in crate::beurer) mod values;

use jiff::tz::TimeZone;
use ohx_domain::Instant;
use serde::Serialize;

pub use self::error::{PushError, ReadingError};

use self::json::Object;
use super::normal::{self, RecordParts};
use super::{Kind, zone};

/// The largest body that is read, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The most readings in one body.
pub const MAX_READINGS: usize = 1000;

/// The contract as JSON Schema (draft 2020-12).
pub fn schema() -> &'static str {
    include_str!("schema.json")
}

/// What became of one reading of a body. It holds no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It is in the parts.
    Accepted {
        /// Its place in `readings`, from 0.
        index: usize,
        /// The record that it belongs to.
        record: Kind,
        /// The device's number of the user, where it is known. Whether it is this patient is for the caller to judge.
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<u8>,
    },
    /// It is not.
    Refused {
        /// Its place in `readings`, from 0.
        index: usize,
        /// A short name of what is wrong that stays the same.
        code: &'static str,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// What a body holds.
#[derive(Debug)]
pub struct Push {
    /// The readings that are taken, by record.
    pub records: Vec<RecordParts>,
    /// What became of each, in the body's order.
    pub readings: Vec<Outcome>,
    /// The device's address as the readings name it: `B0-49-5F-00-10-71`, an EUI-48 or an EUI-64.
    pub device: String,
}

impl Push {
    /// How many readings are taken.
    pub fn accepted(&self) -> usize {
        self.readings.iter().filter(|r| matches!(r, Outcome::Accepted { .. })).count()
    }
}

/// What all readings of a body have in common.
struct Common<'a> {
    model: Option<&'a str>,
    zone: Option<TimeZone>,
    now: Instant,
}

/// Reads a body.
///
/// # Errors
/// [`PushError`] where the body as a whole is not of the contract; what is wrong with a single reading is in
/// [`Push::readings`].
pub fn read(body: &[u8], now: Instant) -> Result<Push, PushError> {
    read_for(body, now, None)
}

/// Reads a body of a device that several people use: only the readings of one of its users are taken. One that does not
/// say whose it is, is not.
///
/// # Errors
/// As [`read`].
pub fn read_for(body: &[u8], now: Instant, only: Option<u8>) -> Result<Push, PushError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(PushError::TooLarge { limit: MAX_BODY_BYTES });
    }
    let body = Object::body(body)?;
    body.only(&["device", "zone", "readings"]).map_err(PushError::UnknownField)?;
    let device = body.get("device").ok_or(PushError::Missing("device"))?;
    let device = Object::of(device).ok_or(PushError::Invalid("device", "an object"))?;
    device
        .only(&["id", "model", "manufacturer"])
        .map_err(|f| PushError::UnknownField(format!("device.{f}")))?;
    let id = device.text("id").and_then(|id| address(&id));
    let id = id.ok_or(PushError::Invalid(
        "device.id",
        "a Bluetooth address or an EUI-64, such as B0-49-5F-00-10-71",
    ))?;
    let model = named(&device, "model", "device.model")?;
    let manufacturer = named(&device, "manufacturer", "device.manufacturer")?;
    let zone = match body.get("zone").map(json::text) {
        None => None,
        Some(name) => {
            let name = name.ok_or(PushError::UnknownZone)?;
            Some((zone::named(&name).ok_or(PushError::UnknownZone)?, name))
        }
    };
    let list = body.get("readings").ok_or(PushError::Missing("readings"))?;
    let list = json::list(list).ok_or(PushError::Invalid("readings", "a list"))?;
    if list.len() > MAX_READINGS {
        return Err(PushError::TooMany { limit: MAX_READINGS });
    }

    let common = Common { model: model.as_deref(), zone: zone.as_ref().map(|(zone, _)| zone.clone()), now };
    let (mut taken, mut outcomes) = (Vec::new(), Vec::new());
    for (index, raw) in list.into_iter().enumerate() {
        outcomes.push(match reading::read(raw, &common) {
            Ok((_, user)) if only.is_some() && user != only => {
                let error = if user.is_some() { ReadingError::OtherUser } else { ReadingError::NoUser };
                Outcome::Refused { index, code: error.code(), problem: error.to_string() }
            }
            Ok((reading, user)) => {
                let record = reading.kind;
                taken.push(reading);
                Outcome::Accepted { index, record, user }
            }
            Err(error) => Outcome::Refused { index, code: error.code(), problem: error.to_string() },
        });
    }
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut lead = format!("\"origin\":\"gateway\",\"device\":{{\"id\":{}", quoted(&id));
    for (name, text) in [("model", &model), ("manufacturer", &manufacturer)] {
        if let Some(text) = text {
            lead.push_str(&format!(",\"{name}\":{}", quoted(text)));
        }
    }
    lead.push('}');
    if let Some((_, name)) = &zone {
        lead.push_str(&format!(",\"zone\":{}", quoted(name)));
    }
    Ok(Push { records: normal::parts(&lead, &taken), readings: outcomes, device: id })
}

/// A name of the device: short and printable.
fn named(device: &Object<'_>, field: &str, path: &'static str) -> Result<Option<String>, PushError> {
    let Some(raw) = device.get(field) else { return Ok(None) };
    let name = json::text(raw).map(|t| t.trim().to_owned());
    let good = name.filter(|n| (1..=64).contains(&n.chars().count()) && !n.contains(char::is_control));
    good.map(Some).ok_or(PushError::Invalid(path, "1 to 64 printable characters"))
}

/// An EUI-48 or EUI-64 in capitals, with hyphens between its bytes, as FHIR's identifiers have it.
fn address(text: &str) -> Option<String> {
    let digits: Vec<char> = match text.chars().find(|c| !c.is_ascii_hexdigit()) {
        None => text.chars().collect(),
        Some(separator @ (':' | '-')) => {
            let bytes: Vec<&str> = text.split(separator).collect();
            if bytes.iter().any(|b| b.len() != 2) {
                return None;
            }
            bytes.concat().chars().collect()
        }
        Some(_) => return None,
    };
    let good = matches!(digits.len(), 12 | 16) && digits.iter().all(char::is_ascii_hexdigit);
    if !good {
        return None;
    }
    let bytes: Vec<String> =
        digits.chunks(2).map(|b| b.iter().collect::<String>().to_ascii_uppercase()).collect();
    Some(bytes.join("-"))
}
