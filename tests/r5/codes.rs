//! What no structure says: codes of known systems, units of UCUM, and whether the two fit each other.

use std::collections::BTreeSet;

use crate::json::Json;
use crate::loinc::{allowed, has_check_digit};

const LOINC: &str = "http://loinc.org";
const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";
const MDC: &str = "urn:iso:std:iso:11073:10101";
const UCUM: &str = "http://unitsofmeasure.org";

const CATEGORIES: &[&str] = &[
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

/// Codes of IEEE 11073 that `providers/fhir-r5.md` names.
const MDC_CODES: &[&str] = &[
    "131328", "131329", "147842", "149530", "149546", "150020", "150021", "150022", "150023", "150364",
    "150456", "160184", "160188", "160368", "188420", "188424", "188428", "188452", "188736", "188740",
    "188748", "188752", "188756", "188760", "188764", "188768", "188776",
];

/// The vital signs: LOINC code, profile, and the units that it allows (`providers/fhir-r5.md` 1.2). FHIR asks an
/// Observation with one of these codes to conform to the profile, whether it claims it or not.
pub(crate) const VITAL_SIGNS: &[(&str, &str, &[&str])] = &[
    ("85354-9", "bp", &[]),
    ("8867-4", "heartrate", &["/min"]),
    ("9279-1", "resprate", &["/min"]),
    ("8310-5", "bodytemp", &["Cel", "[degF]"]),
    ("8302-2", "bodyheight", &["cm", "[in_i]"]),
    ("9843-4", "headcircum", &["cm", "[in_i]"]),
    ("29463-7", "bodyweight", &["kg", "g", "[lb_av]"]),
    ("39156-5", "bmi", &["kg/m2"]),
    ("2708-6", "oxygensat", &["%"]),
    ("85353-1", "vitalspanel", &[]),
];

/// The vital signs that an Observation is, by its code.
pub(crate) fn vital_signs(
    observation: &Json,
) -> impl Iterator<Item = &'static (&'static str, &'static str, &'static [&'static str])> {
    let codes: BTreeSet<String> = loinc(observation.get("code")).map(str::to_owned).collect();
    VITAL_SIGNS.iter().filter(move |(code, ..)| codes.contains(*code))
}

fn loinc(concept: Option<&Json>) -> impl Iterator<Item = &str> {
    let codings = concept.map(|c| c.at("coding")).unwrap_or_default().into_iter();
    codings.filter(|c| c.text_of("system") == Some(LOINC)).filter_map(|c| c.text_of("code"))
}

/// What is wrong with the codes and units of a resource that we write. `base` is what our own systems begin with.
pub(crate) fn problems(resource: &Json, base: &str) -> Vec<String> {
    let mut found = Vec::new();
    resource.objects(&mut |object| {
        for (name, value) in object.members() {
            match name.as_str() {
                "coding" | "tag" => found.extend(value.items().iter().filter_map(|c| coding(c, base))),
                "valueQuantity" | "origin" | "low" | "high" => found.extend(quantity(value)),
                "valueSampledData" => found.extend(sampled(value)),
                _ => {}
            }
        }
    });
    for (code, _, units) in vital_signs(resource) {
        let own = resource.get("valueQuantity").and_then(|q| q.text_of("code"));
        found.extend(own.filter(|u| !units.contains(u)).map(|u| format!("{code} in {u}")));
    }
    found.extend(std::iter::once(resource).chain(resource.at("component")).flat_map(fits));
    found
}

/// A coding of a known system, with a code of it.
fn coding(coding: &Json, base: &str) -> Option<String> {
    let (Some(system), Some(code)) = (coding.text_of("system"), coding.text_of("code")) else {
        return Some(format!("{coding:?} has no system or no code"));
    };
    let display = coding.text_of("display");
    let slug = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-./_".contains(&b))
    };
    let own = system.strip_prefix(base).and_then(|own| own.strip_prefix('/'));
    let good = match (system, own) {
        (LOINC, _) => {
            let known = allowed(code).filter(|k| display.is_none_or(|d| d == k.name));
            has_check_digit(code) && known.is_some()
        }
        (CATEGORY, _) => CATEGORIES.contains(&code),
        (MDC, _) => MDC_CODES.contains(&code),
        (_, Some(own)) => slug(own.strip_prefix("CodeSystem/").unwrap_or(own)) && slug(code),
        _ => false,
    };
    (!good).then(|| format!("{code} of {system} is not one that we know"))
}

