//! DeviceDefinition.

use super::VersionError;
use super::device::{name_type, property};
use super::edit::{Edit, Loss, each, items, parse, put, without};
use crate::splice::{Object, quote};

const GONE: &[&str] = &[
    "DeviceDefinition.description",
    "DeviceDefinition.regulatoryIdentifier",
    "DeviceDefinition.partNumber",
    "DeviceDefinition.hasPart",
    "DeviceDefinition.packaging",
    // Its elements are others in R4.
    "DeviceDefinition.shelfLifeStorage",
    "DeviceDefinition.link",
    "DeviceDefinition.productionIdentifierInUDI",
    "DeviceDefinition.guideline",
    "DeviceDefinition.correctiveAction",
    "DeviceDefinition.chargeItem",
];

/// Rewrites a DeviceDefinition. Whether anything changed.
pub(super) fn rewrite(object: &mut Object<'_>, loss: &mut Loss) -> Result<bool, VersionError> {
    let mut changed = without(object, GONE, loss);
    changed |= manufacturer(object, loss)?;
    changed |= each(object, "DeviceDefinition.udiDeviceIdentifier", loss, |udi, loss| {
        Ok(without(udi, &["DeviceDefinition.udiDeviceIdentifier.marketDistribution"], loss).into())
    })?;
    changed |=
        each(object, "DeviceDefinition.deviceName", loss, |name, loss| Ok(name_type(name, loss)?.into()))?;
    changed |= classification(object, loss)?;
    changed |= specializations(object, loss)?;
    changed |= versions(object, loss)?;
    changed |= each(object, "DeviceDefinition.property", loss, |value, loss| {
        property(value, "DeviceDefinition.property", loss)
    })?;
    Ok(changed)
}

/// A Reference to an Organization, or its name where that is all it says.
fn manufacturer(object: &mut Object<'_>, loss: &mut Loss) -> Result<bool, VersionError> {
    const PATH: &str = "DeviceDefinition.manufacturer";
    let Some(value) = object.get("manufacturer") else { return Ok(false) };
    let mut reference = parse(value, PATH, loss)?;
    let display = reference.get("display").map(|d| d.get().to_owned());
    let alone = !reference.retain(|name| name == "display");
    match display.filter(|_| alone) {
        Some(name) => {
            object.rename("manufacturer", "manufacturerString");
            loss.set(object, "DeviceDefinition.manufacturerString", name)?;
        }
        None => object.rename("manufacturer", "manufacturerReference"),
    }
    Ok(true)
}

/// The type of the first classification becomes `type`.
fn classification(object: &mut Object<'_>, loss: &mut Loss) -> Result<bool, VersionError> {
    const PATH: &str = "DeviceDefinition.classification";
    let Some(list) = items(object, PATH, loss)? else { return Ok(false) };
    let mut only = None;
    for (position, item) in list.iter().enumerate() {
        let mut first = parse(item, PATH, loss)?;
        let kind = first.get("type").map(|t| t.get().to_owned());
        if position > 0 || first.retain(|name| name == "type") {
            loss.note(PATH);
        }
        only = only.or(kind);
    }
    match only {
        Some(kind) => {
            object.rename("classification", "type");
            loss.set(object, "DeviceDefinition.type", kind)?;
        }
        None => object.remove("classification"),
    }
    Ok(true)
}

/// `conformsTo` becomes `specialization`, whose kind is a text and whose version is one.
fn specializations(object: &mut Object<'_>, loss: &mut Loss) -> Result<bool, VersionError> {
    const PATH: &str = "DeviceDefinition.conformsTo";
    const VERSION: &str = "DeviceDefinition.conformsTo.version";
    const SPECIFICATION: &str = "DeviceDefinition.conformsTo.specification";
    let gone = &["DeviceDefinition.conformsTo.category", "DeviceDefinition.conformsTo.source"];
    let changed = each(object, PATH, loss, |conforms, loss| {
        without(conforms, gone, loss);
        let concept = conforms.get("specification").ok_or_else(|| loss.malformed(SPECIFICATION))?;
        let (name, more) = named(&parse(concept, SPECIFICATION, loss)?, loss)?;
        if more {
            loss.note(SPECIFICATION);
        }
        let Some(name) = name else {
            loss.note(PATH);
            return Ok(Edit::Gone);
        };
        conforms.rename("specification", "systemType");
        loss.set(conforms, "systemType", quote(&name))?;
        if let Some(versions) = items(conforms, VERSION, loss)? {
            let more = versions.len() > 1;
            match versions.first().map(|v| v.get().to_owned()) {
                Some(version) => loss.set(conforms, VERSION, version)?,
                None => conforms.remove("version"),
            }
            if more {
                loss.note(VERSION);
            }
        }
        // A list's ids and extensions do not fit a single text.
        if conforms.retain(|name| name != "_version") {
            loss.note(VERSION);
        }
        Ok(Edit::Changed)
    })?;
    object.rename("conformsTo", "specialization");
    Ok(changed)
}

/// A name for a concept: its text, or the first display or code. And whether the concept says more.
fn named(concept: &Object<'_>, loss: &Loss) -> Result<(Option<String>, bool), VersionError> {
    const CODING: &str = "DeviceDefinition.conformsTo.specification.coding";
    let text = concept.get_str("text");
    let codings = items(concept, CODING, loss)?.unwrap_or_default();
    let mut name = text;
    for coding in &codings {
        let coding = parse(coding, CODING, loss)?;
        name = name.or_else(|| coding.get_str("display")).or_else(|| coding.get_str("code"));
    }
    Ok((name, !codings.is_empty()))
}

/// A version becomes a text.
fn versions(object: &mut Object<'_>, loss: &mut Loss) -> Result<bool, VersionError> {
    const PATH: &str = "DeviceDefinition.version";
    let Some(list) = items(object, PATH, loss)? else { return Ok(false) };
    let mut texts = Vec::with_capacity(list.len());
    let mut more = false;
    for item in list {
        let mut version = parse(item, PATH, loss)?;
        match version.get("value") {
            Some(text) => texts.push(text.get().to_owned()),
            None => more = true,
        }
        more |= version.retain(|name| name == "value");
    }
    put(object, PATH, &texts, loss)?;
    if more {
        loss.note(PATH);
    }
    Ok(true)
}
