//! The adapter against a server on loopback that answers as the sheet says, oddities included.

mod hints;
mod pages;
mod tokens;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{LazyLock, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::IntoResponse as _;
use data_encoding::BASE64URL_NOPAD;
use ohx_domain::{Instant, Interval, ManualClock};
use secrecy::ExposeSecret as _;
use url::form_urlencoded;

use super::*;
use crate::Remedy;

const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0123456789";
const TOKEN: &str = "acc3ssT0ken";
const SECRET: &str = "cl1entS3cret";
const SUB: &str = "7d1b0a6e-0000-4000-8000-00000000beef";
const NOW: &str = "2026-10-04T06:00:00Z";

#[derive(Debug, Clone)]
struct Seen {
    uri: String,
    authorization: Option<String>,
    content_type: String,
    form: BTreeMap<String, String>,
}

#[derive(Clone)]
struct Reply(StatusCode, &'static [(&'static str, &'static str)], String);

fn ok(body: impl Into<String>) -> Reply {
    Reply(StatusCode::OK, &[("content-type", "application/json")], body.into())
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    seen: Vec<Seen>,
}

struct Server {
    script: Arc<Mutex<Script>>,
    url: Url,
}

impl Server {
    /// Gives these answers in turn, then waits for ever.
    async fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let script =
            Arc::new(Mutex::new(Script { replies: replies.into_iter().collect(), seen: Vec::new() }));
        let router = axum::Router::new().fallback(answer).with_state(script.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/stg", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { script, url }
    }

    fn seen(&self) -> Vec<Seen> {
        self.script.lock().unwrap().seen.clone()
    }
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    let text = |name| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    let seen = Seen {
        uri: uri.to_string(),
        authorization: text(header::AUTHORIZATION),
        content_type: text(header::CONTENT_TYPE).unwrap_or_default(),
        form: form_urlencoded::parse(&body).into_owned().collect(),
    };
    let reply = {
        let mut script = script.lock().unwrap();
        script.seen.push(seen);
        script.replies.pop_front()
    };
    let Some(Reply(status, headers, body)) = reply else { return std::future::pending().await };
    (status, axum::response::AppendHeaders(headers.iter().copied()), body).into_response()
}

/// One for all tests: making one reads the machine's certificates.
#[expect(clippy::disallowed_methods, reason = "a test's own client")]
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    reqwest::Client::builder().timeout(Duration::from_secs(20)).pool_max_idle_per_host(0).build().unwrap()
});

fn adapter() -> Omron {
    Omron::new(CLIENT.clone()).with_clock(Arc::new(ManualClock::new(NOW.parse().unwrap())))
}

fn app_with(bases: &[(&str, &str)], options: &[(&str, &str)]) -> App {
    let own = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> { form(pairs) };
    App {
        config: ProviderApp {
            name: "cuffs".parse().unwrap(),
            kind: KIND.into(),
            client_id: "abc123".into(),
            base_urls: bases
                .iter()
                .map(|(name, url)| ((*name).to_owned(), Url::parse(url).unwrap()))
                .collect(),
            scopes: Vec::new(),
            records: Vec::new(),
            requests_per_minute: None,
            options: own(options),
        },
        secret: SECRET.into(),
        secrets: BTreeMap::new(),
    }
}

fn app(server: &Server) -> App {
    app_with(&[("api", server.url.as_str())], &[])
}

fn redirect() -> Url {
    Url::parse("https://ohx.example/oauth/callback/cuffs").unwrap()
}

fn form(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

fn between(start: &str, end: &str) -> Query {
    Query::Window(Interval::new(at(start), at(end)).unwrap())
}

/// A JWT without a signature that anybody could look at.
fn jwt(claims: &str) -> String {
    let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(claims), part("signature"))
}

/// No error tells what it must not, in any form of printing.
fn discreet(error: &ProviderError) {
    let shown = format!("{error} {error:?}");
    for hidden in [TOKEN, SECRET, "0ldRefresh", "c0de", SUB, "n3wAccess", "n3wRefresh", "128", "127.0.0.1"] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
}
