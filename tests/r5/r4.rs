//! What is written in R4 and R4B: everything that is mapped, converted, held against the definitions of those releases;
//! and the proof that they refuse what is not theirs.

use ohx_domain::FhirVersion;
use ohx_fhir::version::{Converted, convert, with_patient};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::codes;
use crate::definitions::{Element, structure};
use crate::examples::examples;
use crate::json::Json;
use crate::mutations::{self, put};
use crate::outputs::OUTPUTS;
use crate::schema;
use crate::validate::{OLD_RESOURCES, problems_in};

const OLD: [FhirVersion; 2] = [FhirVersion::R4, FhirVersion::R4B];

/// A resource of R5 in another release, and what was left out of it.
fn converted(version: FhirVersion, text: &str) -> (String, Vec<&'static str>) {
    let resource = RawValue::from_string(text.to_owned()).unwrap();
    match convert(version, &resource) {
        Ok(Converted::Resource { resource, dropped }) => (resource.get().to_owned(), dropped),
        other => panic!("{other:?}"),
    }
}

/// Everything that is wrong with a resource of an older release that we write.
fn problems(version: FhirVersion, text: &str) -> Vec<String> {
    let resource = match Json::parse(text) {
        Ok(resource) => resource,
        Err(error) => return vec![error],
    };
    let vital = resource.at("category.coding.code").iter().any(|c| c.text() == Some("vital-signs"));
    let mut profiles: Vec<&str> = codes::vital_signs(&resource).map(|(_, profile, _)| *profile).collect();
    profiles.extend(vital.then_some("vitalsigns"));
    let mut found = problems_in(version, text, &profiles);
    found.extend(schema::problems_in(version, text));
    for profile in resource.at("meta.profile") {
        if profile.text().and_then(|p| structure(version, p)).is_none() {
            found.push(format!("the profile {profile:?} is not of {version:?}"));
        }
    }
    found
}

/// What is wrong with a resource of R5 once it is converted. A DeviceAssociation has no home, and so nothing wrong.
pub(crate) fn problems_of(text: &str) -> Vec<String> {
    let resource = RawValue::from_string(text.to_owned()).unwrap();
    let of = |version| match convert(version, &resource) {
        Ok(Converted::Resource { resource, .. }) => problems(version, resource.get()),
        Ok(Converted::NoSuchResource) => Vec::new(),
        Err(error) => vec![error.to_string()],
    };
    OLD.into_iter().flat_map(of).collect()
}

/// Every number of a resource, with its digits and where it is, samples too; but not the time between samples. Samples
/// of the whole may have become a component's.
fn numbers(json: &Json, at: &str, to: &mut Vec<String>) {
    match json {
        Json::Number(text) if !at.ends_with("/interval") && !at.ends_with("/period") => {
            to.push(format!("{at} {text}"));
        }
        Json::Text(text) if at.ends_with("/data") => {
            to.extend(text.split(' ').filter(|s| *s != "E").map(|s| format!("{at} {s}")));
        }
        Json::List(items) => items.iter().for_each(|item| numbers(item, at, to)),
        Json::Object(members) => members.iter().for_each(|(n, v)| {
            let at = if n == "valueSampledData" { "" } else { at };
            numbers(v, &format!("{at}/{n}"), to);
        }),
        _ => {}
    }
}

fn sorted_numbers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    numbers(&Json::parse(text).unwrap(), "", &mut found);
    found.sort();
    found
}

