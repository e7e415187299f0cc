use super::*;
use ohx_domain::{LinkId, Sensitive, account_pseudonym};
use serde_json::Value;

fn account() -> AccountPseudonym {
    account_pseudonym(&provider(), &Sensitive::new("363".to_owned()), &patient())
}

fn provider() -> ProviderName {
    "withings".parse().unwrap()
}

fn patient() -> PatientReference {
    "Patient/p1".parse().unwrap()
}

/// What `work` makes for the owner.
fn owned<T>(work: impl FnOnce(&Owner<'_>) -> T) -> T {
    let (provider, account, patient) = (provider(), account(), patient());
    let base = "https://ohx.example/ns/";
    work(&Owner { base, provider: &provider, kind: "withings", account: &account, patient: &patient })
}

fn read(mapped: &MappedResource) -> Value {
    serde_json::from_str(mapped.resource.get()).unwrap()
}

fn poor(id: &str, model: Option<&str>, model_id: Option<&str>) -> Result<MappedResource, DeviceError> {
    device("https://ohx.example/ns", &provider(), "Withings", &account(), id, model, model_id)
}

const SCALE: Facts<'static> = Facts {
    id: "a1b2c3d4",
    model: Some("Body+"),
    model_id: Some("5"),
    kind: Some("Scale"),
    record: None,
    firmware: Some("1751"),
    battery_percent: Some(84),
    battery: None,
};

#[test]
fn a_device_is_what_r5_says() {
    let mapped = poor("a1b2c3d4", Some("BPM Connect"), Some("45")).unwrap();
    let value = mapped.identifier.value.clone();
    assert!(value.ends_with(".a1b2c3d4") && !value.contains("363"), "{value}");
    assert!(mapped.only_if_missing, "it replaces nothing that the provider's list says");
    assert_eq!(
        read(&mapped),
        json!({
            "resourceType": "Device",
            "identifier": [{ "system": "https://ohx.example/ns/withings/device", "value": value }],
            "displayName": "BPM Connect",
            "status": "active",
            "manufacturer": "Withings",
            "modelNumber": "45",
            "name": [{ "value": "BPM Connect", "type": "user-friendly-name", "display": true }],
        })
    );
}

