//! The rules of the FHIR R5 vital-signs profiles (`http://hl7.org/fhir/R5/observation-vitalsigns.html`), held against
//! everything that the built-in documents make of the fixtures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use ohx_domain::{Sensitive, account_pseudonym};
use ohx_mapping::{Context, Mapping, builtin};
use serde_json::Value;

/// Profile, the LOINC code that must be there, the units it allows.
const PROFILES: &[(&str, &str, &[&str])] = &[
    ("heartrate", "8867-4", &["/min"]),
    ("bodytemp", "8310-5", &["Cel", "[degF]"]),
    ("bodyheight", "8302-2", &["cm", "[in_i]"]),
    ("bodyweight", "29463-7", &["kg", "g", "[lb_av]"]),
    ("oxygensat", "2708-6", &["%"]),
];

fn observations() -> Vec<Value> {
    let mapping = Mapping::parse(builtin("withings", "getmeas").unwrap()).unwrap();
    let provider = "withings".parse().unwrap();
    let subject = "Patient/p1".parse().unwrap();
    let account = account_pseudonym(&provider, &Sensitive::new("363".to_owned()), &subject);
    let context = Context {
        identifier_base: "https://ohx.example/ns".into(),
        provider,
        account,
        subject,
        covers: None,
    };
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/withings");
    let pages = ["sheet", "body-scan", "cuff", "attrib", "oddities", "repeated"];
    let read = |name: &&str| std::fs::read(format!("{dir}/getmeas-{name}.json")).unwrap();
    let mapped = pages.iter().map(read).flat_map(|page| mapping.map(&page, &context).unwrap().observations);
    mapped.map(|o| serde_json::from_str(o.resource.get()).unwrap()).collect()
}

fn has_code(codeable: &Value, system: &str, code: &str) -> bool {
    codeable["coding"].as_array().unwrap().iter().any(|c| c["system"] == system && c["code"] == code)
}

fn is_quantity(quantity: &Value, units: &[&str]) {
    assert!(quantity["value"].is_number(), "{quantity}");
    assert_eq!(quantity["system"], "http://unitsofmeasure.org");
    assert!(units.contains(&quantity["code"].as_str().unwrap()), "{quantity}");
    assert!(!quantity["unit"].as_str().unwrap().is_empty());
}

/// What FHIR R5 asks of a dateTime with a time: an offset, whole minutes of it.
fn is_date_time(value: &Value) {
    let text = value.as_str().unwrap();
    text.parse::<ohx_domain::Instant>().unwrap();
    assert!(text.len() == 25 && matches!(text.as_bytes()[19], b'+' | b'-'), "{text}");
}

#[test]
fn every_observation_is_one() {
    const MEMBERS: [&str; 12] = [
        "resourceType",
        "meta",
        "identifier",
        "status",
        "category",
        "code",
        "subject",
        "effectiveDateTime",
        "issued",
        "performer",
        "note",
        "valueQuantity",
    ];
    let all = observations();
    assert!(all.len() > 30);
    for observation in &all {
        for member in observation.as_object().unwrap().keys() {
            assert!(MEMBERS.contains(&member.as_str()) || member == "component", "{member}");
        }
        assert_eq!(observation["resourceType"], "Observation");
        assert_eq!(observation["status"], "final");
        assert_eq!(observation["subject"]["reference"], "Patient/p1");
        assert_eq!(observation["performer"][0]["reference"], "Patient/p1");
        assert!(observation["identifier"][0]["system"].as_str().unwrap().starts_with("https://"));
        assert!(!observation["identifier"][0]["value"].as_str().unwrap().is_empty());
        is_date_time(&observation["effectiveDateTime"]);
        is_date_time(&observation["issued"]);
        // Exactly one of a value and components (vs-2, obs-7).
        assert_ne!(observation.get("valueQuantity").is_some(), observation.get("component").is_some());
    }
}

#[test]
fn vital_signs_keep_the_rules_of_their_profiles() {
    let mut met = BTreeSet::new();
    for observation in observations() {
        let category = &observation["category"][0]["coding"][0];
        assert_eq!(category["system"], "http://terminology.hl7.org/CodeSystem/observation-category");
        let Some(profile) = observation["meta"]["profile"][0].as_str() else {
            assert_eq!(category["code"], "exam");
            continue;
        };
        // VSCat, exactly one.
        assert_eq!(category["code"], "vital-signs");
        assert_eq!(observation["category"].as_array().unwrap().len(), 1);
        let id = profile.strip_prefix("http://hl7.org/fhir/StructureDefinition/").unwrap();
        met.insert(id.to_owned());
        if id == "bp" {
            assert!(has_code(&observation["code"], "http://loinc.org", "85354-9"));
            let components = observation["component"].as_array().unwrap();
            assert_eq!(components.len(), 2);
            for (component, code) in components.iter().zip(["8480-6", "8462-4"]) {
                assert!(has_code(&component["code"], "http://loinc.org", code));
                is_quantity(&component["valueQuantity"], &["mm[Hg]"]);
            }
            continue;
        }
        let (_, loinc, units) = PROFILES.iter().find(|(p, ..)| *p == id).unwrap();
        assert!(has_code(&observation["code"], "http://loinc.org", loinc), "{id}");
        is_quantity(&observation["valueQuantity"], units);
        if id == "oxygensat" {
            assert!(has_code(&observation["code"], "http://loinc.org", "59408-5"));
        }
    }
    let all = ["bodyheight", "bodytemp", "bodyweight", "bp", "heartrate", "oxygensat"];
    assert_eq!(met.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn every_measure_keeps_the_providers_code() {
    const MEASTYPE: &str = "https://ohx.example/ns/CodeSystem/withings-meastype";
    let mut met = BTreeSet::new();
    for observation in observations() {
        let whole = std::slice::from_ref(&observation);
        for measure in observation["component"].as_array().map_or(whole, Vec::as_slice) {
            let codings = measure["code"]["coding"].as_array().unwrap();
            let provider = codings.iter().find(|c| c["system"] == MEASTYPE).unwrap();
            met.insert(provider["code"].as_str().unwrap().parse::<u16>().unwrap());
        }
    }
    assert_eq!(met.into_iter().collect::<Vec<_>>(), [1, 4, 5, 6, 8, 9, 10, 11, 54, 71, 76, 77, 88, 91]);
}
