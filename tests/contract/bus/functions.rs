//! Functions that remember how they were called and answer as a test tells them to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use cloudevents::AttributesReader as _;
use futures_util::future::BoxFuture;
use ohx_bus::{Bury, BusError};
use ohx_domain::{Instant as Timestamp, LinkId};
use ohx_events::{Envelope, Event, Function, Priority, http_binding};
use tokio::time::Instant;

/// One call of a function.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) to: Function,
    pub(crate) event: Event,
    /// The how-manieth call with this event, from 1.
    pub(crate) nth: usize,
    pub(crate) at: Instant,
}

type Behaviour = Arc<dyn Fn(Call) -> BoxFuture<'static, Response> + Send + Sync>;

/// All functions, with one memory.
#[derive(Clone)]
pub(crate) struct Functions {
    calls: Arc<Mutex<Vec<Call>>>,
    behaviour: Behaviour,
}

impl Functions {
    /// Functions that answer each call with `behaviour`.
    pub(crate) fn new<F>(behaviour: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        Self { calls: Arc::default(), behaviour: Arc::new(move |call| Box::pin(behaviour(call))) }
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// The calls with the event `id`.
    pub(crate) fn calls_of(&self, id: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.event.id() == id).collect()
    }

    /// The ids of the events, in the order of their calls.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.calls().iter().map(|call| call.event.id().to_owned()).collect()
    }

    pub(crate) fn routers(&self) -> BTreeMap<Function, Router> {
        Function::ALL.into_iter().map(|to| (to, self.router(to))).collect()
    }

    fn router(&self, to: Function) -> Router {
        Router::new().route("/", post(answer)).with_state((self.clone(), to))
    }
}

async fn answer(
    State((functions, to)): State<(Functions, Function)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    assert!(headers.contains_key("ce-id"), "functions are called in binary mode");
    let event = http_binding::from_request(&headers, body.to_vec()).unwrap();
    let call = {
        let mut calls = functions.calls.lock().unwrap();
        let same = |call: &&Call| call.to == to && call.event.id() == event.id();
        let nth = calls.iter().filter(same).count() + 1;
        let call = Call { to, event, nth, at: Instant::now() };
        calls.push(call.clone());
        call
    };
    (functions.behaviour)(call).await
}

/// An answer without a body.
pub(crate) fn status(code: u16) -> Response {
    StatusCode::from_u16(code).unwrap().into_response()
}

/// A refusal that says why, as our functions do.
pub(crate) fn problem(code: u16, detail: &str) -> Response {
    let body = format!(r#"{{"title":"refused","detail":"{detail}"}}"#);
    (StatusCode::from_u16(code).unwrap(), [("content-type", "application/problem+json")], body)
        .into_response()
}

/// Serves a router on a free port of the loopback, until the test ends.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// A client such as the runtime makes: bounded, without redirects.
pub(crate) fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    client.timeout(Duration::from_secs(10)).build().unwrap()
}

/// An event with a payload.
pub(crate) fn event(id: impl ToString, event_type: &'static str, priority: Priority) -> Event {
    let envelope = Envelope {
        id: id.to_string(),
        event_type,
        source: "test",
        link: LinkId::new(),
        sync: None,
        priority,
        time: Timestamp::UNIX_EPOCH,
        traceparent: None,
    };
    envelope.plain(&serde_json::json!({"marker": 1})).unwrap()
}

/// A dead letter.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) to: Function,
    pub(crate) event: Event,
    pub(crate) reason: String,
    pub(crate) attempts: u32,
}

/// Keeps dead letters; refuses the first `refusals` of them.
#[derive(Default)]
pub(crate) struct Graves {
    letters: Mutex<Vec<Letter>>,
    pub(crate) refusals: Mutex<u32>,
}

impl Graves {
    pub(crate) fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap().clone()
    }
}

#[async_trait]
impl Bury for Graves {
    async fn bury(&self, to: Function, event: &Event, reason: &str, attempts: u32) -> Result<(), BusError> {
        {
            let mut refusals = self.refusals.lock().unwrap();
            if *refusals > 0 {
                *refusals -= 1;
                return Err(BusError::Unavailable("the database is away".into()));
            }
        }
        let letter = Letter { to, event: event.clone(), reason: reason.to_owned(), attempts };
        self.letters.lock().unwrap().push(letter);
        Ok(())
    }
}
