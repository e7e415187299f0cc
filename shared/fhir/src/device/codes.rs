//! Codes of devices: IEEE 11073-10101, as HL7's Personal Health Device guide uses them (`providers/fhir-r5.md`, section
//! 3.5). A kind of device that has no code there goes without one.

use fhir_sdk::BuilderError;
use fhir_sdk::r5::types::{CodeableConcept, Coding};

use super::{Facts, some};

const MDC: &str = "urn:iso:std:iso:11073:10101";

/// The maker's name for a Device, by the type of provider app.
pub fn manufacturer(kind: &str) -> &'static str {
    match kind {
        "withings" => "Withings",
        "omron" => "OMRON",
        "beurer" | "beurer-contract" => "Beurer",
        "fitbit" | "fitbit-legacy" => "Fitbit",
        _ => "unknown",
    }
}

/// The code for what the provider calls the thing, else for what it has measured.
fn code(facts: &Facts<'_>) -> Option<&'static str> {
    let by_kind = match facts.kind {
        Some("Blood Pressure Monitor") => Some("528391"),
        Some("Smart Connected Thermometer") => Some("528392"),
        Some("Scale" | "SCALE") => Some("528399"),
        Some("iGlucose") => Some("528401"),
        _ => None,
    };
    let by_record = || match facts.record? {
        "oxygen" | "oxygen-saturation" => Some("528388"),
        "bloodpressure" | "blood-pressure" => Some("528391"),
        "temperature" => Some("528392"),
        "weight" => Some("528399"),
        "glucose" => Some("528401"),
        _ => None,
    };
    if facts.kind.is_some() { by_kind } else { by_record() }
}

impl Facts<'_> {
    /// Whether it is known what kind of thing it is.
    pub fn says_what_it_is(&self) -> bool {
        said(self).is_some()
    }
}

/// Code and text, for the digest.
pub(super) fn said(facts: &Facts<'_>) -> Option<String> {
    let (code, text) = (code(facts), some(facts.kind));
    (code.is_some() || text.is_some())
        .then(|| format!("{}|{}", code.unwrap_or_default(), text.unwrap_or_default()))
}

/// What kind of device it is; `None` where nothing is known.
pub(super) fn concept(facts: &Facts<'_>) -> Result<Option<CodeableConcept>, BuilderError> {
    let (code, text) = (code(facts), some(facts.kind));
    if code.is_none() && text.is_none() {
        return Ok(None);
    }
    let mut concept = CodeableConcept::builder();
    if let Some(code) = code {
        concept = concept.coding(vec![Some(coding(MDC, code)?)]);
    }
    if let Some(text) = text {
        concept = concept.text(text);
    }
    concept.build().map(Some)
}

/// The kind of version that firmware has.
pub(super) fn firmware() -> Result<CodeableConcept, BuilderError> {
    CodeableConcept::builder().coding(vec![Some(coding(MDC, "531976")?)]).text("Firmware".to_owned()).build()
}

pub(super) fn coding(system: &str, code: &str) -> Result<Coding, BuilderError> {
    Coding::builder().system(system.to_owned()).code(code.to_owned()).build()
}
