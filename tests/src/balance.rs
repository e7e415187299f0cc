//! One address before several copies of a function, which take turns: what a Knative Service or a Deployment's Service is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

/// The address, and who is behind it.
#[derive(Clone)]
pub struct Balance {
    /// The address.
    pub url: String,
    copies: Arc<Vec<String>>,
    first: usize,
    calls: Arc<AtomicUsize>,
    http: reqwest::Client,
}

impl Balance {
    /// Stands before these addresses; the copy of the number `first` has the first turn.
    pub async fn before(copies: Vec<String>, first: usize) -> Self {
        let mut balance = Self {
            url: String::new(),
            copies: Arc::new(copies),
            first,
            calls: Arc::default(),
            http: ohx_runtime::outbound::client(std::time::Duration::from_secs(300)).expect("a client"),
        };
        let router = Router::new().fallback(forward).with_state(balance.clone());
        balance.url = crate::outside::serve(router).await;
        balance
    }

    /// How often it was called.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

async fn forward(State(balance): State<Balance>, request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let turn = balance.first + balance.calls.fetch_add(1, Ordering::Relaxed);
    pass_on(&balance.http, &balance.copies[turn % balance.copies.len()], &path, request).await
}

/// Sends a request on to `to`, and brings back what was answered; 502 where nothing was.
pub(crate) async fn pass_on(http: &reqwest::Client, to: &str, path: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 4 << 20).await.unwrap_or_default();
    let mut headers = parts.headers;
    headers.remove("host");
    let sent = http.request(parts.method, format!("{to}{path}")).headers(headers).body(body).send().await;
    let Ok(answer) = sent else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove("transfer-encoding");
    let body = answer.bytes().await.unwrap_or_default();
    (status, headers, body).into_response()
}
