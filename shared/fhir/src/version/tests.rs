use super::*;

pub(super) const OLD: [FhirVersion; 2] = [FhirVersion::R4, FhirVersion::R4B];

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

/// The text in R4, and what was left out; R4B is the same.
pub(super) fn convert_to_old(text: &str) -> Result<(String, Vec<&'static str>), VersionError> {
    let resource = raw(text);
    let [r4, r4b] = OLD.map(|version| match convert(version, &resource) {
        Ok(Converted::Resource { resource, dropped }) => Ok((resource.get().to_owned(), dropped)),
        Ok(Converted::NoSuchResource) => panic!("no such resource"),
        Err(error) => Err(error),
    });
    match (&r4, &r4b) {
        (Err(a), Err(b)) => assert_eq!(a.to_string().replace("R4", "R4B"), b.to_string()),
        _ => assert_eq!(r4, r4b),
    }
    r4
}

fn fails(text: &str) -> String {
    convert_to_old(text).unwrap_err().to_string()
}

/// An Observation whose value is SampledData with these members.
pub(super) fn sampled(members: &str) -> String {
    let origin = r#"{"value":0,"unit":"uV","system":"http://unitsofmeasure.org","code":"uV"}"#;
    format!(
        r#"{{"resourceType":"Observation","component":[{{"valueSampledData":{{"origin":{origin},{members},"dimensions":1}}}}]}}"#
    )
}

#[test]
fn r5_stays_what_it_is() {
    for text in ["{}", "[1]", r#"{"resourceType": "Bundle"}"#, &sampled(r#""interval":1"#)] {
        let resource = raw(text);
        let Converted::Resource { resource: same, dropped } = convert(FhirVersion::R5, &resource).unwrap()
        else {
            panic!("gone")
        };
        assert!(matches!(same, Cow::Borrowed(same) if std::ptr::eq(same, &raw const *resource)));
        assert_eq!(dropped, Vec::<&str>::new());
    }
}

#[test]
fn what_is_the_same_in_both_is_not_copied() {
    let weight = raw(
        r#"{"resourceType": "Observation", "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/bodyweight"]}, "status": "final", "valueQuantity": {"value": 81.40}, "component": [{"code": {}}]}"#,
    );
    let Ok(Converted::Resource { resource: Cow::Borrowed(same), dropped }) =
        convert(FhirVersion::R4, &weight)
    else {
        panic!("copied")
    };
    assert_eq!((same.get(), dropped.len()), (weight.get(), 0));
}

#[test]
fn elements_of_an_observation_that_are_new_in_r5_go() {
    let (text, dropped) = convert_to_old(
        r#"{"resourceType":"Observation","instantiatesCanonical":"x","_instantiatesCanonical":{"id":"a"},"instantiatesReference":{},"triggeredBy":[{}],"status":"final","bodyStructure":{},"extension":[{"url":"u"}],"valueQuantity":{"value":7.10},"referenceRange":[{"low":{"value":1.0},"normalValue":{}},{"normalValue":{}}],"component":[{"referenceRange":[{"normalValue":{}}],"valueString":"x"}]}"#,
    )
    .unwrap();
    assert_eq!(
        text,
        r#"{"resourceType":"Observation","status":"final","extension":[{"url":"u"}],"valueQuantity":{"value":7.10},"referenceRange":[{"low":{"value":1.0}}],"component":[{"valueString":"x"}]}"#
    );
    assert_eq!(
        dropped,
        [
            "Observation.instantiatesCanonical",
            "Observation.instantiatesReference",
            "Observation.triggeredBy",
            "Observation.bodyStructure",
            "Observation.referenceRange.normalValue",
        ]
    );
}

#[test]
fn a_value_that_has_no_home_is_an_error_and_not_a_reading_without_a_value() {
    for (text, path) in [
        (
            r#"{"resourceType":"Observation","valueAttachment":{"data":"7210"}}"#,
            "Observation.valueAttachment cannot be said in FHIR R4",
        ),
        (
            r#"{"resourceType":"Observation","component":[{"valueReference":{"display":"7210"}}]}"#,
            "Observation.component.valueReference cannot be said in FHIR R4",
        ),
    ] {
        assert_eq!(fails(text), path);
    }
}

