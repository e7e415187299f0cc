//! Compiles the second stage: what a kind of reading is in FHIR, as JSON text that only lacks the reading.

use serde_saphyr::Location;

use crate::compile::{Compiler, Result, is_slug};
use crate::document::{Code, Component, Observe, Quantity, Reading, Text};
use crate::json::write_string;
use crate::plan::{BASE, Kind, MAX_SLOTS, Slot, WrittenCoding, quantity_end, write_code, write_system};
use crate::units;

/// The codes of `http://terminology.hl7.org/CodeSystem/observation-category`.
const CATEGORIES: [&str; 9] = [
    "social-history",
    "vital-signs",
    "imaging",
    "laboratory",
    "procedure",
    "survey",
    "exam",
    "therapy",
    "activity",
];

/// A LOINC code ends in a check digit (Luhn's), which finds most slips of the finger.
pub(crate) fn is_loinc(code: &str) -> bool {
    let Some((number, check)) = code.split_once('-') else { return false };
    if number.is_empty() || number.len() > 7 || check.len() != 1 {
        return false;
    }
    let mut sum = 0;
    for (n, c) in number.chars().chain(check.chars()).rev().enumerate() {
        let Some(digit) = c.to_digit(10) else { return false };
        sum += if n % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 };
    }
    sum % 10 == 0
}

impl Compiler<'_> {
    /// A kind of reading, with the JSON text of its Observation prepared.
    pub(crate) fn kind(
        &self,
        name: String,
        reading: &Reading,
        observed: &Observe,
        tag: &str,
    ) -> Result<Kind> {
        let position = |text: &Text| match (text.value.as_str(), text.value.parse()) {
            ("none", _) => Ok(None),
            (_, Ok(number)) => Ok(Some(number)),
            _ => self.error(
                text.referenced,
                format!("a position {:?}", text.value),
                "write `none` or a number",
            ),
        };
        let whole = reading.positions.as_ref().map(|list| list.iter().map(position).collect::<Result<_>>());
        if !CATEGORIES.contains(&observed.category.value.as_str()) {
            return self.error(
                observed.category.referenced,
                format!("no category is called {:?}", observed.category.value),
                format!("known are {}", CATEGORIES.join(", ")),
            );
        }
        let mut head = String::from("{\"resourceType\":\"Observation\",\"meta\":{");
        for (n, profile) in observed.profile.iter().enumerate() {
            if !profile.value.starts_with("http://") && !profile.value.starts_with("https://") {
                return self.error(profile.referenced, "a profile that is no URL", "write its canonical URL");
            }
            head.push_str(if n == 0 { "\"profile\":[" } else { "," });
            write_string(&mut head, &profile.value);
        }
        head.push_str(if observed.profile.is_empty() {
            "\"tag\":[{\"system\":"
        } else {
            "],\"tag\":[{\"system\":"
        });
        write_system(&mut head, &format!("{BASE}/mapping"));
        head.push_str(",\"code\":");
        write_string(&mut head, tag);
        head.push_str("}]},\"identifier\":[{\"system\":");

        let mut body = String::from("\"}],\"status\":\"final\",\"category\":[{\"coding\":[{\"system\":");
        body.push_str("\"http://terminology.hl7.org/CodeSystem/observation-category\",\"code\":");
        write_string(&mut body, &observed.category.value);
        body.push_str("}]}],");
        self.code(&mut body, &observed.code, observed.category.referenced)?;

        let (around, slots) = match (&observed.value, &observed.components) {
            (Some(value), None) => (("", ""), vec![self.slot("value", None, value, &observed.category)?]),
            (None, Some(components)) if (1..=MAX_SLOTS).contains(&components.0.len()) => {
                let slots = components.0.iter().map(|(name, component)| {
                    let Component { code, unit, unit_text, range } = component;
                    let quantity =
                        Quantity { unit: unit.clone(), unit_text: unit_text.clone(), range: range.clone() };
                    self.slot(name, Some(code), &quantity, &observed.category)
                });
                (("\"component\":[", "]"), slots.collect::<Result<Vec<_>>>()?)
            }
            _ => {
                let hint = "write either `value:` or one to eight `components:`";
                return self.error(
                    observed.category.referenced,
                    format!("what {name} observes is unclear"),
                    hint,
                );
            }
        };
        Ok(Kind { name, whole: whole.transpose()?, head, body, around, slots })
    }

    fn slot(&self, name: &str, code: Option<&Code>, quantity: &Quantity, category: &Text) -> Result<Slot> {
        let unit = &quantity.unit;
        if units::text(&unit.value).is_none() {
            let hint = format!("UCUM codes known here: {}", units::known());
            return self.error(unit.referenced, format!("no unit is called {:?}", unit.value), hint);
        }
        let range = match &quantity.range {
            Some(range) if range.value[0].0 > range.value[1].0 => {
                return self.error(
                    range.referenced,
                    "a range that ends before it begins",
                    "write [low, high]",
                );
            }
            other => other.as_ref().map(|r| (r.value[0].0, r.value[1].0)),
        };
        let mut before = String::new();
        let mut after = quantity_end(&unit.value, quantity.unit_text.as_deref());
        if let Some(code) = code {
            before.push('{');
            self.code(&mut before, code, category.referenced)?;
            before.push(',');
            after.push('}');
        }
        before.push_str("\"valueQuantity\":{\"value\":");
        Ok(Slot { name: name.to_owned(), unit: unit.value.clone(), before, after, range })
    }

    fn code(&self, out: &mut String, code: &Code, at: Location) -> Result<()> {
        let mut codings = Vec::new();
        for loinc in &code.loinc {
            if !is_loinc(&loinc.value) {
                let hint = "the last digit is a check digit: look the code up on loinc.org";
                return self.error(loinc.referenced, format!("{:?} is not a LOINC code", loinc.value), hint);
            }
            codings.push(WrittenCoding {
                system: "http://loinc.org".into(),
                code: &loinc.value,
                display: None,
            });
        }
        let is_code = |c: &str| !c.is_empty() && !c.contains(char::is_whitespace);
        for coding in &code.coding {
            if !coding.system.value.contains(':') || !is_code(&coding.code.value) {
                let hint = "the system is a URL or a URN, the code has no blanks";
                return self.error(coding.system.referenced, "a coding that is none", hint);
            }
            let system = coding.system.value.replace(BASE, "");
            codings.push(WrittenCoding {
                system,
                code: &coding.code.value,
                display: coding.display.as_deref(),
            });
        }
        for (system, local) in code.local.iter().flat_map(|l| &l.0) {
            if !is_slug(system) || !is_code(&local.value) {
                let hint = "the system is a name in lower-case letters and hyphens, the code has no blanks";
                return self.error(local.referenced, "a local code that is none", hint);
            }
            let system = format!("{BASE}/CodeSystem/{system}");
            codings.push(WrittenCoding { system, code: &local.value, display: None });
        }
        if codings.is_empty() {
            return self.error(at, "a code without a coding", "give it `loinc`, `local` or `coding`");
        }
        write_code(out, &codings, code.text.as_deref());
        Ok(())
    }
}
