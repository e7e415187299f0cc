//! What an endpoint says of itself, and how it is then written to.

use std::sync::Arc;
use std::time::Duration;

use ohx_domain::{Clock as _, FhirVersion, ManualClock, PatientReference, WriteStrategy};
use ohx_fhir::{Credentials, EhrClient, EhrError, FoundPatient, Origin, Outcome, Publication, Sending};
use serde_json::{Value, json};

use crate::server::Server;
use crate::{BASE, client, reading, readings};

fn resource(kind: &str, update_create: bool, conditional_create: bool) -> Value {
    let interactions = ["read", "create", "update", "search-type"].map(|code| json!({ "code": code }));
    json!({ "type": kind, "interaction": interactions, "updateCreate": update_create,
        "conditionalCreate": conditional_create })
}

fn statement(version: &str, interactions: &[&str], resources: &[Value]) -> String {
    let interactions: Vec<_> = interactions.iter().map(|code| json!({ "code": code })).collect();
    json!({ "resourceType": "CapabilityStatement", "fhirVersion": version,
        "software": { "name": "Small Server", "version": "1.2" },
        "rest": [{ "interaction": interactions, "resource": resources }] })
    .to_string()
}

fn both(update_create: bool, conditional_create: bool) -> [Value; 2] {
    ["Observation", "Device"].map(|kind| resource(kind, update_create, conditional_create))
}

fn says(server: &Server, statement: String) {
    server.faults(|faults| faults.next.push_back((200, vec![], statement)));
}

#[tokio::test]
async fn the_strategy_follows_what_the_server_can_do() {
    for (update, conditional, expect) in [
        (true, true, WriteStrategy::Update),
        (true, false, WriteStrategy::Update),
        (false, true, WriteStrategy::ConditionalCreate),
        (false, false, WriteStrategy::SearchThenCreate),
    ] {
        let server = Server::start().await;
        server.faults(|faults| faults.unconditional = expect == WriteStrategy::SearchThenCreate);
        says(&server, statement("5.0.0", &["batch"], &both(update, conditional)));
        let ehr = client(&server, WriteStrategy::Auto, 100);
        let plan = ehr.plan().await.unwrap();
        assert_eq!(plan.strategy, expect);
        assert!(plan.needs_lock(), "another instance may have been told something else");
        for round in [Outcome::Created, Outcome::Unchanged] {
            let published = ehr.publish(BASE, &[], &readings(30)).await.unwrap();
            assert_eq!(published.outcomes, vec![round; 30], "{expect:?}");
        }
        assert_eq!(server.count("Observation"), (30, 30), "{expect:?}");
    }
}

#[tokio::test]
async fn instances_that_were_told_different_things_take_turns() {
    let server = Server::start().await;
    server.faults(|faults| faults.unconditional = true);
    // One has met a proxy's page, and goes the way that works everywhere.
    says(&server, "<html>".to_owned());
    let careful = client(&server, WriteStrategy::Auto, 100);
    assert_eq!(careful.plan().await.unwrap().strategy, WriteStrategy::SearchThenCreate);
    says(&server, statement("5.0.0", &["batch"], &both(true, true)));
    let usual = client(&server, WriteStrategy::Auto, 100);
    assert_eq!(usual.plan().await.unwrap().strategy, WriteStrategy::Update);
    // At the same time neither would find what the other is about to make.
    assert!(careful.may_need_lock() && usual.may_need_lock());
    for (ehr, outcome) in [(&careful, Outcome::Created), (&usual, Outcome::Unchanged)] {
        let published = ehr.publish(BASE, &[], &readings(5)).await.unwrap();
        assert_eq!(published.outcomes, vec![outcome; 5]);
    }
    assert_eq!(server.count("Observation").0, 5);
}

#[tokio::test]
async fn a_server_that_learns_to_take_ids_gets_nothing_twice() {
    let server = Server::start().await;
    client(&server, WriteStrategy::ConditionalCreate, 100).publish(BASE, &[], &readings(10)).await.unwrap();
    says(&server, statement("5.0.0", &["batch"], &both(true, true)));
    let ehr = client(&server, WriteStrategy::Auto, 100);
    let published = ehr.publish(BASE, &[], &readings(12)).await.unwrap();
    let created = published.outcomes.iter().filter(|outcome| **outcome == Outcome::Created).count();
    assert_eq!((created, server.count("Observation")), (2, (12, 12)));
}

