//! Callers with tokens of an OpenID provider, against a certified one; what it would never sign is signed with its own keys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, header};
use ohx_api::Access;
use ohx_bus::memory::{MemoryBus, MemoryConfig};
use ohx_domain::{Clock as _, ManualClock, SystemClock};
use ohx_link::Links;
use ohx_runtime::Settings;
use ohx_runtime::parts::Parts;
use ohx_seal::{Keyring, generate_key};
use ohx_store_sqlite::SqliteStore;
use ohx_tests::outside::http as client;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tower::ServiceExt as _;

const PROVIDERS: &str = "/api/base/providers/";
const KEYS: &str = "/api/base/api-keys/";

struct World {
    api: Router,
    clock: Arc<ManualClock>,
    issuer: String,
    server: Child,
}

impl World {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(more: &[(&str, &str)]) -> Self {
        let mut server = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/access/issuer.mjs"))
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/ehr-auth"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node, and target/ehr-auth: run tests/needs ehr-auth, or make test");
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("it starts: run tests/needs ehr-auth");
            if let Ok(port) = line.parse::<u16>() {
                break port;
            }
        };
        let issuer = format!("http://127.0.0.1:{port}");
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let store = SqliteStore::open("sqlite::memory:").await.unwrap();
        ohx_store::Configuration::migrate(&store).await.unwrap();
        let keys = format!("k:{}", generate_key().expose_secret());
        let links = Links::new(Parts {
            store: Arc::new(store),
            bus: Arc::new(MemoryBus::new(MemoryConfig::default())),
            keyring: Arc::new(Keyring::parse(&keys.into()).unwrap()),
            clock: clock.clone(),
            http: client(),
            public_url: "http://127.0.0.1:1".parse().unwrap(),
            identifier_base: "https://ohx.test/ns".into(),
        });
        let set = [("OHX_OIDC_ISSUER", issuer.as_str()), ("OHX_OIDC_AUDIENCE", "https://ohx.test/api")];
        let settings = Settings::from_pairs(set.into_iter().chain(more.iter().copied()));
        let api = ohx_api::router(links, Access::from_settings(&settings).unwrap());
        Self { api, clock, issuer, server }
    }

    async fn control(&self, change: Value) -> Value {
        let url = format!("{}/control", self.issuer);
        client().post(url).json(&change).send().await.unwrap().json().await.unwrap()
    }

    /// A token as an app gets one.
    async fn granted(&self) -> String {
        let form =
            [("grant_type", "client_credentials"), ("client_id", "app"), ("client_secret", "app-secret")];
        let call = client().post(format!("{}/token", self.issuer)).form(&form[..1]);
        let answer = call.basic_auth("app", Some("app-secret")).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    async fn mint(&self, wanted: Value) -> String {
        let answer = client().post(format!("{}/mint", self.issuer)).json(&wanted).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    async fn call(&self, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let response = self.api.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str, token: &str) -> (u16, String) {
        let (status, body) = self.call(Method::GET, path, token, Value::Null).await;
        (status, body["detail"].as_str().unwrap_or_default().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_token_may_what_its_role_may_and_the_audit_log_says_whose_it_was() {
    let world = World::new().await;
    let token = world.granted().await;
    assert_eq!(world.get(PROVIDERS, &token).await, (200, String::new()));
    assert_eq!(world.get(KEYS, &token).await.0, 403);
    world.control(json!({"role": "admin"})).await;
    let admin = world.granted().await;
    let (status, made) = world.call(Method::POST, KEYS, &admin, json!({"name": "a", "role": "admin"})).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["created_by"], "oidc:app@127.0.0.1");
    let (_, log) = world.call(Method::GET, "/api/base/audit/", &admin, Value::Null).await;
    assert_eq!(log["items"][0]["actor"], "oidc:app@127.0.0.1", "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_algorithm_of_ours_is_taken() {
    let world = World::new().await;
    for alg in ["RS256", "PS256", "ES256", "ES384", "EdDSA"] {
        let token = world.mint(json!({"alg": alg})).await;
        assert_eq!(world.get(PROVIDERS, &token).await, (200, String::new()), "{alg}");
        let stranger = world.mint(json!({"alg": alg, "stranger": true})).await;
        let (status, why) = world.get(PROVIDERS, &stranger).await;
        assert!(status == 401 && why.contains("signature"), "{alg}: {status} {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_token_refuses_it() {
    let world = World::new().await;
    let now = world.clock.now().as_second();
    for (wanted, says) in [
        (json!({"claims": {"aud": "https://other.test/api"}}), "aud"),
        (json!({"claims": {"aud": null}}), "aud"),
        (json!({"claims": {"aud": ["https://other.test/api"]}}), "aud"),
        (json!({"claims": {"iss": "https://other.test"}}), "issuer"),
        (json!({"claims": {"iss": format!("{}/", world.issuer)}}), "issuer"),
        (json!({"claims": {"exp": now - 61}}), "expired"),
        (json!({"claims": {"exp": null}}), "expired"),
        (json!({"claims": {"nbf": now + 120}}), "not good yet"),
        (json!({"claims": {"iat": now + 120}}), "not good yet"),
        (json!({"claims": {"sub": null}}), "sub"),
        (json!({"claims": {"sub": "a\nb"}}), "sub"),
        (json!({"alg": "none"}), "signed in a way"),
        (json!({"alg": "none", "header": {"alg": "None"}}), "signed in a way"),
        (json!({"alg": "HS256"}), "signed in a way"),
        (json!({"header": {"typ": "logout+jwt"}}), "type"),
        (json!({"header": {"crit": ["b64"]}}), "type"),
        (json!({"header": {"kid": "made-up"}}), "does not show"),
        // A key is for its own way to sign.
        (json!({"header": {"kid": "ES256-1"}}), "does not show"),
        (json!({"header": {"kid": "PS256-1"}}), "does not show"),
        (json!({"header": {"kid": null}}), "200"),
    ] {
        let token = world.mint(wanted.clone()).await;
        let (status, why) = world.get(PROVIDERS, &token).await;
        match says {
            "200" => assert_eq!(status, 200, "{wanted}: {why}"),
            says => assert!(status == 401 && why.contains(says), "{wanted}: {status} {why}"),
        }
    }
    for (claims, status) in [
        (json!({"exp": now - 30}), 200),
        (json!({"aud": ["https://other.test", "https://ohx.test/api"]}), 200),
        (json!({"ohx_role": ["nothing", "clinician-read"]}), 200),
        (json!({"ohx_role": "root"}), 403),
        (json!({"ohx_role": null}), 403),
    ] {
        let token = world.mint(json!({"claims": claims})).await;
        assert_eq!(world.get(PROVIDERS, &token).await.0, status, "{claims}");
    }
    let token = world.mint(json!({})).await;
    let [header, _, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let admin = world.mint(json!({"claims": {"ohx_role": "admin"}})).await;
    let payload = admin.split('.').nth(1).unwrap();
    assert_eq!(world.get(PROVIDERS, &format!("{header}.{payload}.{signature}")).await.0, 401, "put together");
    for odd in ["..", "a.b.c", "", &format!("{header}.{payload}."), &"a".repeat(20_000)] {
        assert_eq!(world.get(PROVIDERS, odd).await.0, 401, "{odd:.40}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_and_made_up_ones_are_not_asked_for_each_time() {
    let mut world = World::new().await;
    let old = world.granted().await;
    assert_eq!(world.get(PROVIDERS, &old).await.0, 200);
    world.control(json!({"rotate": true})).await;
    let new = world.granted().await;
    assert_eq!(world.get(PROVIDERS, &old).await.0, 200, "still kept");
    world.clock.advance(Duration::from_secs(31));
    assert_eq!(world.get(PROVIDERS, &new).await, (200, String::new()), "looked for at once");
    assert_eq!(world.get(PROVIDERS, &old).await.0, 401, "withdrawn");
    let asked = world.control(json!({})).await["asked"].as_u64().unwrap();
    for n in 0..20 {
        let made_up = world.mint(json!({"header": {"kid": format!("k{n}")}})).await;
        assert_eq!(world.get(PROVIDERS, &made_up).await.0, 401);
    }
    world.clock.advance(Duration::from_secs(31));
    let made_up = world.mint(json!({"header": {"kid": "k"}})).await;
    assert_eq!(world.get(PROVIDERS, &made_up).await.0, 401);
    assert_eq!(world.control(json!({})).await["asked"].as_u64().unwrap(), asked + 1);

    // Away: what is kept does for a day.
    let end = world.clock.now().as_second() + 2 * 24 * 3600;
    let long = world.mint(json!({"claims": {"exp": end}})).await;
    world.server.kill().await.unwrap();
    world.clock.advance(Duration::from_secs(23 * 3600));
    assert_eq!(world.get(PROVIDERS, &long).await, (200, String::new()));
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(world.get(PROVIDERS, &long).await.0, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_may_have_names_of_the_issuers_and_be_inside_another_claim() {
    let set =
        [("OHX_OIDC_ROLE_CLAIM", "realm_access.roles"), ("OHX_OIDC_ROLES", "boss=admin ward=clinician-read")];
    let world = World::with(&set).await;
    for (roles, path, status) in
        [("boss", KEYS, 200), ("ward", KEYS, 403), ("ward", PROVIDERS, 200), ("cook", PROVIDERS, 403)]
    {
        let claims = json!({"realm_access": {"roles": ["offline_access", roles]}, "ohx_role": "admin"});
        let token = world.mint(json!({"claims": claims})).await;
        assert_eq!(world.get(path, &token).await.0, status, "{roles}");
    }
}

#[tokio::test]
async fn settings_that_would_let_others_in_are_refused() {
    let issuer = ("OHX_OIDC_ISSUER", "https://login.example");
    let audience = ("OHX_OIDC_AUDIENCE", "ohx");
    for (set, says) in [
        (vec![issuer], "OHX_OIDC_AUDIENCE is not set"),
        (vec![("OHX_OIDC_ISSUER", "http://login.example"), audience], "OHX_OIDC_ISSUER is wrong"),
        (vec![issuer, audience, ("OHX_OIDC_ROLES", "boss=root")], "OHX_OIDC_ROLES is wrong"),
        (vec![("OHX_API_KEY", "short")], "OHX_API_KEY is wrong"),
        (vec![("OHX_API_REQUESTS_PER_MINUTE", "0")], "OHX_API_REQUESTS_PER_MINUTE is wrong"),
        (vec![("OHX_CORS_ORIGINS", "*")], "OHX_CORS_ORIGINS is wrong"),
        (vec![("OHX_CORS_ORIGINS", "https://app.example/")], "OHX_CORS_ORIGINS is wrong"),
    ] {
        let error = Access::from_settings(&Settings::from_pairs(set)).err().unwrap().to_string();
        assert!(error.starts_with(says), "{error}");
    }
    assert!(Access::from_settings(&Settings::from_pairs([issuer, audience])).is_ok());
    assert!(Access::from_settings(&Settings::default()).is_ok(), "keys alone do");
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_told_what_to_leave_alone_and_only_listed_pages_may_ask() {
    let set = [("OHX_CORS_ORIGINS", "https://app.example"), ("OHX_HSTS_SECONDS", "300")];
    let world = World::with(&set).await;
    for (origin, let_in) in [("https://app.example", true), ("https://evil.example", false), ("null", false)]
    {
        for method in [Method::GET, Method::OPTIONS] {
            let request = Request::builder()
                .method(method.clone())
                .uri(PROVIDERS)
                .header(header::ORIGIN, origin)
                .header(header::ACCESS_CONTROL_REQUEST_METHOD, "GET")
                .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization");
            let response = world.api.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let headers = response.headers();
            let allowed = headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
            assert_eq!(allowed.is_some_and(|value| value == origin), let_in, "{origin}");
            assert!(let_in || allowed.is_none(), "{origin}: {allowed:?}");
            assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
            if method == Method::GET {
                for (name, value) in [
                    ("x-content-type-options", "nosniff"),
                    ("cache-control", "no-store"),
                    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
                    ("strict-transport-security", "max-age=300"),
                    ("referrer-policy", "no-referrer"),
                ] {
                    assert_eq!(headers.get(name).unwrap(), value);
                }
            }
        }
    }
}
