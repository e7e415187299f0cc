//! Beurer: readings that a person or a gateway brings, because there is no cloud to ask.
//!
//! Beurer publishes no API for health data. What there is: the CSV export of its app HealthManager Pro ([`csv`]), and
//! devices that speak Bluetooth to a gateway or phone, which sends what it heard ([`push`]), decoded or as raw
//! characteristics ([`gatt`]). All of it becomes parts of one shape, and nothing here opens a socket or a store:
//!
//! ```json
//! {"origin": "csv", "zone": "Europe/Berlin", "readings": [
//!   {"at": "2026-10-04T07:41:00+02:00", "local": "2026-10-04T07:41:00", "systolic": 128, "diastolic": 82,
//!    "mean": 97, "pressure_unit": "mmHg", "pulse": 67, "manual": false}]}
//! ```
//!
//! `local` is the wall clock of the phone or the device, and part of the reading's identity: it stays the same
//! whatever zone the file is read in. `device` (`id`, `model`, `manufacturer`) is there where a gateway sent it.

mod adapter;
pub mod contract;
pub mod csv;
pub mod gatt;
mod normal;
pub mod push;
mod zone;

#[cfg(test)]
mod mapped_tests;

use std::fmt;

use serde::Serialize;

pub(crate) use adapter::ABOUT;
pub use adapter::Beurer;
pub use normal::RecordParts;

/// The type of the provider, as in a provider app's configuration.
pub const KIND: &str = "beurer";

/// The records, in the order of [`Kind`].
pub const RECORDS: &[&str] = &["blood-pressure", "weight", "temperature", "glucose", "oxygen-saturation"];

/// How far ahead of now a reading may lie, in seconds: clocks differ a little. What lies further ahead has a wrong
/// date, zone or clock.
pub(crate) const AHEAD: i64 = 600;

/// A kind of reading, each a record of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ReadingKind))]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Blood pressure, mostly with the pulse.
    BloodPressure,
    /// Weight and body composition.
    Weight,
    /// Body temperature.
    Temperature,
    /// Glucose.
    Glucose,
    /// Oxygen saturation, with the pulse.
    OxygenSaturation,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::BloodPressure, Self::Weight, Self::Temperature, Self::Glucose, Self::OxygenSaturation];

    /// The record's name, one of [`RECORDS`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BloodPressure => "blood-pressure",
            Self::Weight => "weight",
            Self::Temperature => "temperature",
            Self::Glucose => "glucose",
            Self::OxygenSaturation => "oxygen-saturation",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name of somebody else's making (a column, a field, a section) as it may stand in a message: short, printable, and
/// shown only where it does not look like a value.
pub(crate) fn shown(name: &str) -> String {
    let plain: String = name.trim().chars().filter(|c| !c.is_control()).take(40).collect();
    let like_a_name = plain.chars().next().is_some_and(|c| c.is_alphabetic() || c == '°' || c == '%');
    if like_a_name && !plain.contains('\u{202e}') { plain } else { "(not shown)".to_owned() }
}
