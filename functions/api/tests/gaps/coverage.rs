//! Why is Tuesday missing?

use http::Method;
use ohx_domain::{Clock as _, LinkState, PushState, SyncReason};
use ohx_events::types;
use ohx_store::{ConsentNeed, DeadLetter};
use serde_json::Value;

use crate::{Api, at, letter, window};

/// The spans of a record on a day: start, end, state, and the first reason.
async fn spans(api: &Api, link: ohx_domain::LinkId, more: &str) -> Vec<(String, String, String, String)> {
    let shown = api.list(&format!("/api/ingestors/coverage/?link={link}&record=getmeas{more}")).await;
    assert_eq!(shown.as_array().unwrap().len(), 1, "{shown}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |s: &Value| {
        let why = s["why"].as_array().unwrap().iter().map(text).collect::<Vec<_>>().join(" | ");
        (text(&s["start"]), text(&s["end"]), text(&s["state"]), why)
    };
    shown[0]["spans"].as_array().unwrap().iter().map(one).collect()
}

const TUESDAY: &str = "&from=2026-11-17T00:00:00Z&to=2026-11-18T00:00:00Z";

#[tokio::test]
async fn every_part_of_a_day_has_its_state_and_its_reason() {
    let api = Api::new().await;
    let link = api.link("withings").await;
    let hours = |from: u32, to: u32| {
        window(&format!("2026-11-17T{from:02}:00:00Z"), &format!("2026-11-17T{to:02}:00:00Z"))
    };
    let published = api.request(link, hours(0, 6), SyncReason::Backfill).await;
    api.publish(published, &[at("2026-11-17T03:00:00Z")]).await;
    let key = "https://ohx.test/ns/withings/getmeas|a.1.body-weight".to_owned();
    let reason = "HTTP 422 invariant".to_owned();
    api.bury(DeadLetter {
        key,
        reason,
        attempts: 1,
        ..letter(link, Some(published), types::RESOURCES_MAPPED, "publish")
    })
    .await;
    let failed = api.request(link, hours(6, 12), SyncReason::Nightly).await;
    api.store.begin_fetch(failed, api.clock.now()).await.unwrap();
    api.store.fail(failed, "withings answered getmeas with status 2554", api.clock.now()).await.unwrap();
    let waiting = api.request(link, hours(10, 14), SyncReason::Manual).await;
    api.store.begin_fetch(waiting, api.clock.now()).await.unwrap();
    api.store.note(waiting, "the quota is used up; again in 30 s", api.clock.now()).await.unwrap();

    let shown = spans(&api, link, TUESDAY).await;
    let brief: Vec<_> =
        shown.iter().map(|(start, end, state, _)| (&start[11..19], &end[11..19], state.as_str())).collect();
    assert_eq!(
        brief,
        [
            ("00:00:00", "03:00:00", "published"),
            ("03:00:00", "03:00:01", "refused"),
            ("03:00:01", "06:00:00", "published"),
            ("06:00:00", "10:00:00", "failed"),
            ("10:00:00", "14:00:00", "on-its-way"),
            ("14:00:00", "00:00:00", "never-asked"),
        ],
        "{shown:#?}"
    );
    assert!(shown[1].3.contains("HTTP 422 invariant"), "{}", shown[1].3);
    assert!(shown[3].3.contains("status 2554"), "{}", shown[3].3);
    assert!(shown[4].3.contains("quota is used up"), "{}", shown[4].3);
    assert!(shown[5].3.contains("the nightly run asks for it"), "{}", shown[5].3);
    let whole = api.list(&format!("/api/ingestors/coverage/?link={link}&record=getmeas{TUESDAY}")).await;
    assert_eq!(whole[0]["spans"][3]["attempts"], 1);
    assert_eq!(whole[0]["spans"][3]["requests"][0]["id"], failed.to_string());
    assert_eq!(whole[0]["missing"][0]["start"], "2026-11-17T03:00:00Z");
}

#[tokio::test]
async fn the_links_state_is_a_reason() {
    let api = Api::new().await;
    let link = api.link("withings").await;
    let why = async || spans(&api, link, TUESDAY).await.pop().unwrap().3;
    let push = PushState::Polling { reason: "the callback is refused".to_owned() };
    api.store.set_push_state(link, &push).await.unwrap();
    assert!(why().await.contains("push is not registered (the callback is refused)"), "{}", why().await);
    api.store
        .set_push_state(link, &PushState::Subscribed { checked: at("2026-11-21T02:00:00Z") })
        .await
        .unwrap();
    assert!(why().await.contains("notifies of news"), "{}", why().await);
    let need = ConsentNeed { code: "grant-refused", reason: "status 503", since: at("2026-11-16T12:00:00Z") };
    assert!(api.store.require_consent(link, 1, &need).await.unwrap());
    let said = why().await;
    assert!(said.contains("consent again since 2026-11-16T12:00:00Z: status 503"), "{said}");
    let shown = api.get(&format!("/api/base/provider-links/{link}/")).await;
    assert_eq!(
        (shown["state_code"].as_str(), shown["state_since"].as_str()),
        (Some("grant-refused"), Some("2026-11-16T12:00:00Z"))
    );
    api.store
        .set_link_state(link, LinkState::Disconnected, Some("disconnected through the API"))
        .await
        .unwrap();
    assert!(why().await.contains("the link has ended: disconnected"), "{}", why().await);
}

#[tokio::test]
async fn what_lies_outside_is_said_to() {
    let api = Api::new().await;
    let link = api.link("withings").await;
    // Its history begins 30 days before the consent: 2026-10-21T20:00:00Z.
    let shown = spans(&api, link, "&from=2026-10-21T00:00:00Z&to=2026-10-22T00:00:00Z").await;
    assert_eq!(
        (shown.len(), shown[0].2.as_str(), shown[0].1.as_str()),
        (2, "before-history", "2026-10-21T20:00:00Z")
    );
    // Nothing is said of the time to come.
    let shown = spans(&api, link, "&from=2026-11-21T00:00:00Z&to=2026-11-22T00:00:00Z").await;
    assert_eq!(shown.last().unwrap().1, "2026-11-21T08:00:00Z");
    let all = spans(&api, link, "").await;
    assert_eq!((all.len(), all[0].0.as_str()), (1, "2026-10-21T20:00:00Z"));
    for (bad, status) in [
        ("&from=2026-11-18T00:00:00Z&to=2026-11-17T00:00:00Z", 422),
        ("&from=2026-11-22T00:00:00Z", 422),
        ("&from=yesterday", 400),
        ("&day=2026-11-17", 400),
    ] {
        let path = format!("/api/ingestors/coverage/?link={link}{bad}");
        assert_eq!(api.call(Method::GET, &path, &Value::Null).await.0, status, "{bad}");
    }
}