/// A quantity in a unit of UCUM.
fn quantity(quantity: &Json) -> Option<String> {
    let good = quantity.text_of("system") == Some(UCUM)
        && quantity.text_of("code").is_some_and(|u| ucum::validate(u).is_ok())
        && quantity.text_of("unit").is_some_and(|u| !u.trim().is_empty())
        && matches!(quantity.get("value"), Some(Json::Number(_)));
    (!good).then(|| format!("{quantity:?} is no number with a unit of UCUM"))
}

/// Samples in the form that R5 gives them: a time between them, or one for each.
fn sampled(data: &Json) -> Vec<String> {
    let mut found = Vec::new();
    let unit = data.text_of("intervalUnit").unwrap_or_default();
    if !ucum::is_comparable(unit, "s").is_ok_and(|is| is) {
        found.push(format!("samples at an interval in {unit:?}"));
    }
    let samples: Vec<&str> = data.text_of("data").unwrap_or_default().split(' ').collect();
    let number = |text: &&str| matches!(Json::parse(text), Ok(Json::Number(_)));
    if !samples.iter().all(|s| ["E", "U", "L"].contains(s) || number(s)) {
        found.push("samples that are neither numbers nor E, U or L".to_owned());
    }
    let Some(Json::Number(dimensions)) = data.get("dimensions") else { return found };
    let dimensions: usize = dimensions.parse().unwrap_or(1);
    if !samples.len().is_multiple_of(dimensions.max(1)) {
        found.push(format!("{} samples in {dimensions} dimensions", samples.len()));
    }
    if let Some(offsets) = data.text_of("offsets") {
        let offsets: Vec<&str> = offsets.split(' ').collect();
        if !offsets.iter().all(number) || offsets.len() * dimensions != samples.len() {
            found.push(format!("{} offsets for {} samples", offsets.len(), samples.len()));
        }
    }
    let none = |i: &str| i.starts_with('-') || i.chars().all(|c| ['0', '.'].contains(&c));
    if matches!(data.get("interval"), Some(Json::Number(interval)) if none(interval)) {
        found.push("samples at no interval".to_owned());
    }
    found
}

/// Whether a value is in a unit of the same dimension as what the sheets give for its code; a count is in the very unit.
fn fits(coded: &Json) -> Vec<String> {
    let value = coded.get("valueQuantity").or_else(|| coded.get("valueSampledData")?.get("origin"));
    let unit = value.and_then(|v| v.text_of("code"));
    let wrong = |code: &str| {
        let known = allowed(code)?;
        let good = match (known.unit, unit) {
            (Some(wanted), Some(unit)) if wanted.contains(['{', '%']) => wanted == unit,
            (Some(wanted), Some(unit)) => ucum::is_comparable(wanted, unit).is_ok_and(|is| is),
            (None, Some(_)) => false,
            // Without a number: in components, or absent.
            (_, None) => true,
        };
        (!good).then(|| format!("{code} ({}) in {}", known.name, unit.unwrap_or_default()))
    };
    loinc(coded.get("code")).filter_map(wrong).collect()
}

/// Every unit that a mapping document names: what a value comes in, and what it is written in.
pub(crate) fn units_of(document: &serde_json::Value) -> BTreeSet<String> {
    fn walk(value: &serde_json::Value, to: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Object(members) => {
                for (name, value) in members {
                    let texts = match name.as_str() {
                        "unit" | "sampled" => vec![value],
                        // What the record's own words for units are in UCUM.
                        "is" => value.as_object().map(|m| m.values().collect()).unwrap_or_default(),
                        _ => Vec::new(),
                    };
                    to.extend(texts.into_iter().filter_map(|v| v.as_str()).map(str::to_owned));
                    walk(value, to);
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, to)),
            _ => {}
        }
    }
    let mut units = BTreeSet::new();
    walk(document, &mut units);
    units
}
