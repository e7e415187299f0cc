//! The checks of codes and units, proven by what they refuse.

use serde_json::json;

use crate::codes::{problems, units_of};
use crate::json::Json;
use crate::outputs::BASE;

fn found(resource: &serde_json::Value) -> Vec<String> {
    problems(&Json::parse(&resource.to_string()).unwrap(), BASE)
}

fn observation(system: &str, code: &str, unit: &str) -> serde_json::Value {
    json!({
        "code": {"coding": [{"system": system, "code": code}]},
        "valueQuantity": {"value": 1, "unit": "x", "system": "http://unitsofmeasure.org", "code": unit},
    })
}

#[test]
fn codes_of_other_systems_and_guessed_codes_are_refused() {
    let local = format!("{BASE}/CodeSystem/measure");
    for (system, code) in [
        ("http://loinc.org", "29463-7"),
        (local.as_str(), "pulse-wave-velocity"),
        ("urn:iso:std:iso:11073:10101", "131329"),
    ] {
        assert_eq!(found(&observation(system, code, "kg")), Vec::<String>::new(), "{code}");
    }
    for (system, code) in [
        ("http://loinc.org", "29463-6"),
        ("http://loinc.org", "80404-7"),
        ("https://loinc.org", "29463-7"),
        ("http://snomed.info/sct", "27113001"),
        ("https://other.example/ns/CodeSystem/measure", "weight"),
        (local.as_str(), ""),
        (local.as_str(), "Pulse Wave"),
        ("http://terminology.hl7.org/CodeSystem/observation-category", "Vital Signs"),
        ("urn:iso:std:iso:11073:10101", "1"),
    ] {
        assert_eq!(found(&observation(system, code, "kg")).len(), 1, "{system} {code}");
    }
    let coding = json!({"code": {"coding": [{"code": "29463-7"}]}});
    assert_eq!(found(&coding).len(), 1);
    let named =
        json!({"code": {"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Mass"}]}});
    assert_eq!(found(&named).len(), 1);
}

#[test]
fn units_that_are_none_or_of_another_dimension_are_refused() {
    let loinc = |code, unit| found(&observation("http://loinc.org", code, unit)).len();
    // Code, unit, and how many of the checks refuse it.
    for (code, unit, refused) in [
        ("41950-7", "{steps}", 0),
        ("41950-7", "{Steps}", 1),
        ("93832-4", "min", 0),
        ("93832-4", "min/d", 1),
        ("41981-2", "kJ", 0),
        ("41981-2", "cal/d", 1),
        ("91557-9", "cm", 1),
        ("41982-0", "1", 1),
        ("11524-6", "mV", 1),
        ("29463-7", "cm", 2),
        ("29463-7", "t", 1),
        ("8867-4", "/h", 1),
        ("91557-9", "Kg", 2),
        ("91557-9", "", 2),
    ] {
        assert_eq!(loinc(code, unit), refused, "{code} in {unit}");
    }
    let mut other = observation("http://loinc.org", "91557-9", "kg");
    other["valueQuantity"]["system"] = json!("https://ucum.org");
    assert_eq!(found(&other).len(), 1);
    other["valueQuantity"] =
        json!({"value": "1", "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"});
    assert_eq!(found(&other).len(), 1);
}

#[test]
fn ucum_is_known_by_its_own_codes() {
    for good in
        ["mm[Hg]", "mL/kg/min", "mL/min/kg", "kcal/d", "{flight}", "10*6/uL", "[pH]", "mmol/mmol", "1", "a"]
    {
        assert!(ucum::validate(good).is_ok(), "{good}");
    }
    for bad in ["mmHg", "bpm", "KG", "Km", "cel", "sec", "m/", "kg ", "steps", "{", "", "µS", "°C", "hours"]
    {
        assert!(ucum::validate(bad).is_err(), "{bad}");
    }
}

#[test]
fn samples_that_do_not_add_up_are_refused() {
    let with = |change: serde_json::Value| {
        let origin = json!({"value": 0, "unit": "uV", "system": "http://unitsofmeasure.org", "code": "uV"});
        let mut data = json!({"origin": origin, "interval": 2, "intervalUnit": "ms", "dimensions": 1, "data": "1 -2 E 3.5"});
        data.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        found(&json!({"valueSampledData": data}))
    };
    assert_eq!(with(json!({})), Vec::<String>::new());
    assert_eq!(with(json!({"offsets": "0 1 2 3"})), Vec::<String>::new());
    for wrong in [
        json!({"intervalUnit": "mV"}),
        json!({"intervalUnit": "msec"}),
        json!({"data": "1  2"}),
        json!({"data": "1,2"}),
        json!({"data": ""}),
        json!({"data": "1 NaN"}),
        json!({"dimensions": 3}),
        json!({"offsets": "0 1 2"}),
        json!({"offsets": "0 1 2 x"}),
        json!({"interval": 0}),
        json!({"interval": -2}),
    ] {
        assert_eq!(with(wrong.clone()).len(), 1, "{wrong}");
    }
}

#[test]
fn every_unit_of_a_document_is_found() {
    let document = json!({
        "extract": {"readings": [
            {"kind": "a", "value": {"item": 1, "unit": "m"}},
            {"kind": "b", "value": {"number": "x", "units": {"at": "unit", "is": {"lbs": "[lb_av]"}}}},
        ]},
        "observe": {"a": {"value": {"unit": "cm", "unit_text": "centimetres"}, "components": {"c": {"unit": "uV", "sampled": "ms"}}}},
    });
    let units: Vec<String> = units_of(&document).into_iter().collect();
    assert_eq!(units, ["[lb_av]", "cm", "m", "ms", "uV"]);
}
