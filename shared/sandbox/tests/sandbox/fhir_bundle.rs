use ohx_sandbox::fhir::Fault;
use serde_json::{Value, json};

use super::client;
use super::fhir_rest::{Ehr, SYSTEM, weight};

/// A bundle with these entries: method, URL, resource as text, and more members of `request`.
fn bundle(kind: &str, entries: &[(&str, &str, &str, Value)]) -> String {
    let entries: Vec<String> = entries
        .iter()
        .enumerate()
        .map(|(index, (method, url, resource, more))| {
            let mut request = json!({ "method": method, "url": url });
            request.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
            let resource =
                if resource.is_empty() { String::new() } else { format!("\"resource\":{resource},") };
            format!(r#"{{"fullUrl":"urn:uuid:e{index}",{resource}"request":{request}}}"#)
        })
        .collect();
    format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{}]}}"#, entries.join(","))
}

fn statuses(reply: &Value) -> Vec<&str> {
    let entries = reply["entry"].as_array().unwrap();
    entries.iter().map(|entry| entry["response"]["status"].as_str().unwrap()).collect()
}

fn if_none(identifier: &str) -> Value {
    json!({ "ifNoneExist": format!("identifier={SYSTEM}|{identifier}") })
}

#[tokio::test]
async fn the_entries_of_a_batch_are_independent_and_answered_in_order() {
    let ehr = Ehr::new().await;
    let (a, b, bad) =
        (weight("72.10", "a", None), weight("72.20", "b", Some("b")), weight("\"x\"", "c", None));
    let unmatched = weight("1", "b", Some("b"));
    let text = bundle(
        "batch",
        &[
            ("POST", "Observation", &a, if_none("a")),
            ("PUT", "Observation/b", &b, json!({})),
            ("POST", "Observation", &bad, json!({})),
            ("POST", "Observation", &a, if_none("a")),
            ("PUT", "Observation/b", &unmatched, json!({ "ifMatch": "W/\"9\"" })),
            ("PUT", "Observation/else", &b, json!({})),
            ("GET", "Observation/b", "", json!({})),
            ("GET", "Observation?identifier=a", "", json!({})),
            ("DELETE", "Observation/b", "", json!({})),
            ("POST", "Invention", &a, json!({})),
            ("POST", "Observation", "", json!({})),
        ],
    );
    let reply = ehr.post("", text).await;
    assert_eq!(reply.status(), 200);
    let text = reply.text().await.unwrap();
    assert!(text.contains("72.20"), "digits survive a bundle");
    let reply: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&reply["resourceType"], &reply["type"]), (&json!("Bundle"), &json!("batch-response")));
    let expected = [
        "201 Created",
        "201 Created",
        "422 Unprocessable Entity",
        "200 OK",
        "412 Precondition Failed",
        "400 Bad Request",
        "200 OK",
        "200 OK",
        "405 Method Not Allowed",
        "404 Not Found",
        "422 Unprocessable Entity",
    ];
    assert_eq!(statuses(&reply), expected);
    let entries = reply["entry"].as_array().unwrap();
    assert_eq!(entries[0]["response"]["location"], format!("{}/Observation/s1/_history/1", ehr.base));
    assert_eq!(entries[0]["response"]["location"], entries[3]["response"]["location"]);
    assert_eq!(entries[1]["response"]["etag"], "W/\"1\"");
    assert_eq!(entries[2]["response"]["outcome"]["resourceType"], "OperationOutcome");
    assert_eq!(entries[7]["resource"]["total"], 1);
    assert_eq!(ehr.server.stats().calls["batch/POST"], 5);
    assert_eq!(ehr.server.snapshot().resources["Observation"], 2);
}