#[test]
fn a_listed_device_is_the_same_resource_and_says_more() {
    let listed = owned(|owner| owner.device(&SCALE, Some("DeviceDefinition/d1"))).unwrap();
    assert_eq!(listed.identifier, poor("a1b2c3d4", None, None).unwrap().identifier);
    assert!(!listed.only_if_missing);
    let value = listed.identifier.value.clone();
    assert_eq!(
        read(&listed),
        json!({
            "resourceType": "Device",
            "identifier": [{ "system": "https://ohx.example/ns/withings/device", "value": value }],
            "displayName": "Body+",
            "definition": { "reference": { "reference": "DeviceDefinition/d1" } },
            "status": "active",
            "manufacturer": "Withings",
            "modelNumber": "5",
            "name": [{ "value": "Body+", "type": "user-friendly-name", "display": true }],
            "type": [{ "coding": [{ "system": "urn:iso:std:iso:11073:10101", "code": "528399" }], "text": "Scale" }],
            "version": [{
                "type": { "coding": [{ "system": "urn:iso:std:iso:11073:10101", "code": "531976" }], "text": "Firmware" },
                "value": "1751",
            }],
            "property": [{
                "type": { "text": "Battery charge" },
                "valueQuantity": { "value": 84, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%" },
            }],
        })
    );
    assert!(
        listed.resource.get().contains(r#""value":84"#) && !listed.resource.get().contains("84.0"),
        "an integer stays one: {}",
        listed.resource.get()
    );
    let word = Facts { battery_percent: None, battery: Some("low"), ..SCALE };
    let word = read(&owned(|owner| owner.device(&word, None)).unwrap());
    assert_eq!(word["property"][0]["valueCodeableConcept"], json!({"text": "low"}));
}

#[test]
fn a_device_of_which_little_is_known_is_still_a_device() {
    let got = read(&poor("a", None, Some("  ")).unwrap());
    assert_eq!(got["displayName"], "Withings device");
    assert!(got.get("modelNumber").is_none() && got.get("type").is_none() && got.get("property").is_none());
    assert!(matches!(poor(" ", None, None), Err(DeviceError::NoId(_))));
    let nameless = Facts { id: "\u{7}", ..SCALE };
    assert!(matches!(owned(|owner| owner.device(&nameless, None)), Err(DeviceError::NoId(_))));
}

#[test]
fn the_digest_follows_what_is_said() {
    let digest = |facts: &Facts<'_>, definition| owned(|o| o.device(facts, definition)).unwrap().digest;
    let same = digest(&SCALE, Some("DeviceDefinition/1"));
    assert_eq!(same, digest(&SCALE.clone(), Some("DeviceDefinition/1")));
    let others = [
        digest(&SCALE, None),
        digest(&Facts { model: Some("Body"), ..SCALE }, Some("DeviceDefinition/1")),
        digest(&Facts { model_id: None, ..SCALE }, Some("DeviceDefinition/1")),
        digest(&Facts { kind: None, ..SCALE }, Some("DeviceDefinition/1")),
        digest(&Facts { firmware: None, ..SCALE }, Some("DeviceDefinition/1")),
        digest(&Facts { battery_percent: Some(83), ..SCALE }, Some("DeviceDefinition/1")),
        digest(&Facts { battery_percent: None, ..SCALE }, Some("DeviceDefinition/1")),
    ];
    assert!(others.iter().all(|other| *other != same), "{others:?}");
    let facts = Facts { battery: Some("high"), ..SCALE };
    assert_eq!(digest(&facts, Some("DeviceDefinition/1")), same, "per cent say more than a word");
}

#[test]
fn what_a_device_is_comes_from_its_list_or_from_what_it_measures() {
    let code = |kind, record| {
        let facts = Facts { id: "a", kind, record, ..Facts::default() };
        let device = read(&owned(|owner| owner.device(&facts, None)).unwrap());
        device["type"][0]["coding"][0]["code"].as_str().map(str::to_owned)
    };
    for (kind, record, expected) in [
        (Some("Scale"), None, Some("528399")),
        (Some("SCALE"), None, Some("528399")),
        (Some("Blood Pressure Monitor"), Some("weight"), Some("528391")),
        (Some("Activity Tracker"), Some("weight"), None),
        (None, Some("bloodpressure"), Some("528391")),
        (None, Some("glucose"), Some("528401")),
        (None, Some("oxygen-saturation"), Some("528388")),
        (None, Some("temperature"), Some("528392")),
        (None, Some("activity"), None),
        (None, None, None),
    ] {
        assert_eq!(code(kind, record).as_deref(), expected, "{kind:?} {record:?}");
    }
}

#[test]
fn a_model_is_shared_by_all_patients_and_says_nothing_of_one() {
    let definition = owned(|owner| owner.definition(&SCALE)).unwrap().unwrap();
    assert_eq!(
        read(&definition),
        json!({
            "resourceType": "DeviceDefinition",
            "identifier": [{ "system": "https://ohx.example/ns/withings/device-model", "value": "5" }],
            "manufacturer": { "display": "Withings" },
            "deviceName": [{ "name": "Body+", "type": "user-friendly-name" }],
            "modelNumber": "5",
            "classification": [{
                "type": { "coding": [{ "system": "urn:iso:std:iso:11073:10101", "code": "528399" }], "text": "Scale" },
            }],
        })
    );
    let other = Facts { id: "b", battery_percent: Some(1), firmware: None, ..SCALE };
    let other = owned(|owner| owner.definition(&other)).unwrap().unwrap();
    assert_eq!((other.identifier, other.digest), (definition.identifier, definition.digest));

    let nameless = Facts { model: Some(""), ..SCALE };
    let nameless = owned(|owner| owner.definition(&nameless)).unwrap().unwrap();
    assert!(nameless.only_if_missing && !definition.only_if_missing);
    let named = Facts { model_id: None, ..SCALE };
    assert_eq!(owned(|owner| owner.definition(&named)).unwrap().unwrap().identifier.value, "Body+");
    let neither = Facts { model: None, model_id: None, ..SCALE };
    assert!(owned(|owner| owner.definition(&neither)).unwrap().is_none());
}

#[test]
fn an_association_lasts_and_ends() {
    let (link, since) = (LinkId::new(), "2026-01-02T10:00:00.250001Z".parse().unwrap());
    let made = owned(|owner| owner.association(&SCALE, link, "Device/d1", Some(since))).unwrap();
    let code = |system: &str, code: &str| json!({"coding": [{"system": format!("http://hl7.org/fhir/{system}"), "code": code}]});
    let mut expected = json!({
        "resourceType": "DeviceAssociation",
        "identifier": [{
            "system": "https://ohx.example/ns/withings/device-association",
            "value": format!("{link}.a1b2c3d4"),
        }],
        "device": { "reference": "Device/d1" },
        "status": code("deviceassociation-status", "attached"),
        "statusReason": [code("deviceassociation-status-reason", "attached")],
        "subject": { "reference": "Patient/p1" },
        "period": { "start": "2026-01-02T10:00:00Z" },
    });
    assert_eq!(read(&made), expected);

    let later = "2026-03-04T10:00:00Z".parse().unwrap();
    let again = owned(|owner| owner.association(&SCALE, link, "Device/d1", Some(later))).unwrap();
    assert_eq!(again.digest, made.digest, "a second consent moves no beginning");

    let held = Association {
        identifier: made.identifier.clone(),
        device: "Device/d1".into(),
        start: Some("2026-01-02T10:00:00Z".into()),
        ended: false,
    };
    let ended = held.ended("Patient/p1", "2026-05-06T07:08:09.5Z".parse().unwrap()).unwrap();
    expected["statusReason"] = json!([code("deviceassociation-status-reason", "disconnected")]);
    expected["period"]["end"] = json!("2026-05-06T07:08:09Z");
    assert_eq!(read(&ended), expected);
    assert_eq!(ended.identifier, made.identifier);
    assert_ne!(ended.digest, made.digest);
    let retried = held.ended("Patient/p1", "2026-05-07T07:08:09Z".parse().unwrap()).unwrap();
    assert_eq!(retried.digest, ended.digest, "ended once");
}