#[test]
fn intervals_become_milliseconds_and_keep_their_digits() {
    for (interval, unit, period) in [
        ("2", "ms", "2"),
        ("3.333333", "ms", "3.333333"),
        ("4.0", "ms", "4.0"),
        ("2e0", "ms", "2e0"),
        ("60", "s", "60000"),
        ("0.004", "s", "4"),
        ("0.0040", "s", "4.0"),
        ("0.0033333333", "s", "3.3333333"),
        ("2e-3", "s", "2"),
        ("3333", "us", "3.333"),
        ("2000", "us", "2.000"),
        ("0.5", "us", "0.0005"),
    ] {
        let (text, dropped) = convert_to_old(&sampled(&format!(
            r#""interval":{interval},"intervalUnit":"{unit}","factor":1.50,"data":"1 -2.0 E""#
        )))
        .unwrap();
        let expected = sampled(&format!(r#""period":{period},"factor":1.50,"data":"1 -2.0 E""#));
        assert_eq!((text, dropped.len()), (expected, 0), "{interval} {unit}");
    }
}

#[test]
fn samples_with_times_of_their_own_become_even_ones() {
    for (offsets, unit, data, period, even) in [
        ("0 60 120", "s", "70 71 72", "60000", "70 71 72"),
        ("0 60 180", "s", "70 71 73", "60000", "70 71 E 73"),
        ("120 180", "s", "1.0 2", "60000", "E E 1.0 2"),
        ("0 0.5 2.0", "s", "1 2 U", "500", "1 2 E E U"),
        ("0", "s", "9", "1000", "9"),
        ("7", "s", "9", "7000", "E 9"),
        ("0 1500", "us", "1 2", "1.5", "1 2"),
        ("0 3", "ms", "1 2", "3", "1 2"),
    ] {
        let from = sampled(&format!(r#""intervalUnit":"{unit}","offsets":"{offsets}","data":"{data}""#));
        let to = sampled(&format!(r#""period":{period},"data":"{even}""#));
        assert_eq!(convert_to_old(&from).unwrap(), (to, vec![]), "{offsets}");
    }
    let two = r#"{"resourceType":"Observation","valueSampledData":{"dimensions":2,"offsets":"0 2 3","intervalUnit":"ms","data":"1 2 3 4 5 6"}}"#;
    let (text, _) = convert_to_old(two).unwrap();
    assert!(text.contains(r#""dimensions":2,"period":1,"data":"1 2 E E 3 4 5 6""#), "{text}");
}

#[test]
fn samples_of_a_vital_sign_become_a_component() {
    let of = |code: &str, rest: &str| {
        format!(
            r#"{{"resourceType":"Observation","code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}],"text":"HR"}},{rest}}}"#
        )
    };
    let value = r#""valueSampledData":{"interval":2,"intervalUnit":"s","data":"70"}"#;
    let even = r#""valueSampledData":{"period":2000,"data":"70"}"#;
    assert_eq!(convert_to_old(&of("112429-6", value)).unwrap().0, of("112429-6", even));
    let code = r#""code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}],"text":"HR"}"#;
    for (before, after) in [
        (format!("{value},\"x\":1.0"), format!(r#""component":[{{{code},{even}}}],"x":1.0"#)),
        (
            format!(r#"{value},"component":[{{"a":1.0}}]"#),
            format!(r#""component":[{{"a":1.0}},{{{code},{even}}}]"#),
        ),
    ] {
        assert_eq!(convert_to_old(&of("8867-4", &before)).unwrap(), (of("8867-4", &after), vec![]));
    }
}

#[test]
fn samples_that_r4_cannot_say_are_errors_that_name_the_path() {
    let at = "Observation.component.valueSampledData";
    for (members, path, malformed) in [
        (r#""interval":2,"intervalUnit":"min""#, "intervalUnit", false),
        (r#""interval":2,"intervalUnit":"ns""#, "intervalUnit", false),
        (r#""interval":2,"intervalUnit":"ms","codeMap":"http://x""#, "codeMap", false),
        (r#""offsets":"0 1 1","intervalUnit":"s","data":"1 2 3""#, "offsets", false),
        (r#""offsets":"5 1","intervalUnit":"s","data":"1 2""#, "offsets", false),
        (r#""offsets":"-1 1","intervalUnit":"s","data":"1 2""#, "offsets", false),
        (r#""offsets":"0 1 999999999","intervalUnit":"s","data":"1 2 3""#, "offsets", false),
        (r#""offsets":"0 1","intervalUnit":"s","data":"1 2 3""#, "data", true),
        (r#""offsets":"0 x","intervalUnit":"s","data":"1 2""#, "offsets", false),
        (r#""offsets":"0","interval":1,"intervalUnit":"s","data":"1""#, "interval", true),
        (r#""intervalUnit":"s","data":"1""#, "interval", true),
        (r#""interval":2,"data":"1""#, "intervalUnit", true),
        (r#""interval":"2","intervalUnit":"ms""#, "interval", true),
    ] {
        let expected = if malformed {
            format!("{at}.{path} is not as FHIR R5 says, and so is not written in R4")
        } else {
            format!("{at}.{path} cannot be said in FHIR R4")
        };
        assert_eq!(fails(&sampled(members)), expected, "{members}");
    }
}

#[test]
fn a_device_is_said_in_the_words_of_r4() {
    let (text, dropped) = convert_to_old(
        r#"{"resourceType":"Device","identifier":[{"value":"a"}],"displayName":"BPM","definition":{"reference":{"reference":"DeviceDefinition/1"}},"status":"active","name":[{"value":"BPM","type":"user-friendly-name","display":true},{"value":"B","type":"registered-name"}],"category":[{}],"type":[{"text":"a"},{"text":"b"}],"version":[{"value":"1.0","installDate":"2026"}],"conformsTo":[{"category":{},"specification":{"text":"s"},"version":"2"}],"property":[{"type":{"text":"battery"},"valueQuantity":{"value":80.0}},{"type":{},"valueInteger":7},{"type":{},"valueCodeableConcept":{"text":"high"}},{"type":{},"valueString":"x","_valueString":{"id":"i"}},{"type":{},"valueBoolean":true}],"gateway":[{}],"serialNumber":"7"}"#,
    )
    .unwrap();
    assert_eq!(
        text,
        r#"{"resourceType":"Device","identifier":[{"value":"a"}],"definition":{"reference":"DeviceDefinition/1"},"status":"active","deviceName":[{"name":"BPM","type":"user-friendly-name"},{"name":"B","type":"manufacturer-name"}],"type":{"text":"a"},"version":[{"value":"1.0"}],"specialization":[{"systemType":{"text":"s"},"version":"2"}],"property":[{"type":{"text":"battery"},"valueQuantity":[{"value":80.0}]},{"type":{},"valueQuantity":[{"value":7}]},{"type":{},"valueCode":[{"text":"high"}]},{"type":{},"valueCode":[{"text":"x"}]}],"serialNumber":"7"}"#
    );
    assert_eq!(
        dropped,
        [
            "Device.category",
            "Device.gateway",
            "Device.name.display",
            "Device.type",
            "Device.conformsTo.category",
            "Device.version.installDate",
            "Device.property",
        ]
    );
}

#[test]
fn a_display_name_that_is_no_name_becomes_one() {
    for (members, names) in [
        (
            r#""displayName":"BPM","status":"active""#,
            r#""deviceName":[{"name":"BPM","type":"user-friendly-name"}],"status":"active""#,
        ),
        (
            r#""displayName":"BPM","name":[{"value":"B","type":"patient-reported-name"}]"#,
            r#""deviceName":[{"name":"B","type":"patient-reported-name"},{"name":"BPM","type":"user-friendly-name"}]"#,
        ),
        (
            r#""name":[{"value":"\u0042","type":"other"}]"#,
            r#""deviceName":[{"name":"\u0042","type":"other"}]"#,
        ),
    ] {
        let device = |members: &str| format!(r#"{{"resourceType":"Device",{members}}}"#);
        assert_eq!(convert_to_old(&device(members)).unwrap(), (device(names), vec![]));
    }
}

#[test]
fn a_definition_that_is_a_concept_leaves_its_text() {
    for (definition, left, dropped) in [
        (r#"{"concept":{"text":"Scale"}}"#, r#","definition":{"display":"Scale"}"#, false),
        (r#"{"concept":{"text":"Scale","coding":[{}]}}"#, r#","definition":{"display":"Scale"}"#, true),
        (r#"{"concept":{"coding":[{}]}}"#, "", true),
        (
            r#"{"concept":{"text":"x"},"reference":{"reference":"a"}}"#,
            r#","definition":{"reference":"a"}"#,
            true,
        ),
    ] {
        let (text, lost) =
            convert_to_old(&format!(r#"{{"resourceType":"Device","definition":{definition}}}"#)).unwrap();
        assert_eq!(text, format!(r#"{{"resourceType":"Device"{left}}}"#));
        assert_eq!(lost.contains(&"Device.definition.concept"), dropped, "{definition}");
    }
}

#[test]
fn a_device_definition_is_said_in_the_words_of_r4() {
    let (text, dropped) = convert_to_old(
        r#"{"resourceType":"DeviceDefinition","description":"d","identifier":[{"value":"a"}],"manufacturer":{"display":"Withings"},"deviceName":[{"name":"BPM","type":"registered-name"}],"classification":[{"type":{"text":"a"}}],"conformsTo":[{"specification":{"text":"s"},"version":["2","3"]},{"specification":{"coding":[{"code":"528391"}]}}],"version":[{"value":"1.0"},{"value":"2","type":{}}],"property":[{"type":{},"valueQuantity":{"value":1.50}}],"guideline":{}}"#,
    )
    .unwrap();
    assert_eq!(
        text,
        r#"{"resourceType":"DeviceDefinition","identifier":[{"value":"a"}],"manufacturerString":"Withings","deviceName":[{"name":"BPM","type":"manufacturer-name"}],"type":{"text":"a"},"specialization":[{"systemType":"s","version":"2"},{"systemType":"528391"}],"version":["1.0","2"],"property":[{"type":{},"valueQuantity":[{"value":1.50}]}]}"#
    );
    assert_eq!(
        dropped,
        [
            "DeviceDefinition.description",
            "DeviceDefinition.guideline",
            "DeviceDefinition.conformsTo.version",
            "DeviceDefinition.conformsTo.specification",
            "DeviceDefinition.version",
        ]
    );
    let reference =
        r#"{"resourceType":"DeviceDefinition","manufacturer":{"reference":"Organization/1","display":"W"}}"#;
    let expected = reference.replace("manufacturer\"", "manufacturerReference\"");
    assert_eq!(convert_to_old(reference).unwrap(), (expected, vec![]));
}

#[test]
fn a_provenance_is_said_in_the_words_of_r4() {
    let (text, dropped) = convert_to_old(
        r#"{"resourceType":"Provenance","target":[{}],"recorded":"2026-01-01T00:00:00Z","authorization":[{"concept":{"text":"c"}},{"reference":{}}],"patient":{},"encounter":{},"basedOn":[{}],"agent":[{"who":{}}],"entity":[{"role":"source","what":{}},{"role":"instantiates","what":{}}]}"#,
    )
    .unwrap();
    assert_eq!(
        text,
        r#"{"resourceType":"Provenance","target":[{}],"recorded":"2026-01-01T00:00:00Z","reason":[{"text":"c"}],"agent":[{"who":{}}],"entity":[{"role":"source","what":{}},{"role":"derivation","what":{}}]}"#
    );
    assert_eq!(
        dropped,
        ["Provenance.patient", "Provenance.encounter", "Provenance.basedOn", "Provenance.authorization"]
    );
    assert_eq!(fails(r#"{"resourceType":"Provenance"}"#), "FHIR R4 demands Provenance.recorded");
}

#[test]
fn an_association_becomes_the_patient_of_the_device() {
    let association = raw(r#"{"resourceType":"DeviceAssociation","device":{}}"#);
    for version in OLD {
        assert!(matches!(convert(version, &association), Ok(Converted::NoSuchResource)));
    }
    let device = raw(r#"{"resourceType":"Device","status":"active"}"#);
    for (patient, said) in [
        ("Patient/p1", r#"{"reference":"Patient/p1"}"#),
        (
            "Patient?identifier=https://clinic.example/mrn|42",
            r#"{"type":"Patient","identifier":{"system":"https://clinic.example/mrn","value":"42"}}"#,
        ),
    ] {
        let owned = with_patient(&device, &patient.parse().unwrap()).unwrap();
        assert_eq!(owned.get(), format!(r#"{{"resourceType":"Device","status":"active","patient":{said}}}"#));
    }
    assert_eq!(
        with_patient(&association, &"Patient/p1".parse().unwrap()).unwrap_err(),
        VersionError::NotOurs
    );
}

#[test]
fn what_is_contained_is_converted_too() {
    let (text, dropped) = convert_to_old(
        r##"{"resourceType":"Observation","contained":[{"resourceType":"Device","id":"d","displayName":"B","mode":{}},{"resourceType":"DeviceAssociation"},{"resourceType":"Patient","id":"p"}],"device":{"reference":"#d"}}"##,
    )
    .unwrap();
    assert_eq!(
        text,
        r##"{"resourceType":"Observation","contained":[{"resourceType":"Device","id":"d","deviceName":[{"name":"B","type":"user-friendly-name"}]},{"resourceType":"Patient","id":"p"}],"device":{"reference":"#d"}}"##
    );
    assert_eq!(dropped, ["Device.mode", "DomainResource.contained"]);
}

#[test]
fn what_is_not_ours_is_refused_without_being_shown() {
    for text in ["72.10", "[]", "{}", r#"{"resourceType":"72"}"#, r#"{"resourceType":"Bundle","type":"72"}"#]
    {
        let error = fails(text);
        assert!(error.starts_with("only an Observation") && !error.contains("72"), "{error}");
    }
    assert_eq!(
        fails(r#"{"resourceType":"Device","name":"72"}"#),
        "Device.name is not as FHIR R5 says, and so is not written in R4"
    );
    let debug =
        format!("{:?}", convert(FhirVersion::R4, &raw(r#"{"resourceType":"Device","mode":{"text":"72"}}"#)));
    assert_eq!(debug, r#"Ok(Resource(without ["Device.mode"]))"#);
}
