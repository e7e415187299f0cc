//! A second opinion on everything that is written, by a validator that is not ours: `opinion.py`, which
//! `tests/needs fhir-resources` makes ready.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::definitions::package;
use crate::outputs::{BASE, OUTPUTS, SOURCES};

/// What the validator says of each resource; empty where it has nothing against it.
fn opinions(resources: &[String]) -> Vec<String> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let python = home.join("target/fhir-resources/bin/python");
    assert!(python.exists(), "fhir.resources is missing: run tests/needs fhir-resources");
    let mut child = Command::new(python)
        .arg(home.join("tests/r5/opinion.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A line each. A line break within a resource stands between two tokens, as JSON has none in a text.
    let lines: String = resources.iter().map(|text| text.replace(['\n', '\r'], " ") + "\n").collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "opinion.py ended with {}", output.status);
    let said: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(said.len(), resources.len());
    said
}

/// Names and texts of what the validator is against.
fn against(resources: Vec<(String, String)>) -> Vec<String> {
    let (names, texts): (Vec<_>, Vec<_>) = resources.into_iter().unzip();
    let said = names.into_iter().zip(opinions(&texts));
    said.filter(|(_, said)| !said.is_empty()).map(|(name, said)| format!("{name}: {said}")).collect()
}

#[test]
fn everything_that_is_written_is_valid() {
    let named = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
    let mut all: Vec<_> = OUTPUTS.0.iter().map(|output| named((&output.from, output.text()))).collect();
    all.extend(OUTPUTS.1.iter().map(|device| named(("a device", device.resource.get()))));
    let systems = ohx_mapping::code_systems(SOURCES.iter().map(|source| &source.mapping), BASE).unwrap();
    all.extend(systems.iter().map(|system| named((&system.name, &system.json))));
    assert!(all.len() > 250, "{}", all.len());
    assert_eq!(against(all), Vec::<String>::new());
}

/// HL7's own examples: what is said above is not said because the validator takes only what we write.
#[test]
fn the_published_examples_are_valid() {
    let files = std::fs::read_dir(package("hl7.fhir.r5.examples")).unwrap().map(|file| file.unwrap().path());
    let json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let examples = files.filter(json).map(|path| {
        (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap())
    });
    let examples: Vec<_> = examples.collect();
    assert!(examples.len() > 80, "{}", examples.len());
    assert_eq!(against(examples), Vec::<String>::new());
}

/// What is made wrong, and how.
type Mutation = (&'static str, fn(&mut Value));

/// Otherwise nothing above says anything.
#[test]
fn it_refuses_what_is_wrong() {
    let weight = OUTPUTS.0.iter().find(|output| output.kind == "body-weight").unwrap();
    let good: Value = serde_json::from_str(weight.text()).unwrap();
    let mutations: [Mutation; 8] = [
        ("an unknown element", |r| r["weight"] = json!(1)),
        ("no code", |r| {
            r.as_object_mut().unwrap().remove("code");
        }),
        ("no status", |r| {
            r.as_object_mut().unwrap().remove("status");
        }),
        ("two values", |r| r["valueString"] = json!("72.10")),
        ("a list for one", |r| r["subject"] = json!([{"reference": "Patient/p1"}])),
        ("a text for a number", |r| r["valueQuantity"]["value"] = json!("a lot")),
        ("one for a list", |r| r["category"] = json!("vital-signs")),
        ("an unknown type", |r| r["resourceType"] = json!("Weight")),
    ];
    let mutants = mutations.iter().map(|(_, mutate)| {
        let mut resource = good.clone();
        mutate(&mut resource);
        resource.to_string()
    });
    let said = opinions(&mutants.chain([good.to_string()]).collect::<Vec<_>>());
    for ((what, _), said) in mutations.iter().zip(&said) {
        assert!(!said.is_empty(), "{what}");
    }
    assert_eq!(said.last().map(String::as_str), Some(""), "only the mutations are wrong");
}
