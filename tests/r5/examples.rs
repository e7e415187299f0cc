//! HL7's own examples: the validator refuses none of them, and the official JSON Schema agrees.

use crate::codes::vital_signs;
use crate::definitions::package;
use crate::json::Json;
use crate::schema;
use crate::validate::problems;

/// Examples that are at odds with the specification, and with what.
const BAD: &[(&str, &str)] = &[
    // A body temperature that does not claim to be a vital sign, and does not say when it was measured.
    ("Observation-f202", "Observation: effective is there 0 times, not 1..1"),
];

fn examples() -> Vec<(String, String)> {
    let files = std::fs::read_dir(package("hl7.fhir.r5.examples")).unwrap();
    let files = files.map(|f| f.unwrap().path()).filter(|f| f.extension().is_some_and(|e| e == "json"));
    let read = |f: std::path::PathBuf| {
        (f.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&f).unwrap())
    };
    let mut examples: Vec<_> = files.map(read).collect();
    examples.sort();
    examples
}

#[test]
fn the_official_examples_are_valid() {
    let examples = examples();
    for resource in ["Observation", "Device", "DeviceAssociation"] {
        assert!(examples.iter().any(|(name, _)| name.starts_with(&format!("{resource}-"))), "{resource}");
    }
    assert!(examples.len() > 75, "{}", examples.len());
    let (mut wrong, mut vital) = (Vec::new(), 0);
    for (name, text) in &examples {
        // FHIR asks what has a vital sign's code to conform to its profile.
        let profiles: Vec<&str> =
            vital_signs(&Json::parse(text).unwrap()).map(|(_, profile, _)| *profile).collect();
        vital += profiles.len();
        let found = problems(text, &profiles);
        let expected = BAD.iter().filter(|(n, _)| n == name).map(|(_, what)| *what);
        if !expected.eq(found.iter().map(String::as_str)) {
            wrong.push(format!("{name}: {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(vital >= 15, "{vital}");
}

#[test]
fn the_official_schema_takes_the_examples() {
    for (name, text) in examples() {
        assert_eq!(schema::problems(&text), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn official_code_systems_are_valid() {
    for name in ["observation-status", "device-status", "fhir-types"] {
        let file = package("hl7.fhir.r5.core").join(format!("CodeSystem-{name}.json"));
        let text = std::fs::read_to_string(file).unwrap();
        assert_eq!(problems(&text, &[]), Vec::<String>::new(), "{name}");
        assert_eq!(schema::problems(&text), Vec::<String>::new(), "{name}");
    }
}
