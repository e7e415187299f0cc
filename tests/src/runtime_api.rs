//! Lambda's side of the runtime interface, as AWS documents it ("Using the Lambda runtime API for custom runtimes"): one process
//! asks for invocations and answers them, and what it does when is seen.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio::time::Instant;

/// What the process has done, in order.
#[derive(Debug, Clone)]
pub enum Seen {
    /// It asked for the next invocation: from here on Lambda may freeze it.
    Next(Instant),
    /// It answered one.
    Answer(Instant, Value),
    /// It said that one failed.
    Failure(Instant, Value),
}

/// One process's runtime interface.
pub struct RuntimeApi {
    /// What goes into `AWS_LAMBDA_RUNTIME_API`.
    pub address: String,
    invocations: mpsc::UnboundedSender<Value>,
    seen: watch::Receiver<Vec<Seen>>,
}

struct Shared {
    timeout: Duration,
    waiting: AsyncMutex<mpsc::UnboundedReceiver<Value>>,
    seen: Mutex<watch::Sender<Vec<Seen>>>,
}

impl Shared {
    fn note(&self, what: Seen) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.send_modify(|all| all.push(what));
    }
}

impl RuntimeApi {
    /// One that gives a process `timeout` for each invocation.
    pub async fn start(timeout: Duration) -> Self {
        let (invocations, waiting) = mpsc::unbounded_channel();
        let (sender, seen) = watch::channel(Vec::new());
        let shared = Shared { timeout, waiting: AsyncMutex::new(waiting), seen: Mutex::new(sender) };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route(
                "/2018-06-01/runtime/invocation/{id}/response",
                post(async |State(shared): State<Arc<Shared>>, body: String| {
                    shared.note(Seen::Answer(Instant::now(), parsed(&body)));
                    axum::http::StatusCode::ACCEPTED
                }),
            )
            .route(
                "/2018-06-01/runtime/invocation/{id}/error",
                post(async |State(shared): State<Arc<Shared>>, body: String| {
                    shared.note(Seen::Failure(Instant::now(), parsed(&body)));
                    axum::http::StatusCode::ACCEPTED
                }),
            )
            .with_state(Arc::new(shared));
        let url = crate::outside::serve(router).await;
        Self { address: url.trim_start_matches("http://").to_owned(), invocations, seen }
    }

    /// What a process has to have set, beside its own settings.
    pub fn environment(&self) -> [(String, String); 4] {
        [
            ("AWS_LAMBDA_RUNTIME_API", self.address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "ohx"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    }

    /// Has an invocation wait for the process.
    ///
    /// # Panics
    /// Where the interface is gone.
    pub fn invoke(&self, payload: Value) {
        self.invocations.send(payload).expect("the interface runs");
    }

    /// How many invocations it has answered so far, with one or the other outcome.
    pub fn answers(&self) -> usize {
        self.seen.borrow().iter().filter(|seen| !matches!(seen, Seen::Next(_))).count()
    }

    /// Waits for the answer that follows on so many, and gives it.
    ///
    /// # Panics
    /// After a minute.
    pub async fn answer(&self, after: usize) -> Seen {
        let nth = |all: &[Seen]| all.iter().filter(|seen| !matches!(seen, Seen::Next(_))).nth(after).cloned();
        let mut seen = self.seen.clone();
        let waiting = seen.wait_for(|all| nth(all).is_some());
        let done = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        nth(&done.expect("within a minute").expect("the interface runs")).expect("it was waited for")
    }

    /// Waits until the process has done so much, and gives it.
    ///
    /// # Panics
    /// After a minute.
    pub async fn seen(&self, enough: usize) -> Vec<Seen> {
        let mut seen = self.seen.clone();
        let waiting = seen.wait_for(|all| all.len() >= enough);
        let done = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        done.expect("within a minute").expect("the interface runs").clone()
    }
}

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_default()
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    shared.note(Seen::Next(Instant::now()));
    let Some(payload) = shared.waiting.lock().await.recv().await else {
        return axum::http::StatusCode::GONE.into_response();
    };
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", (now + shared.timeout).as_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:0:function:ohx".to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, payload.to_string()).into_response()
}
