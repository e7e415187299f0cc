//! Raw characteristics of Bluetooth's health profiles, as a gateway heard them.
//!
//! Layouts are those of the GATT Specification Supplement; `providers/beurer.md`, section 3, has Beurer's quirks.
//! Numbers are decimal on the wire (IEEE 11073 SFLOAT and FLOAT) and stay so: no digit is lost or made up. What is not
//! certain is refused: a characteristic that is shorter or longer than its flags say, a value that is none, a result
//! that its sensor does not stand for, a reading that is no patient's.

mod bytes;
mod glucose;
mod oximeter;
mod pressure;
mod scale;
#[cfg(test)]
mod tests;
mod thermometer;

use jiff::civil::DateTime;

pub use self::bytes::{Decimal, Special};

use super::Kind;
use super::normal::Writer;

/// The most bytes that a characteristic can have.
pub const MAX_BYTES: usize = 512;

/// A characteristic that is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Characteristic {
    /// 0x2A35 Blood Pressure Measurement.
    BloodPressure,
    /// 0x2A9D Weight Measurement.
    Weight,
    /// 0x2A9C Body Composition Measurement.
    BodyComposition,
    /// 0x2A1C Temperature Measurement.
    Temperature,
    /// 0x2A18 Glucose Measurement, with 0x2A34 Glucose Measurement Context where there is one.
    Glucose,
    /// 0x2A5E PLX Spot-Check Measurement.
    PlxSpotCheck,
    /// 0x2A5F PLX Continuous Measurement.
    PlxContinuous,
}

impl Characteristic {
    /// The characteristics, by their 16-bit UUID in hexadecimal.
    pub const ALL: [(&'static str, Self); 7] = [
        ("2A35", Self::BloodPressure),
        ("2A9D", Self::Weight),
        ("2A9C", Self::BodyComposition),
        ("2A1C", Self::Temperature),
        ("2A18", Self::Glucose),
        ("2A5E", Self::PlxSpotCheck),
        ("2A5F", Self::PlxContinuous),
    ];

    /// The characteristic with that 16-bit UUID: `2A35`, `0x2a35`, or the whole UUID.
    pub fn from_uuid(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let short = match lower.strip_suffix("-0000-1000-8000-00805f9b34fb") {
            Some(long) => long.strip_prefix("0000")?,
            None => lower.strip_prefix("0x").unwrap_or(&lower),
        };
        Self::ALL.iter().find(|(uuid, _)| uuid.eq_ignore_ascii_case(short)).map(|(_, c)| *c)
    }

    /// The record that it is a reading of.
    pub const fn kind(self) -> Kind {
        match self {
            Self::BloodPressure => Kind::BloodPressure,
            Self::Weight | Self::BodyComposition => Kind::Weight,
            Self::Temperature => Kind::Temperature,
            Self::Glucose => Kind::Glucose,
            Self::PlxSpotCheck | Self::PlxContinuous => Kind::OxygenSaturation,
        }
    }
}

/// Why a characteristic is no reading. Texts never hold a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GattError {
    /// Fewer bytes than its flags say.
    #[error("fewer bytes than its flags say")]
    TooShort,
    /// More bytes than its flags say.
    #[error("more bytes than its flags say")]
    TooLong,
    /// No value was measured: NaN, "not at this resolution", infinite, reserved or "unsuccessful".
    #[error("it has no value: the measurement did not succeed")]
    NoValue,
    /// A number beyond any device's.
    #[error("a number beyond what a device measures: the bytes are not of this characteristic")]
    Number,
    /// A date or time that does not exist.
    #[error("its time is no time of the calendar")]
    Time,
    /// The sensor says that the result is not to be used.
    #[error("the sensor says that the result is not valid")]
    NotValid,
    /// The sensor says that its own time is wrong.
    #[error("the sensor says that its clock is wrong")]
    Clock,
    /// A control solution or a test: not a patient's.
    #[error("a control solution, a test or a demonstration, and no patient's reading")]
    NotAPatient,
    /// A measurement that is spread over several packets.
    #[error("a measurement in several packets, which is not supported")]
    SeveralPackets,
    /// A code that the specification does not have.
    #[error("a code that the specification does not have")]
    Reserved,
    /// The context is of another measurement.
    #[error("the context has another sequence number than the measurement")]
    OtherContext,
    /// A context for what has none.
    #[error("only a glucose measurement has a context")]
    NoContext,
}

/// A characteristic, decoded. It holds health values and is not printed.
pub struct Decoded {
    /// The record that it is a reading of.
    pub kind: Kind,
    /// The device's clock when it measured. `None`: it does not say.
    pub local: Option<DateTime>,
    /// The device's number of the user, where it knows.
    pub user: Option<u8>,
    /// What tells it from others of the device, where it says.
    pub sequence: Option<u16>,
    /// Numbers by their names, as JSON writes them.
    pub(super) numbers: Vec<(&'static str, String)>,
    /// Words by their names: units and codes.
    pub(super) words: Vec<(&'static str, &'static str)>,
    /// Whether the value may still change.
    pub(super) preliminary: bool,
}

impl std::fmt::Debug for Decoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoded").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Decoded {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            local: None,
            user: None,
            sequence: None,
            numbers: Vec::new(),
            words: Vec::new(),
            preliminary: false,
        }
    }

    /// A number by its name, as the normalised reading has it.
    pub fn number(&self, name: &str) -> Option<&str> {
        self.numbers.iter().find(|(n, _)| *n == name).map(|(_, number)| number.as_str())
    }

    /// A word by its name, such as `pressure_unit`.
    pub fn word(&self, name: &str) -> Option<&'static str> {
        self.words.iter().find(|(n, _)| *n == name).map(|(_, word)| *word)
    }

    /// Writes what was measured.
    pub(super) fn write(&self, writer: &mut Writer) {
        self.numbers.iter().for_each(|(name, number)| writer.number(name, number));
        self.words.iter().for_each(|(name, word)| writer.text(name, word));
        if self.preliminary {
            writer.flag("preliminary", true);
        }
    }

    fn put(&mut self, name: &'static str, value: Option<Decimal>) -> Result<(), GattError> {
        if let Some(value) = value {
            self.numbers.push((name, value.text().ok_or(GattError::Number)?));
        }
        Ok(())
    }
}

/// Decodes a characteristic. `model` is the device's, for models that are known to deviate; `context` is 0x2A34's.
///
/// # Errors
/// [`GattError`].
pub fn decode(
    characteristic: Characteristic,
    value: &[u8],
    context: Option<&[u8]>,
    model: Option<&str>,
) -> Result<Decoded, GattError> {
    if value.len() > MAX_BYTES || context.is_some_and(|c| c.len() > MAX_BYTES) {
        return Err(GattError::TooLong);
    }
    if context.is_some() && characteristic != Characteristic::Glucose {
        return Err(GattError::NoContext);
    }
    let model = model.unwrap_or_default();
    match characteristic {
        Characteristic::BloodPressure => pressure::decode(value, model),
        Characteristic::Weight => scale::weight(value),
        Characteristic::BodyComposition => scale::composition(value),
        Characteristic::Temperature => thermometer::decode(value, model),
        Characteristic::Glucose => glucose::decode(value, context),
        Characteristic::PlxSpotCheck => oximeter::spot_check(value),
        Characteristic::PlxContinuous => oximeter::continuous(value),
    }
}
