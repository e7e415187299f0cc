//! Good resources with one thing wrong: the validator refuses each of them, and for that reason.

use serde_json::{Value, json};

use crate::schema;
use crate::validate::problems;

const UCUM: &str = "http://unitsofmeasure.org";

fn quantity(value: &str, unit: &str) -> Value {
    let value: Value = serde_json::from_str(value).unwrap();
    json!({"value": value, "unit": unit, "system": UCUM, "code": unit})
}

/// A vital sign.
pub(crate) fn vital(profile: &str, loinc: &str, value: &str, unit: &str) -> Value {
    json!({
        "resourceType": "Observation",
        "meta": {"profile": [format!("http://hl7.org/fhir/StructureDefinition/{profile}")]},
        "identifier": [{"system": "https://ohx.example/ns/withings/getmeas", "value": "a.1.x"}],
        "status": "final",
        "category": [{"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs",
        }]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}], "text": "A vital sign"},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-10-04T07:41:10+02:00",
        "issued": "2026-10-04T07:42:10.5+02:00",
        "performer": [{"reference": "Patient/p1"}],
        "device": {"reference": "Device/d1"},
        "valueQuantity": quantity(value, unit),
    })
}

fn weight() -> Value {
    vital("bodyweight", "29463-7", "81.4", "kg")
}

pub(crate) fn pressure() -> Value {
    let mut panel = vital("bp", "85354-9", "1", "1");
    panel.as_object_mut().unwrap().remove("valueQuantity");
    let component = |loinc: &str, value: &str| {
        let coding = json!([{"system": "http://loinc.org", "code": loinc}]);
        json!({"code": {"coding": coding}, "valueQuantity": quantity(value, "mm[Hg]")})
    };
    panel["component"] = json!([component("8480-6", "128"), component("8462-4", "82")]);
    panel
}

pub(crate) fn ecg() -> Value {
    let mut ecg = vital("", "11524-6", "1", "1");
    let members = ecg.as_object_mut().unwrap();
    members.retain(|name, _| !["meta", "valueQuantity", "effectiveDateTime"].contains(&name.as_str()));
    ecg["effectivePeriod"] =
        json!({"start": "2026-10-04T07:50:00+02:00", "end": "2026-10-04T07:50:30+02:00"});
    ecg["component"] = json!([{
        "code": {"coding": [{"system": "urn:iso:std:iso:11073:10101", "code": "131329"}]},
        "valueSampledData": {
            "origin": quantity("0", "uV"), "interval": 2, "intervalUnit": "ms", "factor": 1, "dimensions": 1,
            "data": "12 15 18 25 31 20 4 -9",
        },
    }]);
    ecg
}

/// An ECG with a value of its own.
fn told() -> Value {
    let mut told = ecg();
    told["valueString"] = json!("sinus rhythm");
    told
}

/// A weight with a body structure.
fn sited() -> Value {
    let mut sited = weight();
    sited["bodyStructure"] = json!({"reference": "BodyStructure/1"});
    sited
}

pub(crate) fn device() -> Value {
    json!({
        "resourceType": "Device",
        "identifier": [{"system": "https://ohx.example/ns/withings/device", "value": "a.b"}],
        "displayName": "BPM Connect",
        "status": "active",
        "manufacturer": "Withings",
        "name": [{"value": "BPM Connect", "type": "user-friendly-name", "display": true}],
    })
}

fn code_system() -> Value {
    json!({
        "resourceType": "CodeSystem",
        "url": "https://ohx.example/ns/CodeSystem/measure",
        "name": "Measure",
        "status": "active",
        "content": "complete",
        "concept": [{"code": "pulse-wave-velocity", "display": "Pulse wave velocity"}, {"code": "b", "display": "B"}],
    })
}

#[test]
fn the_good_ones_are_good() {
    let rest = [
        vital("heartrate", "8867-4", "64", "/min"),
        vital("resprate", "9279-1", "14", "/min"),
        vital("oxygensat", "2708-6", "97", "%"),
        vital("bodytemp", "8310-5", "36.6", "Cel"),
        vital("bodyheight", "8302-2", "180", "cm"),
        vital("headcircum", "9843-4", "55", "cm"),
        vital("bmi", "39156-5", "23", "kg/m2"),
    ];
    for good in
        [weight(), pressure(), ecg(), told(), sited(), device(), code_system()].into_iter().chain(rest)
    {
        assert_eq!(problems(&good.to_string(), &[]), Vec::<String>::new(), "{good}");
        assert_eq!(schema::problems(&good.to_string()), Vec::<String>::new(), "{good}");
    }
}

