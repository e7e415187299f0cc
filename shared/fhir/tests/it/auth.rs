//! Access tokens: asked for once, kept, renewed, and what is said where none is to be had.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use data_encoding::BASE64URL_NOPAD;
use ohx_domain::{EhrAuth, EhrEndpoint, ManualClock, SigningAlgorithm};
use ohx_fhir::{Credentials, EhrClient, EhrError, SigningError, SigningKey, SigningKeys};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// What an answer says; it must never be told.
const CANARY: &str = "canary-description";

type Reply = (u16, Vec<(&'static str, String)>, String);

#[derive(Clone)]
struct Server {
    base: String,
    seen: Arc<Mutex<Seen>>,
    /// Answers of the token endpoint wait for a permit.
    gate: Arc<Semaphore>,
}

#[derive(Default)]
struct Seen {
    smart: Option<Value>,
    smart_asked: usize,
    /// The next answers of the token endpoint; a good one where there is none.
    replies: VecDeque<Reply>,
    forms: Vec<Vec<(String, String)>>,
    /// The `Authorization` of each FHIR request.
    bearers: Vec<String>,
    /// So many FHIR requests are refused.
    refuse: usize,
}

impl Server {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let smart = json!({"token_endpoint": format!("{base}/token")});
        let seen = Seen { smart: Some(smart), ..Seen::default() };
        let gate = Arc::new(Semaphore::new(1000));
        let server = Self { base, seen: Arc::new(Mutex::new(seen)), gate };
        let router = Router::new()
            .route("/fhir/.well-known/smart-configuration", get(smart_configuration))
            .route("/fhir/metadata", get(metadata))
            .route("/token", post(token))
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    fn with<T>(&self, read: impl FnOnce(&mut Seen) -> T) -> T {
        read(&mut self.seen.lock().unwrap())
    }

    fn reply(&self, status: u16, headers: &[(&'static str, &str)], body: &str) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.with(|seen| seen.replies.push_back((status, headers, body.to_owned())));
    }

    fn asked(&self) -> usize {
        self.with(|seen| seen.forms.len())
    }

    fn client(&self, auth: EhrAuth, oauth: Value, keys: Option<Keys>) -> (EhrClient, Arc<ManualClock>) {
        let oauth = serde_json::from_value(oauth).unwrap();
        let base = format!("{}/fhir", self.base).parse().unwrap();
        let endpoint =
            EhrEndpoint { auth, oauth: Some(oauth), ..EhrEndpoint::new("main".parse().unwrap(), base) };
        let clock = Arc::new(ManualClock::new("2026-11-21T10:00:00Z".parse().unwrap()));
        let mut credentials = Credentials::secret("canary-secret".to_owned().into());
        credentials.signing = keys.map(|keys| Arc::new(keys) as Arc<dyn SigningKeys>);
        #[expect(clippy::disallowed_methods, reason = "a test's own client")]
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        (EhrClient::new(http, endpoint, credentials).with_clock(clock.clone()), clock)
    }

    fn secret(&self) -> EhrClient {
        self.client(EhrAuth::ClientCredentials, json!({"client_id": "ohx"}), None).0
    }
}

async fn smart_configuration(State(server): State<Server>) -> impl IntoResponse {
    server.with(|seen| {
        seen.smart_asked += 1;
        match &seen.smart {
            Some(smart) => (StatusCode::OK, smart.to_string()),
            None => (StatusCode::NOT_FOUND, "<html>".into()),
        }
    })
}

async fn metadata(State(server): State<Server>, headers: HeaderMap) -> impl IntoResponse {
    server.with(|seen| {
        let bearer = headers.get("authorization").map(|v| v.to_str().unwrap().to_owned());
        seen.bearers.push(bearer.unwrap_or_default());
        if seen.refuse > 0 {
            seen.refuse -= 1;
            return (StatusCode::UNAUTHORIZED, CANARY.to_owned());
        }
        let statement = json!({"resourceType": "CapabilityStatement", "fhirVersion": "5.0.0"});
        (StatusCode::OK, statement.to_string())
    })
}

async fn token(
    State(server): State<Server>,
    headers: HeaderMap,
    Form(mut form): Form<Vec<(String, String)>>,
) -> impl IntoResponse {
    let basic = headers.get("authorization").map(|v| v.to_str().unwrap().to_owned());
    form.push(("authorization".into(), basic.unwrap_or_default()));
    let (number, reply) = server.with(|seen| {
        seen.forms.push(form);
        (seen.forms.len(), seen.replies.pop_front())
    });
    server.gate.acquire().await.unwrap().forget();
    let good = || {
        let body = json!({"access_token": format!("t{number}"), "token_type": "Bearer", "expires_in": 300});
        (200, vec![], body.to_string())
    };
    let (status, headers, body) = reply.unwrap_or_else(good);
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

/// One key, made anew.
struct Keys(Result<Arc<SigningKey>, SigningError>);

impl Keys {
    fn new() -> Self {
        Self(Ok(Arc::new(SigningKey::generate(SigningAlgorithm::ES384).unwrap().0)))
    }
}

#[async_trait]
impl SigningKeys for Keys {
    async fn signing_key(&self, _: SigningAlgorithm) -> Result<Arc<SigningKey>, SigningError> {
        self.0.clone()
    }
}

fn field<'f>(form: &'f [(String, String)], name: &str) -> Option<&'f str> {
    form.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

fn claims(jwt: &str) -> Value {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(jwt.split('.').nth(1).unwrap().as_bytes()).unwrap())
        .unwrap()
}

/// Asks, and gives what was said; checks that it holds nothing of an answer and no secret.
async fn told(client: &EhrClient) -> (EhrError, String) {
    let error = client.capabilities().await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("canary"), "{text}");
    (error, text)
}

#[tokio::test]
async fn those_who_wait_share_one_token_or_one_failure() {
    let server = Server::start().await;
    for fails in [false, true] {
        let client = server.secret();
        if fails {
            server.reply(503, &[], CANARY);
        }
        server.gate.forget_permits(1000);
        let before = server.asked();
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.capabilities().await.map(|_| ()) })
            })
            .collect();
        // All of them have begun once the one that asks has been heard: they run in turn on this one thread.
        while server.asked() == before {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        server.gate.add_permits(1000);
        for call in calls {
            assert_eq!(call.await.unwrap().is_err(), fails);
        }
        assert_eq!(server.asked(), before + 1);
    }
}

