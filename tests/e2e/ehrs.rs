//! The EHR's side: several endpoints, other versions of FHIR, patients that are named by an identifier, readings that the
//! provider has no more.

use std::sync::Arc;

use ohx_domain::SystemClock;
use ohx_sandbox::compare;
use ohx_sandbox::fhir::FhirServer;
use ohx_sandbox::google_health::{self, USUAL};
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::others::agree;
use ohx_tests::outside::{Outside, another_ehr, http};
use ohx_tests::patient::{connect_to, consent};
use ohx_tests::until;
use serde_json::{Value, json};

use crate::both_shapes;

both_shapes!(
    one_patient_at_two_ehrs_of_two_versions,
    a_patient_is_named_by_an_identifier,
    what_the_provider_has_no_more_is_marked,
    an_endpoint_is_examined,
);

const PATIENT: &str = "Patient/p1";
const PERSON: u64 = 363;

fn ehr_named(name: &str, base: &str, more: &str) -> String {
    format!("ehrs:\n  - name: {name}\n    base_url: {base}\n{more}")
}

/// Creates a link as `new` says, and consents as the person.
async fn connect_as(deployment: &Deployment, outside: &Outside, new: Value) -> String {
    let (status, created) = deployment.post("/api/base/provider-links/", &new).await;
    assert_eq!(status, 201, "{created}");
    let (status, page) =
        consent(outside, created["connect_url"].as_str().unwrap(), &PERSON.to_string()).await;
    assert_eq!(status, 200, "{page}");
    created["id"].as_str().unwrap().to_owned()
}

async fn one_patient_at_two_ehrs_of_two_versions(shape: Shape) {
    let outside = Outside::start().await;
    outside.person(PERSON, "Ida");
    outside.withings.seed_daily(PERSON, 3).unwrap();
    let clock = Arc::new(SystemClock);
    let (older, base) = another_ehr(FhirServer::new(clock).with_version("4.0.1")).await;
    let deployment = Deployment::start(shape, &outside).await;
    let (code, said) =
        deployment.apply(&ehr_named("older", &base, "    fhir_version: R4\n    bundle: transaction\n"));
    assert_eq!(code, Some(0), "{said}");

    let twice = json!([{ "ehr": "clinic", "patient": "Patient/x" }]);
    let new = json!({ "provider": "withings", "ehr": "clinic", "patient": PATIENT, "also": twice });
    let (status, problem) = deployment.post("/api/base/provider-links/", &new).await;
    assert_eq!(status, 422, "{problem}");
    let also = json!([{ "ehr": "older", "patient": "Patient/q7" }]);
    let new = json!({ "provider": "withings", "ehr": "clinic", "patient": PATIENT, "also": also, "backfill_days": 4 });
    let link = connect_as(&deployment, &outside, new).await;

    let here = outside.agree(PERSON, PATIENT).await;
    deployment.settled(&link).await;
    // The other endpoint has the same readings, each once and digit for digit, of the patient as they are known there.
    let readings = outside.withings.readings(PERSON, &ohx_sandbox::withings::USUAL).unwrap();
    let there = compare::compare("withings", &readings, &http(), &base, "Patient/q7").await.unwrap();
    let differ: Vec<_> = there.iter().filter(|(_, row)| !row.agrees()).collect();
    assert!(differ.is_empty(), "{differ:#?}");
    assert_eq!(there.into_values().sum::<compare::Row>().ehr, here.ehr);
    // In its own words: R4 has no DeviceAssociation, and a Device has one type and a patient.
    assert!(older.resources("DeviceAssociation").is_empty());
    let devices = older.resources("Device");
    assert!(!devices.is_empty());
    for device in devices {
        let device: Value = serde_json::from_str(&device).unwrap();
        assert_eq!(device["patient"]["reference"], "Patient/q7", "{device}");
        assert!(device.get("name").is_none() && device["deviceName"].is_array(), "{device}");
    }
    assert_eq!(deployment.list("/api/publishers/dead-letters/").await, json!([]));

    // Asked again, neither gets a new version. What the provider says of the devices comes on a way of its own.
    crate::devices::quiet(&[&outside.ehr, &older], &deployment, &link).await;
    let versions = (outside.ehr.snapshot().versions, older.snapshot().versions);
    let (status, sync) = deployment.post("/api/ingestors/syncs/", &json!({ "link": link })).await;
    assert_eq!(status, 202, "{sync}");
    crate::providers::completed(&deployment, &sync).await;
    assert_eq!((outside.ehr.snapshot().versions, older.snapshot().versions), versions);
}

