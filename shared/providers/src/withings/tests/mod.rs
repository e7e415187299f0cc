//! The adapter against a server on loopback that answers as recorded, oddities included.

mod devices;
mod pages;
mod records;
mod subscriptions;
mod tokens;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use ohx_domain::Interval;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::Remedy;
use crate::scripted::{HTTP, Reply, Server, hides, ok, pairs as form};

const VERIFIER: &str = "a-verifier-that-withings-is-never-sent-as-it-has-no-pkce";
const TOKEN: &str = "acc3ssT0ken";
const SECRET: &str = "cl1entS3cret";
const GRANT: &str = r#"{"status":0,"body":{"userid":"363","access_token":"a075f8c1","refresh_token":"f631236f","expires_in":10800,"scope":"user.info,user.metrics","csrf_token":"PACnn","token_type":"Bearer"}}"#;

fn adapter() -> Withings {
    Withings::new(HTTP.clone())
}

fn app_at(bases: &[(&str, &str)]) -> App {
    App {
        config: ProviderApp {
            name: "home-scales".parse().unwrap(),
            kind: KIND.into(),
            client_id: "abc123".into(),
            base_urls: bases
                .iter()
                .map(|(name, url)| ((*name).to_owned(), Url::parse(url).unwrap()))
                .collect(),
            scopes: Vec::new(),
            records: Vec::new(),
            requests_per_minute: None,
            notify_from: Vec::new(),
            options: BTreeMap::new(),
        },
        secret: SECRET.into(),
        secrets: BTreeMap::new(),
    }
}

fn app(server: &Server) -> App {
    app_at(&[("api", server.url.as_str())])
}

fn redirect() -> Url {
    Url::parse("https://ohx.example/oauth/callback/withings").unwrap()
}

fn window() -> Query {
    let at = |s| Instant::from_second(s).unwrap();
    Query::Window(Interval::new(at(1_704_600_000), at(1_704_800_000)).unwrap())
}

fn discreet(error: &ProviderError) {
    hides(error, &[TOKEN, SECRET, "0ldRefresh", "c0de", "363", "a075f8c1", "f631236f", "95854", "t0k"]);
}

#[test]
fn the_patient_is_sent_to_the_consent_page() {
    let url = adapter().authorize_url(&app_at(&[]), &redirect(), "st/ate", &VERIFIER.into()).unwrap();
    assert_eq!(url.as_str().split('?').next(), Some("https://account.withings.com/oauth2_user/authorize2"));
    let expected = form(&[
        ("response_type", "code"),
        ("client_id", "abc123"),
        ("state", "st/ate"),
        ("scope", "user.info,user.metrics,user.activity"),
        ("redirect_uri", redirect().as_str()),
    ]);
    assert_eq!(url.query_pairs().into_owned().collect::<BTreeMap<_, _>>(), expected);

    let mut app = app_at(&[("consent", "https://sim.example/withings/")]);
    app.config.scopes = vec!["user.metrics".into(), "user.activity".into()];
    let url = adapter().authorize_url(&app, &redirect(), "s", &VERIFIER.into()).unwrap();
    assert!(url.as_str().starts_with("https://sim.example/withings/oauth2_user/authorize2?"), "{url}");
    assert!(url.query_pairs().any(|(k, v)| k == "scope" && v == "user.metrics,user.activity"));
}

#[tokio::test]
async fn base_urls_that_cannot_work_are_named() {
    for (name, url) in
        [("apu", "https://x.example"), ("api", "ftp://x.example"), ("consent", "mailto:a@x.example")]
    {
        let app = app_at(&[(name, url)]);
        let error = adapter().authorize_url(&app, &redirect(), "s", &VERIFIER.into()).unwrap_err();
        assert!(error.to_string().contains(&format!("base_urls.{name}")), "{error}");
        assert!(error.to_string().contains("home-scales"), "{error}");
        assert_eq!(error.remedy(), Remedy::Permanent);
        let error = adapter().refresh(&app, &"r".into()).await.unwrap_err();
        assert!(matches!(error, ProviderError::Configuration { .. }));
    }
}

#[tokio::test]
async fn silence_is_an_error_without_an_address() {
    // Nobody there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let app = app_at(&[("api", &format!("http://{free}"))]);
    let nobody = adapter().refresh(&app, &"0ldRefresh".into()).await.unwrap_err();
    assert!(matches!(nobody, ProviderError::Transport { kind: "connect", .. }), "{nobody}");

    // Somebody who never answers.
    #[expect(clippy::disallowed_methods, reason = "a test's own client")]
    let hasty = Withings::new(reqwest::Client::builder().timeout(Duration::from_millis(50)).build().unwrap());
    let server = Server::new([]).await;
    let app = super::tests::app(&server);
    let slow =
        hasty.fetch(&app, &TOKEN.into(), &GETMEAS.parse().unwrap(), &window(), None).await.unwrap_err();
    assert!(matches!(slow, ProviderError::Transport { kind: "timeout", .. }), "{slow}");

    // Somebody who hangs up in the middle.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = app_at(&[("api", &format!("http://{}", listener.local_addr().unwrap()))]);
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 4096]).await.unwrap();
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"status\":0,").await.unwrap();
    });
    let cut =
        adapter().fetch(&app, &TOKEN.into(), &GETMEAS.parse().unwrap(), &window(), None).await.unwrap_err();
    assert!(matches!(cut, ProviderError::Transport { .. }), "{cut}");

    for error in [nobody, slow, cut] {
        assert_eq!(error.remedy(), Remedy::Retry { after: None });
        discreet(&error);
    }
}
