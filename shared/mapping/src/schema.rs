//! The JSON Schema of mapping documents, for editors. What it cannot say (an expression that compiles, a unit that
//! exists) is for [`crate::Mapping::parse`] to find.

use schemars::transform::transform_subschemas;
use schemars::{Schema, schema_for};
use serde_json::{Map, Value, json};

use crate::document::Document;

/// Texts that a document may also write as bare numbers: a definition, one of its properties.
const NUMBERS_TOO: [(&str, &str); 9] = [
    ("Code", "local"),
    ("Coding", "code"),
    ("Component", "unit"),
    ("Reading", "positions"),
    ("TableCode", "code"),
    ("Take", "item"),
    ("Take", "unit"),
    ("Units", "is"),
    ("Value", "unit"),
];

/// The JSON Schema (draft 2020-12) of mapping documents, as text. Descriptions are those of the vocabulary.
pub fn document_schema() -> String {
    let mut schema = schema_for!(Document);
    for (definition, property) in NUMBERS_TOO {
        if let Some(property) = schema.pointer_mut(&format!("/$defs/{definition}/properties/{property}"))
            && let Ok(property) = <&mut Schema>::try_from(property)
        {
            numbers_too(property);
        }
    }
    // In one order, whatever features the build has.
    let mut text = format!("{:#}", sorted(schema.to_value()));
    text.push('\n');
    text
}

/// Allows numbers wherever `schema` allows text.
fn numbers_too(schema: &mut Schema) {
    match schema.get_mut("type") {
        Some(Value::Array(types)) if types.contains(&json!("string")) => types.push(json!("number")),
        Some(one) if one == "string" => *one = json!(["string", "number"]),
        _ => {}
    }
    transform_subschemas(&mut numbers_too, schema);
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.into_iter().map(|(name, v)| (name, sorted(v))).collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(Map::from_iter(members))
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where somebody looks for it; `ohx mapping schema` prints it.
    const PUBLISHED: &str = include_str!("../mapping.schema.json");

    fn validator() -> jsonschema::Validator {
        let schema: Value = serde_json::from_str(&document_schema()).unwrap();
        assert!(jsonschema::draft202012::meta::is_valid(&schema));
        jsonschema::draft202012::new(&schema).unwrap()
    }

    fn built_in(record: &str) -> Value {
        serde_saphyr::from_str(crate::builtin("withings", record).unwrap()).unwrap()
    }

    #[test]
    fn the_published_schema_is_that_of_the_vocabulary() {
        assert!(document_schema() == PUBLISHED, "ohx mapping schema > shared/mapping/mapping.schema.json");
    }

    #[test]
    fn every_place_that_takes_numbers_is_there() {
        let schema: Value = serde_json::from_str(&document_schema()).unwrap();
        for (definition, property) in NUMBERS_TOO {
            let property = &schema["$defs"][definition]["properties"][property];
            assert!(property.to_string().contains("\"number\""), "{definition}: {property}");
        }
    }

    #[test]
    fn everything_is_described() {
        fn undescribed(at: &str, schema: &Value, out: &mut Vec<String>) {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                if property.get("description").is_none() {
                    out.push(format!("{at}.{name}"));
                }
            }
        }
        let schema: Value = serde_json::from_str(&document_schema()).unwrap();
        let mut without = Vec::new();
        undescribed("document", &schema, &mut without);
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            undescribed(name, definition, &mut without);
        }
        assert_eq!(without, Vec::<String>::new());
    }

    #[test]
    fn the_built_in_documents_are_valid() {
        let validator = validator();
        for (provider, record, text) in crate::BUILT_IN {
            let document: Value = serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{record}: {e}"));
            let problems: Vec<String> =
                validator.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert_eq!(problems, Vec::<String>::new(), "{provider}/{record}");
        }
    }

    /// What an editor marks is what [`crate::Mapping::parse`] refuses.
    #[test]
    fn wrong_documents_are_refused() {
        let validator = validator();
        type Wrong = fn(&mut Value);
        let wrong: [(&str, Wrong); 12] = [
            ("an unknown key", |d| d["extra"] = json!(1)),
            ("an unknown key far down", |d| d["extract"]["items"]["numbr"] = json!("x")),
            ("an unknown key of a kind", |d| d["observe"]["body-weight"]["units"] = json!("kg")),
            ("no name", |d| drop(d.as_object_mut().unwrap().remove("mapping"))),
            ("a name that is none", |d| d["mapping"] = json!("getmeas")),
            ("no readings", |d| drop(d["extract"].as_object_mut().unwrap().remove("readings"))),
            ("a reading without a kind", |d| d["extract"]["readings"][0] = json!({"value": {"item": 1}})),
            ("version nought", |d| d["version"] = json!(0)),
            ("a version in words", |d| d["version"] = json!("first")),
            ("a list for a text", |d| d["extract"]["id"] = json!(["grpid"])),
            ("a range of three", |d| d["observe"]["body-weight"]["value"]["range"] = json!([0, 1, 2])),
            ("a gathering that is none", |d| {
                d["extract"]["readings"][0]["gather"] = json!({"by": "week", "as": "sampled"});
            }),
        ];
        for (what, make) in wrong {
            let mut document = built_in("getmeas");
            assert!(validator.is_valid(&document));
            make(&mut document);
            assert!(!validator.is_valid(&document), "{what}");
            // JSON is YAML.
            assert!(crate::Mapping::parse(&document.to_string()).is_err(), "{what}");
        }
    }
}
