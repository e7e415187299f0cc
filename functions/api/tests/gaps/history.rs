//! How far back a link's history goes.

use ohx_domain::{Link, LinkState};
use serde_json::json;

use crate::{Api, at};

const AT: &str = "/api/ingestors/syncs/";

#[tokio::test]
async fn an_earlier_sync_extends_the_history_and_says_so() {
    let api = Api::new().await;
    let link = api.link("withings").await;
    let start = async || api.store.link(link).await.unwrap().unwrap().history_start.unwrap();
    assert_eq!(start().await, at("2026-10-21T20:00:00Z"));
    let (status, said) = api.post(AT, &json!({"link": link, "from": "2026-11-01T00:00:00Z"})).await;
    assert_eq!((status, &said["history"]), (202, &json!(null)), "{said}");
    assert_eq!(start().await, at("2026-10-21T20:00:00Z"));

    let body = json!({"link": link, "from": "2026-09-01T00:00:00Z", "to": "2026-09-02T00:00:00Z"});
    let (status, said) = api.post(AT, &body).await;
    assert_eq!(status, 202, "{said}");
    assert_eq!(said["history"], json!({"start": "2026-09-01T00:00:00Z", "was": "2026-10-21T20:00:00Z"}));
    assert_eq!(
        start().await,
        at("2026-09-01T00:00:00Z"),
        "what lies between is asked for by the nightly run"
    );
    let (_, again) = api.post(AT, &body).await;
    assert_eq!(again["history"], json!(null), "{again}");
}

#[tokio::test]
async fn what_another_link_has_brought_is_not_brought_again() {
    let api = Api::new().await;
    let (older, link) = (api.link("omron").await, api.link("withings").await);
    let reason = format!("replaced by link {link}");
    api.store.set_link_state(older, LinkState::Disconnected, Some(&reason)).await.unwrap();
    let body = json!({"link": link, "from": "2026-09-01T00:00:00Z"});
    let (status, problem) = api.post(AT, &body).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains(&older.to_string()), "{problem}");
    let Link { history_start, .. } = api.store.link(link).await.unwrap().unwrap();
    assert_eq!(history_start, Some(at("2026-10-21T20:00:00Z")));
    assert!(api.published().is_empty(), "nothing was asked");
}
