//! 0x2A35 Blood Pressure Measurement: flags, three SFLOATs, then what the flags say.

use super::bytes::{Bytes, Decimal, bit};
use super::{Decoded, GattError};
use crate::beurer::Kind;

/// Models of which one document says that they send the pulse with its bytes swapped.
const SWAPPED_PULSE: &[&str] = &["BM85"];
/// Models of which one document says that they send the pressures with their bytes swapped.
const SWAPPED_PRESSURES: &[&str] = &["BM92"];

pub(super) fn decode(value: &[u8], model: &str) -> Result<Decoded, GattError> {
    let mut bytes = Bytes::new(value);
    let flags = u32::from(bytes.u8()?);
    let kilopascals = bit(flags, 0);
    let mut raw = [bytes.u16()?, bytes.u16()?, bytes.u16()?];
    let local = if bit(flags, 1) { bytes.time()? } else { None };
    let mut pulse = if bit(flags, 2) { Some(bytes.u16()?) } else { None };
    let user = if bit(flags, 3) { Some(bytes.u8()?) } else { None };
    let status = if bit(flags, 4) { Some(u32::from(bytes.u16()?)) } else { None };
    bytes.end()?;

    let deviates = |models: &[&str]| models.iter().any(|m| model.starts_with(m));
    let (low, high) = if kilopascals { (1, 50) } else { (10, 350) };
    let plausible = |raw: u16, low, high| Decimal::sfloat(raw).is_ok_and(|d| d.within(low, high));
    // Swapped only where that alone makes sense of them.
    if deviates(SWAPPED_PRESSURES)
        && !raw.iter().take(2).all(|r| plausible(*r, low, high))
        && raw.iter().take(2).all(|r| plausible(r.swap_bytes(), low, high))
    {
        raw = raw.map(u16::swap_bytes);
    }
    if deviates(SWAPPED_PULSE) {
        pulse = pulse.map(|p| {
            let swap = !plausible(p, 15, 350) && plausible(p.swap_bytes(), 15, 350);
            if swap { p.swap_bytes() } else { p }
        });
    }
    let number = |raw: u16| Decimal::sfloat(raw).ok();
    let [systolic, diastolic, mean] = raw.map(number);
    if systolic.is_none() || diastolic.is_none() {
        return Err(GattError::NoValue);
    }
    let mut decoded = Decoded::new(Kind::BloodPressure);
    decoded.local = local;
    // 255 is a user who is not known.
    decoded.user = user.filter(|u| *u != 255);
    decoded.put("systolic", systolic)?;
    decoded.put("diastolic", diastolic)?;
    // Devices that do not measure it send 0 as well as NaN.
    decoded.put("mean", mean.filter(|m| m.mantissa != 0))?;
    decoded.put("pulse", pulse.and_then(number).filter(|p| p.mantissa != 0))?;
    decoded.words.push(("pressure_unit", if kilopascals { "kPa" } else { "mmHg" }));
    if let Some(status) = status {
        let found = |n| if bit(status, n) { "detected" } else { "not-detected" };
        decoded.words.push(("body_movement", found(0)));
        decoded.words.push(("loose_cuff", found(1)));
        decoded.words.push(("irregular_pulse", found(2)));
        decoded.words.push(("improper_position", found(5)));
    }
    Ok(decoded)
}