#[test]
fn every_observation_is_valid_and_keeps_every_digit() {
    let (mut wrong, mut numbers, mut interval, mut offsets) = (Vec::new(), 0, 0, 0);
    for version in OLD {
        for output in &OUTPUTS.0 {
            let (text, dropped) = converted(version, output.text());
            assert_eq!(dropped, Vec::<&str>::new(), "{}", output.from);
            for problem in problems(version, &text) {
                wrong.push(format!("{version:?} {} ({}): {problem}", output.from, output.kind));
            }
            let (before, after) = (sorted_numbers(output.text()), sorted_numbers(&text));
            assert_eq!(before, after, "{} ({})", output.from, output.kind);
            numbers += after.len();
            interval += usize::from(output.text().contains("\"interval\""));
            offsets += usize::from(output.text().contains("\"offsets\""));
            let sampled = output.text().contains("SampledData");
            assert!(sampled || text == output.text(), "{}: nothing else is another in R4", output.from);
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(numbers > 1000 && interval > 0 && offsets > 0, "{numbers} {interval} {offsets}");
}

#[test]
fn every_device_is_valid_with_its_patient() {
    let patient = "Patient/p1".parse().unwrap();
    assert!(OUTPUTS.1.len() > 3);
    for device in &OUTPUTS.1 {
        assert!(!problems(FhirVersion::R4, device.resource.get()).is_empty(), "it is of R5");
        for version in OLD {
            let (text, _) = converted(version, device.resource.get());
            assert_eq!(problems(version, &text), Vec::<String>::new());
            let owned = with_patient(&RawValue::from_string(text.clone()).unwrap(), &patient).unwrap();
            assert_eq!(problems(version, owned.get()), Vec::<String>::new());
            assert!(owned.get().contains(r#""patient":{"reference":"Patient/p1"}"#));
            let name = Json::parse(device.resource.get()).unwrap().text_of("displayName").map(str::to_owned);
            let names = Json::parse(&text).unwrap();
            let names = names.at("deviceName.name");
            assert!(
                name.is_some() && names.iter().any(|n| n.text() == name.as_deref()),
                "{names:?} {name:?}"
            );
        }
    }
}

/// HL7's own R5 examples are stranger than anything that we write.
#[test]
fn the_official_examples_of_r5_are_valid_in_older_releases() {
    let (mut done, mut wrong) = (0, Vec::new());
    for (name, text) in examples(FhirVersion::R5) {
        let raw = RawValue::from_string(text.clone()).unwrap();
        for version in OLD {
            match convert(version, &raw) {
                Ok(Converted::Resource { resource, dropped }) => {
                    let found = problems_in(version, resource.get(), &[]);
                    if !found.is_empty() && name != NOT_OURS {
                        wrong.push(format!("{version:?} {name}: {found:#?}"));
                    }
                    if dropped.is_empty() {
                        assert_eq!(sorted_numbers(&text), sorted_numbers(resource.get()), "{name}");
                    }
                    done += 1;
                }
                Ok(Converted::NoSuchResource) => assert!(name.starts_with("DeviceAssociation-"), "{name}"),
                Err(error) => wrong.push(format!("{version:?} {name}: {error}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(done > 150, "{done}");
}

/// An example whose specimen is a Group, which it contains: neither is ever written here.
const NOT_OURS: &str = "Observation-vp-oyster";

/// What R4 refuses: a good R5 resource, what to do to it once it is R4, and what the validator says. A good resource is
/// good before.
type Mutation = (&'static str, fn() -> Value, &'static str, fn() -> Value, &'static str);

const MUTATIONS: &[Mutation] = crate::mutations::mutations! {
    "interval of R5": ecg, "/component/0/valueSampledData/interval" => 2, "interval is unknown";
    "interval unit of R5": ecg, "/component/0/valueSampledData/intervalUnit" => "ms", "intervalUnit is unknown";
    "offsets of R5": ecg, "/component/0/valueSampledData/offsets" => "1 2", "offsets is unknown";
    "no period": ecg, "/component/0/valueSampledData/period" => null, "period is there 0 times";
    "period as a text": ecg, "/component/0/valueSampledData/period" => "2", "is not the JSON value of a decimal";
    "no origin": ecg, "/component/0/valueSampledData/origin" => null, "origin is there 0 times";
    "body structure of R5": weight, "/bodyStructure" => {"reference": "BodyStructure/1"}, "bodyStructure is unknown";
    "trigger of R5": weight, "/triggeredBy" => [{"type": "reflex"}], "triggeredBy is unknown";
    "instantiates of R5": weight, "/instantiatesCanonical" => "http://example.org/x", "instantiatesCanonical is unknown";
    "attachment of R5": ecg, "/valueAttachment" => {"title": "x"}, "valueAttachment is unknown";
    "subject of R5": ecg, "/subject/reference" => "NutritionProduct/1", "NutritionProduct";
    "wrong status": weight, "/status" => "done", "has no code of";
    "no status": weight, "/status" => null, "status is there 0 times";
    "value as a string": weight, "/valueQuantity/value" => "81.4", "is not the JSON value of a decimal";
    "two values": weight, "/valueString" => "heavy", "value[x] is there more than once";
    "value and a reason for its absence": weight, "/dataAbsentReason" => {"text": "lost"}, "obs-6";
    "unit code without its system": weight, "/valueQuantity/system" => null, "qty-3";
    "a unit that the profile has not": weight, "/valueQuantity/code" => "t", "has no code of";
    "no subject": weight, "/subject" => null, "subject is there 0 times";
    "no time": weight, "/effectiveDateTime" => null, "effective is there 0 times";
    "a month only": weight, "/effectiveDateTime" => "2026-10", "vs-1";
    "no value": weight, "/valueQuantity" => null, "vs-2";
    "another vital sign's code": weight, "/code/coding/0/code" => "8302-2", "BodyWeightCode is there 0 times";
    "lower-case display is no code": weight, "/category/0/coding/0/code" => "Vital Signs", "VSCat is there 0 times";
    "time without an offset": weight, "/effectiveDateTime" => "2026-10-04T07:41:10", "no dateTime";
    "performer is a device": weight, "/performer/0/reference" => "Device/d1", "may not point to a Device";
    "no systolic": pressure, "/component/0" => null, "SystolicBP is there 0 times";
    "pressure in kPa": pressure, "/component/0/valueQuantity/code" => "kPa", "is not \"mm[Hg]\"";
    "component without value or reason": pressure, "/component/0/valueQuantity" => null, "vs-3";
    "name of R5": device, "/name" => [{"value": "x", "type": "user-friendly-name"}], "name is unknown";
    "display name of R5": device, "/displayName" => "x", "displayName is unknown";
    "category of R5": device, "/category" => [{"text": "x"}], "category is unknown";
    "name of a type of R5": device, "/deviceName/0/type" => "registered-name", "has no code of";
    "name without a type": device, "/deviceName/0/type" => null, "type is there 0 times";
    "types as R5 has them": device, "/type" => [{"text": "x"}], "is not an object";
    "definition as R5 has it": device, "/definition" => {"reference": {"reference": "DeviceDefinition/1"}}, "is not a string";
    "property as R5 has it": device, "/property" => [{"type": {"text": "x"}, "valueQuantity": {"value": 1}}], "is not a list";
    "conformity of R5": device, "/conformsTo" => [{"specification": {"text": "x"}}], "conformsTo is unknown";
    "patient that is a group": device, "/patient" => {"reference": "Group/1"}, "may not point to a Group";
    "manufacturer of R5": definition, "/manufacturer" => {"reference": "Organization/1"}, "manufacturer is unknown";
    "two manufacturers": definition, "/manufacturerReference" => {"reference": "Organization/1"}, "more than once";
    "version as R5 has it": definition, "/version" => [{"value": "1"}], "is not a string";
    "classification of R5": definition, "/classification" => [{"type": {"text": "x"}}], "classification is unknown";
    "nothing recorded": provenance, "/recorded" => null, "recorded is there 0 times";
    "patient of R5": provenance, "/patient" => {"reference": "Patient/1"}, "patient is unknown";
    "role of R5": provenance, "/entity/0/role" => "instantiates", "has no code of";
    "authorization of R5": provenance, "/authorization" => [{"concept": {"text": "x"}}], "authorization is unknown";
    "nobody did it": provenance, "/agent" => null, "agent is there 0 times";
};

fn weight() -> Value {
    mutations::vital("bodyweight", "29463-7", "81.4", "kg")
}

fn pressure() -> Value {
    mutations::pressure()
}

fn ecg() -> Value {
    mutations::ecg()
}

fn device() -> Value {
    let mut device = mutations::device();
    put(&mut device, "/type", json!([{"text": "Blood pressure monitor"}]));
    put(&mut device, "/definition", json!({"reference": {"reference": "DeviceDefinition/1"}}));
    let battery = json!({"value": 80, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"});
    put(&mut device, "/property", json!([{"type": {"text": "battery"}, "valueQuantity": battery}]));
    put(&mut device, "/version", json!([{"value": "1.2"}]));
    device
}

fn definition() -> Value {
    json!({
        "resourceType": "DeviceDefinition",
        "identifier": [{"system": "https://ohx.example/ns/withings/model", "value": "45"}],
        "manufacturer": {"display": "Withings"},
        "deviceName": [{"name": "BPM Connect", "type": "registered-name"}],
        "modelNumber": "45",
        "classification": [{"type": {"text": "Blood pressure monitor"}}],
        "version": [{"value": "1.2"}],
    })
}

fn provenance() -> Value {
    json!({
        "resourceType": "Provenance",
        "target": [{"reference": "Observation/1"}],
        "occurredDateTime": "2026-10-04T07:42:10Z",
        "recorded": "2026-10-04T07:42:10Z",
        "patient": {"reference": "Patient/p1"},
        "agent": [{
            "type": {"coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type", "code": "assembler",
            }]},
            "who": {"display": "Open Health Exchange"},
        }],
        "entity": [{"role": "source", "what": {"display": "withings/getmeas"}}],
    })
}

#[test]
fn every_mutation_is_refused_in_older_releases() {
    let mut missed = Vec::new();
    for version in OLD {
        for (what, good, place, new, problem) in MUTATIONS {
            let good = good().to_string();
            assert_eq!(problems_in(FhirVersion::R5, &good, &[]), Vec::<String>::new(), "{what}");
            let (text, _) = converted(version, &good);
            assert_eq!(problems(version, &text), Vec::<String>::new(), "{what}: {text}");
            let mut bad: Value = serde_json::from_str(&text).unwrap();
            put(&mut bad, place, new());
            let found = problems_in(version, &bad.to_string(), &[]);
            if !found.iter().any(|f| f.contains(problem)) {
                missed.push(format!("{version:?} {what}: {problem:?} is not in {found:?}"));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert!(MUTATIONS.len() >= 40, "{}", MUTATIONS.len());
}

#[test]
fn resources_of_r5_are_refused_in_older_releases() {
    for version in OLD {
        for good in [ecg(), device(), definition(), provenance()] {
            let found = problems(version, &good.to_string());
            assert!(found.iter().any(|f| f.contains("is unknown")), "{version:?}: {found:?}");
            assert!(!schema::problems_in(version, &good.to_string()).is_empty(), "{version:?}");
        }
        let association =
            examples(FhirVersion::R5).into_iter().find(|(n, _)| n.starts_with("DeviceAssociation-"));
        let found = problems_in(version, &association.unwrap().1, &[]);
        assert!(found.iter().any(|f| f.contains("is none")), "{found:?}");
    }
}

/// The JSON Schema of R4B judges R4 too: the elements of what is written are the same, their types and numbers too.
#[test]
fn what_is_written_has_the_same_elements_in_both_older_releases() {
    fn described(elements: &'static [Element], at: &str, to: &mut Vec<String>) {
        for element in elements {
            let at = format!("{at}.{}", element.name);
            // An id is a string in R4 and an id in R4B.
            let same = |t: &'static str| if t == "id" { "string" } else { t };
            let mut types: Vec<&str> = element.types.iter().map(|t| same(&t.code)).collect();
            types.sort_unstable();
            to.push(format!(
                "{at} {:?} {}..{:?} {} {}",
                types, element.min, element.max, element.list, element.choice
            ));
            described(&element.children, &at, to);
        }
    }
    let types =
        ["SampledData", "Quantity", "CodeableConcept", "Coding", "Identifier", "Reference", "Period", "Meta"];
    for name in OLD_RESOURCES.iter().chain(&types) {
        let [r4, r4b] = OLD.map(|version| {
            let mut elements = Vec::new();
            described(&structure(version, name).unwrap().root.children, name, &mut elements);
            elements
        });
        assert!(r4.len() >= 4, "{name}");
        assert_eq!(r4, r4b);
    }
}
