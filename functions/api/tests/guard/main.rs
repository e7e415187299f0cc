//! The guard, over a store in memory: keys, confinement, limits, the audit log.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod rules;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{Method, Request, header};
use ohx_bus::{Bus, BusError};
use ohx_domain::{Clock as _, EhrEndpoint, ManualClock, ProviderApp, Role};
use ohx_events::Event;
use ohx_link::Links;
use ohx_runtime::parts::Parts;
use ohx_seal::{Keyring, generate_key};
use ohx_store::verify_audit;
use ohx_store_sqlite::SqliteStore;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use ohx_api::Access;
use ohx_api::access::{NewKey, make_api_key};
use ohx_runtime::Settings;

const OPERATOR: &str = "0123456789abcdef0123456789abcdef";

struct Nothing;

#[async_trait]
impl Bus for Nothing {
    async fn publish(&self, _: Vec<Event>) -> Result<(), BusError> {
        Ok(())
    }
    async fn publish_after(&self, _: Event, _: Duration) -> Result<(), BusError> {
        Ok(())
    }
    async fn ping(&self) -> Result<(), BusError> {
        Ok(())
    }
}

pub(crate) struct Rig {
    pub(crate) links: Links,
    router: Router,
    pub(crate) clock: Arc<ManualClock>,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(Access::from(&SecretString::from(OPERATOR))).await
    }

    async fn with(access: Access) -> Self {
        let clock = Arc::new(ManualClock::new("2026-11-21T08:00:00Z".parse().unwrap()));
        let store: ohx_store::SharedStore = Arc::new(SqliteStore::open("sqlite::memory:").await.unwrap());
        store.migrate().await.unwrap();
        let app = ProviderApp {
            name: "withings".parse().unwrap(),
            kind: "withings".into(),
            client_id: "test".into(),
            base_urls: std::collections::BTreeMap::new(),
            scopes: Vec::new(),
            records: Vec::new(),
            requests_per_minute: None,
            options: std::collections::BTreeMap::new(),
            notify_from: Vec::new(),
        };
        store.put_provider(&app, None, clock.now()).await.unwrap();
        for name in ["clinic", "registry"] {
            let url = "https://fhir.example/r5".parse().unwrap();
            store.put_ehr(&EhrEndpoint::new(name.parse().unwrap(), url), None, clock.now()).await.unwrap();
        }
        let keys = format!("k:{}", generate_key().expose_secret());
        let links = Links::new(Parts {
            store,
            bus: Arc::new(Nothing),
            keyring: Arc::new(Keyring::parse(&keys.into()).unwrap()),
            clock: clock.clone(),
            http: ohx_runtime::outbound::client(Duration::from_secs(1)).unwrap(),
            public_url: "http://127.0.0.1:1".parse().unwrap(),
            identifier_base: "https://ohx.test/ns".into(),
        });
        Self { router: ohx_api::router(links.clone(), access), links, clock }
    }

    /// A key's actor, and the key.
    pub(crate) async fn key(&self, role: Role, ehr: Option<&str>, own_links: bool) -> (String, String) {
        let ehr = ehr.map(|name| name.parse().unwrap());
        let new = NewKey { name: role.to_string(), role, ehr, own_links, expires_at: None };
        let parts = self.links.parts();
        let (stored, key) = make_api_key(&parts.store, new, "test", parts.clock.now()).await.unwrap();
        (format!("key:{}", stored.key.id), key.expose_secret().to_owned())
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str, key: &str) -> (u16, Value) {
        self.call(Method::GET, path, Some(key), None).await
    }

    async fn post(&self, path: &str, key: &str, body: Value) -> (u16, Value) {
        self.call(Method::POST, path, Some(key), Some(body)).await
    }

    /// Makes a link, and gives its id.
    async fn link(&self, key: &str, ehr: &str, patient: &str) -> String {
        let body = json!({"provider": "withings", "ehr": ehr, "patient": patient});
        let (status, link) = self.post("/api/base/provider-links/", key, body).await;
        assert_eq!(status, 201, "{link}");
        link["id"].as_str().unwrap().to_owned()
    }

    async fn listed(&self, key: &str) -> Vec<String> {
        let (status, page) = self.get("/api/base/provider-links/", key).await;
        assert_eq!(status, 200, "{page}");
        let ids = page["items"].as_array().unwrap().iter();
        ids.map(|link| link["id"].as_str().unwrap().to_owned()).collect()
    }

    /// What the audit log says, newest first: actor, action, subject.
    async fn audited(&self) -> Vec<[String; 3]> {
        let (status, page) = self.get("/api/base/audit/", OPERATOR).await;
        assert_eq!(status, 200, "{page}");
        let field = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
        let entries = page["items"].as_array().unwrap().iter();
        entries.map(|e| ["actor", "action", "subject"].map(|name| field(e, name))).collect()
    }
}

