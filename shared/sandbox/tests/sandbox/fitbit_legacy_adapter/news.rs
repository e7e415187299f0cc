//! Subscriptions, and what they bring.

use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, Method};
use axum::routing::any;
use ohx_domain::LinkId;
use ohx_providers::{Notification, Notified, Received, Subscriber, Subscriptions, WebhookRequest};

use super::*;

/// Serves an adapter's notification address, and keeps what was told.
async fn notified(cloud: &Cloud) -> (Url, Arc<Mutex<Vec<Notified>>>) {
    let told: Arc<Mutex<Vec<Notified>>> = Arc::default();
    let (adapter, app, clock, kept) =
        (cloud.adapter.clone(), cloud.app.clone(), cloud.clock.clone(), told.clone());
    let hook =
        any(async move |method: Method, RawQuery(query): RawQuery, headers: HeaderMap, body: Bytes| {
            let query = query.unwrap_or_default();
            let request = WebhookRequest {
                method: &method,
                token: None,
                query: &query,
                headers: &headers,
                body: &body,
                now: clock.now(),
            };
            match adapter.receive(&app, request).await.unwrap() {
                Received::Notified { answer, notified } => {
                    kept.lock().unwrap().extend(notified);
                    answer
                }
                Received::Handshake(answer) | Received::Refused { answer, .. } => answer,
            }
        });
    let base = serve(Router::new().route("/webhook/bands", hook)).await;
    (format!("{base}/webhook/bands").parse().unwrap(), told)
}

#[tokio::test]
async fn news_lead_to_what_is_new() {
    let cloud = Cloud::new().await;
    let (address, told) = notified(&cloud).await;
    assert!(cloud.sim.register_subscriber(address.as_str(), "another").await.is_err());
    cloud.sim.register_subscriber(address.as_str(), "c0de").await.unwrap();
    let (grant, other) = (cloud.connect(GINA).await, cloud.connect(HUGO).await);
    let link = LinkId::new();
    let subscribe = async |grant: &Grant, scopes: &[String], link: LinkId| {
        let subscriber = Subscriber {
            link,
            address: &address,
            app_address: &address,
            now: "2026-11-20T08:00:00Z".parse().unwrap(),
        };
        cloud.adapter.subscribe(&cloud.app, scopes, &grant.access_token, subscriber).await.unwrap()
    };
    let made = subscribe(&grant, &grant.scopes, link).await;
    assert_eq!(made, Subscriptions { kept: 0, made: 4, refused: 0 });
    assert_eq!(subscribe(&grant, &grant.scopes, link).await, Subscriptions { kept: 4, made: 0, refused: 0 });
    assert_eq!(subscribe(&other, &[], link).await, Subscriptions { kept: 0, made: 0, refused: 4 });
    let (count, by) = cloud.sim.subscriptions(GINA);
    assert_eq!((count, by), (4, ["7".to_owned()].into()));

    let now = cloud.clock.now();
    cloud.sim.inject(Fault::DoubleNotifications { count: 1 });
    cloud.sim.weigh_now(GINA, 72_100).unwrap();
    cloud.sim.weigh_now(HUGO, 72_100).unwrap();
    cloud.sim.idle().await;
    let first = std::mem::take(&mut *told.lock().unwrap());
    assert_eq!(first.len(), 2);
    for Notified { account, what } in first {
        assert_eq!(account.reveal(), GINA);
        let Notification::Changed { records, window } = what else { panic!() };
        assert_eq!(records.iter().map(|record| record.as_str()).collect::<Vec<_>>(), ["weight", "fat"]);
        assert!(window.contains(now));
        let parts = cloud.read(&grant, "weight", &Query::Window(window)).await.unwrap();
        assert_eq!(
            parts.iter().flat_map(|part| mapped("weight", part)).collect::<BTreeSet<_>>(),
            cloud.truth(GINA, "weight")
        );
    }
    for closed in [false, true] {
        let grant = cloud.connect(GINA).await;
        subscribe(&grant, &[], link).await;
        cloud.sim.unlink(GINA, closed).unwrap();
        cloud.sim.idle().await;
        let left = std::mem::take(&mut *told.lock().unwrap());
        assert!(matches!(&left[..], [Notified { what: Notification::Revoked, .. }]), "{left:?}");
        assert_eq!(cloud.refresh(&grant).await.unwrap_err().remedy(), Remedy::Reauthorize);
    }
    assert_eq!(cloud.sim.stats().notify_failed, 0);
    // Nobody else can say so.
    let forged = client().post(address.clone()).header("X-Fitbit-Signature", "AAAA").body("[]").send();
    assert_eq!(forged.await.unwrap().status(), 404);
    assert_eq!(client().post(address).body("[]").send().await.unwrap().status(), 404);
}
