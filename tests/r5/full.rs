//! Resources that have every element that R5 gives their type, made from its snapshots: whatever is ever written of a
//! Device or an Observation, the conversion to older releases has met it here.

use ohx_domain::FhirVersion;
use ohx_fhir::version::{Converted, VersionError, convert};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::definitions::{Element, Kind, Type, structure, value_set};
use crate::schema;
use crate::validate::{OLD_RESOURCES, problems, problems_in};

/// Elements that may not stand beside others of the resource, and such as every resource has.
const LEFT_OUT: &[&str] = &[
    "id",
    "meta",
    "implicitRules",
    "language",
    "text",
    "contained",
    "extension",
    "modifierExtension",
    // Beside a value (obs-6), and beside a body structure (obs-8).
    "dataAbsentReason",
    "bodySite",
];

/// A resource with every element. `variant` chooses among types and codes.
fn full(kind: &str, variant: usize) -> Value {
    let root = &structure(FhirVersion::R5, kind).unwrap().root;
    let mut resource = members(&root.children, &root.children, variant, 0);
    resource.insert("resourceType".to_owned(), json!(kind));
    let mut resource = Value::Object(resource);
    if let Some(code) = resource.pointer_mut("/component/0/code/coding/0/code") {
        // Another than the whole's (obs-7).
        *code = json!("part");
    }
    resource
}

fn members(elements: &[Element], top: &[Element], variant: usize, depth: usize) -> Map<String, Value> {
    let mut members = Map::new();
    for element in elements.iter().filter(|e| !LEFT_OUT.contains(&e.name.as_str())) {
        let (name, value) = match &element.content {
            Some(path) if depth < 3 => {
                let shared = path.split('.').skip(1).fold(None, |at: Option<&Element>, name| {
                    at.map_or(top, |e| &e.children).iter().find(|e| e.name == name)
                });
                let inner = members_of(shared.unwrap(), top, variant, depth + 1);
                (element.name.clone(), inner)
            }
            Some(_) => continue,
            None => {
                let of = &element.types[variant % element.types.len()];
                let capital = of.code[..1].to_uppercase() + &of.code[1..];
                let name =
                    if element.choice { element.name.clone() + &capital } else { element.name.clone() };
                let value = match element.children.as_slice() {
                    [] => value(element, of, variant),
                    _ => members_of(element, top, variant, depth + 1),
                };
                (name, value)
            }
        };
        members.insert(name, if element.list { json!([value]) } else { value });
    }
    members
}

fn members_of(element: &Element, top: &[Element], variant: usize, depth: usize) -> Value {
    Value::Object(members(&element.children, top, variant, depth))
}

