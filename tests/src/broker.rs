//! A Knative broker in small: what its ingress, its triggers and its delivery were seen to do on a cluster, with waits of a
//! test's own. It keeps events in memory, and answers its producers at once, as a durable broker does, unless it is told to wait.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use cloudevents::AttributesReader as _;
use data_encoding::BASE64;
use futures_util::future::{BoxFuture, join_all};
use ohx_events::{Event, Function, http_binding, subscribers};
use rand::RngExt as _;
use tokio::task::JoinHandle;

use crate::outside::{http, serve};

/// As much of an answer as a dead letter carries, in characters of base64.
const ERROR_DATA: usize = 1024;

/// How events are delivered: the `delivery` of a Broker.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Further attempts after the first.
    pub retry: u32,
    /// The wait before the first of them; each further one is twice as long.
    pub backoff: Duration,
    /// How long a subscriber may take.
    pub timeout: Duration,
    /// Where what is given up goes.
    pub dead_letter_sink: Option<String>,
    /// Producers are answered only after delivery with all that follows from it, as by Knative's in-memory channel.
    pub answers_late: bool,
    /// Every event is delivered twice.
    pub twice: bool,
    /// Every delivery begins after a random wait of up to so long: one after the other is not in order.
    pub disorder: Duration,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            retry: 9,
            backoff: Duration::from_millis(25),
            timeout: Duration::from_secs(20),
            dead_letter_sink: None,
            answers_late: false,
            twice: false,
            disorder: Duration::ZERO,
        }
    }
}

/// One attempt to deliver an event.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The function; `None` for the dead-letter sink.
    pub to: Option<Function>,
    /// The event's id.
    pub id: String,
    /// The answer's status; `None` where there was no answer.
    pub status: Option<u16>,
}

/// Called before every delivery to a function, as Knative's activator: it starts the function where it does not run.
pub type Activator = Arc<dyn Fn(Function) -> BoxFuture<'static, ()> + Send + Sync>;

#[derive(Default)]
struct Memory {
    events: Vec<Event>,
    attempts: Vec<Attempt>,
    dead: Vec<Event>,
    dropped: Vec<Event>,
}

struct Inner {
    http: reqwest::Client,
    delivery: Mutex<Delivery>,
    subscribers: Mutex<BTreeMap<Function, String>>,
    activator: Mutex<Option<Activator>>,
    memory: Mutex<Memory>,
}