async fn a_patient_is_named_by_an_identifier(shape: Shape) {
    let outside = Outside::start().await;
    outside.person(PERSON, "Ida");
    outside.withings.seed_daily(PERSON, 2).unwrap();
    let deployment = Deployment::start(shape, &outside).await;
    let named = "Patient?identifier=https://clinic.example/mrn|M-1234";
    let new = json!({ "provider": "withings", "ehr": "clinic", "patient": named, "backfill_days": 3 });
    let link = connect_as(&deployment, &outside, new).await;
    until("the patient is said to be missing", 60, async || {
        deployment.logs().contains("there is no patient at EHR endpoint clinic").then_some(())
    })
    .await;
    assert!(outside.ehr.resources("Observation").is_empty(), "nobody's readings are written");
    assert!(!deployment.logs().contains("M-1234"), "an identifier of a person is not logged");

    let patient = json!({ "resourceType": "Patient",
        "identifier": [{ "system": "https://clinic.example/mrn", "value": "M-1234" }] });
    let stored = http().post(format!("{}/Patient", outside.fhir_url)).json(&patient).send().await.unwrap();
    assert_eq!(stored.status(), 201);
    let stored: Value = serde_json::from_str(&outside.ehr.resources("Patient")[0]).unwrap();
    let reference = format!("Patient/{}", stored["id"].as_str().unwrap());
    // What could not be written is asked for again, as the nightly run does.
    let (status, sync) = deployment.post("/api/ingestors/syncs/", &json!({ "link": link })).await;
    assert_eq!(status, 202, "{sync}");
    outside.agree(PERSON, &reference).await;
    let searches = outside.ehr.stats().calls["GET"];
    outside.withings.weigh_now(PERSON, "71.3").unwrap();
    outside.agree(PERSON, &reference).await;
    assert!(searches > 0);
}

async fn what_the_provider_has_no_more_is_marked(shape: Shape) {
    let outside = Outside::start().await.and_others().await;
    let google = outside.others().google.clone();
    let id = 111_111_256_096_816_351;
    let person = google_health::Person {
        id,
        name: "Gita".into(),
        timezone: "Europe/Amsterdam".into(),
        legacy_id: None,
        linked: true,
    };
    google.add_person(person).unwrap();
    google.seed_daily(id, 3).unwrap();
    let deployment = Deployment::start(shape, &outside).await;
    let link = connect_to(&deployment, &outside, "fitbit", PATIENT, &id.to_string(), 4).await;
    let truth = || google.readings(id, &USUAL).unwrap();
    agree(&outside, "fitbit", PATIENT, truth).await;
    deployment.settled(&link).await;

    google.weigh_now(id, 72_100).unwrap();
    let before = agree(&outside, "fitbit", PATIENT, truth).await;
    let last = google.points(id, "weight").unwrap().into_iter().max_by_key(|point| point.created).unwrap();
    google.delete(id, "weight", &last.id).unwrap();
    let after = agree(&outside, "fitbit", PATIENT, truth).await;
    assert_eq!(after.ehr + 1, before.ehr);
    let marked: Vec<String> = outside
        .ehr
        .observations_of(PATIENT)
        .into_iter()
        .filter(|text| text.contains("\"entered-in-error\""))
        .collect();
    assert_eq!(marked.len(), 1, "one was removed, and nothing else is marked");
    assert!(marked[0].contains("72.1") && marked[0].contains("29463-7"));
}

async fn an_endpoint_is_examined(shape: Shape) {
    let outside = Outside::start().await;
    let deployment = Deployment::start(shape, &outside).await;
    let check = "/api/publishers/ehr-endpoints/clinic/check/";
    let (status, report) = deployment.post(check, &json!({})).await;
    assert_eq!((status, &report["usable"]), (200, &json!(true)), "{report}");
    assert_eq!(
        (&report["fhir_version"], &report["strategy"]),
        (&json!("5.0.0"), &json!("update")),
        "{report}"
    );
    assert!(report["notes"].to_string().contains("no authorization"), "{report}");
    outside.html_from_ehr(10);
    let (status, report) = deployment.post(check, &json!({})).await;
    assert_eq!((status, &report["usable"]), (200, &json!(false)), "{report}");
    assert!(report["problem"].as_str().unwrap().contains("clinic"), "{report}");
    let (status, problem) = deployment.post("/api/publishers/ehr-endpoints/nowhere/check/", &json!({})).await;
    assert!(matches!(status, 404 | 422), "{status} {problem}");
}
