//! 0x2A5E PLX Spot-Check Measurement and 0x2A5F PLX Continuous Measurement.

use super::bytes::{Bytes, Decimal, bit};
use super::{Decoded, GattError};
use crate::beurer::Kind;

/// Bits of the measurement status that a result does not survive: still measuring, calibrating, not available,
/// questionable, invalid.
const NOT_VALID: [u32; 5] = [5, 12, 13, 14, 15];
/// For a demonstration, and for testing.
const NOT_A_PATIENT: [u32; 2] = [10, 11];
const EARLY_ESTIMATE: u32 = 6;

pub(super) fn spot_check(value: &[u8]) -> Result<Decoded, GattError> {
    let mut bytes = Bytes::new(value);
    let flags = u32::from(bytes.u8()?);
    let (spo2, pulse) = (bytes.sfloat()?, bytes.sfloat()?);
    let local = if bit(flags, 0) { bytes.time()? } else { None };
    let status = if bit(flags, 1) { u32::from(bytes.u16()?) } else { 0 };
    if bit(flags, 2) {
        bytes.skip(3)?; // device and sensor status
    }
    let index = if bit(flags, 3) { bytes.sfloat()? } else { None };
    bytes.end()?;
    // Bit 4: the device's clock was never set.
    let local = local.filter(|_| !bit(flags, 4));
    finish(spo2, pulse, index, status, local)
}

pub(super) fn continuous(value: &[u8]) -> Result<Decoded, GattError> {
    let mut bytes = Bytes::new(value);
    let flags = u32::from(bytes.u8()?);
    let (spo2, pulse) = (bytes.sfloat()?, bytes.sfloat()?);
    // The same averaged over a shorter and over a longer time.
    for n in [0, 1] {
        if bit(flags, n) {
            bytes.skip(4)?;
        }
    }
    let status = if bit(flags, 2) { u32::from(bytes.u16()?) } else { 0 };
    if bit(flags, 3) {
        bytes.skip(3)?; // device and sensor status
    }
    let index = if bit(flags, 4) { bytes.sfloat()? } else { None };
    bytes.end()?;
    finish(spo2, pulse, index, status, None)
}

fn finish(
    spo2: Option<Decimal>,
    pulse: Option<Decimal>,
    index: Option<Decimal>,
    status: u32,
    local: Option<jiff::civil::DateTime>,
) -> Result<Decoded, GattError> {
    if NOT_A_PATIENT.iter().any(|n| bit(status, *n)) {
        return Err(GattError::NotAPatient);
    }
    if NOT_VALID.iter().any(|n| bit(status, *n)) {
        return Err(GattError::NotValid);
    }
    let mut decoded = Decoded::new(Kind::OxygenSaturation);
    decoded.local = local;
    decoded.put("spo2", Some(spo2.filter(|s| s.mantissa != 0).ok_or(GattError::NoValue)?))?;
    decoded.put("pulse", pulse.filter(|p| p.mantissa != 0))?;
    decoded.put("perfusion_index", index)?;
    decoded.preliminary = bit(status, EARLY_ESTIMATE);
    Ok(decoded)
}
