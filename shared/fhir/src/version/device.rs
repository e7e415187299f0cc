//! Device.

use super::VersionError;
use super::edit::{Edit, Loss, each, items, parse, put, without};
use crate::splice::{Object, quote};

const GONE: &[&str] = &[
    "Device.availabilityStatus",
    "Device.biologicalSourceEvent",
    "Device.category",
    "Device.mode",
    "Device.cycle",
    "Device.duration",
    "Device.endpoint",
    "Device.gateway",
];

/// Rewrites a Device. Whether anything changed.
pub(super) fn rewrite(object: &mut Object<'_>, loss: &mut Loss) -> Result<bool, VersionError> {
    let mut changed = without(object, GONE, loss);
    changed |= names(object, loss)?;
    changed |= definition(object, loss)?;
    changed |= first(object, "Device.type", loss)?;
    changed |= specializations(object, loss)?;
    changed |= each(object, "Device.version", loss, |version, loss| {
        Ok(without(version, &["Device.version.installDate"], loss).into())
    })?;
    changed |= each(object, "Device.udiCarrier", loss, |carrier, loss| {
        let new = carrier.get_str("entryType").as_deref() == Some("electronic-transmission");
        Ok((new && without(carrier, &["Device.udiCarrier.entryType"], loss)).into())
    })?;
    changed |= each(object, "Device.property", loss, |property, loss| {
        self::property(property, "Device.property", loss)
    })?;
    Ok(changed)
}

/// `name` and `displayName` become `deviceName`. A display name that is none of the names is one more of them.
fn names(object: &mut Object<'_>, loss: &mut Loss) -> Result<bool, VersionError> {
    let display = match object.get("displayName") {
        Some(name) => {
            let text: String =
                serde_json::from_str(name.get()).map_err(|_| loss.malformed("Device.displayName"))?;
            Some(text)
        }
        None => None,
    };
    let mut known = Vec::new();
    let mut changed = each(object, "Device.name", loss, |name, loss| {
        known.extend(name.get_str("value"));
        name.rename("value", "name");
        name.rename("_value", "_name");
        without(name, &["Device.name.display"], loss);
        name_type(name, loss)?;
        Ok(Edit::Changed)
    })?;
    object.rename("name", "deviceName");
    if let Some(display) = display {
        if !known.contains(&display) {
            let list = items(object, "Device.deviceName", loss)?.unwrap_or_default();
            let mut names: Vec<String> = list.into_iter().map(|name| name.get().to_owned()).collect();
            names.push(format!(r#"{{"name":{},"type":"user-friendly-name"}}"#, quote(&display)));
            if object.get("deviceName").is_none() {
                object.rename("displayName", "deviceName");
            }
            put(object, "Device.deviceName", &names, loss)?;
        }
        object.remove("displayName");
        changed = true;
    }
    Ok(changed | without(object, &["Device.displayName"], loss))
}

/// The type of a name. HL7's own converter takes R5's name from a register for the manufacturer's too.
pub(super) fn name_type(name: &mut Object<'_>, loss: &Loss) -> Result<bool, VersionError> {
    let registered = name.get_str("type").as_deref() == Some("registered-name");
    if registered {
        loss.set(name, "Device.deviceName.type", quote("manufacturer-name"))?;
    }
    Ok(registered)
}

/// A CodeableReference becomes a Reference: the reference, or a text to show.
fn definition(object: &mut Object<'_>, loss: &mut Loss) -> Result<bool, VersionError> {
    const PATH: &str = "Device.definition";
    const CONCEPT: &str = "Device.definition.concept";
    let Some(value) = object.get("definition") else { return Ok(false) };
    let both = parse(value, PATH, loss)?;
    let concept = both.get("concept").map(|c| parse(c, CONCEPT, loss)).transpose()?;
    let text =
        concept.as_ref().and_then(|c| c.get("text")).map(|text| format!(r#"{{"display":{}}}"#, text.get()));
    let codes = concept.as_ref().is_some_and(|c| c.get("coding").is_some());
    let reference = both.get("reference").map(|r| r.get().to_owned());
    if concept.is_some() && (reference.is_some() || text.is_none() || codes) {
        loss.note(CONCEPT);
    }
    match reference.or(text) {
        Some(reference) => loss.set(object, PATH, reference)?,
        None => object.remove("definition"),
    }
    Ok(true)
}

/// The first of a list becomes the only one.
fn first(object: &mut Object<'_>, path: &'static str, loss: &mut Loss) -> Result<bool, VersionError> {
    let Some(list) = items(object, path, loss)? else { return Ok(false) };
    let only = list.first().map(|first| first.get().to_owned());
    if list.len() > 1 {
        loss.note(path);
    }
    match only {
        Some(only) => loss.set(object, path, only)?,
        None => object.remove("type"),
    }
    Ok(true)
}

/// `conformsTo` becomes `specialization`.
fn specializations(object: &mut Object<'_>, loss: &mut Loss) -> Result<bool, VersionError> {
    let changed = each(object, "Device.conformsTo", loss, |conforms, loss| {
        without(conforms, &["Device.conformsTo.category"], loss);
        conforms.rename("specification", "systemType");
        Ok(Edit::Changed)
    })?;
    object.rename("conformsTo", "specialization");
    Ok(changed)
}

/// A property of a Device or a DeviceDefinition: quantities and concepts, in lists. A whole number is a quantity without
/// a unit, a text a concept without a code; of another value there is no saying anything.
pub(super) fn property(
    property: &mut Object<'_>,
    path: &'static str,
    loss: &mut Loss,
) -> Result<Edit, VersionError> {
    let value = ["valueQuantity", "valueCodeableConcept", "valueInteger", "valueString"]
        .into_iter()
        .find_map(|name| property.get(name).map(|value| (name, value.get())));
    let Some((name, value)) = value else {
        loss.note(path);
        return Ok(Edit::Gone);
    };
    let (new, list) = match name {
        "valueQuantity" => ("valueQuantity", format!("[{value}]")),
        "valueInteger" => ("valueQuantity", format!(r#"[{{"value":{value}}}]"#)),
        "valueString" => ("valueCode", format!(r#"[{{"text":{value}}}]"#)),
        _ => ("valueCode", format!("[{value}]")),
    };
    property.rename(name, new);
    property.set(new, list).map_err(|_| loss.malformed(path))?;
    // Ids and extensions of a primitive value.
    if property.retain(|name| !name.starts_with("_value")) {
        loss.note(path);
    }
    Ok(Edit::Changed)
}
