//! Values as the wire has them, by the names of their data fields.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::wire::{Call, Refusal};

/// One value, in the digits that it is written with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure(String);

/// Values by the names of their data fields. What a device cannot tell is not among them.
pub type Figures = BTreeMap<String, Figure>;

impl Figure {
    /// A whole number.
    pub fn whole(number: i64) -> Self {
        Self(number.to_string())
    }

    /// `mantissa` with so many digits after the point: 15200 with 3 is `15.200`.
    pub fn decimal(mantissa: i64, digits: usize) -> Self {
        let sign = if mantissa < 0 { "-" } else { "" };
        let text = format!("{:0width$}", mantissa.unsigned_abs(), width = digits + 1);
        let (whole, fraction) = text.split_at(text.len() - digits);
        let point = if digits > 0 { "." } else { "" };
        Self(format!("{sign}{whole}{point}{fraction}"))
    }

    /// A text.
    pub fn text(text: &str) -> Self {
        Self(serde_json::Value::from(text).to_string())
    }

    /// There, and empty: as normal as absent.
    pub fn null() -> Self {
        Self("null".to_owned())
    }

    /// As it is written in JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.clone()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Figure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self(raw.get().to_owned()))
    }
}

/// Whole numbers by name.
pub(super) fn whole<const N: usize>(figures: [(&str, i64); N]) -> Figures {
    figures.into_iter().map(|(name, number)| (name.to_owned(), Figure::whole(number))).collect()
}

/// What of a person's figures a call may see: the data fields it names (all, where it names none), less what the app's
/// plan does not include for that person.
pub(super) struct Visible {
    named: Option<BTreeSet<String>>,
    hidden: &'static [&'static str],
}

impl Visible {
    /// Reads `data_fields`. `premium` says whether the plan includes everything; if not, `hidden` fields are left out
    /// without a word.
    ///
    /// # Errors
    /// Status 2555 where heart rate variability is named and not included.
    pub(super) fn of(call: &Call, premium: bool, hidden: &'static [&'static str]) -> Result<Self, Refusal> {
        let named: Option<BTreeSet<String>> =
            call.get("data_fields").map(|list| list.split(',').map(|name| name.trim().to_owned()).collect());
        if !premium && named.iter().flatten().any(|name| is_variability(name)) {
            return Err(Refusal(2555, "Not authorized: not included in the plan"));
        }
        Ok(Self { named, hidden: if premium { &[] } else { hidden } })
    }

    /// All data fields, whether or not a call names them, less `hidden` where the plan does not include everything.
    pub(super) fn all(premium: bool, hidden: &'static [&'static str]) -> Self {
        Self { named: None, hidden: if premium { &[] } else { hidden } }
    }

    pub(super) fn sees(&self, name: &str) -> bool {
        let hidden = self.hidden.iter().any(|hidden| name == *hidden || is_variability(name));
        !hidden && self.named.as_ref().is_none_or(|named| named.contains(name))
    }

    pub(super) fn figures<'f>(&self, figures: &'f Figures) -> BTreeMap<&'f str, &'f Figure> {
        figures
            .iter()
            .map(|(name, figure)| (name.as_str(), figure))
            .filter(|(name, _)| self.sees(name))
            .collect()
    }
}

fn is_variability(name: &str) -> bool {
    ["rmssd", "sdnn", "hrv_"].iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_kept() {
        for (mantissa, digits, text) in
            [(15_200, 3, "15.200"), (86, 2, "0.86"), (7, 3, "0.007"), (-50, 1, "-5.0"), (4, 0, "4")]
        {
            assert_eq!(Figure::decimal(mantissa, digits).as_str(), text);
        }
        let read: Figures = serde_json::from_str(r#"{"a":1.500,"b":null,"c":"{\"1\":[0]}"}"#).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"a":1.500,"b":null,"c":"{\"1\":[0]}"}"#);
        assert_eq!((read["b"].clone(), read["c"].clone()), (Figure::null(), Figure::text("{\"1\":[0]}")));
    }
}
