//! What a function answers to what comes to its address: `204` without a body, or a status that says whether to come again.

use cloudevents::AttributesReader as _;
use cloudevents::event::AttributesWriter as _;
use ohx_events::{Event, Function, types};
use ohx_tests::broker::{send, send_all};
use ohx_tests::outside::http;
use ohx_tests::process::{Process, free_port};
use serde_json::json;

use crate::world::{CANARY, PATIENT, connected, done_by, nothing_was_lost, ping};

/// Both modes are taken alike, however often an event comes, and an answer to one that is done has no body.
#[tokio::test(flavor = "multi_thread")]
async fn binary_and_structured_events_are_taken_alike() {
    let (outside, mut deployment, person, _) = connected(10).await;
    let before = outside.agreement(person, PATIENT).await;
    for function in Function::ALL {
        let event = done_by(&deployment, function);
        let url = deployment.process(function.as_str()).url();
        for structured in [false, true] {
            let answer = send(&url, &event, structured).await;
            let (status, length) = (answer.status(), answer.headers().get("content-length").cloned());
            assert_eq!(status, 204, "{function} {} structured: {structured}", event.ty());
            assert!(length.is_none_or(|length| length == "0"));
            assert!(answer.bytes().await.unwrap().is_empty(), "{function}");
        }
        let many: Vec<_> = (0..6).map(|n| (event.clone(), n % 2 == 0)).collect();
        assert_eq!(send_all(&url, &many).await, [204; 6], "{function}");
    }
    let nightly = deployment.process("nightly").url();
    assert_eq!(send_all(&nightly, &[(ping(), false), (ping(), true)]).await, [204; 2]);
    // What they did again changed nothing.
    assert_eq!(outside.agree(person, PATIENT).await, before);
    assert_eq!(outside.ehr.snapshot().doubles, 0);
    nothing_was_lost(&deployment).await;
}

/// Neither what is no event nor what nobody listens to is ever sent again, and no answer repeats what it was sent.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_for_good_and_not_repeated() {
    let (_outside, mut deployment, _, _) = connected(3).await;
    let batch = "application/cloudevents-batch+json";
    for function in Function::ALL.map(Function::as_str).into_iter().chain(["relay"]) {
        let url = deployment.process(function).url();
        let post = async |headers: &[(&str, &str)], body: String| {
            let mut request = http().post(&url).body(body);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let body = answer.text().await.unwrap();
            assert!(!body.contains(CANARY), "{function}: {body}");
            status
        };
        let event = json!({"specversion": "1.0", "id": CANARY, "type": types::SYNC_REQUESTED, "source": "/x", "data": {"v": CANARY}});
        let attributes = [("ce-id", "1"), ("ce-type", types::SYNC_REQUESTED), ("ce-source", "/x")];
        let with = |name: &'static str, value: &'static str| {
            attributes.iter().copied().filter(|(n, _)| *n != name).chain([(name, value)]).collect::<Vec<_>>()
        };
        let without = |name: &str| {
            let all = attributes.iter().copied().chain([("ce-specversion", "1.0")]);
            all.filter(|(n, _)| *n != name).collect::<Vec<_>>()
        };
        let structured = [("content-type", "application/cloudevents+json")];
        let json = [("content-type", "application/json")];
        for (what, headers, body) in [
            ("nothing", vec![], String::new()),
            ("JSON", json.to_vec(), format!(r#"{{"value":{CANARY}}}"#)),
            ("a text", vec![], CANARY.to_owned()),
            ("no version", without("ce-specversion"), CANARY.to_owned()),
            ("no id", without("ce-id"), CANARY.to_owned()),
            ("no type", without("ce-type"), CANARY.to_owned()),
            ("no source", without("ce-source"), CANARY.to_owned()),
            ("another version", with("ce-specversion", "9.9"), CANARY.to_owned()),
            ("broken JSON", structured.to_vec(), format!(r#"{{"specversion":"1.0","id":"{CANARY}""#)),
            ("no object", structured.to_vec(), format!("[{event}]")),
        ] {
            assert_eq!(post(&headers, body).await, 400, "{function}: {what}");
        }
        let status = post(&[("content-type", batch)], format!("[{event},{event}]")).await;
        assert!(matches!(status, 400 | 415), "{function}: a batch was answered with {status}");
    }
    for function in Function::ALL {
        let event = done_by(&deployment, function);
        let url = deployment.process(function.as_str()).url();
        let refused = async |event: Event| {
            for structured in [false, true] {
                let answer = send(&url, &event, structured).await;
                let status = answer.status().as_u16();
                assert_eq!(answer.headers()["content-type"], "application/problem+json");
                let body = answer.text().await.unwrap();
                assert!(!body.contains(CANARY), "{function}: {body}");
                assert_eq!(status, 422, "{function}: {body}");
            }
        };
        // Of a type that nobody knows, of one that another function listens to, and of ours with what is none of its data.
        for other in [format!("org.example.{CANARY}"), types::RESOURCES_PUBLISHED.to_owned()] {
            let mut strange = event.clone();
            strange.set_type(other);
            refused(strange).await;
        }
        let mut strange = event.clone();
        strange.set_id(CANARY);
        strange.set_subject(Some(CANARY));
        strange.set_data("application/json", json!({"value": CANARY}));
        refused(strange.clone()).await;
        let number: f64 = CANARY.parse().unwrap();
        strange
            .set_data("application/json", json!({"provider": number, "request": CANARY, "record": number}));
        refused(strange).await;
    }
}

/// A database that is away passes: 503, whatever the event.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_a_reason_to_come_again() {
    let (_outside, deployment, _, _) = connected(3).await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = deployment.environment().clone();
    settings
        .insert("DATABASE_URL".into(), format!("postgres://nobody:secret@127.0.0.1:{}/none", free_port()));
    let mut calls = Vec::new();
    for function in Function::ALL.map(Function::as_str).into_iter().chain(["relay"]) {
        let process = Process::start(&format!("ohx-{function}"), &[], &settings, folder.path());
        ohx_tests::until(&format!("{function} lives"), 30, async || {
            http().get(format!("{}/livez", process.url())).send().await.ok()
        })
        .await;
        let of = Function::ALL.into_iter().find(|f| f.as_str() == function).unwrap_or(Function::Fetch);
        let event = done_by(&deployment, of);
        calls.push(async move {
            let ready = http().get(format!("{}/readyz", process.url())).send().await.unwrap();
            assert_eq!(ready.status(), 503, "{}", process.name);
            let answer = send(&process.url(), &event, false).await;
            let status = answer.status().as_u16();
            let body = answer.text().await.unwrap();
            assert_eq!(status, 503, "{}: {body}", process.name);
            assert!(!body.contains("secret"), "{body}");
        });
    }
    futures_util::future::join_all(calls).await;
}