#[tokio::test]
async fn a_server_without_bundles_gets_single_requests() {
    for (update, strategy) in [(true, WriteStrategy::Update), (false, WriteStrategy::ConditionalCreate)] {
        let server = Server::start().await;
        says(&server, statement("5.0.0", &["history-system"], &both(update, true)));
        let ehr = client(&server, WriteStrategy::Auto, 100);
        let plan = ehr.plan().await.unwrap();
        assert_eq!((plan.strategy, plan.sending), (strategy, Sending::Singly));
        assert!(
            plan.notes.iter().any(|note| note.contains("batch") && note.contains("slow")),
            "{:?}",
            plan.notes
        );
        server.requests();
        server.faults(|faults| {
            faults.entries.insert(readings(3)[2].identifier.value.clone(), [422].into());
        });
        let published = ehr.publish(BASE, &[crate::scale()], &readings(5)).await.unwrap();
        let created = published.outcomes.iter().filter(|outcome| **outcome == Outcome::Created).count();
        assert_eq!((created, published.devices.as_slice()), (4, &[Outcome::Created][..]));
        assert!(matches!(&published.outcomes[2], Outcome::Rejected { status: Some(422), .. }));
        let sent = server.requests();
        assert_eq!(sent.len(), 8, "two lookups, a device and five readings: {sent:?}");
        assert!(!sent.contains(&"POST /fhir".to_owned()));
        let corrected = [reading(0, "73.00", 5)];
        assert_eq!(ehr.publish(BASE, &[], &corrected).await.unwrap().outcomes, [Outcome::Updated]);
        assert!(server.current(&corrected[0].identifier.value).1.contains("corrected"));
    }
}