/// What to do to a good resource: a place in it, and what comes there; null takes it away.
type Mutation = (&'static str, fn() -> Value, &'static str, fn() -> Value, &'static str);

macro_rules! mutations {
    ($($what:literal: $good:ident, $place:literal => $value:tt, $problem:literal;)*) => {
        &[$(($what, $good, $place, || serde_json::json!($value), $problem)),*]
    };
}
pub(crate) use mutations;

/// A name, the good resource, the place (a JSON pointer), what comes there, and a part of what the validator says.
const MUTATIONS: &[Mutation] = mutations! {
    // Observation, its elements and their number.
    "another resource type": weight, "/resourceType" => "Observations", "is none";
    "a data type for a resource": weight, "/resourceType" => "Quantity", "is none";
    "unknown element": weight, "/colour" => "red", "colour is unknown";
    "an element of R4": weight, "/context" => {"reference": "Encounter/1"}, "context is unknown";
    "unknown element within": weight, "/valueQuantity/precision" => 1, "precision is unknown";
    "unknown element in a component": pressure, "/component/0/status" => "final", "status is unknown";
    "another resource's element": weight, "/displayName" => "Scale", "displayName is unknown";
    "resourceType within": weight, "/subject/resourceType" => "Patient", "resourceType is unknown";
    "no status": weight, "/status" => null, "status is there 0 times";
    "wrong status": weight, "/status" => "done", "has no code of";
    "upper-case status": weight, "/status" => "Final", "has no code of";
    "status as a list": weight, "/status" => ["final"], "is not a string";
    "no code": weight, "/code" => null, "code is there 0 times";
    "code as a string": weight, "/code" => "29463-7", "is not an object";
    "code as a list": weight, "/code" => [{"text": "Weight"}], "is not an object";
    "empty code": weight, "/code" => {}, "is empty";
    "category as an object": weight, "/category" => {"text": "vital-signs"}, "is not a list";
    "empty list": weight, "/performer" => [], "is not a list with something";
    "null in a list": weight, "/performer" => [null], "is null";
    "null": weight, "/subject" => {"reference": null}, "is null";
    "empty string": weight, "/code/text" => "", "is no string";
    "blank string": weight, "/code/text" => " ", "is blank or has a control";
    "control character": weight, "/code/text" => "a\u{1}b", "is blank or has a control";
    "code with two spaces": weight, "/code/coding/0/code" => "29463-7  x", "is no code";
    "boolean as a string": weight, "/code/coding/0/userSelected" => "true", "is not the JSON value of a boolean";
    "system with a space": weight, "/identifier/0/system" => "https://ohx.example/n s", "is no uri";
    "id with a slash": weight, "/id" => "a/b", "is no id";
    // Values.
    "value as a string": weight, "/valueQuantity/value" => "81.4", "is not the JSON value of a decimal";
    "two values": weight, "/valueString" => "heavy", "value[x] is there more than once";
    "value without a type": weight, "/value" => 81.4, "value is unknown";
    "value of a type that Observation has not": weight, "/valueMoney" => {"value": 1}, "valueMoney is unknown";
    "value and a reason for its absence": weight, "/dataAbsentReason" => {"text": "lost"}, "obs-6";
    "unit code without its system": weight, "/valueQuantity/system" => null, "qty-3";
    "comparator of no kind": weight, "/valueQuantity/comparator" => "~", "has no code of";
    "reference range without a range": weight, "/referenceRange" => [{"type": {"text": "normal"}}], "obs-3";
    "range upside down": ecg, "/valueRange" => {
        "low": {"value": 3, "unit": "kg", "system": UCUM, "code": "kg"},
        "high": {"value": 2, "unit": "kg", "system": UCUM, "code": "kg"}
    }, "rng-2";
    "body site and body structure": sited, "/bodySite" => {"text": "arm"}, "obs-8";
    "component with the code of the whole": told, "/component/0/code" => {
        "coding": [{"system": "http://loinc.org", "code": "11524-6"}]
    }, "obs-7";
    // Times.
    "a day that is none": weight, "/effectiveDateTime" => "2026-02-30", "no such day";
    "a 13th month": weight, "/effectiveDateTime" => "2026-13-01", "is no dateTime";
    "time without an offset": weight, "/effectiveDateTime" => "2026-10-04T07:41:10", "no offset";
    "time without seconds": weight, "/effectiveDateTime" => "2026-10-04T07:41+02:00", "is no dateTime";
    "a space for the T": weight, "/effectiveDateTime" => "2026-10-04 07:41:10Z", "is no dateTime";
    "an offset of seconds": weight, "/effectiveDateTime" => "2026-10-04T07:41:10+02:00:07", "is no dateTime";
    "a time as a number": weight, "/effectiveDateTime" => 1_790_000_000, "is not a string";
    "two times": weight, "/effectivePeriod" => {"start": "2026-10-04"}, "effective[x] is there more than once";
    "instant to the day": weight, "/issued" => "2026-10-04", "is no instant";
    "period upside down": ecg, "/effectivePeriod/end" => "2026-10-04T07:50:00+03:00", "per-1";
    // References.
    "reference to no type": weight, "/subject/reference" => "p1", "is no reference";
    "reference to a type that is none": weight, "/subject/reference" => "Patent/p1", "is no reference";
    "performer is a device": weight, "/performer/0/reference" => "Device/d1", "may not point to a Device";
    "device is a patient": weight, "/device/reference" => "Patient/p1", "may not point to a Patient";
    "absolute reference to another type": weight, "/device/reference" => "https://ehr.example/fhir/Patient/p1",
        "may not point to a Patient";
    "reference to something that is not contained": weight, "/subject/reference" => "#p1", "ref-1";
    "reference to nothing": weight, "/device" => {"type": "Device"}, "ref-2";
    // Vital signs.
    "no subject": weight, "/subject" => null, "subject is there 0 times";
    "subject is a group": weight, "/subject/reference" => "Group/g1", "may not point to a Group";
    "no time": weight, "/effectiveDateTime" => null, "effective is there 0 times";
    "a month only": weight, "/effectiveDateTime" => "2026-10", "vs-1";
    "no value": weight, "/valueQuantity" => null, "vs-2";
    "no category": weight, "/category" => null, "category is there 0 times";
    "lower-case display is no code": weight, "/category/0/coding/0/code" => "Vital Signs", "VSCat is there 0 times";
    "vital-signs of another system": weight, "/category/0/coding/0/system" => "https://ohx.example/ns", "VSCat is there 0";
    "another vital sign's code": weight, "/code/coding/0/code" => "8302-2", "BodyWeightCode is there 0 times";
    "the right code of another system": weight, "/code/coding/0/system" => "http://snomed.info/sct",
        "BodyWeightCode is there 0 times";
    "a unit that the profile has not": weight, "/valueQuantity/code" => "t", "has no code of";
    "a unit in words": weight, "/valueQuantity/code" => "kilogram", "has no code of";
    "no unit for people": weight, "/valueQuantity/unit" => null, "unit is there 0 times";
    "no unit code": weight, "/valueQuantity/code" => null, "code is there 0 times";
    "unit of another system": weight, "/valueQuantity/system" => "https://ucum.org", "is not \"http://unitsofmeasure.org\"";
    "no number": weight, "/valueQuantity/value" => null, "value is there 0 times";
    "profile of another resource": weight, "/meta/profile/0" => "http://hl7.org/fhir/StructureDefinition/Device",
        "is about Device";
    // Blood pressure.
    "no systolic": pressure, "/component/0" => null, "SystolicBP is there 0 times";
    "systolic twice": pressure, "/component/1/code/coding/0/code" => "8480-6", "SystolicBP is there 2 times";
    "diastolic of another system": pressure, "/component/1/code/coding/0/system" => "https://ohx.example/ns",
        "DiastolicBP is there 0 times";
    "pressure in kPa": pressure, "/component/0/valueQuantity/code" => "kPa", "is not \"mm[Hg]\"";
    "pressure as people write it": pressure, "/component/0/valueQuantity/code" => "mmHg", "is not \"mm[Hg]\"";
    "pressure as text": pressure, "/component/0" => {
        "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}, "valueString": "128"
    }, "is in no slice";
    "component without value or reason": pressure, "/component/0/valueQuantity" => null, "vs-3";
    "a value beside the components": pressure, "/valueQuantity" => {
        "value": 93, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"
    }, "valueQuantity is there 1 times";
    // ECG.
    "period of R4": ecg, "/component/0/valueSampledData/period" => 2, "period is unknown";
    "no interval": ecg, "/component/0/valueSampledData/interval" => null, "sdd-1";
    "interval and offsets": ecg, "/component/0/valueSampledData/offsets" => "1 2", "sdd-1";
    "no interval unit": ecg, "/component/0/valueSampledData/intervalUnit" => null, "intervalUnit is there 0 times";
    "interval unit that is none": ecg, "/component/0/valueSampledData/intervalUnit" => "msec", "has no code of";
    "no origin": ecg, "/component/0/valueSampledData/origin" => null, "origin is there 0 times";
    "origin with a comparator": ecg, "/component/0/valueSampledData/origin/comparator" => "<", "comparator";
    "no dimension": ecg, "/component/0/valueSampledData/dimensions" => 0, "is no positiveInt";
    "a dimension and a half": ecg, "/component/0/valueSampledData/dimensions" => 1.5, "is no positiveInt";
    "samples as a list": ecg, "/component/0/valueSampledData/data" => [1, 2], "is not a string";
    // Device.
    "name as a string": device, "/name" => "BPM Connect", "is not a list";
    "name of R4": device, "/deviceName" => [{"name": "x", "type": "model-name"}], "deviceName is unknown";
    "patient of R4": device, "/patient" => {"reference": "Patient/p1"}, "patient is unknown";
    "name of no type": device, "/name/0/type" => "nickname", "has no code of";
    "two names for display": device, "/name/1" => {
        "value": "Cuff", "type": "registered-name", "display": true
    }, "dev-1";
    "device status of an Observation": device, "/status" => "final", "has no code of";
    "property with a time": device, "/property" => [{"type": {"text": "x"}, "valueDateTime": "2026"}], "valueDateTime is unknown";
    // CodeSystem.
    "the same code twice": code_system, "/concept/1/code" => "pulse-wave-velocity", "csd-1";
    "no content": code_system, "/content" => null, "content is there 0 times";
    "a supplement of nothing": code_system, "/content" => "supplement", "csd-4";
    "a code with a space at its end": code_system, "/concept/1/code" => "b ", "is no code";
    "property without a value": device, "/property" => [{"type": {"text": "x"}}], "value is there 0 times";
};

/// Puts `new` at a JSON pointer, or takes away what is there.
pub(crate) fn put(resource: &mut Value, pointer: &str, new: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match (resource.pointer_mut(parent).unwrap(), new) {
        (Value::Object(members), Value::Null) => assert!(members.remove(last).is_some(), "{pointer}"),
        (Value::Object(members), new) => {
            members.insert(last.to_owned(), new);
        }
        (Value::Array(items), Value::Null) => {
            items.remove(last.parse().unwrap());
        }
        (Value::Array(items), new) => match items.get_mut(last.parse::<usize>().unwrap()) {
            Some(item) => *item = new,
            None => items.push(new),
        },
        _ => panic!("{pointer}"),
    }
}

#[test]
fn every_mutation_is_refused() {
    let mut missed = Vec::new();
    for (what, good, place, new, problem) in MUTATIONS {
        let mut bad = good();
        put(&mut bad, place, new());
        let found = problems(&bad.to_string(), &[]);
        if !found.iter().any(|f| f.contains(problem)) {
            missed.push(format!("{what}: {problem:?} is not in {found:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert!(MUTATIONS.len() >= 40, "{}", MUTATIONS.len());
}

#[test]
fn a_member_that_is_there_twice_is_refused() {
    let text =
        weight().to_string().replace("\"status\":\"final\"", "\"status\":\"final\",\"status\":\"final\"");
    assert_eq!(problems(&text, &[]), ["the member status is there twice"]);
    assert!(!problems("{\"resourceType\":", &[]).is_empty());
}

#[test]
fn digits_decide_whether_a_number_is_a_decimal() {
    let with = |number: &str| weight().to_string().replace("81.4", number);
    for good in ["81", "-0.5", "81.40", "1e2", "1E-7", "0.0000000000000001"] {
        assert_eq!(problems(&with(good), &[]), Vec::<String>::new(), "{good}");
    }
    for bad in ["1234567890123456789", "0.123456789012345678", "1e9999999999"] {
        assert!(problems(&with(bad), &[]).iter().any(|p| p.contains("is no decimal")), "{bad}");
    }
}

#[test]
fn a_second_vital_sign_coding_and_open_slices_are_fine() {
    let mut oxygen = vital("oxygensat", "2708-6", "97", "%");
    put(&mut oxygen, "/code/coding/1", json!({"system": "http://loinc.org", "code": "59408-5"}));
    put(&mut oxygen, "/category/1", json!({"text": "at home"}));
    assert_eq!(problems(&oxygen.to_string(), &[]), Vec::<String>::new());
    put(&mut oxygen, "/code/coding/0", Value::Null);
    assert!(problems(&oxygen.to_string(), &[]).iter().any(|p| p.contains("OxygenSatCode is there 0 times")));

    let mut pressure = pressure();
    let mut mean = pressure["component"][0].clone();
    mean["code"]["coding"][0]["code"] = json!("8478-0");
    put(&mut pressure, "/component/2", mean);
    assert_eq!(problems(&pressure.to_string(), &[]), Vec::<String>::new());
    // A missing value says why it is missing.
    put(&mut pressure, "/component/0/valueQuantity", Value::Null);
    put(&mut pressure, "/component/0/dataAbsentReason", json!({"text": "the cuff slipped"}));
    assert_eq!(problems(&pressure.to_string(), &[]), Vec::<String>::new());
}
