//! The adapter against a server on loopback that answers as recorded, oddities included.

mod consent;
mod notifications;
mod pages;
mod refusals;
mod subscriptions;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::IntoResponse as _;
use ohx_domain::{Instant, Interval, ManualClock};
use url::form_urlencoded;

use super::*;
use crate::Remedy;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const TOKEN: &str = "ya29.acc3ssT0ken";
const SECRET: &str = "GOCSPX-cl1entS3cret";
const NOW: &str = "2026-11-20T12:00:00Z";
const SETTINGS: &str = r#"{"name":"users/111111256096816351/settings","timeZone":"Europe/Amsterdam","utcOffset":"3600s","weightUnit":"WEIGHT_UNIT_KILOGRAMS"}"#;

#[derive(Debug, Clone)]
struct Seen {
    method: Method,
    path: String,
    query: BTreeMap<String, String>,
    authorization: Option<String>,
    body: String,
}

impl Seen {
    fn form(&self) -> BTreeMap<String, String> {
        form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Clone)]
struct Reply(StatusCode, &'static [(&'static str, &'static str)], String);

fn ok(body: impl Into<String>) -> Reply {
    Reply(StatusCode::OK, &[("content-type", "application/json")], body.into())
}

/// Google's way to say no.
fn refusal(http: u16, status: &str, reason: &str) -> Reply {
    let details = match reason {
        "" => String::new(),
        reason => format!(
            r#","details":[{{"@type":"type.googleapis.com/google.rpc.Help","links":[]}},{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{reason}","domain":"health.googleapis.com","metadata":{{}}}}]"#
        ),
    };
    let body = format!(
        r#"{{"error":{{"code":{http},"message":"For 111111256096816351 no.","status":"{status}"{details}}}}}"#
    );
    Reply(StatusCode::from_u16(http).unwrap(), &[], body)
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
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { script, url }
    }

    fn seen(&self) -> Vec<Seen> {
        self.script.lock().unwrap().seen.clone()
    }

    fn then(&self, reply: Reply) {
        self.script.lock().unwrap().replies.push_back(reply);
    }
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    let text = |name| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    let seen = Seen {
        method,
        path: uri.path().to_owned(),
        query: form_urlencoded::parse(uri.query().unwrap_or("").as_bytes()).into_owned().collect(),
        authorization: text(header::AUTHORIZATION),
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let reply = {
        let mut script = script.lock().unwrap();
        script.seen.push(seen);
        script.replies.pop_front()
    };
    let Some(Reply(status, headers, body)) = reply else { return std::future::pending().await };
    (status, axum::response::AppendHeaders(headers.iter().copied()), body).into_response()
}

fn now() -> Instant {
    NOW.parse().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test's own client")]
fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

fn adapter() -> GoogleHealth {
    adapter_at(&Arc::new(ManualClock::new(now())))
}

fn adapter_at(clock: &Arc<ManualClock>) -> GoogleHealth {
    GoogleHealth::with_clock(http(), clock.clone())
}

fn app_at(bases: &[(&str, &str)]) -> App {
    App {
        config: ProviderApp {
            name: "home-bands".parse().unwrap(),
            kind: KIND.into(),
            client_id: "123.apps.googleusercontent.com".into(),
            base_urls: bases
                .iter()
                .map(|(name, url)| ((*name).to_owned(), Url::parse(url).unwrap()))
                .collect(),
            scopes: Vec::new(),
            records: Vec::new(),
            requests_per_minute: None,
            options: BTreeMap::new(),
        },
        secret: SECRET.into(),
        secrets: BTreeMap::new(),
    }
}

fn app(server: &Server) -> App {
    let url = server.url.as_str();
    app_at(&[("api", url), ("oauth", url), ("keyset", &format!("{url}keys.json"))])
}

fn redirect() -> Url {
    Url::parse("https://ohx.example/oauth/callback/fitbit").unwrap()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn window(start: &str, end: &str) -> Query {
    Query::Window(Interval::new(start.parse().unwrap(), end.parse().unwrap()).unwrap())
}

/// Makes one call; the server is asked for the zone before.
async fn page(
    adapter: &GoogleHealth,
    app: &App,
    record: &str,
    query: &Query,
    page: Option<&PageToken>,
) -> Result<Page, ProviderError> {
    adapter.fetch(app, &TOKEN.into(), &record.parse().unwrap(), query, page).await
}

/// All pages of a query, each of which makes one call at most.
async fn read(server: &Server, record: &str, query: &Query) -> Result<Vec<Page>, ProviderError> {
    let (adapter, app) = (adapter(), app(server));
    let (mut pages, mut token) = (Vec::new(), None);
    loop {
        let calls = server.seen().len();
        let next = page(&adapter, &app, record, query, token.as_ref()).await?;
        assert!(server.seen().len() <= calls + 1, "one call a page, so that the quota is counted right");
        token = next.next.clone();
        pages.push(next);
        if token.is_none() {
            return Ok(pages);
        }
    }
}

fn texts(pages: &[Page]) -> Vec<&str> {
    pages.iter().flat_map(|page| &page.parts).map(|part| part.text.reveal().get()).collect()
}

/// No error tells what it must not, in any form of printing.
fn discreet(error: &ProviderError) {
    let shown = format!("{error} {error:?}");
    for hidden in
        [TOKEN, SECRET, "1//r3fresh", "4/c0de", "11111125609", "A1B2C3", "127.0.0.1", "72100", "no."]
    {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
}
