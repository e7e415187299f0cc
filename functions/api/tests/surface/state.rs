//! Configuration that several people change, and work that is followed and cancelled.

use axum::body::Body;
use http::{Method, Request, header};
use ohx_domain::{Clock as _, Interval, Link, LinkId, Query, RequestId, RequestState, SyncId, SyncReason};
use ohx_store::NewRequest;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{Api, KEY, LINKS, new_link};

const EHRS: &str = "/api/publishers/ehr-endpoints/";
const PROVIDERS: &str = "/api/base/providers/";

#[tokio::test]
async fn nobody_undoes_anothers_change_unseen() {
    let api = Api::new().await;
    let body = json!({"name": "ward", "base_url": "https://ehr.example/fhir", "auth": "bearer", "token": "canary-token"});
    let (status, headers, shown) = api.post(EHRS, &[], &body).await;
    assert_eq!((status, &shown["has_secret"]), (201, &json!(true)), "{shown}");
    assert!(!shown.to_string().contains("canary"));
    let at = headers[header::LOCATION].to_str().unwrap().to_owned();
    let first = headers[header::ETAG].to_str().unwrap().to_owned();
    assert_eq!(api.post(EHRS, &[], &body).await.0, 409);

    let change = json!({"base_url": "https://ehr.example/r5", "auth": "bearer"});
    assert_eq!(api.call(Method::PUT, &at, &[], Some(&change)).await.0, 428);
    let (status, headers, shown) = api.call(Method::PUT, &at, &[("if-match", &first)], Some(&change)).await;
    assert_eq!(
        (status, &shown["has_secret"], &shown["base_url"]),
        (200, &json!(true), &json!("https://ehr.example/r5"))
    );
    let second = headers[header::ETAG].to_str().unwrap().to_owned();
    assert_ne!(first, second);
    for stale in [first.as_str(), "*", "\"x\"", "W/\"1\""] {
        assert_eq!(api.call(Method::PUT, &at, &[("if-match", stale)], Some(&change)).await.0, 412, "{stale}");
        assert_eq!(api.call(Method::DELETE, &at, &[("if-match", stale)], None).await.0, 412, "{stale}");
    }
    assert_eq!(api.get(&at).await.1[header::ETAG].to_str().unwrap(), second);
    // Of two at the same moment one wins.
    let seen = [("if-match", second.as_str())];
    let one = api.call(Method::PUT, &at, &seen, Some(&change));
    let (one, other) = tokio::join!(one, api.call(Method::PUT, &at, &seen, Some(&change)));
    let mut both = [one.0, other.0];
    both.sort_unstable();
    assert_eq!(both, [200, 412]);

    let now = api.get(&at).await.1[header::ETAG].to_str().unwrap().to_owned();
    assert_eq!(api.call(Method::DELETE, &at, &[("if-match", &now)], None).await.0, 204);
    assert_eq!(api.get(&at).await.0, 404);
    assert_eq!(api.call(Method::DELETE, &at, &[("if-match", &now)], None).await.0, 404);
}

#[tokio::test]
async fn what_is_wrong_with_an_endpoint_is_pointed_at() {
    let api = Api::new().await;
    let base = json!({"name": "ward", "base_url": "https://ehr.example/fhir"});
    for (more, pointer) in [
        (json!({"base_url": "ftp://ehr.example"}), "#/base_url"),
        // The metadata service of clouds, the machine itself, and the network behind it.
        (json!({"base_url": "http://169.254.169.254/fhir"}), "#/base_url"),
        (json!({"base_url": "http://[::ffff:127.0.0.1]/fhir"}), "#/base_url"),
        (
            json!({"auth": "smart-backend", "oauth": {"client_id": "c", "token_url": "https://10.0.0.1/token"}}),
            "#/oauth/token_url",
        ),
        (json!({"batch_size": 0}), "#/batch_size"),
        (json!({"auth": "bearer"}), "#/token"),
        (json!({"client_secret": "x"}), "#/client_secret"),
        (json!({"auth": "smart-backend"}), "#/oauth"),
        (
            json!({"auth": "smart-backend", "oauth": {"client_id": "c", "scope": "system/*.xyz"}}),
            "#/oauth/scope",
        ),
        (json!({"name": "Not A Name"}), "#/name"),
    ] {
        let mut body = base.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, _, problem) = api.post(EHRS, &[], &body).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!(pointer)), "{problem}");
    }
}

