//! Registering the project's subscriber.

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ohx_domain::LinkId;
use serde_json::{Value, json};

use super::*;

/// Making one takes a while.
static PAIR: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

struct Project {
    app: App,
    clock: Arc<ManualClock>,
    adapter: GoogleHealth,
}

const ADDRESS: &str = "https://ohx.example/webhook/home-bands";

impl Project {
    fn new(server: &Server) -> Self {
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = PAIR.as_der().unwrap();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            BASE64.encode(der.as_ref())
        );
        let key = json!({
            "type": "service_account", "client_email": "ohx@clinic.iam.gserviceaccount.com", "private_key_id": "k1",
            "private_key": pem, "token_uri": "https://oauth2.googleapis.com/token",
        });
        let mut app = app(server);
        app.config.records =
            ["weight", "sleep", "electrocardiogram"].iter().map(|r| r.parse().unwrap()).collect();
        app.config.options.insert(PROJECT.into(), "123456789012".into());
        app.secrets.insert(WEBHOOK.into(), "Bearer 6f1c".into());
        app.secrets.insert(SERVICE_ACCOUNT.into(), key.to_string().into());
        let clock = Arc::new(ManualClock::new(now()));
        let adapter = adapter_at(&clock);
        Self { app, clock, adapter }
    }

    async fn subscribe(&self, scopes: &[&str]) -> Result<Subscriptions, ProviderError> {
        let address = Url::parse(ADDRESS).unwrap();
        let own = Url::parse("https://ohx.example/webhook/home-bands/l/t").unwrap();
        let subscriber = Subscriber {
            link: LinkId::new(),
            address: &own,
            app_address: &address,
            now: "2026-11-20T08:00:00Z".parse().unwrap(),
        };
        let scopes: Vec<String> = scopes.iter().map(|s| (*s).to_owned()).collect();
        self.adapter.subscribe(&self.app, &scopes, &TOKEN.into(), subscriber).await
    }
}

