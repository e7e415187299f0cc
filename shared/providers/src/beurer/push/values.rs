//! The values of a decoded reading: their names and the units that they are taken in.

use ohx_domain::decimal::parse_json_number;
use serde_json::value::RawValue;

use super::error::ReadingError;
use super::json::{Object, text};
use crate::beurer::Kind;
use crate::beurer::normal::Writer;

/// What kind of quantity a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::beurer) enum Quantity {
    Pressure,
    Mass,
    Percent,
    Temperature,
    Glucose,
    Rate,
    BodyMassIndex,
}

use Quantity::{BodyMassIndex, Glucose, Mass, Percent, Pressure, Rate, Temperature};

impl Quantity {
    /// The words for its units, what they are written as, and the field that says so.
    pub(in crate::beurer) const fn units(
        self,
    ) -> (&'static [(&'static str, &'static str)], &'static str, Option<&'static str>) {
        match self {
            Pressure => (
                &[("mmHg", "mmHg"), ("mm[Hg]", "mmHg"), ("kPa", "kPa")],
                "mmHg or kPa",
                Some("pressure_unit"),
            ),
            Mass => (
                &[("kg", "kg"), ("lb", "lb"), ("lbs", "lb"), ("[lb_av]", "lb")],
                "kg or lb",
                Some("mass_unit"),
            ),
            Percent => (&[("%", "%")], "%", None),
            Temperature => (
                &[
                    ("Cel", "Cel"),
                    ("°C", "Cel"),
                    ("C", "Cel"),
                    ("F", "degF"),
                    ("°F", "degF"),
                    ("[degF]", "degF"),
                ],
                "Cel, °C or F",
                Some("temperature_unit"),
            ),
            Glucose => (&[("mg/dL", "glucose_mg_dl"), ("mmol/L", "glucose_mmol_l")], "mg/dL or mmol/L", None),
            Rate => (&[("/min", "/min"), ("bpm", "/min")], "/min or bpm", None),
            BodyMassIndex => (&[("kg/m2", "kg/m2"), ("kg/m²", "kg/m2")], "kg/m2", None),
        }
    }
}

/// The values that a reading of a kind may have, and those that it must have (one of them, for the weight).
pub(in crate::beurer) const fn table(
    kind: Kind,
) -> (&'static [(&'static str, Quantity)], &'static [&'static str]) {
    match kind {
        Kind::BloodPressure => (
            &[("systolic", Pressure), ("diastolic", Pressure), ("mean", Pressure), ("pulse", Rate)],
            &["systolic", "diastolic"],
        ),
        Kind::Weight => (
            &[
                ("weight", Mass),
                ("bmi", BodyMassIndex),
                ("fat_percent", Percent),
                ("water_percent", Percent),
                ("muscle_percent", Percent),
                ("bone_mass", Mass),
                ("muscle_mass", Mass),
                ("lean_mass", Mass),
                ("soft_lean_mass", Mass),
                ("water_mass", Mass),
            ],
            &[],
        ),
        Kind::Temperature => (&[("temperature", Temperature)], &["temperature"]),
        Kind::Glucose => (&[("glucose", Glucose), ("hba1c", Percent)], &["glucose"]),
        Kind::OxygenSaturation => {
            (&[("spo2", Percent), ("pulse", Rate), ("perfusion_index", Percent)], &["spo2"])
        }
    }
}

/// Checks the values of a reading and writes them in the table's order, so that the order in which a gateway writes
/// them makes no difference.
pub(in crate::beurer) fn write(
    kind: Kind,
    values: &RawValue,
    writer: &mut Writer,
) -> Result<(), ReadingError> {
    let values =
        Object::of(values).ok_or_else(|| invalid("values", "an object in which no field comes twice"))?;
    let (known, needed) = table(kind);
    if let Some((name, _)) = values.fields().find(|(name, _)| !known.iter().any(|(k, _)| k == name)) {
        return Err(ReadingError::UnknownField(format!("values.{}", crate::beurer::shown(name))));
    }
    for name in needed {
        if values.get(name).is_none() {
            return Err(ReadingError::Missing(format!("values.{name}")));
        }
    }
    let mut said: Vec<(&'static str, &'static str)> = Vec::new();
    let mut any = false;
    for (name, quantity) in known {
        let Some(raw) = values.get(name) else { continue };
        let path = format!("values.{name}");
        let value = Object::of(raw).ok_or_else(|| invalid(&path, "an object with value and unit"))?;
        value.only(&["value", "unit"]).map_err(|f| ReadingError::UnknownField(format!("{path}.{f}")))?;
        let number = value.get("value").ok_or_else(|| ReadingError::Missing(format!("{path}.value")))?;
        let number = Some(number.get()).filter(|n| n.len() <= 20).and_then(parse_json_number);
        let number =
            number.ok_or_else(|| invalid(&format!("{path}.value"), "a number of at most 20 characters"))?;
        let unit = value.get("unit").ok_or_else(|| ReadingError::Missing(format!("{path}.unit")))?;
        let (units, words, field) = quantity.units();
        let unit = text(unit).and_then(|u| units.iter().find(|(word, _)| *word == u)).map(|(_, unit)| *unit);
        let unit = unit.ok_or_else(|| ReadingError::Unit(path.clone(), words))?;
        if let Some(field) = field {
            match said.iter().find(|(f, _)| *f == field) {
                Some((_, before)) if *before != unit => return Err(ReadingError::SeveralUnits(path)),
                Some(_) => {}
                None => said.push((field, unit)),
            }
        }
        writer.number(if *quantity == Glucose { unit } else { name }, &number.to_string());
        any = true;
    }
    if !any {
        return Err(ReadingError::Missing("values".to_owned()));
    }
    said.iter().for_each(|(field, unit)| writer.text(field, unit));
    Ok(())
}

fn invalid(field: &str, must: &'static str) -> ReadingError {
    ReadingError::Invalid(field.to_owned(), must)
}
