use std::sync::Arc;
use std::time::Duration;

use ohx_domain::{Clock, ManualClock};
use ohx_sandbox::fhir::{Fault, FhirServer};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::{client, clock, serve};

pub(crate) const SYSTEM: &str = "https://ohx.example/ns/withings/getmeas";

pub(crate) struct Ehr {
    pub(crate) server: FhirServer,
    pub(crate) base: String,
    http: reqwest::Client,
    clock: Arc<ManualClock>,
}

impl Ehr {
    pub(crate) async fn new() -> Self {
        Self::with(|server| server).await
    }

    async fn with(change: impl FnOnce(FhirServer) -> FhirServer) -> Self {
        let clock = clock();
        let server = change(FhirServer::new(Arc::clone(&clock) as Arc<dyn Clock>));
        let base = serve(server.router()).await;
        Self { server, base: format!("{base}/fhir"), http: client(), clock }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<String>) -> Response {
        self.request(Method::POST, path).body(body.into()).send().await.unwrap()
    }

    async fn create_if_none(&self, body: &str, condition: &str) -> Response {
        let request = self.request(Method::POST, "/Observation").header("If-None-Exist", condition);
        request.body(body.to_owned()).send().await.unwrap()
    }

    async fn put(&self, id: &str, body: &str, if_match: Option<&str>) -> Response {
        let request = self.request(Method::PUT, &format!("/Observation/{id}")).body(body.to_owned());
        let request = if_match.into_iter().fold(request, |request, tag| request.header("If-Match", tag));
        request.send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let reply = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(reply.headers()["content-type"], "application/fhir+json; charset=utf-8");
        reply.json().await.unwrap()
    }
}

