//! 0x2A9D Weight Measurement and 0x2A9C Body Composition Measurement: whole numbers at fixed resolutions.

use super::bytes::{Bytes, Decimal, bit};
use super::{Decoded, GattError};
use crate::beurer::Kind;

/// Stands for "measurement unsuccessful" in the weight and in the body fat.
const UNSUCCESSFUL: u16 = 0xffff;

/// A mass: in steps of 0.005 kg, or of 0.01 lb.
fn mass(raw: u16, pounds: bool) -> Decimal {
    let raw = i32::from(raw);
    if pounds { Decimal::new(raw, -2) } else { Decimal::new(raw * 5, -3) }
}

fn tenths(raw: u16) -> Decimal {
    Decimal::new(raw.into(), -1)
}

/// 0 is not measured.
fn measured(raw: u16) -> Option<u16> {
    Some(raw).filter(|r| *r != 0)
}

fn unit(pounds: bool) -> (&'static str, &'static str) {
    ("mass_unit", if pounds { "lb" } else { "kg" })
}

pub(super) fn weight(value: &[u8]) -> Result<Decoded, GattError> {
    let mut bytes = Bytes::new(value);
    let flags = u32::from(bytes.u8()?);
    let pounds = bit(flags, 0);
    let weight = bytes.u16()?;
    let mut decoded = Decoded::new(Kind::Weight);
    if bit(flags, 1) {
        decoded.local = bytes.time()?;
    }
    if bit(flags, 2) {
        decoded.user = Some(bytes.u8()?).filter(|u| *u != 255);
    }
    let bmi = if bit(flags, 3) { Some((bytes.u16()?, bytes.u16()?).0) } else { None };
    bytes.end()?;
    if weight == UNSUCCESSFUL || weight == 0 {
        return Err(GattError::NoValue);
    }
    decoded.put("weight", Some(mass(weight, pounds)))?;
    decoded.put("bmi", bmi.and_then(measured).map(tenths))?;
    decoded.words.push(unit(pounds));
    Ok(decoded)
}

pub(super) fn composition(value: &[u8]) -> Result<Decoded, GattError> {
    let mut bytes = Bytes::new(value);
    let flags = u32::from(bytes.u16()?);
    let pounds = bit(flags, 0);
    let fat = bytes.u16()?;
    let mut decoded = Decoded::new(Kind::Weight);
    if bit(flags, 1) {
        decoded.local = bytes.time()?;
    }
    if bit(flags, 2) {
        decoded.user = Some(bytes.u8()?).filter(|u| *u != 255);
    }
    let mut field = |n| if bit(flags, n) { bytes.u16().map(measured) } else { Ok(None) };
    let basal = field(3)?;
    let muscle_percent = field(4)?;
    let masses = [
        ("muscle_mass", field(5)?),
        ("lean_mass", field(6)?),
        ("soft_lean_mass", field(7)?),
        ("water_mass", field(8)?),
    ];
    let impedance = field(9)?;
    let weight = field(10)?;
    let _height = field(11)?;
    bytes.end()?;
    if bit(flags, 12) {
        return Err(GattError::SeveralPackets);
    }
    if fat == UNSUCCESSFUL {
        return Err(GattError::NoValue);
    }
    decoded.put("weight", weight.filter(|w| *w != UNSUCCESSFUL).map(|w| mass(w, pounds)))?;
    decoded.put("fat_percent", measured(fat).map(tenths))?;
    decoded.put("muscle_percent", muscle_percent.map(tenths))?;
    for (name, raw) in masses {
        decoded.put(name, raw.map(|raw| mass(raw, pounds)))?;
    }
    decoded.put("basal_metabolism_kj", basal.map(|b| Decimal::new(b.into(), 0)))?;
    decoded.put("impedance", impedance.map(tenths))?;
    if decoded.numbers.is_empty() {
        return Err(GattError::NoValue);
    }
    decoded.words.push(unit(pounds));
    Ok(decoded)
}