#[tokio::test]
async fn a_transaction_rewrites_references_to_what_it_creates_or_finds() {
    let ehr = Ehr::new().await;
    let device = format!(
        r#"{{"resourceType":"Device","identifier":[{{"system":"{SYSTEM}","value":"d1"}}],"displayName":"BPM Connect"}}"#
    );
    let reading = |id: &str| {
        let reference = r#""status":"final","device":{"reference":"urn:uuid:e1"}"#;
        weight("72.10", id, None).replace(r#""status":"final""#, reference)
    };
    for (identifier, device_status) in [("a", "201 Created"), ("b", "200 OK")] {
        let reading = reading(identifier);
        let entries = [
            ("POST", "Observation", &*reading, if_none(identifier)),
            ("POST", "Device", &*device, if_none("d1")),
        ];
        let reply: Value = ehr.post("", bundle("transaction", &entries)).await.json().await.unwrap();
        assert_eq!(reply["type"], "transaction-response");
        assert_eq!(statuses(&reply), ["201 Created", device_status]);
    }
    let devices = ehr.get("/Device").await;
    assert_eq!(devices["total"], 1);
    let reference = format!("Device/{}", devices["entry"][0]["resource"]["id"].as_str().unwrap());
    let found = ehr.server.observations_of("Patient/p1");
    assert_eq!(found.len(), 2);
    for text in found {
        assert!(
            text.contains("\"value\":72.10") && text.contains(&format!("\"reference\":\"{reference}\"")),
            "{text}"
        );
    }

    let conditional = reading("c").replace("urn:uuid:e1", &format!("Device?identifier={SYSTEM}|d1"));
    let twice = [
        ("POST", "Observation", &*conditional, if_none("c")),
        ("POST", "Observation", &*conditional, if_none("c")),
    ];
    let reply: Value = ehr.post("", bundle("transaction", &twice)).await.json().await.unwrap();
    assert_eq!(statuses(&reply), ["201 Created", "200 OK"]);
    assert_eq!(ehr.server.snapshot().doubles, 0);
    assert!(ehr.server.observations_of("Patient/p1").iter().all(|text| text.contains(&reference)));
}

#[tokio::test]
async fn a_transaction_that_fails_leaves_nothing() {
    let ehr = Ehr::new().await;
    ehr.post("", bundle("batch", &[("PUT", "Observation/a", &weight("1.0", "a", Some("a")), json!({}))]))
        .await;
    let before = (ehr.server.snapshot(), ehr.server.resources("Observation"));
    ehr.server.inject(Fault::RejectIdentifier { value: "poison".to_owned(), status: 422 });
    let (new, update) = (weight("2.0", "new", None), weight("3.0", "moved", Some("a")));
    let dangling = weight("1", "x", None).replace("Patient/p1", "urn:uuid:nobody");
    let poison = weight("1", "poison", None);
    for (bad, more, status) in [
        (poison.as_str(), json!({}), 422),
        (dangling.as_str(), json!({}), 422),
        (weight("\"x\"", "x", None).as_str(), json!({}), 422),
        (new.as_str(), json!({ "ifNoneExist": "color=red" }), 400),
        ("", json!({}), 422),
    ] {
        let entries = [
            ("POST", "Observation", &*new, json!({})),
            ("PUT", "Observation/a", &*update, json!({})),
            ("POST", "Observation", bad, more),
        ];
        let reply = ehr.post("", bundle("transaction", &entries)).await;
        assert_eq!(reply.status(), status);
        assert_eq!(reply.json::<Value>().await.unwrap()["resourceType"], "OperationOutcome");
        assert_eq!((ehr.server.snapshot(), ehr.server.resources("Observation")), before);
    }
    assert_eq!(ehr.get("/Observation?identifier=moved").await["total"], 0, "the index is back, too");
    assert_eq!(ehr.get("/Observation?identifier=a").await["total"], 1);
}

#[tokio::test]
async fn a_bundle_that_is_none_or_too_long_is_refused_as_a_whole() {
    let ehr = Ehr::new().await;
    let a = weight("1", "a", None);
    for (text, status) in [
        ("{}".to_owned(), 400),
        ("nonsense".to_owned(), 400),
        (bundle("searchset", &[]), 422),
        (bundle("batch", &[]).replace("\"Bundle\"", "\"Patient\""), 422),
    ] {
        assert_eq!(ehr.post("", text).await.status(), status);
    }
    assert_eq!(ehr.post("", bundle("batch", &[])).await.status(), 200);
    ehr.server.inject(Fault::MaxEntries { entries: 2 });
    let entry = ("POST", "Observation", &*a, if_none("a"));
    assert_eq!(ehr.post("", bundle("batch", &vec![entry.clone(); 3])).await.status(), 413);
    assert_eq!(ehr.server.snapshot().versions, 0);
    assert_eq!(ehr.post("", bundle("batch", &vec![entry; 2])).await.status(), 200);
    assert_eq!(ehr.server.snapshot().versions, 1);
}

#[tokio::test]
async fn another_process_sees_what_is_missing_or_double() {
    let ehr = Ehr::new().await;
    let wrong = weight("5", "gone", None).replace("\"final\"", "\"entered-in-error\"");
    for body in [weight("1", "a", None), weight("2", "a", None), weight("3", "b", None), wrong] {
        assert_eq!(ehr.post("/Observation", body).await.status(), 201);
    }
    let control = ehr.base.replace("/fhir", "/_sandbox/fhir");
    let get = async |path: &str| -> Value {
        client().get(format!("{control}{path}")).send().await.unwrap().json().await.unwrap()
    };
    let snapshot = get("/snapshot").await;
    assert_eq!(snapshot["observations"], json!({ "Patient/p1": { "29463-7": 3 } }));
    assert_eq!((&snapshot["distinct_identifiers"], &snapshot["doubles"]), (&json!(3), &json!(1)));
    assert_eq!((&snapshot["resources"]["Observation"], &snapshot["versions"]), (&json!(4), &json!(4)));
    let identifiers = get("/identifiers").await;
    let expected = json!({ "type": "Observation", "system": SYSTEM, "value": "a", "resources": 2 });
    assert_eq!(identifiers[0], expected);
    let fault = json!({ "fault": "unavailable", "calls": 9, "retry_after": 1 });
    client().post(format!("{control}/faults")).json(&fault).send().await.unwrap();
    assert_eq!(ehr.post("/Observation", weight("1", "c", None)).await.status(), 503);
    client().delete(format!("{control}/faults")).send().await.unwrap();
    assert_eq!(ehr.post("/Observation", weight("1", "c", None)).await.status(), 201);
    assert_eq!(get("/stats").await["calls"]["POST"], 6);
}