/// The broker, and a Trigger for each function that listens to events.
#[derive(Clone)]
pub struct Broker {
    inner: Arc<Inner>,
    /// The address of its ingress: what a SinkBinding injects as `K_SINK`.
    pub url: String,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Broker {
    /// Starts one whose triggers have no subscribers yet.
    pub async fn start(delivery: Delivery) -> Self {
        let inner = Arc::new(Inner {
            http: http(),
            delivery: Mutex::new(delivery),
            subscribers: Mutex::default(),
            activator: Mutex::default(),
            memory: Mutex::default(),
        });
        let router = Router::new().route("/", post(ingress)).with_state(inner.clone());
        Self { inner, url: format!("{}/", serve(router).await) }
    }

    /// Changes how events are delivered.
    pub fn deliver(&self, change: impl FnOnce(&mut Delivery)) {
        change(&mut locked(&self.inner.delivery));
    }

    /// A function's address.
    pub fn subscribe(&self, function: Function, url: String) {
        locked(&self.inner.subscribers).insert(function, url);
    }

    /// Wakes functions before events reach them.
    pub fn activate_with(&self, activator: Activator) {
        *locked(&self.inner.activator) = Some(activator);
    }

    /// Every event that was taken, in order.
    pub fn events(&self) -> Vec<Event> {
        locked(&self.inner.memory).events.clone()
    }

    /// Every attempt, in order.
    pub fn attempts(&self) -> Vec<Attempt> {
        locked(&self.inner.memory).attempts.clone()
    }

    /// The dead letters that the sink took.
    pub fn dead(&self) -> Vec<Event> {
        locked(&self.inner.memory).dead.clone()
    }

    /// What is lost for good.
    pub fn dropped(&self) -> Vec<Event> {
        locked(&self.inner.memory).dropped.clone()
    }
}

/// 202 for an event; 400 for anything else, a batch as well.
async fn ingress(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Ok(event) = http_binding::from_request(&headers, body.to_vec()) else {
        return StatusCode::BAD_REQUEST;
    };
    let traceparent = headers.get("traceparent").cloned();
    let deliveries = take(&inner, event, traceparent);
    if locked(&inner.delivery).answers_late {
        join_all(deliveries).await;
    }
    StatusCode::ACCEPTED
}

/// Takes an event, and delivers it to who listens.
fn take(
    inner: &Arc<Inner>,
    event: Event,
    traceparent: Option<axum::http::HeaderValue>,
) -> Vec<JoinHandle<()>> {
    locked(&inner.memory).events.push(event.clone());
    let times = if locked(&inner.delivery).twice { 2 } else { 1 };
    let to = subscribers(event.ty()).iter().flat_map(|f| std::iter::repeat_n(*f, times));
    to.map(|f| tokio::spawn(deliver(inner.clone(), f, event.clone(), traceparent.clone()))).collect()
}

/// What came of an attempt.
enum Came {
    Done,
    Reply(Box<Event>),
    Failed { again: bool, code: u16, body: Vec<u8> },
}

async fn deliver(
    inner: Arc<Inner>,
    to: Function,
    event: Event,
    traceparent: Option<axum::http::HeaderValue>,
) {
    let disorder = locked(&inner.delivery).disorder;
    if !disorder.is_zero() {
        let wait = rand::rng().random_range(Duration::ZERO..disorder);
        tokio::time::sleep(wait).await;
    }
    let Some(address) = locked(&inner.subscribers).get(&to).cloned() else { return };
    let activator = locked(&inner.activator).clone();
    let (mut code, mut body) = (0, Vec::new());
    for attempt in 0.. {
        let delivery = locked(&inner.delivery).clone();
        if let Some(activator) = &activator {
            activator(to).await;
        }
        let came = post_once(&inner, Some(to), &address, &event, traceparent.as_ref()).await;
        let again = match came {
            Came::Done => return,
            Came::Reply(event) => {
                take(&inner, *event, None);
                return;
            }
            Came::Failed { again, code: c, body: b } => {
                (code, body) = (c, b);
                again
            }
        };
        if !again || attempt >= delivery.retry {
            break;
        }
        tokio::time::sleep(delivery.backoff * 2_u32.pow(attempt.min(16))).await;
    }
    bury(&inner, to, event, code, &body).await;
}

/// Sends what was given up to the dead-letter sink, which has as many attempts.
async fn bury(inner: &Inner, from: Function, event: Event, code: u16, body: &[u8]) {
    let delivery = locked(&inner.delivery).clone();
    let mut letter = event.clone();
    // As a service is called in a cluster.
    letter.set_extension("knativeerrordest", format!("http://{from}.ohx.svc.cluster.local/"));
    letter.set_extension("knativeerrorcode", code.to_string());
    let mut data = BASE64.encode(body);
    data.truncate(ERROR_DATA);
    if !data.is_empty() {
        letter.set_extension("knativeerrordata", data);
    }
    let Some(sink) = delivery.dead_letter_sink else {
        return locked(&inner.memory).dropped.push(event);
    };
    for attempt in 0..=delivery.retry {
        match post_once(inner, None, &sink, &letter, None).await {
            Came::Done | Came::Reply(_) => return locked(&inner.memory).dead.push(letter),
            Came::Failed { again: false, .. } => break,
            Came::Failed { .. } => tokio::time::sleep(delivery.backoff * 2_u32.pow(attempt.min(16))).await,
        }
    }
    locked(&inner.memory).dropped.push(letter);
}

/// One attempt: in binary mode, whatever mode the producer had.
async fn post_once(
    inner: &Inner,
    to: Option<Function>,
    address: &str,
    event: &Event,
    traceparent: Option<&axum::http::HeaderValue>,
) -> Came {
    let timeout = locked(&inner.delivery).timeout;
    let (headers, body) = http_binding::to_binary(event.clone()).expect("an event");
    let mut request = inner
        .http
        .post(address)
        .timeout(timeout)
        .headers(headers)
        .header("Ce-Knativearrivaltime", "2026-11-21T08:00:00.000000000Z")
        .header("Kn-Namespace", "ohx")
        .header("Prefer", "reply")
        .header("X-Request-Id", format!("{:032x}", rand::random::<u128>()))
        .body(body);
    if let Some(traceparent) = traceparent {
        request = request.header("Traceparent", traceparent);
    }
    let answer = request.send().await;
    let status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
    let attempt = Attempt { to, id: event.id().to_owned(), status };
    locked(&inner.memory).attempts.push(attempt);
    match answer {
        Err(_) => Came::Failed { again: true, code: 0, body: Vec::new() },
        Ok(answer) => judge(answer).await,
    }
}

/// The reply rules.
async fn judge(answer: reqwest::Response) -> Came {
    let (code, headers) = (answer.status().as_u16(), answer.headers().clone());
    let Ok(body) = answer.bytes().await else {
        return Came::Failed { again: true, code: 0, body: Vec::new() };
    };
    let body = body.to_vec();
    if (200..300).contains(&code) {
        if body.is_empty() && !headers.contains_key("ce-specversion") {
            return Came::Done;
        }
        return match http_binding::from_request(&headers, body.clone()) {
            Ok(event) => Came::Reply(Box::new(event)),
            Err(_) => Came::Failed { again: true, code, body },
        };
    }
    // `Retry-After` is not looked at.
    let again = matches!(code, 404 | 408 | 409 | 429) || code >= 500;
    Came::Failed { again, code, body }
}

/// Posts one event to a function in binary mode, or in structured mode.
pub async fn send(url: &str, event: &Event, structured: bool) -> reqwest::Response {
    let request = http().post(url);
    let request = if structured {
        let body = serde_json::to_vec(event).expect("an event");
        request.header("content-type", "application/cloudevents+json; charset=utf-8").body(body)
    } else {
        let (headers, body) = http_binding::to_binary(event.clone()).expect("an event");
        request.headers(headers).body(body)
    };
    request.send().await.expect("the function answers")
}

/// All of these at once; their statuses.
pub async fn send_all(url: &str, events: &[(Event, bool)]) -> Vec<u16> {
    let sent = events.iter().map(|(event, structured)| send(url, event, *structured));
    join_all(sent).await.iter().map(|answer| answer.status().as_u16()).collect()
}
