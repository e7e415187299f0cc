//! How a function begins and ends: probes, a cold start, SIGTERM.

use std::collections::BTreeMap;
use std::time::Duration;

use ohx_events::{Event, Function, http_binding};
use ohx_tests::deployment::{API_KEY, Deployment};
use ohx_tests::outside::{Outside, http};
use ohx_tests::patient::create_link;
use ohx_tests::process::Process;
use ohx_tests::until;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::held::{Held, Request, closed, connect, refused};
use crate::world::{PATIENT, answers, connected, done_by};

fn event(event: &Event) -> Request {
    let (headers, body) = http_binding::to_binary(event.clone()).unwrap();
    let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect();
    Request { path: "/".into(), headers, body }
}

fn form(path: String, origin: &str, fields: &[(&str, &str)]) -> Request {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", origin)];
    Request { path, headers: owned(&headers), body: body.into_bytes() }
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn json(path: &str, token: &str, body: &serde_json::Value) -> Request {
    let bearer = format!("Bearer {token}");
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    Request { path: path.to_owned(), headers: owned(&headers), body: body.to_string().into_bytes() }
}

/// The functions that a deployment of the tests does not have.
const BESIDE: [&str; 1] = ["console"];

/// Starts those.
async fn beside(deployment: &Deployment) -> BTreeMap<&'static str, Process> {
    let mut settings = deployment.environment().clone();
    settings.insert("OHX_API_URL".into(), deployment.api().to_owned());
    let start = |name: &str| Process::start(&format!("ohx-{name}"), &[], &settings, deployment.folder());
    let processes = BTreeMap::from(BESIDE.map(|name| (name, start(name))));
    for process in processes.values() {
        process.ready(&http()).await;
    }
    processes
}

/// A form for the console's sign-in, as its page has it.
async fn sign_in(console: &Process, origin: &str) -> Request {
    let page = http().get(format!("{}/console/sign-in/", console.url())).send().await.unwrap();
    let cookie = page.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let text = page.text().await.unwrap();
    let (_, after) = text.split_once("name=\"token\" value=\"").unwrap();
    let token = after.split('"').next().unwrap();
    let mut request = form("/console/sign-in/".into(), origin, &[("token", token), ("key", API_KEY)]);
    request.headers.push(("cookie".into(), cookie));
    request
}

/// A request with a body for every function that takes any, and what it is to answer.
async fn requests(
    deployment: &Deployment,
    console: &Process,
    gateway: &serde_json::Value,
) -> BTreeMap<&'static str, (Request, u16)> {
    let origin = deployment.public_url();
    let path = |address: &str| address.parse::<url::Url>().unwrap().path().to_owned();
    let (_, address) = create_link(deployment, "Patient/p2", 1).await;
    let link = json!({"provider": "withings", "ehr": "clinic", "patient": "Patient/p3"});
    let reading = json!({
        "device": {"id": "B0:49:5F:00:10:71", "model": "BM54", "manufacturer": "Beurer"}, "zone": "Europe/Berlin",
        "readings": [{"characteristic": "2A35", "hex": "1E800052006100EA070A040729004300010000",
                      "received": "2026-10-04T07:42:10+02:00"}]});
    let text = |name: &str| gateway[name].as_str().unwrap();
    let mut requests = BTreeMap::from([
        ("oauth", (form(path(&address), origin, &[("answer", "continue")]), 303)),
        ("webhook", (json(&path(text("url")), text("token"), &reading), 202)),
        ("api", (json("/api/base/provider-links/", API_KEY, &link), 201)),
        ("console", (sign_in(console, origin).await, 303)),
    ]);
    for function in Function::ALL {
        requests.insert(function.as_str(), (event(&done_by(deployment, function)), 204));
    }
    let mut letter = done_by(deployment, Function::Transform);
    letter.set_extension("knativeerrordest", "http://transform.ohx.svc.cluster.local/");
    letter.set_extension("knativeerrorcode", "500");
    requests.insert("relay", (event(&letter), 204));
    requests
}

/// Starts a process that has ended; gives how long it took until it answered first.
async fn cold_start(process: &mut Process) -> Duration {
    process.restart();
    answers(process.url(), "livez").await
}

