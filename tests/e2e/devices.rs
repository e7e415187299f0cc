//! Devices: they come with the connection, are the ones that readings name, and end with it.

use std::collections::BTreeMap;

use ohx_sandbox::fhir::FhirServer;
use ohx_sandbox::google_health;
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::Outside;
use ohx_tests::patient::{connect, connect_to};
use ohx_tests::until;
use serde_json::{Value, json};

use crate::both_shapes;

both_shapes!(
    devices_come_with_the_connection_and_end_with_it,
    devices_that_only_readings_name_get_their_model_and_patient,
    a_server_that_assigns_ids_gets_each_device_once,
);

const PATIENT: &str = "Patient/p1";

fn all(ehr: &FhirServer, kind: &str) -> Vec<Value> {
    ehr.resources(kind).iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

/// The version of each resource of the device family, by type and id.
fn versions(ehr: &FhirServer) -> BTreeMap<String, String> {
    let kinds = ["Device", "DeviceDefinition", "DeviceAssociation"];
    let of = |kind| {
        let key = move |r: Value| (format!("{kind}/{}", r["id"]), r["meta"]["versionId"].to_string());
        all(ehr, kind).into_iter().map(key)
    };
    kinds.into_iter().flat_map(of).collect()
}

/// Asks for a link's devices; waits until they are brought.
async fn create(deployment: &Deployment, named: &str, body: &Value) -> Value {
    let before = published(deployment);
    let (status, asked) =
        deployment.post(&format!("/api/base/provider-links/{named}/create_fhir_device/"), body).await;
    assert_eq!(status, 202, "{asked}");
    assert!(asked["id"].as_str().is_some_and(|id| id.len() == 36), "{asked}");
    until("the devices are brought", 60, async || (published(deployment) > before).then_some(())).await;
    asked
}

/// How often devices were brought.
fn published(deployment: &Deployment) -> usize {
    deployment.logs().matches("devices published").count()
}

/// Waits until nothing is written of devices any more: readings may ask for them once a day.
pub(crate) async fn quiet(ehrs: &[&FhirServer], deployment: &Deployment, link: &str) {
    deployment.settled(link).await;
    create(deployment, link, &json!({})).await;
    let all = || ehrs.iter().map(|ehr| versions(ehr)).collect::<Vec<_>>();
    let mut last = all();
    until("the devices are settled", 60, async || {
        ohx_tests::process::breathe(300).await;
        let now = all();
        (now == std::mem::replace(&mut last, now.clone())).then_some(())
    })
    .await;
}

async fn devices_come_with_the_connection_and_end_with_it(shape: Shape) {
    let outside = Outside::start().await;
    let person = outside.person(1, "Ada");
    outside.withings.seed_history(person, 5, 3).unwrap();
    let deployment = Deployment::start(shape, &outside).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 6).await;
    outside.agree(person, PATIENT).await;
    quiet(&[&outside.ehr], &deployment, &link).await;

    // The provider's list: a scale, two cuffs, a thermometer, a watch without a name, and a sleep mat.
    let devices = all(&outside.ehr, "Device");
    assert_eq!(devices.len(), 6, "{devices:#?}");
    assert_eq!(all(&outside.ehr, "DeviceDefinition").len(), 6);
    let cuff = devices.iter().find(|device| device["displayName"] == "BPM Connect").unwrap();
    assert_eq!(cuff["modelNumber"], "45");
    assert_eq!(cuff["type"][0]["coding"][0]["code"], "528391");
    assert_eq!(cuff["property"][0]["valueCodeableConcept"]["text"], "medium");
    let model = cuff["definition"]["reference"]["reference"].as_str().unwrap();
    let definitions = all(&outside.ehr, "DeviceDefinition");
    let definition = definitions
        .iter()
        .find(|d| model == format!("DeviceDefinition/{}", d["id"].as_str().unwrap()))
        .unwrap();
    assert_eq!(definition["deviceName"][0]["name"], "BPM Connect");

    // Readings refer to these, and to no others.
    let ids: Vec<String> = devices.iter().map(|d| format!("Device/{}", d["id"].as_str().unwrap())).collect();
    let named: Vec<String> = all(&outside.ehr, "Observation")
        .iter()
        .filter_map(|o| o["device"]["reference"].as_str().map(str::to_owned))
        .collect();
    assert!(named.len() > 10 && named.iter().all(|reference| ids.contains(reference)), "{named:?}");

    let associations = all(&outside.ehr, "DeviceAssociation");
    assert_eq!(associations.len(), 6);
    for association in &associations {
        assert!(ids.contains(&association["device"]["reference"].as_str().unwrap().to_owned()));
        assert_eq!(association["subject"]["reference"], PATIENT);
        assert_eq!(association["status"]["coding"][0]["code"], "attached");
        assert!(association["period"]["start"].is_string() && association["period"]["end"].is_null());
    }

    // Asked for again, in each of the ways: nothing is written.
    let before = versions(&outside.ehr);
    create(&deployment, &link, &json!({})).await;
    create(&deployment, "withings", &json!({"patient": PATIENT})).await;
    let asked = create(&deployment, "withings", &json!({"link": link, "ehr": "clinic"})).await;
    assert_eq!(asked["links"], json!([link]));
    assert_eq!(versions(&outside.ehr), before);
    for (named, body, expected) in [
        ("withings", json!({}), 422),
        ("withings", json!({"patient": "Patient/nobody"}), 404),
        ("omron", json!({"link": link}), 404),
        ("withings", json!({"link": link, "what": 1}), 422),
    ] {
        let path = format!("/api/base/provider-links/{named}/create_fhir_device/");
        let (status, problem) = deployment.post(&path, &body).await;
        assert_eq!(status, expected, "{named} {body}: {problem}");
    }

    // The link ends, and with it whose devices they are.
    let (status, _) =
        deployment.post(&format!("/api/base/provider-links/{link}/disconnect/"), &json!({})).await;
    assert_eq!(status, 200);
    until("the associations end", 60, async || {
        let all = all(&outside.ehr, "DeviceAssociation");
        all.iter().all(|a| a["period"]["end"].is_string()).then_some(())
    })
    .await;
    for (ended, begun) in all(&outside.ehr, "DeviceAssociation").iter().zip(&associations) {
        assert_eq!(ended["id"], begun["id"]);
        assert_eq!(ended["period"]["start"], begun["period"]["start"]);
        assert_eq!(ended["statusReason"][0]["coding"][0]["code"], "disconnected");
    }
    assert_eq!(outside.ehr.snapshot().doubles, 0);
    let path = format!("/api/base/provider-links/{link}/create_fhir_device/");
    assert_eq!(deployment.post(&path, &json!({})).await.0, 409, "an ended link has no devices to ask for");
    assert_eq!(deployment.list("/api/publishers/dead-letters/").await, json!([]));
}

