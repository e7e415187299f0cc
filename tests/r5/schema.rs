//! A second judge: the JSON Schema that comes with the specification. It knows elements, types and required codes, but no
//! profiles, no invariants, no references, and no digit of a number.

use std::collections::HashMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use ohx_domain::FhirVersion;
use serde_json::{Map, Value, json};

use crate::definitions::{definitions, package};
use crate::validate::{OLD_RESOURCES, RESOURCES};

type Validators = HashMap<&'static str, Validator>;
static R5: LazyLock<Validators> = LazyLock::new(|| load(FhirVersion::R5, RESOURCES));
/// R4's schema is not on npm. R4B's says the same of what is written: see `r4`.
static R4B: LazyLock<Validators> = LazyLock::new(|| load(FhirVersion::R4B, OLD_RESOURCES));

fn load(version: FhirVersion, resources: &'static [&'static str]) -> Validators {
    let text = std::fs::read(package(definitions(version)).join("openapi/fhir.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&text).unwrap();
    let mut needed = Map::new();
    resources.iter().for_each(|name| take(name, &schema["definitions"], &mut needed));
    let validator = |name: &&'static str| {
        let own = json!({
            "$schema": schema["$schema"],
            "$ref": format!("#/definitions/{name}"),
            "definitions": needed,
        });
        (*name, jsonschema::validator_for(&own).unwrap())
    };
    resources.iter().map(validator).collect()
}

/// Copies a definition and those that it refers to. A contained resource may be any.
fn take(name: &str, all: &Value, to: &mut Map<String, Value>) {
    if to.contains_key(name) {
        return;
    }
    if name == "ResourceList" {
        to.insert(name.to_owned(), json!({"type": "object"}));
        return;
    }
    let definition = &all[name];
    assert!(definition.is_object(), "no {name}");
    to.insert(name.to_owned(), definition.clone());
    references(definition, &mut |reference| take(reference, all, to));
}

fn references(schema: &Value, found: &mut dyn FnMut(&str)) {
    match schema {
        Value::Object(members) => members.iter().for_each(|(name, value)| match (name.as_str(), value) {
            ("$ref", Value::String(reference)) => {
                found(reference.strip_prefix("#/definitions/").expect("a reference into the schema"));
            }
            _ => references(value, found),
        }),
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// What the schema refuses in a resource of R5.
pub(crate) fn problems(text: &str) -> Vec<String> {
    problems_in(FhirVersion::R5, text)
}

/// What a release's schema refuses in a resource.
pub(crate) fn problems_in(version: FhirVersion, text: &str) -> Vec<String> {
    let validators = if version == FhirVersion::R5 { &R5 } else { &R4B };
    let resource: Value = match serde_json::from_str(text) {
        Ok(resource) => resource,
        Err(error) => return vec![error.to_string()],
    };
    let Some(validator) = resource["resourceType"].as_str().and_then(|t| validators.get(t)) else {
        return vec!["no resourceType of ours".to_owned()];
    };
    validator.iter_errors(&resource).map(|e| format!("{}: {e}", e.instance_path())).collect()
}
