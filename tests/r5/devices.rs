//! Devices: what is written of them holds against HL7's definitions, and readings refer to theirs.

use ohx_domain::{LinkId, Sensitive, account_pseudonym};
use ohx_events::sealed::MappedResource;
use ohx_fhir::device::{Association, Facts, Owner};

use crate::outputs::{BASE, OUTPUTS, SOURCES};
use crate::{schema, validate};

const LISTED: Facts<'static> = Facts {
    id: "a1b2c3d4",
    model: Some("Body \"+\" \\ é"),
    model_id: Some("5"),
    kind: Some("Scale"),
    record: None,
    firmware: Some("1751"),
    battery_percent: Some(84),
    battery: None,
};

/// With everything, with nothing but an id, and what lies between.
fn facts() -> Vec<Facts<'static>> {
    let bare = Facts { id: "b", ..Facts::default() };
    vec![
        LISTED,
        bare,
        Facts { battery_percent: None, battery: Some("low"), ..LISTED },
        Facts { battery_percent: Some(0), firmware: None, model_id: None, ..LISTED },
        Facts { kind: Some("Futuristic Device"), ..bare },
        Facts { record: Some("bloodpressure"), model: Some("HEM-7361T"), ..bare },
    ]
}

/// What HL7's definitions say. The codes of devices are bound to examples only: `shared/fhir` has tests of them.
fn problems(text: &str) -> Vec<String> {
    validate::problems(text, &[])
}

fn judge(wrong: &mut Vec<String>, made: &MappedResource) {
    let text = made.resource.get();
    wrong.extend(problems(text).into_iter().chain(schema::problems(text)).map(|p| format!("{p}: {text}")));
    wrong.extend(crate::r4::problems_of(text).into_iter().map(|p| format!("{p}: {text}")));
}

#[test]
fn every_resource_of_a_device_is_valid() {
    let (provider, patient) = ("withings".parse().unwrap(), "Patient/p1".parse().unwrap());
    let account = account_pseudonym(&provider, &Sensitive::new("363".to_owned()), &patient);
    let owner =
        Owner { base: BASE, provider: &provider, kind: "withings", account: &account, patient: &patient };
    let mut wrong = Vec::new();
    for facts in facts() {
        for definition in [None, Some("DeviceDefinition/d1")] {
            judge(&mut wrong, &owner.device(&facts, definition).unwrap());
        }
        if let Some(definition) = owner.definition(&facts).unwrap() {
            judge(&mut wrong, &definition);
        }
        for since in [None, "2026-01-02T10:00:00.250001Z".parse().ok()] {
            let made = owner.association(&facts, LinkId::new(), "Device/d1", since).unwrap();
            judge(&mut wrong, &made);
        }
    }
    for start in [None, Some("2026-01-02"), Some("2026-01-02T10:00:00+01:00")] {
        let held = Association {
            identifier: ohx_domain::Identifier { system: format!("{BASE}/withings/x"), value: "v".into() },
            device: "Device/d1".into(),
            start: start.map(str::to_owned),
            ended: false,
        };
        judge(&mut wrong, &held.ended("Patient/p1", "2026-05-06T07:08:09.5Z".parse().unwrap()).unwrap());
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// A definition that could not fail would prove nothing: what the validator says of associations that are none.
#[test]
fn a_wrong_association_is_found() {
    let good = r#"{"resourceType":"DeviceAssociation","device":{"reference":"Device/d1"},"status":{"coding":[{"system":"http://hl7.org/fhir/deviceassociation-status","code":"attached"}]}}"#;
    assert_eq!(problems(good), Vec::<String>::new());
    for (from, to) in [
        ("attached", "detached"),
        ("Device/d1", "Patient/p1"),
        (r#""device":{"reference":"Device/d1"},"#, ""),
        (r#""device""#, r#""operator""#),
    ] {
        assert!(!problems(&good.replace(from, to)).is_empty(), "{from} as {to}");
    }
}

/// Readings name the device that they were measured with, and what a person typed in names none.
#[test]
fn readings_refer_to_their_device_and_manual_entries_to_none() {
    let notes: Vec<String> = SOURCES
        .iter()
        .flat_map(|source| {
            source.document.to_string().split("\"note\":\"").skip(1).map(note).collect::<Vec<_>>()
        })
        .collect();
    assert!(!notes.is_empty(), "no document says what is typed in");
    let (outputs, devices) = &*OUTPUTS;
    let (mut typed_in, mut measured) = (0, 0);
    for output in outputs {
        if notes.iter().any(|note| output.text().contains(note.as_str())) {
            assert_eq!(output.mapped.device, None, "{}: {}", output.from, output.kind);
            typed_in += 1;
        } else if let Some(device) = &output.mapped.device {
            assert!(devices.iter().any(|known| known.identifier == *device), "{}", output.from);
            measured += 1;
        }
    }
    assert!(typed_in >= 10 && measured >= 100, "{typed_in} typed in, {measured} measured");
}

/// The text up to the next quote.
fn note(text: &str) -> String {
    text.split('"').next().unwrap_or_default().to_owned()
}