/// Omron has no list: a reading's word for its device is all there is.
async fn devices_that_only_readings_name_get_their_model_and_patient(shape: Shape) {
    const OMRON: &str = "7d1b0a6e-4b7e-4c29-9d0a-4f1f6f1f2a31";
    let outside = Outside::start().await.and_others().await;
    let omron = &outside.others().omron;
    let person = ohx_sandbox::omron::Person {
        id: OMRON.into(),
        name: "Olaf".into(),
        timezone: "Europe/Vienna".into(),
    };
    omron.add_person(person).unwrap();
    omron.seed_history(OMRON, 5).unwrap();
    let deployment = Deployment::start(shape, &outside).await;
    let link = connect_to(&deployment, &outside, "omron", PATIENT, OMRON, 6).await;
    let devices = until("every device has a model and a patient", 90, async || {
        let devices = all(&outside.ehr, "Device");
        let associations = all(&outside.ehr, "DeviceAssociation").len();
        let models = devices.iter().filter(|device| device["definition"].is_object()).count();
        // One kind of device says nothing of what it is, and is left as its readings made it.
        (associations > 0 && associations == devices.len() && models > 0).then_some(devices)
    })
    .await;
    let cuff = devices.iter().find(|d| d["type"][0]["coding"][0]["code"] == "528391");
    assert!(cuff.is_some_and(|d| d["manufacturer"] == "OMRON"), "{devices:#?}");
    let (status, _) =
        deployment.post(&format!("/api/base/provider-links/{link}/disconnect/"), &json!({})).await;
    assert_eq!(status, 200);
    until("the associations end", 60, async || {
        let all = all(&outside.ehr, "DeviceAssociation");
        all.iter().all(|a| a["period"]["end"].is_string()).then_some(())
    })
    .await;
    assert_eq!(outside.ehr.snapshot().doubles, 0);
}

/// Google lists a device by another id than its readings name it by: it is one Device all the same.
async fn a_server_that_assigns_ids_gets_each_device_once(shape: Shape) {
    const GOOGLE: u64 = 111_111_256_096_816_351;
    let outside = Outside::start().await.and_others().await.writing("conditional-create", 100);
    let google = &outside.others().google;
    let person = google_health::Person {
        id: GOOGLE,
        name: "Gita".into(),
        timezone: "Europe/Amsterdam".into(),
        legacy_id: None,
        linked: true,
    };
    google.add_person(person).unwrap();
    google.seed_daily(GOOGLE, 3).unwrap();
    let deployment = Deployment::start(shape, &outside).await;
    let link = connect_to(&deployment, &outside, "fitbit", PATIENT, &GOOGLE.to_string(), 4).await;
    quiet(&[&outside.ehr], &deployment, &link).await;
    let devices = all(&outside.ehr, "Device");
    let named = |model: &str| devices.iter().filter(|device| device["displayName"] == model).count();
    assert_eq!((named("Charge 6"), named("Aria Air")), (1, 1), "{devices:#?}");
    let band = devices.iter().find(|device| device["displayName"] == "Charge 6").unwrap();
    assert_eq!(band["property"][0]["valueQuantity"]["value"], 84);
    let definition = band["definition"]["reference"]["reference"].as_str().unwrap();
    assert!(definition.starts_with("DeviceDefinition/s"), "an id of the server's: {definition}");
    let before = versions(&outside.ehr);
    create(&deployment, &link, &json!({})).await;
    assert_eq!(versions(&outside.ehr), before);
    assert_eq!(outside.ehr.snapshot().doubles, 0);
}
