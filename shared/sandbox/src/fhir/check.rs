//! Structural checks: what any conforming server refuses. Not a validator.

use serde_json::{Map, Value};

use super::TYPES;
use super::outcome::Refused;

const OBSERVATION_STATUS: [&str; 8] = [
    "registered",
    "preliminary",
    "final",
    "amended",
    "corrected",
    "cancelled",
    "entered-in-error",
    "unknown",
];
const DEVICE_STATUS: [&str; 3] = ["active", "inactive", "entered-in-error"];
const DEVICE_NAME_TYPE: [&str; 3] = ["registered-name", "user-friendly-name", "patient-reported-name"];
const ASSOCIATION_STATUS: [&str; 5] = ["implanted", "explanted", "entered-in-error", "attached", "unknown"];
/// What R4's Device had and R5's has not.
const GONE_FROM_DEVICE: [&str; 5] =
    ["patient", "deviceName", "specialization", "distinctIdentifier", "statusReason"];

/// Reads a resource that was sent as `kind` and checks it.
///
/// # Errors
/// 400 where it is not JSON, 422 where FHIR R5 does not allow it; or R4, where that is what the server speaks.
pub(super) fn check(kind: &str, text: &str, before_r5: bool) -> Result<Map<String, Value>, Refused> {
    let Ok(Value::Object(resource)) = serde_json::from_str(text) else {
        return Err(Refused::malformed("the body is not a JSON object"));
    };
    let named = resource.get("resourceType").and_then(Value::as_str);
    let named = named.ok_or_else(|| Refused::unprocessable("required", "resourceType is missing"))?;
    if !TYPES.contains(&named) {
        return Err(Refused::unprocessable(
            "not-supported",
            "resourceType is not one that this server knows",
        ));
    }
    if named != kind {
        return Err(Refused::unprocessable("invalid", format!("resourceType must be {kind} here")));
    }
    for (name, value) in &resource {
        not_empty(name, value)?;
    }
    identifiers(&resource)?;
    match kind {
        "Observation" => observation(&resource)?,
        "Device" | "DeviceDefinition" if before_r5 => {
            let new = ["name", "displayName", "conformsTo"].iter().find(|name| resource.contains_key(**name));
            if kind == "Device"
                && let Some(new) = new
            {
                return Err(invalid(format!("{new} is not known to this version")));
            }
        }
        "DeviceAssociation" if before_r5 => {
            let text = "this version has no DeviceAssociation";
            return Err(Refused::unprocessable("not-supported", text));
        }
        "Device" => device(&resource)?,
        "DeviceAssociation" => association(&resource)?,
        "DeviceDefinition" => definition(&resource)?,
        "Provenance" => require(&resource, &["target", "agent"])?,
        _ => {}
    }
    Ok(resource)
}

fn invalid(what: impl Into<String>) -> Refused {
    Refused::unprocessable("invalid", what)
}

/// No null, no empty object, array or text anywhere (FHIR R5, JSON representation).
fn not_empty(path: &str, value: &Value) -> Result<(), Refused> {
    let empty = match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    if empty {
        return Err(invalid(format!("{path} is null or empty")));
    }
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| match item {
            // A gap in an array of primitives that have extensions elsewhere.
            Value::Null => Ok(()),
            item => not_empty(path, item),
        }),
        Value::Object(members) => {
            members.iter().try_for_each(|(name, value)| not_empty(&format!("{path}.{name}"), value))
        }
        _ => Ok(()),
    }
}

fn require(resource: &Map<String, Value>, names: &[&str]) -> Result<(), Refused> {
    match names.iter().find(|name| !resource.contains_key(**name)) {
        Some(name) => Err(Refused::unprocessable("required", format!("{name} is missing"))),
        None => Ok(()),
    }
}

fn list<'a>(resource: &'a Map<String, Value>, name: &str) -> Result<&'a [Value], Refused> {
    match resource.get(name) {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(invalid(format!("{name} must be an array"))),
    }
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, Refused> {
    value.as_object().ok_or_else(|| invalid(format!("{what} must be an object")))
}

fn code_of(resource: &Map<String, Value>, name: &str, allowed: &[&str]) -> Result<(), Refused> {
    match resource.get(name).map(Value::as_str) {
        None => Ok(()),
        Some(Some(code)) if allowed.contains(&code) => Ok(()),
        Some(_) => Err(Refused::unprocessable(
            "code-invalid",
            format!("{name} is not one of {}", allowed.join(", ")),
        )),
    }
}