#[tokio::test]
async fn a_key_is_shown_once_and_taken_until_it_expires_or_is_revoked() {
    let rig = Rig::new().await;
    let body = json!({"name": "app", "role": "integrator", "expires_at": "2026-11-21T09:00:00Z"});
    let (status, made) = rig.post("/api/base/api-keys/", OPERATOR, body.clone()).await;
    assert_eq!(status, 201, "{made}");
    let (key, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert!(key.starts_with("ohx_") && key.len() == 47, "{key}");
    assert_eq!(rig.get("/api/base/providers/", key).await.0, 200);
    let one = format!("/api/base/api-keys/{id}/");
    let (_, shown) = rig.get(&one, OPERATOR).await;
    assert_eq!((&shown["state"], &shown["last_used_at"]), (&json!("good"), &json!("2026-11-21T08:00:00Z")));
    assert_eq!((&shown["created_by"], shown.get("key")), (&json!("operator"), None));
    assert!(!rig.get("/api/base/api-keys/", OPERATOR).await.1.to_string().contains(key));

    rig.clock.advance(Duration::from_secs(3600));
    assert_eq!(rig.get("/api/base/providers/", key).await.0, 401);
    assert_eq!(rig.get(&one, OPERATOR).await.1["state"], "expired");
    assert_eq!(rig.post("/api/base/api-keys/", OPERATOR, body).await.0, 422, "it would have ended already");

    let (actor, key) = rig.key(Role::Integrator, None, false).await;
    assert_eq!(rig.get("/api/base/providers/", &key).await.0, 200);
    let id = actor.strip_prefix("key:").unwrap();
    let revoke = format!("/api/base/api-keys/{id}/revoke/");
    for _ in 0..2 {
        let (status, shown) = rig.post(&revoke, OPERATOR, Value::Null).await;
        assert_eq!((status, &shown["state"]), (200, &json!("revoked")));
        assert_eq!(rig.get("/api/base/providers/", &key).await.0, 401);
    }
}

#[tokio::test]
async fn a_key_that_could_not_hold_what_it_says_is_not_made() {
    let rig = Rig::new().await;
    for (body, says) in [
        (json!({"name": "", "role": "admin"}), "name"),
        (json!({"name": "x".repeat(101), "role": "admin"}), "name"),
        (json!({"name": "a", "role": "admin", "own_links": true}), "admin"),
        (json!({"name": "a", "role": "admin", "ehr": "clinic"}), "admin"),
        (json!({"name": "a", "role": "integrator", "ehr": "nowhere"}), "nowhere"),
        (json!({"name": "a", "role": "root"}), "unknown variant"),
    ] {
        let (status, problem) = rig.post("/api/base/api-keys/", OPERATOR, body).await;
        assert!(status == 422 && problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    assert_eq!(rig.get("/api/base/api-keys/", OPERATOR).await.1["items"], json!([]));
}

#[tokio::test]
async fn for_a_link_creator_there_are_only_its_own_links() {
    let rig = Rig::new().await;
    let (_, one) = rig.key(Role::LinkCreator, None, false).await;
    let (_, two) = rig.key(Role::LinkCreator, None, false).await;
    let theirs = rig.link(&two, "clinic", "Patient/2").await;
    let own = rig.link(&one, "clinic", "Patient/1").await;
    assert_eq!(rig.listed(&one).await, [own.as_str()]);
    assert_eq!(rig.listed(&two).await, [theirs.as_str()]);
    assert_eq!(rig.listed(OPERATOR).await.len(), 2);
    let nothing = "019a0000-0000-7000-8000-000000000000";
    let at = |link: &str, rest: &str| format!("/api/base/provider-links/{link}/{rest}");
    // What is not there and what is another's: the same answer, but for the id.
    for (method, rest, body) in [
        (Method::GET, "", None),
        (Method::GET, "devices/", None),
        (Method::POST, "connect-address/", None),
        (Method::POST, "disconnect/", None),
        (Method::POST, "successor/", Some(json!({"provider": "withings"}))),
        (Method::POST, "create_fhir_device/", None),
    ] {
        let (status, problem) = rig.call(method.clone(), &at(&theirs, rest), Some(&one), body.clone()).await;
        let (status_of_none, none) = rig.call(method, &at(nothing, rest), Some(&one), body).await;
        assert_eq!((status, status_of_none), (404, 404), "{rest}: {problem}");
        assert_eq!(problem.to_string().replace(&theirs, nothing), none.to_string(), "{rest}");
    }
    for path in [
        format!("/api/ingestors/coverage/?link={theirs}"),
        format!("/api/ingestors/coverage/?link={nothing}"),
    ] {
        assert_eq!(rig.get(&path, &one).await.0, 404);
    }
    let import = format!("/api/ingestors/imports/?link={theirs}&zone=Europe/Berlin");
    assert_eq!(rig.post(&import, &one, Value::Null).await.0, 404);
    assert_eq!(rig.post("/api/ingestors/syncs/", &one, json!({"link": theirs})).await.0, 404);
    let of_provider = at("withings", "create_fhir_device/");
    let (status, problem) = rig.post(&of_provider, &one, json!({"link": theirs})).await;
    assert_eq!(status, 404, "{problem}");
    let (status, problem) = rig.post(&of_provider, &one, json!({"patient": "Patient/2"})).await;
    assert_eq!(status, 404, "{problem}");
    assert_eq!(rig.get(&at(&own, ""), &one).await.0, 200);
    assert_eq!(rig.post(&at(&own, "connect-address/"), &one, Value::Null).await.0, 200);
    assert_eq!(rig.post(&at(&own, "disconnect/"), &one, Value::Null).await.0, 200);
    assert_eq!(rig.get(&at(&theirs, ""), OPERATOR).await.1["state"], "pending", "untouched");
}

#[tokio::test]
async fn a_key_that_is_confined_to_an_ehr_makes_and_sees_links_of_it_only() {
    let rig = Rig::new().await;
    let (_, creator) = rig.key(Role::LinkCreator, Some("clinic"), false).await;
    let (_, reader) = rig.key(Role::ClinicianRead, Some("clinic"), false).await;
    let (_, integrator) = rig.key(Role::Integrator, Some("clinic"), false).await;
    let own = rig.link(&creator, "clinic", "Patient/1").await;
    let theirs = rig.link(OPERATOR, "registry", "Patient/2").await;
    let both = json!({"provider": "withings", "ehr": "clinic", "patient": "Patient/3",
        "also": [{"ehr": "registry", "patient": "Patient/4"}]});
    let wrong = json!({"provider": "withings", "ehr": "registry", "patient": "Patient/5"});
    for body in [&both, &wrong] {
        let (status, problem) = rig.post("/api/base/provider-links/", &creator, body.clone()).await;
        assert!(status == 403 && problem["detail"].as_str().unwrap().contains("clinic"), "{problem}");
    }
    let (_, both) = rig.post("/api/base/provider-links/", OPERATOR, both).await;
    for key in [&creator, &reader, &integrator] {
        assert_eq!(rig.listed(key).await, [own.as_str()]);
        for id in [theirs.as_str(), both["id"].as_str().unwrap()] {
            assert_eq!(rig.get(&format!("/api/base/provider-links/{id}/"), key).await.0, 404);
        }
    }
    // What is about everything is not for it.
    let (status, problem) = rig.get("/api/publishers/dead-letters/", &integrator).await;
    assert!(status == 403 && problem["detail"].as_str().unwrap().contains("confined"), "{problem}");
}

/// What is made is named; what is answered again was done once; and a caller that hangs up does not keep it out of the log.
#[tokio::test]
async fn what_is_configured_is_named_in_the_audit_log_and_once() {
    let rig = Rig::new().await;
    let (actor, key) = rig.key(Role::Integrator, None, false).await;
    let made = |path: &str, body: &Value, idempotent: &str| {
        Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", idempotent)
            .body(Body::from(body.to_string()))
            .unwrap()
    };
    let ehr = json!({"name": "ward", "base_url": "https://ehr.example/fhir"});
    let app = json!({"name": "second", "type": "withings", "client_id": "a"});
    for (path, body) in [("/api/publishers/ehr-endpoints/", &ehr), ("/api/base/providers/", &app)] {
        for _ in 0..3 {
            let answer = rig.router.clone().oneshot(made(path, body, "the same")).await.unwrap();
            let status = answer.status().as_u16();
            // The key belongs to one call: the second address has to have its own.
            assert_eq!(status, if path.contains("ehr") { 201 } else { 422 });
        }
    }
    rig.router.clone().oneshot(made("/api/base/providers/", &app, "another")).await.unwrap();
    let entry = |action: &str, subject: &str| [actor.clone(), action.to_owned(), subject.to_owned()];
    let mut expected = vec![entry("provider.create", "provider:second"), entry("ehr.create", "ehr:ward")];
    assert_eq!(rig.audited().await, expected);

    let gone = json!({"name": "third", "type": "withings", "client_id": "a"});
    let request = Request::post("/api/base/providers/")
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(gone.to_string()))
        .unwrap();
    let call = tokio::spawn(rig.router.clone().oneshot(request));
    let store = rig.links.parts().store.clone();
    let name = "third".parse().unwrap();
    // Until it is there; then nobody listens any more, whether or not there is an answer by then.
    while store.provider(&name).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    call.abort();
    expected.insert(0, entry("provider.create", "provider:third"));
    for _ in 0..10_000 {
        if rig.audited().await == expected {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{:?}", rig.audited().await);
}

#[tokio::test]
async fn who_did_what_is_in_the_audit_log_and_what_was_refused_is_not() {
    let rig = Rig::new().await;
    let (actor, key) = rig.key(Role::LinkCreator, None, false).await;
    let link = rig.link(&key, "clinic", "Patient/1").await;
    rig.get(&format!("/api/base/provider-links/{link}/"), &key).await;
    rig.post("/api/base/provider-links/", &key, json!({"provider": "nothing"})).await;
    rig.post("/api/base/api-keys/", &key, json!({"name": "mine", "role": "admin"})).await;
    rig.post(&format!("/api/base/provider-links/{link}/disconnect/"), &key, Value::Null).await;
    let (_, made) = rig.post("/api/base/api-keys/", OPERATOR, json!({"name": "a", "role": "admin"})).await;
    let entry = |actor: &str, action: &str, subject: String| [actor.to_owned(), action.to_owned(), subject];
    let expected = [
        entry("operator", "api-key.create", format!("api-key:{}", made["id"].as_str().unwrap())),
        entry(&actor, "link.disconnect", format!("link:{link}")),
        entry(&actor, "link.create", format!("link:{link}")),
    ];
    assert_eq!(rig.audited().await, expected);
    let page = rig.get("/api/base/audit/?limit=2", OPERATOR).await.1;
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let next = page["next"].as_str().unwrap();
    let page = rig.get(&format!("/api/base/audit/?limit=2&cursor={next}"), OPERATOR).await.1;
    assert_eq!((&page["items"][0]["seq"], &page["next"]), (&json!(1), &Value::Null));
    let page = rig.get(&format!("/api/base/audit/?subject=link:{link}"), OPERATOR).await.1;
    assert_eq!(page["items"][0]["detail"], json!({}));
    assert!(!page.to_string().contains("Patient/"), "not who the patient is");
    let head = verify_audit(&*rig.links.parts().store, None).await.unwrap().unwrap();
    assert_eq!(head.seq, 3);
}

#[tokio::test]
async fn a_caller_is_slowed_down_alone_and_so_is_an_address_that_guesses() {
    let pairs = [("OHX_API_KEY", OPERATOR), ("OHX_API_REQUESTS_PER_MINUTE", "5")];
    let slow = Access::from_settings(&Settings::from_pairs(pairs)).unwrap();
    let rig = Rig::with(slow).await;
    let (_, key) = rig.key(Role::ClinicianRead, None, false).await;
    for n in 0..7 {
        let expected = if n < 5 { 200 } else { 429 };
        assert_eq!(rig.get("/api/base/providers/", &key).await.0, expected, "{n}");
    }
    assert_eq!(rig.get("/api/base/providers/", OPERATOR).await.0, 200, "nobody else is");
    rig.clock.advance(Duration::from_secs(12));
    assert_eq!(rig.get("/api/base/providers/", &key).await.0, 200);

    let mut statuses = Vec::new();
    for n in 0..70 {
        statuses.push(rig.get("/api/base/providers/", &format!("guess{n}")).await.0);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 60);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 10);
    assert_eq!(rig.get("/api/base/providers/", OPERATOR).await.0, 200, "a good key always passes");
}
