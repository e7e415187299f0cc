//! Little-endian bytes, and the numbers and times in them.

use jiff::civil::DateTime;

use super::GattError;
use crate::beurer::normal::decimal;

/// A number as a device gives it: `mantissa` times ten to the power of `exponent`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    pub(super) mantissa: i32,
    pub(super) exponent: i32,
}

impl std::fmt::Debug for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decimal(..)")
    }
}

/// What stands in place of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// Not a number: nothing was measured.
    NaN,
    /// Not at this resolution.
    NRes,
    /// Above what the device can say.
    PositiveInfinity,
    /// Below what the device can say.
    NegativeInfinity,
    /// Reserved.
    Reserved,
}

impl Decimal {
    pub(super) const fn new(mantissa: i32, exponent: i32) -> Self {
        Self { mantissa, exponent }
    }

    /// An IEEE 11073-20601 SFLOAT: twelve bits of mantissa, four of exponent, both signed.
    ///
    /// # Errors
    /// [`Special`] where it is no number. The special values have the exponent 0.
    pub fn sfloat(raw: u16) -> Result<Self, Special> {
        match raw {
            0x07ff => return Err(Special::NaN),
            0x0800 => return Err(Special::NRes),
            0x07fe => return Err(Special::PositiveInfinity),
            0x0802 => return Err(Special::NegativeInfinity),
            0x0801 => return Err(Special::Reserved),
            _ => {}
        }
        let (mantissa, exponent) = (i32::from(raw & 0x0fff), i32::from(raw >> 12));
        Ok(Self {
            mantissa: if mantissa > 0x07ff { mantissa - 0x1000 } else { mantissa },
            exponent: if exponent > 7 { exponent - 16 } else { exponent },
        })
    }

    /// An IEEE 11073-20601 FLOAT: 24 bits of mantissa, eight of exponent, both signed.
    ///
    /// # Errors
    /// [`Special`] where it is no number. The special values have the exponent 0.
    pub fn float(raw: u32) -> Result<Self, Special> {
        match raw {
            0x007f_ffff => return Err(Special::NaN),
            0x0080_0000 => return Err(Special::NRes),
            0x007f_fffe => return Err(Special::PositiveInfinity),
            0x0080_0002 => return Err(Special::NegativeInfinity),
            0x0080_0001 => return Err(Special::Reserved),
            _ => {}
        }
        let bytes = raw.to_le_bytes();
        let mantissa = i32::from_le_bytes([0, bytes[0], bytes[1], bytes[2]]) >> 8;
        Ok(Self { mantissa, exponent: i32::from(i8::from_le_bytes([bytes[3]])) })
    }

    /// With the point moved: times ten to the power of `by`.
    pub(super) const fn scaled(self, by: i32) -> Self {
        Self { mantissa: self.mantissa, exponent: self.exponent + by }
    }

    /// As JSON writes it, with its digits. `None` where it is beyond what any device measures.
    pub fn text(self) -> Option<String> {
        decimal(self.mantissa.into(), self.exponent)
    }

    /// Whether it lies within, both included.
    pub(super) fn within(self, low: i64, high: i64) -> bool {
        // Exponents that no value between needs are of no interest.
        let exponent = self.exponent.clamp(-12, 12);
        let of = |n: i64| i128::from(n) * 10_i128.pow(12);
        let value = i128::from(self.mantissa) * 10_i128.pow(u32::try_from(exponent + 12).unwrap_or(0));
        (of(low)..=of(high)).contains(&value)
    }
}

/// Reads bytes from the front.
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], GattError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(GattError::TooShort)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, GattError> {
        Ok(self.take::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, GattError> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    pub(super) fn i16(&mut self) -> Result<i16, GattError> {
        Ok(i16::from_le_bytes(self.take()?))
    }

    /// Passes over so many bytes that are not read.
    pub(super) fn skip(&mut self, count: usize) -> Result<(), GattError> {
        self.0 = self.0.get(count..).ok_or(GattError::TooShort)?;
        Ok(())
    }

    pub(super) fn u32(&mut self) -> Result<u32, GattError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    /// A number; none where a special value stands in its place.
    pub(super) fn sfloat(&mut self) -> Result<Option<Decimal>, GattError> {
        Ok(Decimal::sfloat(self.u16()?).ok())
    }

    /// Date Time (0x2A08), seven bytes. None where the year, the month or the day is 0, which is "not known".
    pub(super) fn time(&mut self) -> Result<Option<DateTime>, GattError> {
        let year = self.u16()?;
        let [month, day, hour, minute, second] = self.take::<5>()?;
        if year == 0 || month == 0 || day == 0 {
            return Ok(None);
        }
        let small = |n: u8| i8::try_from(n).map_err(|_| GattError::Time);
        let year = i16::try_from(year).ok().filter(|y| (1990..=2200).contains(y)).ok_or(GattError::Time)?;
        DateTime::new(year, small(month)?, small(day)?, small(hour)?, small(minute)?, small(second)?, 0)
            .map(Some)
            .map_err(|_| GattError::Time)
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), GattError> {
        if self.0.is_empty() { Ok(()) } else { Err(GattError::TooLong) }
    }
}

/// Whether a bit is set.
pub(super) const fn bit(flags: u32, n: u32) -> bool {
    flags >> n & 1 == 1
}