/// A value of a type, the simplest that is one.
fn value(element: &Element, of: &Type, variant: usize) -> Value {
    let quantity = json!({"value": 7.5, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"});
    let time = json!({"value": 7.5, "unit": "h", "system": "http://unitsofmeasure.org", "code": "h"});
    if let Some(set) = &element.binding {
        let codes = value_set(FhirVersion::R5, set).codes();
        if !codes.is_empty() {
            return json!(codes[variant % codes.len()]);
        }
    }
    match of.code.as_str() {
        "Reference" => {
            let target = of.targets.first().map_or("Patient", |url| url.rsplit('/').next().unwrap());
            let target = if target == "Resource" { "Patient" } else { target };
            json!({"reference": format!("{target}/{}", element.name)})
        }
        "CodeableReference" if variant.is_multiple_of(2) => json!({"concept": {"text": "x"}}),
        "CodeableReference" => {
            let target = of.targets.first().map_or("Patient", |url| url.rsplit('/').next().unwrap());
            json!({"reference": {"reference": format!("{target}/{}", element.name)}})
        }
        "CodeableConcept" => {
            json!({"coding": [{"system": "http://example.org", "code": element.name}], "text": "x"})
        }
        "Coding" => json!({"system": "http://example.org", "code": "x"}),
        "Identifier" => json!({"system": "http://example.org", "value": "x"}),
        "Quantity" => quantity,
        "Count" => json!({"value": 7, "unit": "1", "system": "http://unitsofmeasure.org", "code": "1"}),
        "Duration" => time,
        "Range" => json!({"low": quantity}),
        "Ratio" => json!({"numerator": quantity, "denominator": quantity}),
        "Period" => json!({"start": "2026-01-01"}),
        "Timing" => json!({"event": ["2026-01-01"]}),
        "SampledData" => {
            let time = match variant % 3 {
                0 => json!({"interval": 2}),
                1 => json!({"interval": 0.25}),
                _ => json!({"offsets": "0 3 4"}),
            };
            let unit = ["ms", "s", "us"][variant / 3 % 3];
            let mut data = json!({"origin": quantity, "intervalUnit": unit, "factor": 1.5, "lowerLimit": 1, "upperLimit": 9, "dimensions": 1, "data": "1 -2 E"});
            data.as_object_mut().unwrap().extend(time.as_object().unwrap().clone());
            data
        }
        "Attachment" => json!({"title": "x"}),
        "Annotation" => json!({"text": "x"}),
        "ContactPoint" => json!({"system": "url", "value": "http://example.org"}),
        "RelatedArtifact" => json!({"type": "documentation", "label": "x"}),
        "UsageContext" => json!({"code": {"code": "x"}, "valueCodeableConcept": {"text": "x"}}),
        "ProductShelfLife" => json!({"periodDuration": time}),
        "Signature" => json!({
            "type": [{"system": "http://example.org", "code": "x"}], "when": "2026-01-01T00:00:00Z",
            "who": {"reference": "Practitioner/1"}, "sigFormat": "application/jose", "data": "AAAA",
        }),
        "boolean" => json!(true),
        "integer" => json!(7),
        "positiveInt" | "unsignedInt" => json!(7),
        "decimal" => json!(7.5),
        "dateTime" => json!("2026-01-01T10:00:00+02:00"),
        "date" => json!("2026-01-01"),
        "instant" => json!("2026-01-01T10:00:00.5+02:00"),
        "time" => json!("10:00:00"),
        "base64Binary" => json!("AAAA"),
        "uri" | "url" | "canonical" => json!("http://example.org/x"),
        "string" | "markdown" | "code" | "id" => json!("x"),
        other => panic!("{}: no value of {other}", element.name),
    }
}

/// The names of every element, however deep.
fn names(elements: &'static [Element], to: &mut Vec<&'static str>) {
    for element in elements {
        to.push(&element.name);
        names(&element.children, to);
    }
}

#[test]
fn resources_with_every_element_are_valid_and_stay_so() {
    let mut without_home = 0;
    for kind in OLD_RESOURCES {
        let definition = structure(FhirVersion::R5, kind).unwrap();
        assert!(matches!(definition.kind, Kind::Resource));
        // As many as there are types of a value, three times, so that each meets a few codes.
        for variant in 0..39 {
            let resource = full(kind, variant);
            let text = resource.to_string();
            assert_eq!(problems(&text, &[]), Vec::<String>::new(), "{kind} {variant}: {text}");
            let mut every = Vec::new();
            names(&definition.root.children, &mut every);
            every.retain(|name| !LEFT_OUT.contains(name));
            assert!(every.iter().all(|name| text.contains(name)), "{kind} has not every element");
            let raw = RawValue::from_string(text).unwrap();
            for version in [FhirVersion::R4, FhirVersion::R4B] {
                match convert(version, &raw) {
                    Ok(Converted::Resource { resource, dropped }) => {
                        let found = problems_in(version, resource.get(), &[]);
                        assert_eq!(found, Vec::<String>::new(), "{kind} {variant}: {resource}");
                        let found = schema::problems_in(version, resource.get());
                        assert_eq!(found, Vec::<String>::new(), "{kind} {variant}: {resource}");
                        assert!(!dropped.is_empty(), "{kind} has elements that are new in R5");
                    }
                    Ok(Converted::NoSuchResource) => panic!("{kind}"),
                    Err(VersionError::NoHome { path, .. }) => {
                        assert!(
                            path == "Observation.valueAttachment" || path == "Observation.valueReference",
                            "{path}"
                        );
                        without_home += 1;
                    }
                    Err(error) => panic!("{kind} {variant}: {error}"),
                }
            }
        }
    }
    // Two types of value, met three times, in two releases.
    assert_eq!(without_home, 12);
}
