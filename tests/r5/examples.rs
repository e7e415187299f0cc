//! HL7's own examples of three releases: the validator refuses none of them, and the official JSON Schema agrees.

use ohx_domain::FhirVersion;

use crate::codes::vital_signs;
use crate::definitions::package;
use crate::json::Json;
use crate::schema;
use crate::validate::{OLD_RESOURCES, problems, problems_in};

/// Examples of R5 that are at odds with the specification, and with what.
const BAD: &[(&str, &str)] = &[
    // A body temperature that does not claim to be a vital sign, and does not say when it was measured.
    ("Observation-f202", "Observation: effective is there 0 times, not 1..1"),
];

/// Those of R4 and R4B.
const BAD_OLD: &[(&str, &str)] =
    &[BAD[0], ("Observation-clinical-gender", "Observation.performer[0]: may not point to a Encounter")];

/// The examples of a release: name and text.
pub(crate) fn examples(version: FhirVersion) -> Vec<(String, String)> {
    let name = match version {
        FhirVersion::R4 => "hl7.fhir.r4.examples",
        FhirVersion::R4B => "hl7.fhir.r4b.examples",
        FhirVersion::R5 => "hl7.fhir.r5.examples",
    };
    let ours = |name: &str| {
        let kind = name.split('-').next().unwrap_or_default();
        kind == "DeviceAssociation" || OLD_RESOURCES.contains(&kind)
    };
    let files = std::fs::read_dir(package(name)).unwrap().map(|f| f.unwrap().path());
    let files = files.filter(|f| f.extension().is_some_and(|e| e == "json"));
    let files = files.filter(|f| ours(&f.file_name().unwrap().to_string_lossy()));
    let read = |f: std::path::PathBuf| {
        (f.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&f).unwrap())
    };
    let mut examples: Vec<_> = files.map(read).collect();
    examples.sort();
    examples
}

/// What is wrong with a release's examples, but for what is known; and how many are vital signs.
fn wrong(version: FhirVersion, bad: &[(&str, &str)]) -> (Vec<String>, usize) {
    let (mut wrong, mut vital) = (Vec::new(), 0);
    for (name, text) in examples(version) {
        // FHIR asks what has a vital sign's code to conform to its profile.
        let profiles: Vec<&str> =
            vital_signs(&Json::parse(&text).unwrap()).map(|(_, profile, _)| *profile).collect();
        vital += profiles.len();
        let found = problems_in(version, &text, &profiles);
        let expected = bad.iter().filter(|(n, _)| *n == name).map(|(_, what)| *what);
        if !expected.eq(found.iter().map(String::as_str)) {
            wrong.push(format!("{version:?} {name}: {found:#?}"));
        }
    }
    (wrong, vital)
}

#[test]
fn the_official_examples_are_valid() {
    let examples = examples(FhirVersion::R5);
    for resource in ["DeviceAssociation"].iter().chain(OLD_RESOURCES) {
        assert!(examples.iter().any(|(name, _)| name.starts_with(&format!("{resource}-"))), "{resource}");
    }
    assert!(examples.len() > 85, "{}", examples.len());
    let (wrong, vital) = wrong(FhirVersion::R5, BAD);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(vital >= 15, "{vital}");
}

#[test]
fn the_official_examples_of_older_releases_are_valid() {
    for version in [FhirVersion::R4, FhirVersion::R4B] {
        assert!(examples(version).len() > 65, "{}", examples(version).len());
        let (wrong, vital) = wrong(version, BAD_OLD);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(vital >= 10, "{vital}");
    }
}

#[test]
fn the_official_schema_takes_the_examples() {
    for version in [FhirVersion::R4, FhirVersion::R4B, FhirVersion::R5] {
        for (name, text) in examples(version) {
            assert_eq!(schema::problems_in(version, &text), Vec::<String>::new(), "{version:?} {name}");
        }
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