/// A CodeableConcept: a list of codings, a text, or both.
fn concept(resource: &Map<String, Value>, name: &str) -> Result<(), Refused> {
    let Some(value) = resource.get(name) else {
        return Ok(());
    };
    let concept = object(value, name)?;
    for coding in list(concept, "coding")? {
        object(coding, "coding")?;
    }
    if concept.contains_key("coding") || concept.get("text").is_some_and(Value::is_string) {
        return Ok(());
    }
    Err(invalid(format!("{name} has neither coding nor text")))
}

fn identifiers(resource: &Map<String, Value>) -> Result<(), Refused> {
    for identifier in list(resource, "identifier")? {
        let identifier = object(identifier, "identifier")?;
        let texts = ["system", "value"].map(|name| identifier.get(name).is_none_or(Value::is_string));
        if texts != [true, true] {
            return Err(invalid("identifier.system and identifier.value must be texts"));
        }
    }
    match resource.get("subject").map(|subject| object(subject, "subject")).transpose()? {
        Some(subject) if !subject.get("reference").is_none_or(Value::is_string) => {
            Err(invalid("subject.reference must be a text"))
        }
        _ => Ok(()),
    }
}

fn observation(resource: &Map<String, Value>) -> Result<(), Refused> {
    require(resource, &["status", "code"])?;
    code_of(resource, "status", &OBSERVATION_STATUS)?;
    concept(resource, "code")?;
    for category in list(resource, "category")? {
        object(category, "category")?;
    }
    let period = match resource.get("effectivePeriod") {
        Some(period) => Some(object(period, "effectivePeriod")?),
        None => None,
    };
    let dates = [
        ("effectiveDateTime", resource.get("effectiveDateTime")),
        ("effectivePeriod.start", period.and_then(|period| period.get("start"))),
        ("effectivePeriod.end", period.and_then(|period| period.get("end"))),
    ];
    for (name, value) in dates {
        if value.is_some_and(|value| !value.as_str().is_some_and(is_date_time)) {
            return Err(invalid(format!("{name} must be a dateTime, with an offset where it has a time")));
        }
    }
    value(resource)?;
    for component in list(resource, "component")? {
        let component = object(component, "component")?;
        require(component, &["code"])?;
        concept(component, "code")?;
        value(component)?;
    }
    Ok(())
}

/// At most one `value[x]`, none beside `dataAbsentReason` (obs-6), and a quantity that is one (qty-3).
fn value(holder: &Map<String, Value>) -> Result<(), Refused> {
    let values = holder.keys().filter(|name| name.starts_with("value")).count();
    if values > 1 {
        return Err(invalid("there is more than one value[x]"));
    }
    if values == 1 && holder.contains_key("dataAbsentReason") {
        return Err(Refused::unprocessable(
            "invariant",
            "obs-6: dataAbsentReason only where there is no value[x]",
        ));
    }
    let Some(quantity) = holder.get("valueQuantity") else {
        return Ok(());
    };
    let quantity = object(quantity, "valueQuantity")?;
    if !quantity.get("value").is_some_and(Value::is_number) {
        return Err(invalid("valueQuantity.value must be a number"));
    }
    if quantity.contains_key("code") && !quantity.contains_key("system") {
        return Err(Refused::unprocessable(
            "invariant",
            "qty-3: a quantity with a code needs the code's system",
        ));
    }
    Ok(())
}

fn device(resource: &Map<String, Value>) -> Result<(), Refused> {
    if let Some(name) = GONE_FROM_DEVICE.iter().find(|name| resource.contains_key(**name)) {
        return Err(invalid(format!("Device.{name} is not in R5")));
    }
    code_of(resource, "status", &DEVICE_STATUS)?;
    for kind in list(resource, "type")? {
        object(kind, "type")?;
    }
    for name in list(resource, "name")? {
        let name = object(name, "name")?;
        require(name, &["value", "type"])?;
        code_of(name, "type", &DEVICE_NAME_TYPE)?;
    }
    Ok(())
}

