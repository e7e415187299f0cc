//! What the broker gives up: kept once by `relay`, seen and replayed through the API, without a value.

use std::time::Duration;

use cloudevents::AttributesReader as _;
use cloudevents::event::AttributesWriter as _;
use data_encoding::BASE64;
use ohx_events::{Function, types};
use ohx_tests::broker::send;
use ohx_tests::deployment::Deployment;
use ohx_tests::outside::http;
use ohx_tests::until;
use serde_json::{Value, json};

use crate::world::{CANARY, PATIENT, connected, done_by};

async fn letters(deployment: &Deployment) -> Vec<Value> {
    let listed = deployment.list("/api/publishers/dead-letters/").await;
    listed.as_array().unwrap().clone()
}

/// A function is gone for longer than the broker tries: the letter says which, and its replay brings the readings.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_broker_gives_up_is_kept_and_replayed() {
    let (outside, mut deployment, person, link) = connected(5).await;
    deployment.broker().deliver(|delivery| {
        delivery.retry = 2;
        delivery.backoff = Duration::from_millis(10);
    });
    assert_eq!(deployment.process("publish").terminate().await, Some(0));
    outside.withings.weigh_now(person, "72.10").unwrap();
    until("the broker gives up", 60, async || (!deployment.broker().dead().is_empty()).then_some(())).await;
    let kept = letters(&deployment).await;
    let of = |letter: &Value| {
        let text = |name: &str| letter[name].as_str().unwrap_or_default().to_owned();
        (text("function"), text("link"), text("reason"))
    };
    for letter in &kept {
        let expected = ("publish".to_owned(), link.clone(), "the broker gave up after no answer".to_owned());
        assert_eq!(of(letter), expected, "{letter}");
    }
    assert_eq!(kept.len(), deployment.broker().dead().len());
    // A dead letter is delivered at least once, as all is.
    let relay = deployment.process("relay").url();
    let dead = deployment.broker().dead().remove(0);
    for structured in [false, true, false, true] {
        let answer = send(&relay, &dead, structured).await;
        assert_eq!(answer.status(), 204);
        assert!(answer.bytes().await.unwrap().is_empty());
    }
    let again = letters(&deployment).await;
    assert_eq!(again.len(), kept.len(), "{again:?}");

    // Ready before anything is asked again: the broker's patience is still short.
    let publish = deployment.process("publish");
    publish.restart();
    publish.ready(&http()).await;
    let (status, told) =
        deployment.post("/api/publishers/dead-letters/replay/", &json!({"function": "publish"})).await;
    assert!((200..300).contains(&status), "{told}");
    outside.agree(person, PATIENT).await;
    until("the letters are gone", 60, async || letters(&deployment).await.is_empty().then_some(())).await;
    assert!(deployment.broker().dropped().is_empty());
}

/// Whose it is: the address, else the type. What happened: our own words only.
#[tokio::test(flavor = "multi_thread")]
async fn a_letter_says_whose_it_is_and_why() {
    let (_outside, mut deployment, _, _) = connected(3).await;
    let relay = deployment.process("relay").url();
    let event = done_by(&deployment, Function::Transform);
    let problem = json!({"status": 422, "title": "Unprocessable Entity", "detail": "the mapping is gone"});
    let value = format!("<html>weight {CANARY}</html>");
    for (n, (destination, code, data, function, reason)) in [
        (
            "http://transform.ohx.svc.cluster.local/",
            "422",
            problem.to_string(),
            "transform",
            "HTTP 422: the mapping is gone",
        ),
        ("http://ohx-transform-00003.ohx/", "500", value, "transform", "HTTP 500"),
        ("http://10.0.0.7:8080/", "", String::new(), "transform", "no answer"),
        ("http://fetch/", "503", String::new(), "fetch", "HTTP 503"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut letter = event.clone();
        let id = format!("{}.{n}", event.id());
        letter.set_id(&id);
        letter.set_extension("knativeerrordest", destination);
        for (name, value) in
            [("knativeerrorcode", code.to_owned()), ("knativeerrordata", BASE64.encode(data.as_bytes()))]
        {
            if !value.is_empty() {
                letter.set_extension(name, value);
            }
        }
        assert_eq!(send(&relay, &letter, n % 2 == 0).await.status(), 204);
        let kept = letters(&deployment).await;
        let kept = kept.iter().find(|letter| letter["key"] == id.as_str());
        let kept = kept.unwrap_or_else(|| panic!("{id} is not kept"));
        assert_eq!(kept["function"], function, "{kept}");
        assert_eq!(kept["reason"], format!("the broker gave up after {reason}"), "{kept}");
    }
    // What is nobody's is not kept, and not sent again.
    let before = letters(&deployment).await.len();
    let mut strange = event.clone();
    strange.set_type("org.example.other");
    let answer = send(&relay, &strange, false).await;
    assert_eq!(answer.status(), 422);
    // Two listen, and nothing says which of them it was: both are asked again.
    let connected =
        deployment.broker().events().into_iter().find(|e| e.ty() == types::LINK_CONNECTED).unwrap();
    assert_eq!(send(&relay, &connected, false).await.status(), 204);
    assert_eq!(letters(&deployment).await.len(), before + 2);
    let written = deployment.written();
    let relayed = written.iter().find(|(name, _)| name == "ohx-relay.log").unwrap();
    assert!(!String::from_utf8_lossy(&relayed.1).contains(CANARY));
}
