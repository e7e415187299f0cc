//! 0x2A18 Glucose Measurement, and 0x2A34 Glucose Measurement Context.

use jiff::ToSpan as _;

use super::bytes::{Bytes, Decimal, bit};
use super::{Decoded, GattError};
use crate::beurer::Kind;

/// Type, from 1. 10 is a control solution.
const SPECIMENS: [&str; 9] = [
    "capillary-blood",
    "capillary-plasma",
    "venous-blood",
    "venous-plasma",
    "arterial-blood",
    "arterial-plasma",
    "blood",
    "plasma",
    "interstitial-fluid",
];
const CONTROL_SOLUTION: u8 = 10;
/// As a sample location.
const CONTROL_LOCATION: u8 = 4;

/// Meal, from 1.
const MEALS: [&str; 5] = ["before-meal", "after-meal", "fasting", "casual", "bedtime"];

/// Bits of the sensor status that a result does not survive: malfunction, sample too small, strip not inserted rightly,
/// strip of another type, result too high or too low to be told, sensor too hot or too cold, read interrupted, general
/// fault.
const FAULTS: [u32; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
/// The time may be wrong.
const TIME_FAULT: u32 = 11;

pub(super) fn decode(value: &[u8], context: Option<&[u8]>) -> Result<Decoded, GattError> {
    let mut bytes = Bytes::new(value);
    let flags = u32::from(bytes.u8()?);
    let sequence = bytes.u16()?;
    let base = bytes.time()?;
    let offset = if bit(flags, 0) { bytes.i16()? } else { 0 };
    let concentration = if bit(flags, 1) { Some((bytes.sfloat()?, bytes.u8()?)) } else { None };
    let status = if bit(flags, 3) { u32::from(bytes.u16()?) } else { 0 };
    bytes.end()?;

    if FAULTS.iter().any(|n| bit(status, *n)) {
        return Err(GattError::NotValid);
    }
    if bit(status, TIME_FAULT) {
        return Err(GattError::Clock);
    }
    let (value, taken) = concentration.ok_or(GattError::NoValue)?;
    let (specimen, location) = (taken & 0x0f, taken >> 4);
    if specimen == CONTROL_SOLUTION || location == CONTROL_LOCATION {
        return Err(GattError::NotAPatient);
    }
    let specimen = usize::from(specimen).checked_sub(1).and_then(|n| SPECIMENS.get(n));
    let mut decoded = Decoded::new(Kind::Glucose);
    decoded.words.push(("specimen", *specimen.ok_or(GattError::Reserved)?));
    // What the user sees is the base time and the offset, in minutes.
    decoded.local = match base {
        Some(base) => Some(base.checked_add(i64::from(offset).minutes()).map_err(|_| GattError::Time)?),
        None => None,
    };
    decoded.sequence = Some(sequence);
    let value = value.ok_or(GattError::NoValue)?;
    // kg/L is 10^5 mg/dL, mol/L is 10^3 mmol/L.
    let (name, value) =
        if bit(flags, 2) { ("glucose_mmol_l", value.scaled(3)) } else { ("glucose_mg_dl", value.scaled(5)) };
    decoded.put(name, Some(value))?;
    if let Some(bytes) = context {
        read_context(&mut decoded, bytes, sequence)?;
    }
    Ok(decoded)
}

/// Of the context, the meal and HbA1c are read; carbohydrates, health, exercise and medication are not.
fn read_context(decoded: &mut Decoded, value: &[u8], sequence: u16) -> Result<(), GattError> {
    let mut bytes = Bytes::new(value);
    let flags = u32::from(bytes.u8()?);
    if bytes.u16()? != sequence {
        return Err(GattError::OtherContext);
    }
    if bit(flags, 7) {
        bytes.skip(1)?; // extended flags
    }
    if bit(flags, 0) {
        bytes.skip(3)?; // carbohydrate
    }
    let meal = if bit(flags, 1) { Some(bytes.u8()?) } else { None };
    if bit(flags, 2) {
        bytes.skip(1)?; // tester and health
    }
    if bit(flags, 3) {
        bytes.skip(3)?; // exercise
    }
    if bit(flags, 4) {
        bytes.skip(3)?; // medication
    }
    let hba1c: Option<Decimal> = if bit(flags, 6) { bytes.sfloat()? } else { None };
    bytes.end()?;
    if let Some(meal) = meal {
        let meal = usize::from(meal).checked_sub(1).and_then(|n| MEALS.get(n));
        decoded.words.push(("meal", *meal.ok_or(GattError::Reserved)?));
    }
    decoded.put("hba1c", hba1c)
}