fn association(resource: &Map<String, Value>) -> Result<(), Refused> {
    require(resource, &["device", "status"])?;
    concept(resource, "status")?;
    let status = resource.get("status").and_then(|status| status.get("coding")).and_then(|list| list.get(0));
    if let Some(coding) = status {
        code_of(object(coding, "status.coding")?, "code", &ASSOCIATION_STATUS)?;
    }
    if !resource.get("device").and_then(|device| device.get("reference")).is_none_or(Value::is_string) {
        return Err(invalid("device.reference must be a text"));
    }
    let Some(period) = resource.get("period") else { return Ok(()) };
    let period = object(period, "period")?;
    for name in ["start", "end"] {
        if period.get(name).is_some_and(|value| !value.as_str().is_some_and(is_date_time)) {
            return Err(invalid(format!(
                "period.{name} must be a dateTime, with an offset where it has a time"
            )));
        }
    }
    Ok(())
}

fn definition(resource: &Map<String, Value>) -> Result<(), Refused> {
    for name in list(resource, "deviceName")? {
        let name = object(name, "deviceName")?;
        require(name, &["name", "type"])?;
        code_of(name, "type", &DEVICE_NAME_TYPE)?;
    }
    for classification in list(resource, "classification")? {
        require(object(classification, "classification")?, &["type"])?;
    }
    Ok(())
}

/// FHIR's dateTime: a year, a month, a day, or an instant with seconds and an offset.
fn is_date_time(text: &str) -> bool {
    let digits = |from: usize, to: usize| {
        text.as_bytes().get(from..to).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let at = |index: usize, byte: u8| text.as_bytes().get(index) == Some(&byte);
    match text.len() {
        4 => digits(0, 4),
        7 => {
            digits(0, 4) && at(4, b'-') && matches!(text.get(5..).and_then(|m| m.parse().ok()), Some(1..=12))
        }
        10 => text.parse::<jiff::civil::Date>().is_ok(),
        _ => {
            let shape = at(10, b'T') && at(13, b':') && at(16, b':') && digits(17, 19);
            let zulu = text.ends_with('Z');
            let offset = text.len().checked_sub(6).is_some_and(|from| {
                (at(from, b'+') || at(from, b'-')) && at(from + 3, b':') && digits(from + 1, from + 3)
            });
            shape && (zulu || offset) && text.parse::<jiff::Timestamp>().is_ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_needs_an_offset() {
        let good = [
            "2026",
            "2026-10",
            "2026-10-04",
            "2026-10-04T07:41:10Z",
            "2026-10-04T07:41:10+02:00",
            "2026-10-04T07:41:10.125-11:00",
        ];
        let bad = [
            "",
            "26",
            "2026-13",
            "2026-02-30",
            "2026-10-04T07:41:10",
            "2026-10-04T07:41Z",
            "2026-10-04 07:41:10Z",
            "2026-10-04T07:41:10+02",
            "2026-10-04T07:41:10+0200",
            "yesterday",
            "2026-10-04T25:00:00Z",
        ];
        assert_eq!(good.map(is_date_time), [true; 6]);
        for text in bad {
            assert!(!is_date_time(text), "{text}");
        }
    }

    #[test]
    fn the_device_family_has_its_own_rules() {
        let good = [
            (
                "DeviceAssociation",
                r#"{"resourceType":"DeviceAssociation","device":{"reference":"Device/1"},"status":{"coding":[{"code":"attached"}]},"period":{"start":"2026"}}"#,
            ),
            (
                "DeviceDefinition",
                r#"{"resourceType":"DeviceDefinition","deviceName":[{"name":"Body+","type":"user-friendly-name"}]}"#,
            ),
        ];
        for (kind, text) in good {
            assert!(check(kind, text, false).is_ok(), "{text}");
        }
        for (nth, from, to) in [
            (0, "attached", "detached"),
            (0, r#""device":{"reference":"Device/1"},"#, ""),
            (0, r#""Device/1""#, "1"),
            (0, "\"2026\"", "\"soon\""),
            (1, "user-friendly-name", "nickname"),
            (1, r#""name":"Body+","#, ""),
        ] {
            let (kind, text) = good[nth];
            assert!(check(kind, &text.replace(from, to), false).is_err(), "{from} as {to}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = is_date_time(&text);
            let _ = check("Observation", &text, false);
        }
    }
}
