//! A POST that is sent again is done once.

use std::time::Duration;

use http::Method;
use ohx_store::LinkFilter;

use crate::{Api, LINKS, new_link};

const KEY: (&str, &str) = ("idempotency-key", "8e03978e-40d5-43dd-bc93-6894a57f9324");

async fn links(api: &Api) -> usize {
    api.store.links(&LinkFilter { limit: 10, ..LinkFilter::default() }).await.unwrap().len()
}

#[tokio::test]
async fn the_same_call_has_the_same_answer() {
    let api = Api::new().await;
    let (status, headers, first) = api.post(LINKS, &[KEY], &new_link("Patient/p1")).await;
    assert_eq!((status, headers.get("idempotency-replayed")), (201, None));
    let (status, headers, again) = api.post(LINKS, &[KEY], &new_link("Patient/p1")).await;
    assert_eq!((status, &again), (201, &first));
    assert_eq!(headers["idempotency-replayed"], "true");
    assert_eq!(headers["content-type"], "application/json; version=1");
    assert_eq!(links(&api).await, 1);
    // Without a key, or with another one, it is another call.
    api.post(LINKS, &[], &new_link("Patient/p1")).await;
    api.post(LINKS, &[("idempotency-key", "another")], &new_link("Patient/p1")).await;
    assert_eq!(links(&api).await, 3);
    // After a day all is forgotten.
    api.clock.advance(Duration::from_secs(24 * 3600 + 1));
    api.post(LINKS, &[KEY], &new_link("Patient/p1")).await;
    assert_eq!(links(&api).await, 4);
}

#[tokio::test]
async fn another_call_with_the_same_key_is_refused() {
    let api = Api::new().await;
    assert_eq!(api.post(LINKS, &[KEY], &new_link("Patient/p1")).await.0, 201);
    assert_eq!(api.post(LINKS, &[KEY], &new_link("Patient/p2")).await.0, 422);
    let elsewhere = api.post("/api/base/providers/", &[KEY], &new_link("Patient/p1")).await;
    assert_eq!(elsewhere.0, 422, "{}", elsewhere.2);
    assert_eq!(links(&api).await, 1);
    assert_eq!(api.post(LINKS, &[("idempotency-key", "")], &new_link("Patient/p1")).await.0, 400);
    // It means nothing to a GET.
    assert_eq!(api.call(Method::GET, LINKS, &[KEY], None).await.0, 200);
}

#[tokio::test]
async fn a_refusal_is_an_answer_too() {
    let api = Api::new().await;
    let mut body = new_link("Patient/p1");
    body["ehr"] = "nowhere".into();
    let (status, _, first) = api.post(LINKS, &[KEY], &body).await;
    let (again, headers, second) = api.post(LINKS, &[KEY], &body).await;
    assert_eq!((status, again, &first), (422, 422, &second));
    assert_eq!(headers["idempotency-replayed"], "true");
}

#[tokio::test]
async fn many_at_once_are_done_once() {
    let api = Api::new().await;
    let body = new_link("Patient/p1");
    let calls = (0..8).map(|_| api.post(LINKS, &[KEY], &body));
    let answers = futures_util::future::join_all(calls).await;
    for (status, headers, body) in &answers {
        match status {
            201 => {}
            409 => assert!(headers.contains_key("retry-after"), "{body}"),
            other => panic!("{other}: {body}"),
        }
    }
    assert!(answers.iter().any(|(status, ..)| *status == 201));
    assert_eq!(links(&api).await, 1);
}
