//! Observation.

use super::VersionError;
use super::edit::{Edit, Loss, each, items, put, without};
use super::samples;
use crate::splice::Object;

const GONE: &[&str] = &[
    "Observation.instantiatesCanonical",
    "Observation.instantiatesReference",
    "Observation.triggeredBy",
    "Observation.bodyStructure",
];

/// The LOINC codes whose profiles take a Quantity and nothing else in R4 and R4B, and SampledData too in R5.
const QUANTITIES: &[&str] =
    &["8867-4", "9279-1", "2708-6", "8310-5", "8302-2", "9843-4", "29463-7", "39156-5"];

/// Rewrites an Observation. Whether anything changed.
pub(super) fn rewrite(object: &mut Object<'_>, loss: &mut Loss) -> Result<bool, VersionError> {
    let gone = without(object, GONE, loss);
    let own = values(object, "Observation", loss)?;
    let wide = ranges(object, "Observation.referenceRange", loss)?;
    let components = each(object, "Observation.component", loss, |component, loss| {
        let own = values(component, "Observation.component", loss)?;
        let wide = ranges(component, "Observation.component.referenceRange", loss)?;
        Ok((own || wide).into())
    })?;
    if own && is_quantity(object) {
        into_component(object, loss)?;
    }
    Ok(gone || own || wide || components)
}

/// The value. One of a type that the release does not have cannot be left out: it is the reading.
fn values(object: &mut Object<'_>, at: &str, loss: &Loss) -> Result<bool, VersionError> {
    for value in ["valueAttachment", "valueReference"] {
        if object.get(value).is_some() {
            return Err(loss.no_home(format!("{at}.{value}")));
        }
    }
    samples::rewrite(object, at, loss)
}

/// Whether FHIR asks for a Quantity, by the code of the whole.
fn is_quantity(object: &Object<'_>) -> bool {
    #[derive(serde::Deserialize)]
    struct Concept {
        #[serde(default)]
        coding: Vec<Coding>,
    }
    #[derive(serde::Deserialize)]
    struct Coding {
        system: Option<String>,
        code: Option<String>,
    }
    let concept = object.get("code").and_then(|code| serde_json::from_str::<Concept>(code.get()).ok());
    concept.is_some_and(|concept| {
        concept.coding.iter().any(|coding| {
            coding.system.as_deref() == Some("http://loinc.org")
                && coding.code.as_deref().is_some_and(|code| QUANTITIES.contains(&code))
        })
    })
}

/// Samples that may not be the value of the whole become a component of it, with the same code.
fn into_component(object: &mut Object<'_>, loss: &Loss) -> Result<(), VersionError> {
    const PATH: &str = "Observation.component";
    let (Some(code), Some(value)) = (object.get("code"), object.get("valueSampledData")) else {
        return Ok(());
    };
    let component = format!(r#"{{"code":{},"valueSampledData":{}}}"#, code.get(), value.get());
    let known = items(object, PATH, loss)?.unwrap_or_default();
    let mut components: Vec<String> = known.into_iter().map(|c| c.get().to_owned()).collect();
    components.push(component);
    if object.get("component").is_some() {
        object.remove("valueSampledData");
    } else {
        object.rename("valueSampledData", "component");
    }
    put(object, PATH, &components, loss)
}

fn ranges(object: &mut Object<'_>, path: &'static str, loss: &mut Loss) -> Result<bool, VersionError> {
    each(object, path, loss, |range, loss| {
        let lost = without(range, &["Observation.referenceRange.normalValue"], loss);
        // A range is a low end, a high end or a text (obs-3): of one that was a normal value only, nothing is left.
        let some = ["low", "high", "text", "_text"].iter().any(|m| range.get(m).is_some());
        if lost && !some {
            return Ok(Edit::Gone);
        }
        Ok(lost.into())
    })
}
