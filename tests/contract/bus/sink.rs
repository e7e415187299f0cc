//! What publishing to a broker promises, against a real HTTP server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::post;
use cloudevents::AttributesReader as _;
use ohx_bus::deliver::SinkDeliver;
use ohx_bus::sink::{Sink, SinkBus};
use ohx_bus::{Bus as _, BusError, Deliver as _, Verdict};
use ohx_events::{Function, Priority, subscribers, types};

use crate::functions::{Functions, client, event, serve, status};
use crate::rig::within;

/// A broker whose answer is the event's id, where that is a number.
async fn broker() -> (SinkBus, Functions) {
    let functions = Functions::new(|call| async move { status(call.event.id().parse().unwrap_or(202)) });
    let router = functions.routers().remove(&Function::Fetch).unwrap();
    let url = format!("http://{}/", serve(router).await).parse().unwrap();
    (SinkBus::new(Sink::new(client(), url)), functions)
}

#[tokio::test]
async fn each_event_is_posted_unchanged() {
    let (bus, broker) = broker().await;
    let mut sealed = event("sealed", types::RECORDS_FETCHED, Priority::Low);
    sealed.set_data(ohx_events::envelope::SEALED, (0..=255).collect::<Vec<u8>>());
    let mut events: Vec<_> =
        (0..100).map(|n| event(format!("n{n}"), types::SYNC_REQUESTED, Priority::High)).collect();
    events.push(sealed.clone());
    within(bus.publish(events)).await.unwrap();
    within(bus.publish_after(event("later", types::PING, Priority::Low), Duration::from_secs(3600)))
        .await
        .unwrap();
    assert_eq!(broker.calls().len(), 102);
    assert_eq!(broker.calls_of("later").len(), 1);
    let got = &broker.calls_of("sealed")[0].event;
    assert_eq!(
        (got.data(), got.subject(), got.extension("priority")),
        (sealed.data(), sealed.subject(), sealed.extension("priority"))
    );
}

#[tokio::test]
async fn anything_but_a_2xx_is_an_error_and_the_others_are_still_posted() {
    let (bus, broker) = broker().await;
    for code in ["200", "202", "204"] {
        bus.publish(vec![event(code, types::PING, Priority::High)]).await.unwrap();
    }
    for code in ["301", "400", "404", "429", "500", "503"] {
        let neighbours = [format!("before-{code}"), code.to_owned(), format!("after-{code}")];
        let events = neighbours.iter().map(|id| event(id, types::PING, Priority::High)).collect();
        match bus.publish(events).await {
            Err(BusError::Unavailable(text)) => assert!(text.contains(code), "{text}"),
            other => panic!("{other:?}"),
        }
        for id in neighbours {
            assert_eq!(broker.calls_of(&id).len(), 1);
        }
    }
}

#[tokio::test]
async fn ping_tells_a_broker_from_none() {
    let (bus, broker) = broker().await;
    // The server answers 405 to anything but POST, as a broker's ingress does.
    within(bus.ping()).await.unwrap();
    assert!(broker.calls().is_empty());
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let nobody = SinkBus::new(Sink::new(client(), format!("http://127.0.0.1:{port}/").parse().unwrap()));
    assert!(matches!(within(nobody.ping()).await, Err(BusError::Unavailable(_))));
    let lost = nobody.publish(vec![event("lost", types::PING, Priority::High)]);
    assert!(matches!(within(lost).await, Err(BusError::Unavailable(_))));
}

/// A broker that remembers each call's `Authorization` and the extension `cluster`.
async fn guarded() -> (url::Url, Seen) {
    let seen = Seen::default();
    let router = Router::new().route("/", post(remember)).with_state(seen.clone());
    (format!("http://{}/", serve(router).await).parse().unwrap(), seen)
}

type Seen = Arc<Mutex<Vec<[Option<String>; 2]>>>;

async fn remember(State(seen): State<Seen>, headers: HeaderMap) -> StatusCode {
    let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    seen.lock().unwrap().push([text("authorization"), text("ce-cluster")]);
    StatusCode::ACCEPTED
}

#[tokio::test]
async fn a_token_is_shown_as_it_is_renewed_and_extensions_are_added() {
    let (url, seen) = guarded().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let overrides = r#"{"extensions":{"cluster":"north"}}"#.parse().unwrap();
    let sink = Sink::new(client(), url).with_token_file(file.clone()).with_overrides(overrides);
    let (bus, relayed) = (SinkBus::new(sink.clone()), SinkDeliver::new(sink));
    let event = || event("e", types::SYNC_REQUESTED, Priority::Low);
    bus.publish(vec![event()]).await.unwrap();
    std::fs::write(&file, "second").unwrap();
    bus.publish_after(event(), Duration::ZERO).await.unwrap();
    assert_eq!(relayed.deliver(Function::Fetch, &event()).await, Verdict::Done);
    let cluster = || Some("north".to_owned());
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    assert_eq!(
        *seen.lock().unwrap(),
        [[bearer("first"), cluster()], [bearer("second"), cluster()], [bearer("second"), cluster()]]
    );
    // A token that has gone is not a reason to knock without one.
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(bus.publish(vec![event()]).await, Err(BusError::Unavailable(_))));
    assert!(matches!(relayed.deliver(Function::Fetch, &event()).await, Verdict::Retry { .. }));
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_relay_gives_the_broker_each_event_once() {
    let functions = Functions::new(|call| async move {
        match call.event.id() {
            // A broker may say something beside its 2xx.
            "chatty" => axum::Json(serde_json::json!({"accepted": true})).into_response(),
            id => status(id.parse().unwrap_or(202)),
        }
    });
    let router = functions.routers().remove(&Function::Fetch).unwrap();
    let url = format!("http://{}/", serve(router).await).parse().unwrap();
    let sink = SinkDeliver::new(Sink::new(client(), url));
    // Two functions listen, so that the queues hold it twice.
    let connected = event("connected", types::LINK_CONNECTED, Priority::High);
    assert_eq!(subscribers(types::LINK_CONNECTED).len(), 2);
    for to in subscribers(types::LINK_CONNECTED) {
        assert_eq!(within(sink.deliver(*to, &connected)).await, Verdict::Done);
    }
    assert_eq!(functions.calls_of("connected").len(), 1);
    // A queue that an older version filled: nobody else has a copy of what is in it.
    let strange = event("strange", types::RECORDS_FETCHED, Priority::High);
    assert_eq!(within(sink.deliver(Function::Devices, &strange)).await, Verdict::Done);
    assert_eq!(functions.calls_of("strange").len(), 1);
    for (id, verdict) in
        [("chatty", "Done"), ("404", "Retry"), ("429", "Retry"), ("503", "Retry"), ("413", "Reject")]
    {
        let answer =
            within(sink.deliver(Function::Fetch, &event(id, types::SYNC_REQUESTED, Priority::Low))).await;
        assert!(format!("{answer:?}").starts_with(verdict), "{id}: {answer:?}");
    }
}