fn token() -> Reply {
    ok(r#"{"access_token":"ya29.project","expires_in":3599,"token_type":"Bearer"}"#)
}

fn wanted() -> Value {
    json!({
        "endpointUri": ADDRESS,
        "subscriberConfigs": [{ "dataTypes": ["sleep", "weight"], "subscriptionCreatePolicy": "AUTOMATIC" }],
        "endpointAuthorization": { "secret": "Bearer 6f1c" },
    })
}

fn listed(change: impl FnOnce(&mut Value)) -> Reply {
    let mut ours = json!({
        "name": "projects/123456789012/subscribers/ohx-home-bands", "endpointUri": ADDRESS, "state": "ACTIVE",
        "subscriberConfigs": [{ "dataTypes": ["weight", "sleep"], "subscriptionCreatePolicy": "AUTOMATIC" }],
        "endpointAuthorization": { "secretSet": true },
    });
    change(&mut ours);
    let other = json!({ "name": "projects/123456789012/subscribers/other", "endpointUri": "https://elsewhere.example/" });
    ok(json!({ "subscribers": [other, ours], "totalSize": 2 }).to_string())
}

#[tokio::test]
async fn the_subscriber_is_made_once_for_all_links() {
    let server =
        Server::new([token(), ok("{}"), ok(r#"{"name":"projects/1/operations/x","done":true}"#)]).await;
    let project = Project::new(&server);
    assert_eq!(project.subscribe(&[]).await.unwrap(), Subscriptions { kept: 0, made: 2, refused: 0 });
    for _ in 0..20 {
        assert_eq!(project.subscribe(&[]).await.unwrap(), Subscriptions { kept: 2, made: 0, refused: 0 });
    }
    let sleep_only = project.subscribe(&[super::super::records::SLEEP]).await.unwrap();
    assert_eq!(sleep_only, Subscriptions { kept: 1, made: 0, refused: 1 });
    let seen = server.seen();
    assert_eq!(seen.len(), 3);

    // A proof that is the service account's own.
    let form = &seen[0].form;
    assert_eq!(
        (seen[0].path.as_str(), form["grant_type"].as_str()),
        ("/token", "urn:ietf:params:oauth:grant-type:jwt-bearer")
    );
    let (message, signature) = form["assertion"].rsplit_once('.').unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, PAIR.public_key());
    public.verify(message.as_bytes(), &BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap()).unwrap();
    let json: Vec<Value> = message
        .split('.')
        .map(|part| serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap())
        .collect();
    assert_eq!(json[0], json!({ "alg": "RS256", "typ": "JWT", "kid": "k1" }));
    let at = now().as_second();
    assert_eq!(
        json[1],
        json!({
            "iss": "ohx@clinic.iam.gserviceaccount.com", "scope": "https://www.googleapis.com/auth/cloud-platform",
            "aud": format!("{}token", server.url), "iat": at, "exp": at + 600,
        })
    );

    assert_eq!(
        (seen[1].method.as_str(), seen[1].path.as_str()),
        ("GET", "/v4/projects/123456789012/subscribers")
    );
    assert_eq!(
        (seen[2].method.as_str(), seen[2].path.as_str()),
        ("POST", "/v4/projects/123456789012/subscribers")
    );
    assert_eq!(seen[2].query, map(&[("subscriberId", "ohx-home-bands")]));
    assert_eq!(seen[2].json(), wanted());
    assert!(
        seen[1..].iter().all(|s| s.authorization.as_deref() == Some("Bearer ya29.project")),
        "not the patient's token"
    );
}

#[tokio::test]
async fn one_that_is_right_is_kept_and_looked_at_again_after_hours() {
    let server = Server::new([token(), listed(|_| ()), token(), listed(|_| ())]).await;
    let project = Project::new(&server);
    assert_eq!(project.subscribe(&[]).await.unwrap(), Subscriptions { kept: 2, made: 0, refused: 0 });
    project.clock.advance(Duration::from_secs(6 * 3600 + 1));
    project.subscribe(&[]).await.unwrap();
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn one_that_is_not_right_is_put_right() {
    let changes: [fn(&mut Value); 4] = [
        |s| s["endpointUri"] = "https://old.example/".into(),
        |s| s["subscriberConfigs"][0]["dataTypes"] = json!(["weight"]),
        |s| s["subscriberConfigs"][0]["subscriptionCreatePolicy"] = "MANUAL".into(),
        |s| s["state"] = "INACTIVE".into(),
    ];
    for change in changes {
        let server = Server::new([token(), listed(change), ok("{}")]).await;
        assert_eq!(Project::new(&server).subscribe(&[]).await.unwrap().made, 2);
        let patch = server.seen().remove(2);
        assert_eq!(
            (patch.method.as_str(), patch.path.as_str()),
            ("PATCH", "/v4/projects/123456789012/subscribers/ohx-home-bands")
        );
        assert_eq!(
            patch.query,
            map(&[("updateMask", "endpoint_uri,subscriber_configs,endpoint_authorization")])
        );
        assert_eq!(patch.json(), wanted());
    }
    // Somebody else was faster.
    let server = Server::new([token(), ok("{}"), refusal(409, "ALREADY_EXISTS", ""), ok("{}")]).await;
    assert_eq!(Project::new(&server).subscribe(&[]).await.unwrap().made, 2);
    assert_eq!(server.seen()[3].method, Method::PATCH);
}

#[tokio::test]
async fn a_refusal_is_explained_and_not_repeated_for_each_link() {
    for (reply, hint) in [
        (refusal(400, "FAILED_PRECONDITION", ""), "401"),
        (refusal(403, "PERMISSION_DENIED", ""), "role"),
        (refusal(404, "NOT_FOUND", ""), "number"),
    ] {
        let server = Server::new([token(), ok("{}"), reply]).await;
        let project = Project::new(&server);
        for _ in 0..3 {
            let error = project.subscribe(&[]).await.unwrap_err();
            assert_eq!(error.remedy(), Remedy::Permanent);
            assert!(error.to_string().contains(hint), "{error}");
            discreet(&error);
        }
        assert_eq!(server.seen().len(), 3);
    }
    let server =
        Server::new([Reply(StatusCode::BAD_REQUEST, &[], r#"{"error":"invalid_grant"}"#.into())]).await;
    let error = Project::new(&server).subscribe(&[]).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Permanent, "no consent of a patient helps: {error}");
    // An outage is tried again.
    let server = Server::new([token(), refusal(503, "UNAVAILABLE", ""), token(), listed(|_| ())]).await;
    let project = Project::new(&server);
    assert_eq!(project.subscribe(&[]).await.unwrap_err().remedy(), Remedy::Retry { after: None });
    project.subscribe(&[]).await.unwrap();
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let server = Server::new([]).await;
    type Change = fn(&mut App);
    let changes: [(Change, &str); 7] = [
        (|app| drop(app.config.options.remove(PROJECT)), "options.project"),
        (|app| drop(app.config.options.insert(PROJECT.into(), "my-project".into())), "options.project"),
        (|app| drop(app.config.options.insert(SUBSCRIBER_ID.into(), "No".into())), "options.subscriber-id"),
        (|app| drop(app.secrets.remove(WEBHOOK)), "secret webhook"),
        (|app| drop(app.secrets.remove(SERVICE_ACCOUNT)), "secret service-account"),
        (|app| drop(app.secrets.insert(SERVICE_ACCOUNT.into(), "{}".into())), "secret service-account"),
        (
            |app| {
                drop(app.secrets.insert(SERVICE_ACCOUNT.into(), r#"{"client_email":"a","private_key":"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}"#.into()))
            },
            "PKCS #8",
        ),
    ];
    for (change, name) in changes {
        let mut project = Project::new(&server);
        change(&mut project.app);
        let error = project.subscribe(&[]).await.unwrap_err();
        assert!(matches!(error, ProviderError::Configuration { .. }), "{error}");
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
    // Nothing that Google notifies of: nothing is registered.
    let mut project = Project::new(&server);
    project.app.config.records = vec!["electrocardiogram".parse().unwrap()];
    assert_eq!(project.subscribe(&[]).await.unwrap(), Subscriptions { kept: 0, made: 0, refused: 0 });
    assert!(server.seen().is_empty());
}