#[tokio::test]
async fn the_wrong_version_is_refused_with_what_to_set() {
    for (spoken, written, advice) in [
        ("4.0.1", FhirVersion::R5, "set fhir_version to R4"),
        ("4.3.0", FhirVersion::R4, "set fhir_version to R4B"),
        ("5.0.0", FhirVersion::R4, "set fhir_version to R5"),
        ("3.0.2", FhirVersion::R5, "speaks R5, R4B or R4"),
    ] {
        let server = Server::start().await;
        let mut endpoint = client(&server, WriteStrategy::Auto, 100).endpoint().clone();
        endpoint.fhir_version = written;
        let ehr = EhrClient::new(http(), endpoint, Credentials::none());
        says(&server, statement(spoken, &["batch"], &both(true, true)));
        let error = ehr.plan().await.unwrap_err();
        assert!(matches!(error, EhrError::Unsupported { .. }));
        let text = error.to_string();
        assert!(text.contains(spoken) && text.contains(advice), "{text}");
        says(&server, statement(spoken, &["batch"], &both(true, true)));
        ehr.publish(BASE, &[], &readings(1)).await.unwrap_err();
        assert_eq!(server.count("Observation"), (0, 0), "nothing is written in the wrong version");
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own client")]
fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test]
async fn a_statement_is_believed_for_an_hour() {
    let server = Server::start().await;
    let clock = Arc::new(ManualClock::new("2026-11-21T10:00:00Z".parse().unwrap()));
    let ehr = client(&server, WriteStrategy::Auto, 100).with_clock(clock.clone());
    says(&server, statement("5.0.0", &["batch"], &both(true, true)));
    for _ in 0..3 {
        ehr.plan().await.unwrap();
    }
    assert_eq!(server.requests().len(), 1);
    clock.advance(Duration::from_secs(3601));
    let before = clock.now();
    says(&server, statement("5.0.0", &["transaction"], &both(false, true)));
    let plan = ehr.plan().await.unwrap();
    assert_eq!((plan.strategy, clock.now()), (WriteStrategy::ConditionalCreate, before));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_bundle_that_takes_too_long_is_looked_up_and_sent_in_smaller_ones() {
    for status in [408, 504] {
        let server = Server::start().await;
        server.faults(|faults| faults.next_batch.push_back((status, vec![], String::new())));
        let ehr = client(&server, WriteStrategy::Update, 100);
        let published = ehr.publish(BASE, &[], &readings(100)).await.unwrap();
        assert_eq!(published.outcomes, vec![Outcome::Created; 100]);
        // A lookup and 100; then a lookup, 50 and 50.
        assert_eq!(server.requests().len(), 5);
        assert_eq!(server.count("Observation"), (100, 100));
    }
}

#[tokio::test]
async fn a_reading_that_was_taken_back_is_marked_and_never_brought_in() {
    let server = Server::start().await;
    let ehr = client(&server, WriteStrategy::Update, 100);
    ehr.publish(BASE, &[], &[reading(1, "72.10", 0)]).await.unwrap();
    let back = [1, 2].map(|number| {
        let mut back = reading(number, "72.10", 5);
        back.digest = "taken-back".into();
        let text = back.resource.get().replace("\"final\"", "\"entered-in-error\"");
        back.resource = serde_json::value::RawValue::from_string(text).unwrap();
        back
    });
    let published = ehr.publish(BASE, &[], &back).await.unwrap();
    assert_eq!(published.outcomes, [Outcome::Updated, Outcome::Unchanged]);
    assert_eq!(server.count("Observation"), (1, 2));
    assert!(server.current(&back[0].identifier.value).1.contains("\"entered-in-error\""));
    let again = ehr.publish(BASE, &[], &back).await.unwrap();
    assert_eq!(again.outcomes, [Outcome::Unchanged, Outcome::Unchanged]);
}

#[tokio::test]
async fn where_readings_come_from_is_told_once_and_costs_one_call() {
    let server = Server::start().await;
    let mut endpoint = client(&server, WriteStrategy::Update, 100).endpoint().clone();
    endpoint.provenance = true;
    let ehr = EhrClient::new(http(), endpoint, Credentials::none());
    let origin = Origin {
        provider: "withings".into(),
        source: "withings/getmeas".into(),
        mapping: "withings/getmeas 3".into(),
        sync: "sync-1".into(),
        recorded: "2026-11-21T10:00:00Z".parse().unwrap(),
    };
    let mine = readings(100);
    let publication = Publication {
        identifier_base: BASE,
        devices: &[],
        observations: &mine,
        origin: Some(&origin),
        patient: None,
    };
    server.faults(|faults| faults.without_identifier = true);
    assert_eq!(ehr.bring(&publication).await.unwrap().provenances, 1);
    assert_eq!(server.requests().len(), 3, "a lookup, the readings, the Provenance");
    let stored = {
        let inner = server.inner.lock().unwrap();
        let (_, versions) = inner.store.iter().find(|(key, _)| key.starts_with("Provenance/")).unwrap();
        serde_json::from_str::<Value>(versions[0].get()).unwrap()
    };
    assert_eq!(stored["target"].as_array().unwrap().len(), 100);
    assert_eq!(stored["entity"][0]["what"]["identifier"]["value"], "sync-1");
    assert_eq!(stored["entity"][1]["what"]["identifier"]["value"], "withings/getmeas 3");
    assert!(!stored.to_string().contains("72.10"));
    assert_eq!(ehr.bring(&publication).await.unwrap().provenances, 0, "nothing was written, nothing is told");
}

#[tokio::test]
async fn a_patient_is_found_by_an_identifier_and_never_guessed() {
    let server = Server::start().await;
    let ehr = client(&server, WriteStrategy::Update, 100);
    let named: PatientReference = "Patient?identifier=https://clinic.example/mrn|1234".parse().unwrap();
    let token = named.identifier().unwrap();
    let found = |patients: &[&str]| {
        let entries: Vec<_> = patients
            .iter()
            .map(|id| json!({ "resource": { "resourceType": "Patient", "id": id, "name": [{ "family": "Doe" }] } }))
            .collect();
        json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries }).to_string()
    };
    for (patients, expect) in [
        (&["7"][..], FoundPatient::One("Patient/7".parse().unwrap())),
        (&["7", "7"], FoundPatient::One("Patient/7".parse().unwrap())),
        (&[], FoundPatient::Nobody),
        (&["7", "8"], FoundPatient::Several),
    ] {
        says(&server, found(patients));
        assert_eq!(ehr.find_patient(token).await.unwrap(), expect);
    }
    says(&server, "<html>Doe".into());
    let error = ehr.find_patient(token).await.unwrap_err().to_string();
    assert!(!error.contains("Doe") && !error.contains("1234"), "{error}");
}
