//! 0x2A1C Temperature Measurement: flags, a FLOAT, then what the flags say.

use super::bytes::{Bytes, Decimal, bit};
use super::{Decoded, GattError};
use crate::beurer::Kind;

/// Temperature Type (0x2A1D), from 1.
const SITES: [&str; 9] =
    ["armpit", "body", "ear", "finger", "gastro-intestinal", "mouth", "rectum", "toe", "tympanum"];

pub(super) fn decode(value: &[u8], model: &str) -> Result<Decoded, GattError> {
    let mut bytes = Bytes::new(value);
    let flags = u32::from(bytes.u8()?);
    let fahrenheit = bit(flags, 0);
    let raw = bytes.u32()?;
    let mut decoded = Decoded::new(Kind::Temperature);
    if bit(flags, 1) {
        decoded.local = bytes.time()?;
    }
    let site = if bit(flags, 2) { Some(bytes.u8()?) } else { None };
    bytes.end()?;

    let (low, high) = if fahrenheit { (-58, 302) } else { (-50, 150) };
    let proper = Decimal::float(raw);
    let impossible = proper.is_ok_and(|d| !d.within(low, high));
    let temperature = match proper {
        // A demo of the FT95 reads two bytes as tenths; its sample is a number there only.
        Ok(_) if impossible && model.starts_with("FT95") => {
            let [a, b, ..] = raw.to_le_bytes();
            Decimal::new(u16::from_le_bytes([a, b]).into(), -1)
        }
        Ok(_) if impossible => return Err(GattError::Number),
        Ok(proper) => proper,
        Err(_) => return Err(GattError::NoValue),
    };
    decoded.put("temperature", Some(temperature))?;
    decoded.words.push(("temperature_unit", if fahrenheit { "degF" } else { "Cel" }));
    if let Some(site) = site {
        let site = usize::from(site).checked_sub(1).and_then(|n| SITES.get(n));
        decoded.words.push(("site", *site.ok_or(GattError::Reserved)?));
    }
    Ok(decoded)
}