/// Told to end with a request in flight: it takes no other, answers that one whole, and is gone with exit code 0. Connections
/// on which nothing is asked do not keep it.
async fn ends_well(process: &mut Process, request: Option<(Request, u16)>) {
    let name = process.name.clone();
    let silent = connect(process.port).await.unwrap();
    let mut idle = connect(process.port).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut first = [0_u8; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200", "{name}");
    let held = match request {
        Some((request, expected)) => Some((Held::begin(process.port, &request).await, expected)),
        None => None,
    };
    process.ask_to_end();
    until(&format!("{name} takes no other request"), 10, async || refused(process.port).await.then_some(()))
        .await;
    if let Some((held, expected)) = held {
        let answered = held.finish().await;
        assert_eq!(answered.status, expected, "{name}: {}", answered.text);
    }
    assert_eq!(process.ended().await, Some(0), "{name}: {}", process.log());
    assert!(process.log().contains("\"stopped\""), "{name}");
    assert!(closed(silent).await, "{name}");
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_starts_answers_probes_and_ends_with_what_it_has_in_hand() {
    let (outside, mut deployment, _, _) = connected(3).await;
    let (gateway, patient) = gateway(&deployment).await;
    let mut beside = beside(&deployment).await;
    let mut requests = requests(&deployment, &beside["console"], &gateway).await;
    let own = deployment.processes.iter().map(|process| process.name.clone());
    let names: Vec<_> = own.chain(BESIDE.map(|name| format!("ohx-{name}"))).collect();
    for name in names {
        let function = name.trim_start_matches("ohx-");
        let process = match beside.get_mut(function) {
            Some(process) => process,
            None => deployment.process(function),
        };
        for probe in ["livez", "readyz", "metrics"] {
            let answer = http().get(format!("{}/{probe}", process.url())).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{function}: {probe}");
            let text = answer.text().await.unwrap();
            // What a scraper reads, or nothing.
            assert!(text.lines().all(|line| line.starts_with('#') || line.starts_with("ohx_")), "{text}");
            if probe == "metrics" {
                follow_the_conventions(&text).await;
            }
        }
        ends_well(process, requests.remove(function)).await;
        let took = cold_start(process).await;
        println!("cold start of {function}: {:.1} ms", took.as_secs_f64() * 1000.0);
        process.ready(&http()).await;
    }
    assert!(requests.is_empty(), "each was asked");
    // What was in flight is done: the gateway's reading is at the EHR, the form's link in the store, the letter kept.
    arrives(&outside, &patient).await;
    let links = deployment.list("/api/base/provider-links/?patient=Patient/p3").await;
    assert_eq!(links.as_array().unwrap().len(), 1, "{links}");
    let letters = deployment.list("/api/publishers/dead-letters/").await;
    assert_eq!(letters.as_array().unwrap().len(), 1, "{letters}");
}

/// What Prometheus' own tool finds of names, types and help.
async fn follow_the_conventions(metrics: &str) {
    let mut promtool = tokio::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("promtool: run tests/needs promtool");
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).await.unwrap();
    let found = promtool.wait_with_output().await.unwrap();
    assert!(found.status.success(), "{}\n{metrics}", String::from_utf8_lossy(&found.stderr));
}

/// A link that a gateway brings readings to: its address and token, and whose it is.
async fn gateway(deployment: &Deployment) -> (serde_json::Value, String) {
    let new = json!({"provider": "beurer", "ehr": "clinic", "patient": "Patient/p4"});
    let (status, link) = deployment.post("/api/base/provider-links/", &new).await;
    assert_eq!(status, 201, "{link}");
    let id = link["id"].as_str().unwrap();
    (deployment.get(&format!("/api/base/provider-links/{id}/gateway/")).await, "Patient/p4".to_owned())
}

async fn arrives(outside: &Outside, patient: &str) {
    let url = format!("{}/Observation?subject={patient}", outside.fhir_url);
    until("the reading arrives", 60, async || {
        let bundle: serde_json::Value = http().get(&url).send().await.ok()?.json().await.ok()?;
        bundle["entry"].as_array().filter(|entries| !entries.is_empty()).map(|_| ())
    })
    .await;
}

/// Work of minutes, held by the provider: the function asks it, is told to end, and publishes what it reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_is_told_to_end_sends_on_what_it_reads() {
    let (outside, mut deployment, person, link) = connected(3).await;
    let calls = |outside: &Outside| outside.withings.stats().calls.values().sum::<u64>();
    // Nobody tells of it: only the sync below brings it.
    outside.withings.inject(ohx_sandbox::withings::Fault::LoseNotifications { count: 100 });
    outside.withings.weigh_now(person, "72.10").unwrap();
    outside.slow(1_500);
    let before = calls(&outside);
    let (status, sync) = deployment.post("/api/ingestors/syncs/", &json!({"link": link})).await;
    assert_eq!(status, 202, "{sync}");
    until("fetch asks the provider", 20, async || (calls(&outside) > before).then_some(())).await;
    let fetch = deployment.process("fetch");
    fetch.ask_to_end();
    assert_eq!(fetch.ended().await, Some(0), "{}", fetch.log());
    outside.slow(0);
    fetch.restart();
    outside.agree(person, PATIENT).await;
}

/// Somebody who follows a sync for minutes does not keep the process.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_does_not_keep_the_api() {
    let (_outside, mut deployment, _, link) = connected(3).await;
    // The sync stays open.
    deployment.process("fetch").terminate().await;
    let (_, sync) = deployment.post("/api/ingestors/syncs/", &json!({"link": link})).await;
    let path = format!("/api/ingestors/syncs/{}/events/", sync["id"].as_str().unwrap());
    let api = deployment.process("api");
    let mut answer = http().get(format!("{}{path}", api.url())).bearer_auth(API_KEY).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let first = answer.chunk().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("event: progress"), "{first:?}");
    api.ask_to_end();
    // The stream ends as one that is done, not as one that is cut off.
    while let Some(_more) = answer.chunk().await.unwrap() {}
    assert_eq!(api.ended().await, Some(0));
}

/// The database of one process is closed: what was written ahead is in the file.
#[tokio::test(flavor = "multi_thread")]
async fn one_process_closes_its_database() {
    let outside = Outside::start().await;
    let mut deployment = Deployment::start(ohx_tests::deployment::Shape::OneProcess, &outside).await;
    create_link(&deployment, PATIENT, 1).await;
    let log = deployment.folder().join("ohx.db-wal");
    assert!(log.exists(), "written ahead while it runs");
    assert_eq!(deployment.processes[0].terminate().await, Some(0));
    assert!(!log.exists(), "SQLite removes it with the last connection");
}
