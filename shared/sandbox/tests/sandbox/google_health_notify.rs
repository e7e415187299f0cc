//! Notifications of the simulated Google Health API, from registering to believing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use ohx_domain::{Clock as _, Interval, LinkId, Query};
use ohx_providers::{
    Grant, Notification, Notified, Provider as _, ProviderError, Received, Remedy, Subscriber, Subscriptions,
    WebhookRequest,
};
use ohx_sandbox::google_health::Fault;
use url::Url;

use super::google_health_adapter::{CARLA, Cloud, DAN, mapped};
use super::serve;

/// An app's notification address: what the adapter makes of each request.
struct Address {
    url: Url,
    heard: Arc<Mutex<Vec<Notified>>>,
    refused: Arc<Mutex<Vec<String>>>,
}

impl Address {
    async fn of(cloud: &Cloud) -> Self {
        let (heard, refused) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (adapter, app, clock) = (cloud.adapter.clone(), cloud.app.clone(), cloud.clock.clone());
        let (said, not) = (heard.clone(), refused.clone());
        let handler = async move |method: Method, headers: HeaderMap, body: Bytes| {
            let request = WebhookRequest {
                method: &method,
                token: None,
                query: "",
                headers: &headers,
                body: &body,
                now: clock.now(),
            };
            match adapter.receive(&app, request).await {
                Ok(Received::Notified { answer, notified }) => {
                    said.lock().unwrap().extend(notified);
                    answer
                }
                Ok(Received::Handshake(answer)) => answer,
                Ok(Received::Refused { answer, why }) => {
                    not.lock().unwrap().push(why);
                    answer
                }
                Err(_) => StatusCode::SERVICE_UNAVAILABLE,
            }
        };
        let base = serve(Router::new().fallback(handler)).await;
        Self { url: Url::parse(&format!("{base}/webhook/bands")).unwrap(), heard, refused }
    }

    async fn subscribe(&self, cloud: &Cloud, grant: &Grant) -> Result<Subscriptions, ProviderError> {
        let subscriber = Subscriber {
            link: LinkId::new(),
            address: &self.url,
            app_address: &self.url,
            now: "2026-11-20T08:00:00Z".parse().unwrap(),
        };
        cloud.adapter.subscribe(&cloud.app, &grant.scopes, &grant.access_token, subscriber).await
    }

    /// The records and windows that were told of since the last look.
    fn heard(&self) -> Vec<(String, String, Interval)> {
        let told = std::mem::take(&mut *self.heard.lock().unwrap());
        let told = told.into_iter().map(|Notified { account, what }| match what {
            Notification::Changed { records, window } | Notification::Removed { records, window } => {
                (account.reveal().clone(), records[0].to_string(), window)
            }
            other => panic!("{other:?}"),
        });
        told.collect()
    }
}

#[tokio::test]
async fn notifications_are_registered_signed_and_believed() {
    let cloud = Cloud::new().await;
    let address = Address::of(&cloud).await;
    let grant = cloud.connect(CARLA).await;
    assert_eq!(
        address.subscribe(&cloud, &grant).await.unwrap(),
        Subscriptions { kept: 0, made: 18, refused: 0 }
    );
    assert_eq!(address.subscribe(&cloud, &grant).await.unwrap().kept, 18);
    assert_eq!(cloud.sim.subscribers()["ohx-bands"], address.url.as_str());
    assert_eq!(cloud.sim.stats().verifications, 1);

    // Now alone, now in a list; twice; without the secret: all the same.
    cloud.sim.inject(Fault::DoubleNotifications { count: 1 });
    cloud.sim.inject(Fault::NotificationsWithoutAuthorization { count: 2 });
    for grams in [72_100, 72_200, 72_300] {
        cloud.sim.weigh_now(CARLA, grams).unwrap();
        cloud.sim.idle().await;
    }
    let heard = address.heard();
    assert_eq!(heard.len(), 4);
    let now = cloud.clock.now();
    assert!(heard.iter().all(|(who, record, window)| {
        *who == CARLA.to_string() && record == "weight" && window.contains(now)
    }));
    // What is told of is found in the window that is told.
    cloud.clock.advance(Duration::from_secs(120));
    let parts = cloud.read(&grant, "weight", &Query::Window(heard[0].2)).await.unwrap();
    assert_eq!(mapped("weight", &parts[0]).len(), 3);

    // A new key is looked for; another's is refused; the time between two looks is a minute.
    cloud.sim.rotate_key().unwrap();
    cloud.sim.weigh_now(CARLA, 72_400).unwrap();
    cloud.sim.idle().await;
    assert_eq!((address.heard().len(), cloud.sim.stats().calls["keyset"]), (1, 2));
    cloud.sim.inject(Fault::ForgeNotifications { count: 1 });
    cloud.sim.weigh_now(CARLA, 72_500).unwrap();
    cloud.sim.idle().await;
    assert_eq!(address.heard().len(), 0);
    assert!(address.refused.lock().unwrap().iter().any(|why| why.contains("not over this body")));

    // Deleting and leaving are looked at as well; strangers are told of nobody.
    cloud.sim.weigh_now(DAN, 90_000).unwrap();
    cloud.sim.unlink(CARLA).unwrap();
    cloud.sim.idle().await;
    let heard = address.heard();
    assert_eq!(heard.len(), 1);
    assert_eq!((heard[0].0.as_str(), heard[0].1.as_str()), (CARLA.to_string().as_str(), "weight"));
    let refresh = grant.refresh_token.unwrap();
    let error = cloud.adapter.refresh(&cloud.app, &refresh).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Reauthorize);
}

#[tokio::test]
async fn an_address_that_proves_nothing_is_not_registered() {
    let mut cloud = Cloud::new().await;
    let anybody = serve(Router::new().fallback(async || StatusCode::CREATED)).await;
    let nobody =
        Address { url: Url::parse(&anybody).unwrap(), heard: Arc::default(), refused: Arc::default() };
    let grant = cloud.connect(CARLA).await;
    let error = nobody.subscribe(&cloud, &grant).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Permanent);
    assert!(error.to_string().contains("401"), "{error}");
    assert!(cloud.sim.subscribers().is_empty());
    // Another project's number, as its owner would mistype it.
    cloud.app.config.options.insert("project".into(), "42".into());
    let error = nobody.subscribe(&cloud, &grant).await.unwrap_err();
    assert!(error.to_string().contains("project"), "{error}");
}
