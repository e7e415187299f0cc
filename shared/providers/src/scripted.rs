//! For the adapters' tests: a server on loopback that gives answers as recorded, and keeps what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::{AppendHeaders, IntoResponse as _, Response};
use url::{Url, form_urlencoded};

use crate::ProviderError;

/// The tests' own client. One for all: making one reads the machine's certificates.
#[expect(clippy::disallowed_methods, reason = "a test's own client")]
pub(crate) static HTTP: LazyLock<reqwest::Client> = LazyLock::new(|| {
    // A kept connection would belong to the runtime of another test.
    let builder = reqwest::Client::builder().pool_max_idle_per_host(0).timeout(Duration::from_secs(20));
    builder.redirect(reqwest::redirect::Policy::none()).build().unwrap()
});

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) uri: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
    pub(crate) authorization: Option<String>,
    pub(crate) content_type: String,
    pub(crate) body: String,
    /// The body, where it is a form.
    pub(crate) form: BTreeMap<String, String>,
}

impl Seen {
    /// The body, which is JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// An answer: status, headers and body.
#[derive(Clone)]
pub(crate) struct Reply(
    pub(crate) StatusCode,
    pub(crate) &'static [(&'static str, &'static str)],
    pub(crate) String,
);

/// An answer in JSON.
pub(crate) fn ok(body: impl Into<String>) -> Reply {
    Reply(StatusCode::OK, &[("content-type", "application/json")], body.into())
}

/// An answer without headers.
pub(crate) fn bare(status: u16, body: impl Into<String>) -> Reply {
    Reply(StatusCode::from_u16(status).unwrap(), &[], body.into())
}

/// Names and values, as [`Seen`] has them.
pub(crate) fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// No error tells what it must not, in any form of printing.
#[track_caller]
pub(crate) fn hides(error: &ProviderError, secrets: &[&str]) {
    let shown = format!("{error} {error:?}");
    for hidden in secrets.iter().chain(&["127.0.0.1"]) {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    seen: Vec<Seen>,
}

/// Gives its answers in turn, then none for ever.
pub(crate) struct Server {
    script: Arc<Mutex<Script>>,
    pub(crate) url: Url,
}

impl Server {
    pub(crate) async fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::at("", replies).await
    }

    /// The same with a path in its URL, such as `/stg`.
    pub(crate) async fn at(path: &str, replies: impl IntoIterator<Item = Reply>) -> Self {
        let script = Script { replies: replies.into_iter().collect(), seen: Vec::new() };
        let script = Arc::new(Mutex::new(script));
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}{path}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { script, url }
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.script.lock().unwrap().seen.clone()
    }

    /// Path and query of every request so far.
    pub(crate) fn uris(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.uri).collect()
    }

    /// One more answer, after all others.
    pub(crate) fn then(&self, reply: Reply) {
        self.script.lock().unwrap().replies.push_back(reply);
    }
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let read = |text: &[u8]| form_urlencoded::parse(text).into_owned().collect();
    let seen = Seen {
        method,
        uri: uri.to_string(),
        path: uri.path().to_owned(),
        query: read(uri.query().unwrap_or_default().as_bytes()),
        authorization: text(header::AUTHORIZATION),
        content_type: text(header::CONTENT_TYPE).unwrap_or_default(),
        body: String::from_utf8(body.to_vec()).unwrap(),
        form: read(&body),
        headers,
    };
    let reply = {
        let mut script = script.lock().unwrap();
        script.seen.push(seen);
        script.replies.pop_front()
    };
    let Some(Reply(status, headers, body)) = reply else { return std::future::pending().await };
    (status, AppendHeaders(headers.iter().copied()), body).into_response()
}