#[tokio::test]
async fn a_token_is_kept_by_all_clones_until_shortly_before_its_end() {
    let server = Server::start().await;
    let (client, clock) = server.client(EhrAuth::ClientCredentials, json!({"client_id": "ohx"}), None);
    for (advance, expected) in [(0, "t1"), (239, "t1"), (1, "t2"), (240, "t3")] {
        clock.advance(Duration::from_secs(advance));
        client.clone().capabilities().await.unwrap();
        assert_eq!(server.with(|seen| seen.bearers.last().cloned()).unwrap(), format!("Bearer {expected}"));
    }
    assert_eq!(server.with(|seen| seen.smart_asked), 1, "discovery is kept as well");
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_a_static_one_is_not() {
    let server = Server::start().await;
    let client = server.secret();
    server.with(|seen| seen.refuse = 1);
    client.capabilities().await.unwrap();
    assert_eq!(server.with(|seen| seen.bearers.clone()), ["Bearer t1", "Bearer t2"]);
    server.with(|seen| seen.refuse = 2);
    assert!(matches!(told(&client).await.0, EhrError::Unauthorized { status: 401, .. }));
    assert_eq!(server.asked(), 3);
    let (fixed, _) = server.client(EhrAuth::Bearer, json!({"client_id": "unused"}), None);
    server.with(|seen| (seen.refuse, seen.bearers) = (1, vec![]));
    assert!(matches!(told(&fixed).await.0, EhrError::Unauthorized { .. }));
    assert_eq!(server.with(|seen| seen.bearers.clone()), ["Bearer canary-secret"]);
}

#[tokio::test]
async fn what_the_token_endpoint_says_is_told_by_its_code() {
    let server = Server::start().await;
    let client = server.secret();
    let body = |error: &str| json!({"error": error, "error_description": CANARY}).to_string();
    for (status, error, parts) in [
        (400, "invalid_client", vec!["(invalid_client)", "client ohx", "client_secret"]),
        (400, "invalid_scope", vec!["(invalid_scope)", "oauth.scope", "system/Observation.cus"]),
        (400, "unauthorized_client", vec!["(unauthorized_client)", "client_credentials"]),
        (400, "invalid_dpop_proof", vec!["(invalid_dpop_proof)", "oauth.token_url"]),
        (403, "Canary Doe", vec!["(http-403)"]),
        (302, "", vec!["(http-302)", "redirects", "oauth.token_url"]),
    ] {
        server.reply(status, &[], &body(error));
        let (error, text) = told(&client).await;
        assert!(matches!(error, EhrError::NoToken { .. }), "{text}");
        for part in parts {
            assert!(text.contains(part), "{part:?} in {text}");
        }
    }
    for (answer, code) in [
        (CANARY.to_owned(), "no-token-response"),
        (json!({"token": CANARY}).to_string(), "no-token-response"),
        (json!({"access_token": CANARY, "token_type": "DPoP"}).to_string(), "token-type"),
        (json!({"access_token": CANARY, "scope": "system/Observation.rs canary"}).to_string(), "scope"),
    ] {
        server.reply(200, &[], &answer);
        let (_, text) = told(&client).await;
        assert!(text.contains(&format!("({code})")), "{text}");
    }
    // And then it works, without anything having been kept.
    client.capabilities().await.unwrap();
}

#[tokio::test]
async fn patience_is_no_refusal() {
    let server = Server::start().await;
    let client = server.secret();
    for status in [429, 500, 503] {
        server.reply(status, &[("retry-after", "17")], CANARY);
        let (error, text) = told(&client).await;
        assert!(matches!(error, EhrError::Unavailable { call: "an access token", .. }), "{text}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(17)));
    }
    server.reply(400, &[], r#"{"error":"temporarily_unavailable"}"#);
    assert!(matches!(told(&client).await.0, EhrError::Unavailable { .. }));
}

#[tokio::test]
async fn clocks_that_differ_are_told() {
    let server = Server::start().await;
    let client = server.secret();
    for (date, told_of) in [
        ("Sat, 21 Nov 2026 10:10:00 GMT", Some("600 s behind the server's")),
        ("Sat, 21 Nov 2026 09:50:00 GMT", Some("600 s ahead of the server's")),
        ("Sat, 21 Nov 2026 10:00:20 GMT", None),
    ] {
        server.reply(401, &[("date", date)], r#"{"error":"invalid_client"}"#);
        let (_, text) = told(&client).await;
        assert_eq!(text.contains("clock"), told_of.is_some(), "{text}");
        assert!(text.contains(told_of.unwrap_or_default()), "{text}");
    }
}

#[tokio::test]
async fn a_jwt_is_traded_for_a_token_or_is_the_token() {
    let server = Server::start().await;
    let who = json!({"client_id": "ohx", "issuer": "iss", "subject": "sub", "audience": "aud", "scope": "system/*.cruds"});
    let mut traded = who.clone();
    traded["token_url"] = format!("{}/token", server.base).into();
    let (client, _) = server.client(EhrAuth::JwtBearer, traded, Some(Keys::new()));
    client.capabilities().await.unwrap();
    let form = server.with(|seen| seen.forms[0].clone());
    assert_eq!(field(&form, "grant_type"), Some("urn:ietf:params:oauth:grant-type:jwt-bearer"));
    let said = claims(field(&form, "assertion").unwrap());
    assert_eq!((&said["iss"], &said["sub"], &said["aud"]), (&json!("iss"), &json!("sub"), &json!("aud")));
    assert_eq!(server.with(|seen| seen.bearers.clone()), ["Bearer t1"]);

    let (client, clock) = server.client(EhrAuth::JwtBearer, who, Some(Keys::new()));
    client.capabilities().await.unwrap();
    client.capabilities().await.unwrap();
    clock.advance(Duration::from_secs(200));
    client.capabilities().await.unwrap();
    let bearers = server.with(|seen| seen.bearers.clone());
    assert_eq!(bearers[1], bearers[2]);
    assert_ne!(bearers[2], bearers[3], "renewed before it ends");
    let said = claims(bearers[1].strip_prefix("Bearer ").unwrap());
    assert_eq!((&said["aud"], &said["scope"]), (&json!("aud"), &json!("system/*.cruds")));
    assert_eq!(said["exp"], json!(1_795_255_200 + 240));
    assert_eq!((server.asked(), server.with(|seen| seen.smart_asked)), (1, 1), "the second needs neither");
}

#[tokio::test]
async fn a_server_with_the_older_scopes_is_asked_for_those() {
    let server = Server::start().await;
    server.with(|seen| seen.smart.as_mut().unwrap()["capabilities"] = json!(["permission-v1"]));
    server.secret().capabilities().await.unwrap();
    let form = server.with(|seen| seen.forms[0].clone());
    let scope = field(&form, "scope").unwrap();
    assert!(scope.starts_with("system/Observation.read system/Observation.write"), "{scope}");
    // An empty one is none at all.
    let (none, _) = server.client(EhrAuth::ClientCredentials, json!({"client_id": "ohx", "scope": ""}), None);
    none.capabilities().await.unwrap();
    assert_eq!(field(&server.with(|seen| seen.forms[1].clone()), "scope"), None);
}

#[tokio::test]
async fn what_is_missing_is_said_before_anything_is_sent() {
    let server = Server::start().await;
    let smart = |keys| server.client(EhrAuth::SmartBackend, json!({"client_id": "ohx"}), keys).0;
    for (keys, part) in [
        (None, "ohx keys signing rotate"),
        (Some(Keys(Err(SigningError::NoKey(SigningAlgorithm::RS384)))), "no signing key for RS384"),
    ] {
        let (error, text) = told(&smart(keys)).await;
        assert!(matches!(error, EhrError::Unsupported { .. }) && text.contains(part), "{text}");
    }
    let away = Keys(Err(SigningError::Unavailable("the database did not answer".into())));
    assert!(matches!(told(&smart(Some(away))).await.0, EhrError::Unavailable { .. }));
    for (answer, part) in [
        (json!({"token_endpoint": "ftp://as.example/token"}), "https://"),
        (
            json!({"token_endpoint": format!("{}/token", server.base), "token_endpoint_auth_signing_alg_values_supported": ["RS256"]}),
            "neither ES384 nor RS384",
        ),
        (json!({}), "oauth.token_url"),
    ] {
        server.with(|seen| seen.smart = Some(answer));
        let (error, text) = told(&smart(Some(Keys::new()))).await;
        assert!(matches!(error, EhrError::Unsupported { .. }) && text.contains(part), "{text}");
    }
    server.with(|seen| seen.smart = None);
    assert!(told(&smart(Some(Keys::new()))).await.1.contains("oauth.token_url"));
    assert_eq!((server.asked(), server.with(|seen| seen.bearers.len())), (0, 0));
}