/// A weight of exactly these digits, with an id where one is given.
pub(crate) fn weight(value: &str, identifier: &str, id: Option<&str>) -> String {
    let id = id.map(|id| format!("\"id\":\"{id}\",")).unwrap_or_default();
    format!(
        r#"{{"resourceType":"Observation",{id}"identifier":[{{"system":"{SYSTEM}","value":"{identifier}"}}],
        "status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"29463-7"}}]}},
        "subject":{{"reference":"Patient/p1"}},"effectiveDateTime":"2026-10-04T07:41:10+02:00",
        "valueQuantity":{{"value":{value},"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}}}"#
    )
}

fn header(reply: &Response, name: &str) -> String {
    reply.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

async fn issue(reply: Response) -> (u16, String) {
    let status = reply.status().as_u16();
    let body: Value = reply.json().await.unwrap();
    assert_eq!(body["resourceType"], "OperationOutcome");
    (status, body["issue"][0]["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_resource_comes_back_digit_for_digit() {
    let ehr = Ehr::new().await;
    let created = ehr.post("/Observation", weight("72.10", "a", None)).await;
    assert_eq!(created.status(), 201);
    assert_eq!(header(&created, "etag"), "W/\"1\"");
    assert_eq!(header(&created, "location"), format!("{}/Observation/s1/_history/1", ehr.base));
    let text = created.text().await.unwrap();
    assert!(text.contains("\"value\":72.10,") && text.contains("\"id\":\"s1\""), "{text}");
    assert!(text.contains(r#""meta":{"versionId":"1","lastUpdated":"2026-10-04T06:00:00Z"}"#), "{text}");

    let read = ehr.request(Method::GET, "/Observation/s1").send().await.unwrap();
    assert_eq!((read.status().as_u16(), header(&read, "etag")), (200, "W/\"1\"".to_owned()));
    assert_eq!(read.text().await.unwrap(), text);
    let found =
        ehr.request(Method::GET, "/Observation?patient=p1").send().await.unwrap().text().await.unwrap();
    assert!(found.contains(&text), "{found}");
    assert_eq!(ehr.server.observations_of("Patient/p1"), [text]);
}

#[tokio::test]
async fn a_conditional_create_writes_once() {
    let ehr = Ehr::new().await;
    let condition = format!("identifier={SYSTEM}%7Cu1%3A7:bp");
    let first = ehr.create_if_none(&weight("72.10", "u1:7:bp", None), &condition).await;
    let again =
        ehr.create_if_none(&weight("99", "u1:7:bp", None), &format!("identifier={SYSTEM}|u1:7:bp")).await;
    assert_eq!((first.status().as_u16(), again.status().as_u16()), (201, 200));
    assert_eq!(header(&first, "location"), header(&again, "location"));
    assert!(again.text().await.unwrap().contains("72.10"), "nothing was written");
    ehr.post("/Observation", weight("1", "u1:7:bp", None)).await;
    let double = ehr.create_if_none(&weight("2", "u1:7:bp", None), &condition).await;
    assert_eq!(issue(double).await, (412, "multiple-matches".to_owned()));
    let bad = ehr.create_if_none(&weight("2", "x", None), "colour=blue").await;
    assert_eq!(issue(bad).await.0, 400);
    let snapshot = ehr.server.snapshot();
    assert_eq!(
        (snapshot.resources["Observation"], snapshot.distinct_identifiers, snapshot.doubles),
        (2, 1, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conditional_creates_at_the_same_time_write_once() {
    let ehr = Arc::new(Ehr::new().await);
    let mut writers = tokio::task::JoinSet::new();
    for index in 0..200 {
        let ehr = Arc::clone(&ehr);
        writers.spawn(async move {
            let identifier = format!("id-{}", index % 10);
            let condition = format!("identifier={SYSTEM}|{identifier}");
            ehr.create_if_none(&weight("70.5", &identifier, None), &condition).await.status().as_u16()
        });
    }
    let statuses = writers.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 10);
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 190);
    let snapshot = ehr.server.snapshot();
    assert_eq!((snapshot.resources["Observation"], snapshot.doubles, snapshot.versions), (10, 0, 10));
}

#[tokio::test]
async fn an_update_creates_or_makes_a_version() {
    let ehr = Ehr::new().await;
    let body = |value| weight(value, "a", Some("mine-1"));
    let created = ehr.put("mine-1", &body("72.10"), None).await;
    assert_eq!((created.status().as_u16(), header(&created, "etag")), (201, "W/\"1\"".to_owned()));
    ehr.clock.advance(Duration::from_secs(60));
    let updated = ehr.put("mine-1", &body("72.20"), Some("W/\"1\"")).await;
    assert_eq!((updated.status().as_u16(), header(&updated, "etag")), (200, "W/\"2\"".to_owned()));
    assert!(
        updated.text().await.unwrap().contains(r#""versionId":"2","lastUpdated":"2026-10-04T06:01:00Z""#)
    );
    let stale = ehr.put("mine-1", &body("72.30"), Some("W/\"1\"")).await;
    assert_eq!(issue(stale).await, (412, "conflict".to_owned()));
    assert_eq!(issue(ehr.put("new", &weight("1", "b", Some("new")), Some("W/\"1\"")).await).await.0, 412);
    assert_eq!(issue(ehr.put("other", &body("1"), None).await).await.0, 400);
    assert_eq!(issue(ehr.put("other", &weight("1", "a", None), None).await).await.0, 400);
    assert_eq!(issue(ehr.put("a_b", &weight("1", "a", Some("a_b")), None).await).await.0, 400);
    assert_eq!(ehr.server.snapshot().versions, 2);
    // The index follows a changed identifier.
    ehr.put("mine-1", &weight("1", "z", Some("mine-1")), None).await;
    assert_eq!(ehr.get("/Observation?identifier=a&_summary=count").await["total"], 0);
    assert_eq!(ehr.get("/Observation?identifier=z&_summary=count").await["total"], 1);
}

#[tokio::test]
async fn what_fhir_does_not_allow_is_refused_with_an_outcome() {
    let ehr = Ehr::new().await;
    let good: Value = serde_json::from_str(&weight("72.10", "a", None)).unwrap();
    let changes = [
        ("resourceType", Value::Null),
        ("resourceType", json!("Device")),
        ("status", Value::Null),
        ("status", json!("done")),
        ("code", Value::Null),
        ("code", json!({})),
        ("code", json!("29463-7")),
        ("effectiveDateTime", json!("2026-10-04T07:41:10")),
        ("effectiveDateTime", json!("now")),
        ("effectivePeriod", json!({ "start": "2026-10-04T07:41:10" })),
        ("valueQuantity", json!({ "value": "72.10" })),
        ("valueQuantity", json!({ "value": 1, "code": "kg" })),
        ("valueString", json!("heavy")),
        ("dataAbsentReason", json!({ "text": "unknown" })),
        ("component", json!([{ "valueQuantity": { "value": 1 } }])),
        ("component", json!([{ "code": { "text": "x" }, "valueQuantity": { "value": "1" } }])),
        ("note", json!([])),
        ("method", json!({ "text": "" })),
        ("identifier", json!({ "value": "a" })),
    ];
    for (name, value) in changes {
        let mut bad = good.clone();
        match &value {
            Value::Null => bad.as_object_mut().unwrap().remove(name),
            value => bad.as_object_mut().unwrap().insert(name.to_owned(), value.clone()),
        };
        let refused = ehr.post("/Observation", bad.to_string()).await;
        assert_eq!(refused.status(), 422, "{name} {value}");
        assert!(!refused.text().await.unwrap().contains("72"), "an outcome holds no values");
    }
    for bad in ["", "[]", "{", "null", r#"{"resourceType":"Observation","status":"final","status":"final"}"#]
    {
        let (status, _) = issue(ehr.post("/Observation", bad).await).await;
        assert!(matches!(status, 400 | 422), "{bad}");
    }
    for device in [
        json!({ "resourceType": "Device", "patient": { "reference": "Patient/1" } }),
        json!({ "resourceType": "Device", "name": "BPM" }),
        json!({ "resourceType": "Device", "name": [{ "value": "BPM" }] }),
        json!({ "resourceType": "Device", "type": { "text": "scale" } }),
        json!({ "resourceType": "Device", "status": "on" }),
    ] {
        assert_eq!(issue(ehr.post("/Device", device.to_string()).await).await.0, 422, "{device}");
    }
    assert_eq!(issue(ehr.post("/Invention", "{}").await).await.0, 404);
    assert_eq!(issue(ehr.request(Method::GET, "/Observation/none").send().await.unwrap()).await.0, 404);
    assert_eq!(issue(ehr.request(Method::DELETE, "/Observation/s1").send().await.unwrap()).await.0, 405);
    assert_eq!(ehr.server.snapshot().versions, 0);
}

#[tokio::test]
async fn search_finds_by_identifier_id_and_subject_in_pages() {
    let ehr = Ehr::new().await;
    for index in 0..25 {
        let body = weight("70.0", &format!("i{index}"), Some(&format!("o{index:02}")));
        let body = if index < 5 { body.replace("Patient/p1", "Patient/p2") } else { body };
        ehr.put(&format!("o{index:02}"), &body, None).await;
    }
    let total =
        async |query: &str| ehr.get(&format!("/Observation?{query}")).await["total"].as_u64().unwrap();
    assert_eq!(total("").await, 25);
    assert_eq!(total(&format!("identifier={SYSTEM}|i1,{SYSTEM}|i2,{SYSTEM}|none")).await, 2);
    assert_eq!(total("identifier=i3").await, 1);
    assert_eq!(total("identifier=|i3").await, 0, "it has a system");
    assert_eq!(total("_id=o01,o02,nope").await, 2);
    assert_eq!(total("subject=Patient/p2").await, 5);
    assert_eq!(total("patient=p2&identifier=i1,i20").await, 1);
    assert_eq!(total("patient=Patient/p1&code=http://loinc.org|29463-7&status=final").await, 20);
    assert_eq!(total("code=8867-4").await, 0);
    assert_eq!(issue(ehr.request(Method::GET, "/Observation?color=red").send().await.unwrap()).await.0, 400);

    let (mut next, mut ids) =
        (Some(format!("{}/Observation?patient=p1&_count=8&_elements=status", ehr.base)), vec![]);
    while let Some(url) = next {
        let page: Value = client().get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!((&page["type"], &page["total"]), (&json!("searchset"), &json!(20)));
        for entry in page["entry"].as_array().unwrap() {
            let resource = &entry["resource"];
            assert_eq!((&resource["status"], resource.get("valueQuantity")), (&json!("final"), None));
            assert_eq!(resource["meta"]["tag"][0]["code"], "SUBSETTED");
            assert_eq!(entry["search"]["mode"], "match");
            ids.push(resource["id"].as_str().unwrap().to_owned());
        }
        let links = page["link"].as_array().unwrap();
        let link = links.iter().find(|link| link["relation"] == "next");
        next = link.map(|link| link["url"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids, (5..25).map(|index| format!("o{index:02}")).collect::<Vec<_>>());

    let form = ehr
        .request(Method::POST, "/Observation/_search")
        .form(&[("identifier", "i1,i2"), ("_summary", "count")]);
    let counted: Value = form.send().await.unwrap().json().await.unwrap();
    assert_eq!((&counted["total"], counted.get("entry")), (&json!(2), None));
}

#[tokio::test]
async fn metadata_needs_no_token_and_the_rest_does() {
    let ehr = Ehr::with(|server| server.with_bearer("t0ken").with_body_limit(600)).await;
    let statement = ehr.get("/metadata").await;
    assert_eq!(
        (&statement["resourceType"], &statement["fhirVersion"]),
        (&json!("CapabilityStatement"), &json!("5.0.0"))
    );
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    let observation = resources.iter().find(|resource| resource["type"] == "Observation").unwrap();
    assert_eq!(
        (&observation["updateCreate"], &observation["conditionalCreate"]),
        (&json!(true), &json!(true))
    );
    let refused = ehr.post("/Observation", weight("1", "a", None)).await;
    assert_eq!(header(&refused, "www-authenticate"), "Bearer");
    assert_eq!(issue(refused).await, (401, "login".to_owned()));
    let request = || ehr.request(Method::POST, "/Observation").bearer_auth("t0ken");
    let minimal =
        request().header("Prefer", "return=minimal").body(weight("1", "a", None)).send().await.unwrap();
    assert_eq!((minimal.status().as_u16(), minimal.text().await.unwrap()), (201, String::new()));
    let long = request().body(weight("1", &"a".repeat(600), None)).send().await.unwrap();
    assert_eq!(issue(long).await, (413, "too-long".to_owned()));
}

#[tokio::test]
async fn faults_strike_and_a_dropped_reply_was_committed() {
    let ehr = Ehr::new().await;
    let body = || weight("72.10", "a", Some("a"));
    ehr.server.inject(Fault::Unavailable { calls: 1, retry_after: 7 });
    ehr.server.inject(Fault::HtmlErrorPage { status: 502, calls: 1 });
    ehr.server.inject(Fault::HttpStatus { status: 429, calls: 1 });
    ehr.server.inject(Fault::CommitThenDrop { calls: 1 });
    let busy = ehr.put("a", &body(), None).await;
    assert_eq!(header(&busy, "retry-after"), "7");
    assert_eq!(issue(busy).await, (503, "transient".to_owned()));
    let html = ehr.put("a", &body(), None).await;
    assert_eq!(
        (html.status().as_u16(), header(&html, "content-type")),
        (502, "text/html; charset=utf-8".to_owned())
    );
    assert_eq!(ehr.put("a", &body(), None).await.status(), 429);
    assert_eq!(ehr.server.snapshot().versions, 0);
    let dropped = ehr.request(Method::PUT, "/Observation/a").body(body()).send().await;
    let dropped = match dropped {
        Ok(reply) => reply.bytes().await.map(|_| ()),
        Err(e) => Err(e),
    };
    assert!(dropped.is_err());
    assert_eq!(ehr.server.snapshot().versions, 1, "it was written");
    assert_eq!(ehr.put("a", &body(), None).await.status(), 200);

    ehr.server.inject(Fault::RejectIdentifier { value: "poison".to_owned(), status: 422 });
    assert_eq!(issue(ehr.post("/Observation", weight("1", "poison", None)).await).await.0, 422);
    ehr.server.inject(Fault::Latency { millis: 60_000 });
    assert!(tokio::time::timeout(Duration::from_millis(200), ehr.get("/metadata")).await.is_err());
    ehr.server.clear_faults();
    assert_eq!(ehr.post("/Observation", weight("1", "poison", None)).await.status(), 201);
    let stats = ehr.server.stats();
    assert_eq!((stats.calls["PUT"], stats.calls["POST"], stats.answers[&503]), (5, 2, 1));
}
