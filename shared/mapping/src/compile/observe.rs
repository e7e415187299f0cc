//! Compiles the second stage: what a kind of reading is in FHIR, as JSON text that only lacks the reading.

use serde_saphyr::{Location, Spanned};

use super::{Compiler, Result, is_code, is_slug};
use crate::document::{Code, Observe, Reading, Text, Value};
use crate::json::write_string;
use crate::json_text::{WrittenCoding, concept, quantity_end, system, write_system};
use crate::plan::{BASE, Holds, Kind, MAX_SLOTS, Slot};
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

/// Units of time between samples (`SampledData.intervalUnit`), and the power of ten from microseconds to them.
const INTERVALS: [(&str, i32); 2] = [("ms", -3), ("s", -6)];

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
    pub(super) fn kind(
        &mut self,
        name: String,
        reading: &Spanned<Reading>,
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
        let whole = reading.value.positions.as_ref().map(|l| l.iter().map(position).collect::<Result<_>>());
        let whole = whole.transpose()?;
        if !CATEGORIES.contains(&observed.category.value.as_str()) {
            return self.error(
                observed.category.referenced,
                format!("no category is called {:?}", observed.category.value),
                format!("known are {}", CATEGORIES.join(", ")),
            );
        }
        let head = self.head(observed, tag)?;
        let mut body = String::from("\",\"category\":[{\"coding\":[{\"system\":");
        body.push_str("\"http://terminology.hl7.org/CodeSystem/observation-category\",\"code\":");
        write_string(&mut body, &observed.category.value);
        body.push_str("}]}],\"code\":");
        body.push_str(&self.code(&observed.code, observed.category.referenced)?);

        let mut slots = Vec::new();
        if let Some(value) = &observed.value {
            slots.push(self.slot("value", None, &value.value, value.referenced)?);
        }
        for (name, component) in observed.components.iter().flat_map(|c| &c.0) {
            let value = component.value.value();
            slots.push(self.slot(name, Some(&component.value.code), &value, component.referenced)?);
        }
        if !(1..=MAX_SLOTS).contains(&slots.len()) {
            let hint = format!("write `value:`, `components:` or both, {MAX_SLOTS} in all at most");
            let what = format!("what {name} observes is unclear");
            return self.error(observed.category.referenced, what, hint);
        }
        let method = observed.method.as_ref().map_or_else(String::new, |text| {
            let mut out = String::from(",\"method\":{\"text\":");
            write_string(&mut out, text);
            out.push('}');
            out
        });
        let gather = reading.value.gather.as_ref().map(|g| (g.value.by, g.value.into));
        let own = observed.value.is_some();
        let kind = Kind { name: name.into(), whole, gather, head, body, method, slots, own };
        self.gathered(reading, &kind)?;
        Ok(kind)
    }

    /// From the beginning to the identifier's system.
    fn head(&self, observed: &Observe, tag: &str) -> Result<String> {
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
        // More tags may be put before the end: see `write::tagged`.
        head.push_str("}]},\"identifier\":[{\"system\":");
        Ok(head)
    }

    fn slot(&mut self, name: &str, code: Option<&Code>, value: &Value, at: Location) -> Result<Slot> {
        let holds = self.holds(value, at)?;
        let (key, end) = match &holds {
            Holds::Quantity { unit, .. } => {
                ("\"valueQuantity\":{\"value\":".to_owned(), quantity_end(unit, value.unit_text.as_deref()))
            }
            Holds::Code { .. } => ("\"valueCodeableConcept\":".to_owned(), String::new()),
            Holds::Samples { unit, interval, .. } => {
                let mut key = String::from("\"valueSampledData\":{\"origin\":{\"value\":0");
                key.push_str(&quantity_end(unit, value.unit_text.as_deref()));
                key.push_str(",\"intervalUnit\":\"");
                key.push_str(interval);
                key.push_str("\",\"dimensions\":1,");
                (key, "}".to_owned())
            }
        };
        let (mut before, mut after) = (key, end);
        if let Some(code) = code {
            before = format!("{{\"code\":{},{before}", self.code(code, at)?);
            after.push('}');
        }
        Ok(Slot { name: name.to_owned(), holds, optional: value.optional, before, after })
    }

    fn holds(&self, value: &Value, at: Location) -> Result<Holds> {
        let Value { unit, digits, range, codes, sampled, .. } = value;
        let unit = match (unit, codes) {
            (None, Some(table)) if sampled.is_none() && range.is_none() => {
                return Ok(Holds::Code { table: self.named_table(table)? });
            }
            (Some(unit), None) => unit,
            _ => {
                let hint = "write `unit:` for a quantity or samples, or `codes:` for a code";
                return self.error(at, "what the value is remains unclear", hint);
            }
        };
        if units::text(&unit.value).is_none() && ucum::validate(&unit.value).is_err() {
            let hint = format!("write a UCUM code, such as {}", units::known());
            return self.error(unit.referenced, format!("no unit is called {:?}", unit.value), hint);
        }
        let range = match range {
            Some(range) if range.value[0].0 > range.value[1].0 => {
                return self.error(
                    range.referenced,
                    "a range that ends before it begins",
                    "write [low, high]",
                );
            }
            other => other.as_ref().map(|r| (r.value[0].0, r.value[1].0)),
        };
        if let Some(digits) = digits
            && digits.value > 12
        {
            return self.error(digits.referenced, "more than 12 digits", "write a number from 0 to 12");
        }
        let unit_code = unit.value.clone();
        let Some(sampled) = sampled else {
            return Ok(Holds::Quantity { unit: unit_code, digits: digits.as_ref().map(|d| d.value), range });
        };
        match INTERVALS.iter().find(|(name, _)| *name == sampled.value) {
            Some((interval, scale)) => Ok(Holds::Samples { unit: unit_code, interval, scale: *scale, range }),
            None => self.error(
                sampled.referenced,
                format!("no unit of time between samples is called {:?}", sampled.value),
                "write ms or s",
            ),
        }
    }

    /// A CodeableConcept.
    fn code(&mut self, code: &Code, at: Location) -> Result<String> {
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
        for coding in &code.coding {
            if !coding.system.value.contains(':') || !is_code(&coding.code.value) {
                let hint = "the system is a URL or a URN, the code has no blanks";
                return self.error(coding.system.referenced, "a coding that is none", hint);
            }
            codings.push(WrittenCoding {
                system: system(&coding.system.value),
                code: &coding.code.value,
                display: coding.display.as_deref(),
            });
        }
        for (name, local) in code.local.iter().flat_map(|l| &l.0) {
            if !is_slug(name) || !is_code(&local.value) {
                let hint = "the system is a name in lower-case letters and hyphens, the code has no blanks";
                return self.error(local.referenced, "a local code that is none", hint);
            }
            let text = code.text.clone().unwrap_or_else(|| local.value.clone());
            self.local.push((name.clone(), local.value.clone(), text));
            codings.push(WrittenCoding { system: system(name), code: &local.value, display: None });
        }
        if codings.is_empty() {
            return self.error(at, "a code without a coding", "give it `loinc`, `local` or `coding`");
        }
        Ok(concept(&codings, code.text.as_deref()))
    }
}
