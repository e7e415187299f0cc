//! How batches are cut, and what becomes of those that SQS takes in part: against the emulator, and against a server
//! that refuses as it is told.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use ohx_bus::{Bus as _, BusError};
use ohx_bus_sqs::{Place, SqsBus};
use ohx_events::{Event, Priority, envelope, types};
use serde_json::{Value, json};

use crate::functions::{Functions, event, serve, status};
use crate::rig::{Engine, Options, Rig, Transport, until, within};

fn sync(id: impl ToString) -> Event {
    event(id, types::SYNC_REQUESTED, Priority::Normal)
}

fn sealed(id: impl ToString, bytes: usize) -> Event {
    let mut event = event(id, types::RESOURCES_MAPPED, Priority::High);
    event.set_data(envelope::SEALED, vec![7_u8; bytes]);
    event
}

/// Which entries a request of so many is refused for, by their place, and with what: the code, and whether the sender is
/// to blame.
type Refusal = fn(request: usize, place: usize) -> Option<(&'static str, bool)>;

/// An SQS that takes batches only. Gives the ids of the events of each request.
async fn fake(refuse: Refusal) -> (SqsBus, Arc<Mutex<Vec<Vec<String>>>>) {
    let requests: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
    let seen = requests.clone();
    let answer = async move |headers: HeaderMap, body: Bytes| {
        assert_eq!(headers["x-amz-target"], "AmazonSQS.SendMessageBatch");
        let request: Value = serde_json::from_slice(&body).unwrap();
        let mut requests = seen.lock().unwrap();
        let number = requests.len();
        let (mut ids, mut good, mut bad) = (Vec::new(), Vec::new(), Vec::new());
        for (place, entry) in request["Entries"].as_array().unwrap().iter().enumerate() {
            let event: Value = serde_json::from_str(entry["MessageBody"].as_str().unwrap()).unwrap();
            ids.push(event["id"].as_str().unwrap().to_owned());
            let id = &entry["Id"];
            match refuse(number, place) {
                Some((code, ours)) => bad.push(json!({"Id": id, "Code": code, "SenderFault": ours})),
                None => good.push(json!({"Id": id, "MessageId": "m", "MD5OfMessageBody": ""})),
            }
        }
        requests.push(ids);
        (
            [("content-type", "application/x-amz-json-1.0")],
            json!({"Successful": good, "Failed": bad}).to_string(),
        )
    };
    let address = serve(Router::new().route("/", post(answer))).await;
    let place = Place::new(&format!("http://{address}/0"), "t", Some("us-east-1"), None).unwrap();
    (SqsBus::connect(&place), requests)
}

#[tokio::test]
async fn only_what_failed_of_a_batch_is_sent_again() {
    let (bus, requests) = fake(|request, place| {
        (request == 0 && matches!(place, 3 | 7) || request == 1 && place == 1)
            .then_some(("InternalError", false))
    })
    .await;
    within(bus.publish((0..10).map(sync).collect())).await.unwrap();
    let sent = requests.lock().unwrap().clone();
    assert_eq!(sent[0].len(), 10);
    assert_eq!(sent[1..], [vec!["3".to_owned(), "7".into()], vec!["7".into()]]);
}

#[tokio::test]
async fn what_sqs_never_takes_is_an_error() {
    let (bus, requests) = fake(|_, place| (place == 0).then_some(("ServiceUnavailable", false))).await;
    let error = within(bus.publish((0..3).map(sync).collect())).await.unwrap_err();
    assert!(
        matches!(&error, BusError::Unavailable(text) if text.contains("1 of 3") && text.contains("ServiceUnavailable")),
        "{error}"
    );
    assert_eq!(requests.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn what_is_our_own_fault_is_not_sent_again() {
    let (bus, requests) = fake(|_, place| (place == 2).then_some(("InvalidMessageContents", true))).await;
    let error = within(bus.publish((0..3).map(sync).collect())).await.unwrap_err();
    assert!(error.to_string().contains("InvalidMessageContents"), "{error}");
    assert_eq!(requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn batches_have_ten_entries_and_one_mebibyte_at_most() {
    let (bus, requests) = fake(|_, _| None).await;
    within(bus.publish((0..25).map(sync).collect())).await.unwrap();
    let mut sizes: Vec<_> = requests.lock().unwrap().drain(..).map(|ids| ids.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 10, 10]);
    // 200 KiB are 267 KiB in base64: three fit.
    within(bus.publish((0..7).map(|n| sealed(n, envelope::MAX_SEALED)).collect())).await.unwrap();
    let mut sizes: Vec<_> = requests.lock().unwrap().drain(..).map(|ids| ids.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 3, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_large_events_arrive_and_one_too_large_is_refused() {
    let functions = Functions::new(|_| async { status(200) });
    let rig = Rig::start(Options::new(Engine::Sqs, Transport::Http), functions).await;
    // The emulator holds batches against the limit.
    rig.bus().publish((0..9).map(|n| sealed(n, envelope::MAX_SEALED)).collect()).await.unwrap();
    until(async || rig.functions.calls().len() == 9).await;
    assert!(
        rig.functions.calls().iter().all(|call| call.event.data() == sealed(0, envelope::MAX_SEALED).data())
    );
    let error = rig.bus().publish(vec![sync("neighbour"), sealed("huge", 800 * 1024)]).await.unwrap_err();
    assert!(matches!(&error, BusError::Encode(text) if text.contains("1048576 at most")), "{error}");
    rig.idle().await;
    assert!(rig.functions.calls_of("neighbour").is_empty(), "none of them was sent");
    rig.finish().await;
}
