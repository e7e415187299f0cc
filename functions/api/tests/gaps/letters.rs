//! Dead letters: paged, replayed as a fresh fetch, refused with what to do instead, discarded.

use std::collections::BTreeSet;

use http::Method;
use ohx_domain::{Clock as _, LinkState, RequestState, SyncReason};
use ohx_events::types;
use ohx_store::DeadLetter;
use serde_json::{Value, json};

use crate::{Api, at, getmeas, letter, window};

const AT: &str = "/api/publishers/dead-letters/";

async fn ids(api: &Api) -> Vec<String> {
    let letters = api.list(AT).await;
    letters.as_array().unwrap().iter().map(|l| l["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_follow_one_another_and_filters_stay() {
    let api = Api::new().await;
    let link = api.link("withings").await;
    for n in 0..7 {
        let function = if n == 3 { "publish" } else { "fetch" };
        api.bury(DeadLetter { key: n.to_string(), ..letter(link, None, types::SYNC_REQUESTED, function) })
            .await;
    }
    let first = format!("{AT}?link={link}&function=fetch&limit=2");
    let mut path = first.clone();
    let (mut seen, mut pages) = (BTreeSet::new(), 0);
    loop {
        let letters = api.get(&path).await;
        pages += 1;
        for one in letters["items"].as_array().unwrap() {
            assert_eq!(one["function"], "fetch");
            assert!(seen.insert(one["key"].as_str().unwrap().to_owned()), "{one} came twice");
        }
        let Some(next) = letters["next"].as_str() else { break };
        path = format!("{first}&cursor={next}");
    }
    assert_eq!((seen.len(), pages), (6, 4), "the last page may be empty");
    for bad in ["?function=nobody", "?cursor=x", "?link=x", "?unknown=1"] {
        let (status, _, problem) = api.call(Method::GET, &format!("{AT}{bad}"), &Value::Null).await;
        assert_eq!(status, 400, "{bad}: {problem}");
    }
}

#[tokio::test]
async fn a_replay_asks_afresh_and_the_letter_goes_when_that_is_published() {
    let api = Api::new().await;
    let link = api.link("withings").await;
    let tuesday = window("2026-11-17T00:00:00Z", "2026-11-18T00:00:00Z");
    let old = api.request(link, tuesday, SyncReason::Nightly).await;
    api.store.fail(old, "no", at("2026-11-21T07:00:00Z")).await.unwrap();
    api.bury(letter(link, Some(old), types::SYNC_REQUESTED, "fetch")).await;
    let id = ids(&api).await.pop().unwrap();

    let (status, said) = api.post(&format!("{AT}{id}/replay/"), &Value::Null).await;
    assert_eq!(
        (status, &said["outcome"], &said["record"]),
        (202, &json!("asked"), &json!("getmeas")),
        "{said}"
    );
    let new = said["request"].as_str().unwrap().parse().unwrap();
    assert_ne!(new, old);
    let row = api.store.request_by_id(new).await.unwrap().unwrap();
    assert_eq!((row.link, row.record, row.query), (link, getmeas(), ohx_domain::Query::Window(tuesday)));
    assert_eq!((row.reason, row.state), (SyncReason::Manual, RequestState::Requested));
    assert_eq!(api.published(), [(types::SYNC_REQUESTED.to_owned(), format!("{new}.0"))]);

    // Again, before that is done: nothing is asked twice.
    let (status, said) = api.post(&format!("{AT}{id}/replay/"), &Value::Null).await;
    assert_eq!((status, &said["outcome"]), (202, &json!("on-its-way")), "{said}");
    assert!(api.published().is_empty());
    let shown = api.get(&format!("{AT}{id}/")).await;
    assert_eq!(
        (&shown["stands_for"]["state"], &shown["replayed_as"]["state"]),
        (&json!("failed"), &json!("requested"))
    );

    api.publish(new, &[]).await;
    let (status, _, _) = api.call(Method::GET, &format!("{AT}{id}/"), &Value::Null).await;
    assert_eq!(status, 404);
    assert_eq!(ids(&api).await, [""; 0]);
}

#[tokio::test]
async fn what_is_still_open_is_told_again_under_its_own_row() {
    let api = Api::new().await;
    let link = api.link("withings").await;
    let open =
        api.request(link, window("2026-11-17T00:00:00Z", "2026-11-18T00:00:00Z"), SyncReason::Backfill).await;
    api.store.begin_fetch(open, api.clock.now()).await.unwrap().unwrap();
    api.bury(letter(link, Some(open), types::RECORDS_FETCHED, "transform")).await;
    let id = ids(&api).await.pop().unwrap();
    let (status, said) = api.post(&format!("{AT}{id}/replay/"), &Value::Null).await;
    assert_eq!((status, said["request"].as_str().unwrap()), (202, open.to_string().as_str()), "{said}");
    assert_eq!(api.published(), [(types::SYNC_REQUESTED.to_owned(), format!("{open}.1"))]);
    api.publish(open, &[]).await;
    assert_eq!(ids(&api).await, [""; 0]);
}

#[tokio::test]
async fn many_letters_of_one_request_ask_once() {
    let api = Api::new().await;
    let link = api.link("withings").await;
    let request =
        api.request(link, window("2026-11-17T00:00:00Z", "2026-11-18T00:00:00Z"), SyncReason::Nightly).await;
    api.publish(request, &[at("2026-11-17T06:00:00Z"), at("2026-11-17T07:00:00Z")]).await;
    for n in 0..5 {
        let key = format!("https://ohx.test/ns/withings/getmeas|a.{n}.body-weight");
        api.bury(DeadLetter { key, ..letter(link, Some(request), types::RESOURCES_MAPPED, "publish") }).await;
    }
    api.bury(letter(link, None, "something.else", "fetch")).await;
    let (status, said) = api.post(&format!("{AT}replay/"), &json!({"link": link})).await;
    assert_eq!(status, 202, "{said}");
    assert_eq!(
        (said["replayed"].as_array().unwrap().len(), said["refused"].as_array().unwrap().len()),
        (5, 1)
    );
    let published = api.published();
    assert_eq!(published.len(), 1, "{published:?}");
    let new = said["replayed"][0]["request"].as_str().unwrap().parse().unwrap();

    // Two are refused again: they stay, and the others go.
    for n in 0..2 {
        let key = format!("https://ohx.test/ns/withings/getmeas|a.{n}.body-weight");
        api.bury(DeadLetter { key, ..letter(link, Some(new), types::RESOURCES_MAPPED, "publish") }).await;
    }
    api.publish(new, &[at("2026-11-17T06:00:00Z")]).await;
    let left = api.list(&format!("{AT}?function=publish")).await;
    assert_eq!(left.as_array().unwrap().len(), 2, "{left}");

    // Pages, and nobody replays everything by leaving something out.
    let (_, page) = api.post(&format!("{AT}replay/"), &json!({"all": true, "limit": 1})).await;
    assert!(page["next"].is_string(), "{page}");
    for body in [json!({}), json!({"all": false}), json!({"all": true, "link": link})] {
        assert_eq!(api.post(&format!("{AT}replay/"), &body).await.0, 422, "{body}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_again_says_what_to_do() {
    let api = Api::new().await;
    let link = api.link("withings").await;
    let tuesday = window("2026-11-17T00:00:00Z", "2026-11-18T00:00:00Z");
    let brought = api.request(link, tuesday, SyncReason::Import).await;
    let gone = ohx_domain::RequestId::new();
    for (request, event_type, function, says) in [
        (Some(brought), types::RECORDS_FETCHED, "transform", "bring the same once more"),
        (Some(gone), types::SYNC_REQUESTED, "fetch", "no longer in the ledger"),
        (None, types::RECORDS_FETCHED, "transform", "not known which request"),
        (None, types::PING, "nightly", "the next nightly run"),
        (None, types::PUSH_REQUESTED, "nightly", "the next nightly run"),
        (None, types::LINK_DISCONNECTED, "devices", "connected again"),
    ] {
        api.bury(letter(link, request, event_type, function)).await;
        let id = api.list(AT).await[0]["id"].as_str().unwrap().to_owned();
        let (status, problem) = api.post(&format!("{AT}{id}/replay/"), &Value::Null).await;
        assert_eq!(status, 409, "{event_type}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{event_type}: {detail}");
        let (status, _, _) = api.call(Method::DELETE, &format!("{AT}{id}/"), &Value::Null).await;
        assert_eq!(status, 204);
        assert_eq!(ids(&api).await, [""; 0]);
    }
    assert!(api.published().is_empty());

    // A link that is not active can be asked nothing.
    let old = api.request(link, tuesday, SyncReason::Nightly).await;
    api.bury(letter(link, Some(old), types::SYNC_REQUESTED, "fetch")).await;
    api.store.set_link_state(link, LinkState::ReauthorizationRequired, None).await.unwrap();
    let id = ids(&api).await.pop().unwrap();
    let (status, problem) = api.post(&format!("{AT}{id}/replay/"), &Value::Null).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("connect address"), "{problem}");
    assert!(api.published().is_empty());
    assert_eq!(ids(&api).await.len(), 1, "it stays");
}

#[tokio::test]
async fn what_has_no_row_is_done_in_its_own_way() {
    let api = Api::new().await;
    let link = api.link("withings").await;
    for (event_type, function, sent) in [
        (types::LINK_CONNECTED, "nightly", types::LINK_CONNECTED),
        (types::LINK_CONNECTED, "devices", types::DEVICES_REQUESTED),
        (types::DEVICES_REQUESTED, "devices", types::DEVICES_REQUESTED),
    ] {
        api.bury(letter(link, None, event_type, function)).await;
        let id = ids(&api).await.pop().unwrap();
        let (status, said) = api.post(&format!("{AT}{id}/replay/"), &Value::Null).await;
        assert_eq!((status, &said["outcome"]), (202, &json!("sent")), "{said}");
        assert_eq!(api.published().into_iter().map(|(t, _)| t).collect::<Vec<_>>(), [sent]);
        assert_eq!(ids(&api).await, [""; 0]);
    }
    // Omron lists no devices.
    let other = api.link("omron").await;
    api.bury(letter(other, None, types::DEVICES_REQUESTED, "devices")).await;
    let id = ids(&api).await.pop().unwrap();
    assert_eq!(api.post(&format!("{AT}{id}/replay/"), &Value::Null).await.0, 409);

    api.store.set_link_state(link, LinkState::Disconnected, None).await.unwrap();
    api.bury(DeadLetter {
        at: at("2026-11-21T07:30:00Z"),
        ..letter(link, None, types::LINK_DISCONNECTED, "devices")
    })
    .await;
    let id = ids(&api).await.remove(0);
    let (status, said) = api.post(&format!("{AT}{id}/replay/"), &Value::Null).await;
    assert_eq!((status, &said["outcome"]), (202, &json!("sent")), "{said}");
    assert_eq!(api.published()[0].0, types::LINK_DISCONNECTED);
}

#[tokio::test]
async fn an_unknown_letter_is_not_found() {
    let api = Api::new().await;
    let id = ohx_domain::LetterId::new();
    for (method, path) in [
        (Method::GET, format!("{AT}{id}/")),
        (Method::DELETE, format!("{AT}{id}/")),
        (Method::POST, format!("{AT}{id}/replay/")),
    ] {
        assert_eq!(api.call(method, &path, &Value::Null).await.0, 404, "{path}");
    }
    assert_eq!(api.call(Method::GET, &format!("{AT}x/"), &Value::Null).await.0, 400);
}