#[tokio::test]
async fn a_provider_app_keeps_its_secrets_and_stays_while_links_use_it() {
    let api = Api::new().await;
    let body =
        json!({"name": "second", "type": "withings", "client_id": "a", "client_secret": "canary-secret"});
    let (status, headers, shown) = api.post(PROVIDERS, &[], &body).await;
    assert_eq!((status, &shown["has_secret"]), (201, &json!(true)), "{shown}");
    let at = format!("{PROVIDERS}second/");
    let etag = headers[header::ETAG].to_str().unwrap().to_owned();
    let change = json!({"type": "withings", "client_id": "b", "records": ["getmeas"]});
    let (status, headers, shown) = api.call(Method::PUT, &at, &[("if-match", &etag)], Some(&change)).await;
    assert_eq!(
        (status, &shown["client_id"], &shown["has_secret"]),
        (200, &json!("b"), &json!(true)),
        "{shown}"
    );
    let (_, sealed) = api.store.provider(&"second".parse().unwrap()).await.unwrap().unwrap();
    assert!(!sealed.unwrap().windows(6).any(|bytes| bytes == b"canary"));

    let mut link = new_link("Patient/p1");
    link["provider"] = json!("second");
    assert_eq!(api.post(LINKS, &[], &link).await.0, 201);
    let etag = headers[header::ETAG].to_str().unwrap().to_owned();
    let (status, _, problem) = api.call(Method::DELETE, &at, &[("if-match", &etag)], None).await;
    assert_eq!((status, &problem["links"]), (409, &json!(1)), "{problem}");
    let clinic = api.get(&format!("{EHRS}clinic/")).await.1[header::ETAG].to_str().unwrap().to_owned();
    let (status, ..) =
        api.call(Method::DELETE, &format!("{EHRS}clinic/"), &[("if-match", &clinic)], None).await;
    assert_eq!(status, 409);
    let bad = json!({"name": "third", "type": "withings", "client_id": "a"});
    for (field, wrong, pointer) in [
        ("records", json!(["getmood"]), "#/records"),
        ("base_urls", json!({"api": "http://localhost.:6379/"}), "#/base_urls/api"),
    ] {
        let mut body = bad.clone();
        body[field] = wrong;
        assert_eq!(api.post(PROVIDERS, &[], &body).await.2["errors"][0]["pointer"], pointer);
    }
}

/// A link with a sync of two requests.
async fn sync(api: &Api) -> (LinkId, SyncId, RequestId) {
    let (ehr, patient) = ("clinic".parse().unwrap(), "Patient/p1".parse().unwrap());
    let link = Link::pending("withings".parse().unwrap(), ehr, patient, 30, api.clock.now());
    api.store.insert_link(&link).await.unwrap();
    let (sync, mut last) = (SyncId::new(), RequestId::new());
    for day in ["2026-11-17", "2026-11-18"] {
        let at = |hour: &str| format!("{day}T{hour}:00:00Z").parse().unwrap();
        let query = Query::Window(Interval::new(at("00"), at("12")).unwrap());
        last = RequestId::new();
        let record = "getmeas".parse().unwrap();
        let new = NewRequest { id: last, sync, link: link.id, record, query, reason: SyncReason::Manual };
        api.store.request(&new, api.clock.now()).await.unwrap();
    }
    (link.id, sync, last)
}

#[tokio::test]
async fn a_sync_is_listed_and_cancelled() {
    let api = Api::new().await;
    let (link, sync, request) = sync(&api).await;
    let (status, _, page) = api.get(&format!("/api/ingestors/syncs/?link={link}")).await;
    assert_eq!(
        (status, &page["items"][0]["id"], &page["items"][0]["open"]),
        (200, &json!(sync), &json!(2)),
        "{page}"
    );
    let (status, _, shown) =
        api.call(Method::POST, &format!("/api/ingestors/syncs/{sync}/cancel/"), &[], None).await;
    assert_eq!((status, &shown["requests"][1]["state"]), (200, &json!("failed")), "{shown}");
    let row = api.store.request_by_id(request).await.unwrap().unwrap();
    assert_eq!((row.state, row.note.as_deref()), (RequestState::Failed, Some("cancelled through the API")));
    let unknown = format!("/api/ingestors/syncs/{}/cancel/", SyncId::new());
    assert_eq!(api.call(Method::POST, &unknown, &[], None).await.0, 404);
}

#[tokio::test]
async fn progress_comes_as_events_until_it_is_done() {
    let api = Api::new().await;
    let (_, sync, _) = sync(&api).await;
    let request = Request::builder()
        .uri(format!("/api/ingestors/syncs/{sync}/events/"))
        .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
        .header(header::ACCEPT, "text/event-stream")
        .body(Body::empty())
        .unwrap();
    let response = api.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let store = api.store.clone();
    let now = api.clock.now();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        store.cancel_sync(sync, "enough", now).await.unwrap();
    });
    let text = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names, ["progress", "done"], "{text}");
    let last: Value =
        serde_json::from_str(text.lines().rev().find_map(|l| l.strip_prefix("data: ")).unwrap()).unwrap();
    assert_eq!(last["requests"][0]["state"], "failed");
}

#[tokio::test]
async fn the_overview_counts() {
    let api = Api::new().await;
    sync(&api).await;
    let (status, _, seen) = api.get("/api/metrics/overview/?span=day").await;
    assert_eq!(status, 200, "{seen}");
    assert_eq!(
        (&seen["providers"][0]["provider"], &seen["providers"][0]["links"]["pending"]),
        (&json!("withings"), &json!(1))
    );
    assert_eq!(seen["published"]["step_seconds"], 3600);
}
