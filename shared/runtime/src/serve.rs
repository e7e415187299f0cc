//! Serving: a port or Lambda, probes, limits, panic isolation, an end that loses nothing in hand.

use std::net::SocketAddr;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use ohx_events::Function;
use ohx_events::envelope::shown_type;
use ohx_store::SharedStore;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use tracing::{Instrument as _, field};

use crate::linger::linger;
use crate::trace::{CURRENT, TraceContext};
use crate::{Problem, Settings, lambda, logs, metrics, otlp, outbound};

/// The largest request body, in bytes: ten times the largest event of ours.
pub const MAX_BODY: usize = 2 * 1024 * 1024;

/// Says whether the parts that a function needs can be reached, for `/readyz`; an error is one line for a person.
pub type Ready = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// What a function shows on `/metrics` besides what all of them do: more lines of the same format, about other metrics.
pub type More = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

/// How long a caller may be silent in the middle of a body.
const SILENCE: Duration = Duration::from_secs(30);

/// How long an end waits for requests: somewhat more than the four minutes that an event may take.
const DRAIN: Duration = Duration::from_secs(250);

/// How long an end waits for work that outlives its request, and for the store: well within the grace that a platform gives.
const LAST: Duration = Duration::from_secs(20);

tokio::task_local! {
    /// Held by every request of a function, and by what [`spawn`] goes on with.
    static IN_HAND: mpsc::Sender<()>;
}

/// Puts everything that functions have in common around `router`: `/livez`, `/readyz`, `/metrics`, trace context,
/// counting, the body limit, and a 500 instead of a dead process when a handler panics.
pub fn wrap(function: &'static str, router: Router, ready: Ready) -> Router {
    wrap_with(function, router, ready, None)
}

/// The same, with more metrics.
pub fn wrap_with(function: &'static str, router: Router, ready: Ready, more: Option<More>) -> Router {
    let readyz = move || {
        let check = ready();
        async move {
            match check.await {
                Ok(()) => StatusCode::OK.into_response(),
                Err(reason) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, reason).into_response(),
            }
        }
    };
    let metrics = move || {
        let more = more.as_ref().map(|more| more());
        async move {
            let mut shown = metrics::exposition();
            if let Some(more) = more {
                shown.push_str(&more.await);
            }
            ([("content-type", "text/plain; version=0.0.4")], shown)
        }
    };
    // The names with an underscore are where OpenFaaS looks unless it is told otherwise.
    let probes = Router::new()
        .route("/livez", get(async || StatusCode::OK))
        .route("/_/health", get(async || StatusCode::OK))
        .route("/readyz", get(readyz.clone()))
        .route("/_/ready", get(readyz))
        .route("/metrics", get(metrics));
    let observed = router
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address"))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            // The panic's message could quote a value: the hook's location line is all that is logged.
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the function failed; the event may be delivered again",
            )
            .into_response()
        }))
        .layer(RequestBodyTimeoutLayer::new(SILENCE))
        .layer(middleware::from_fn(move |request: Request, next: Next| observe(function, request, next)))
        // Outside of what is measured: reading on is for the caller's sake.
        .layer(middleware::from_fn(linger));
    probes.merge(observed)
}

async fn observe(function: &'static str, request: Request, next: Next) -> Response {
    let incoming = request.headers().get("traceparent").or_else(|| request.headers().get("ce-traceparent"));
    let parent = incoming.and_then(|v| v.to_str().ok()).and_then(TraceContext::parse);
    // The route's pattern, never the path: paths hold tickets and tokens.
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!(
        "request",
        function,
        method = %request.method(),
        route,
        trace_id = field::Empty,
        status = field::Empty,
        event.id = field::Empty,
        event.r#type = field::Empty,
        link = field::Empty,
        otel.name = field::Empty,
        otel.kind = field::Empty,
        otel.status_code = field::Empty,
    );
    if otlp::exporting() {
        // The collector is told a name and a kind before anything else of a span.
        let event = request.headers().get("ce-type").and_then(|name| name.to_str().ok()).map(shown_type);
        span.record("otel.kind", if event.is_some() { "consumer" } else { "server" });
        match event {
            Some(name) => span.record("otel.name", name),
            None => span.record("otel.name", format!("{function} {} {route}", request.method())),
        };
    }
    let context = TraceContext::of(&span, parent);
    span.record("trace_id", context.trace_id());
    let began = tokio::time::Instant::now();
    let response = CURRENT.scope(context, next.run(request)).instrument(span.clone()).await;
    span.record("status", response.status().as_u16());
    if otlp::exporting() && response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    metrics::REQUESTS.with_label_values(&[function, response.status().as_str()]).inc();
    metrics::REQUEST_SECONDS.with_label_values(&[function]).observe(began.elapsed().as_secs_f64());
    response
}

/// Resolves at SIGTERM or SIGINT.
pub async fn shutdown_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let term = async {
        match signal(SignalKind::terminate()) {
            Ok(mut term) => {
                term.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = term => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Serves on a port until `shutdown`, then finishes what is in hand, and what [`spawn`] goes on with.
///
/// # Errors
/// Where the socket fails.
pub async fn serve_on(
    listener: TcpListener,
    app: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let (held, mut in_hand) = mpsc::channel(1);
    let app = app.layer(middleware::from_fn(move |request: Request, next: Next| {
        IN_HAND.scope(held.clone(), next.run(request))
    }));
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let (told, mut ends) = watch::channel(false);
    let serving = axum::serve(listener, app).with_graceful_shutdown(async move {
        shutdown.await;
        told.send_replace(true);
    });
    let too_long = async {
        let _told = ends.wait_for(|ends| *ends).await.is_ok();
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving => served?,
        () = too_long => tracing::warn!("a request is cut off: it has lasted longer than any of ours may"),
    }
    // What has been answered before it was finished: the router is gone, and only such work still holds a sender.
    if tokio::time::timeout(LAST, in_hand.recv()).await.is_err() {
        tracing::warn!("not everything in hand was finished in time");
    }
    Ok(())
}

/// A function, ready to be served.
pub struct Service {
    router: Router,
    ready: Ready,
    more: Option<More>,
    background: Option<JoinHandle<anyhow::Result<()>>>,
    store: Option<SharedStore>,
    events: Option<(Function, SharedStore)>,
}

impl Service {
    /// A function that only answers requests.
    pub fn new(router: Router, ready: Ready) -> Self {
        Self { router, ready, more: None, background: None, store: None, events: None }
    }

    /// With work beside the requests, which ends by itself at [`shutdown_signal`]; the process waits for it, and ends
    /// with it where it fails.
    #[must_use]
    pub fn with_background(mut self, work: JoinHandle<anyhow::Result<()>>) -> Self {
        self.background = Some(work);
        self
    }

    /// With more metrics.
    #[must_use]
    pub fn with_metrics(mut self, more: More) -> Self {
        self.more = Some(more);
        self
    }

    /// On AWS Lambda it takes batches of SQS and the nightly ping as `function`; what cannot be delivered is kept in `store`.
    /// Elsewhere somebody else delivers events, as HTTP.
    #[must_use]
    pub fn with_events(mut self, function: Function, store: SharedStore) -> Self {
        self.events = Some((function, store));
        self
    }

    /// Closes the store's connections at the end, when everything in hand is finished.
    #[must_use]
    pub fn closing(mut self, store: SharedStore) -> Self {
        self.store = Some(store);
        self
    }
}

async fn run_async<F, B>(function: &'static str, settings: Settings, build: B) -> anyhow::Result<()>
where
    B: FnOnce(Settings) -> F,
    F: Future<Output = anyhow::Result<Service>>,
{
    let port = settings.parsed::<u16>("PORT", "a port number, such as 8080")?.unwrap_or(8080);
    let lambda = settings.text("AWS_LAMBDA_RUNTIME_API").map(|_| settings.clone());
    let Service { router, ready, more, background, store, events } = build(settings).await?;
    if let Some(settings) = lambda {
        let app = wrap_with(function, router, ready, more);
        let events = events.map(|(to, store)| lambda::Events::new(to, store, &app, &settings)).transpose()?;
        return lambda::run(app, events).await;
    }
    let app = wrap_with(function, router, ready, more);
    let listener = TcpListener::bind(("0.0.0.0", port))
        .await
        .map_err(|e| anyhow::anyhow!("PORT {port} cannot be listened on: {e}"))?;
    tracing::info!(function, port, "ready");
    let serving = serve_on(listener, app, shutdown_signal());
    match background {
        None => serving.await?,
        Some(mut work) => {
            // Both end at the signal, in any order, and each finishes what it has.
            let mut serving = std::pin::pin!(serving);
            tokio::select! {
                served = &mut serving => {
                    served?;
                    work.await??;
                }
                ended = &mut work => {
                    ended??;
                    serving.await?;
                }
            }
        }
    }
    if let Some(store) = store {
        // A connection that a server has forgotten must not keep the process.
        let _closed = tokio::time::timeout(LAST, store.close()).await;
    }
    tracing::info!(function, "stopped");
    Ok(())
}

/// What `work` comes to, and a wait for what it went on with by [`spawn`].
pub(crate) async fn in_hand<T>(work: impl Future<Output = T>) -> (T, impl Future<Output = ()> + Send) {
    let (held, mut in_hand) = mpsc::channel(1);
    let done = IN_HAND.scope(held, work).await;
    (done, async move { while in_hand.recv().await.is_some() {} })
}

/// Goes on with work that outlives its request's answer. A process that is told to end waits for it, and so does an
/// invocation on AWS Lambda.
pub fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let held = IN_HAND.try_with(Clone::clone).ok();
    tokio::spawn(async move {
        let done = work.await;
        drop(held);
        done
    })
}

/// The whole `main` of a function: settings, logs, its router, serving, an exit code.
///
/// A wrong setting ends it with one line on standard error and exit code 2.
pub fn run<F, B>(function: &'static str, build: B) -> ExitCode
where
    B: FnOnce(Settings) -> F,
    F: Future<Output = anyhow::Result<Service>>,
{
    let settings = match Settings::from_env().with_folder() {
        Ok(settings) => settings,
        Err(error) => return fail(function, &error.into()),
    };
    outbound::install_tls();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(function, &error.into()),
    };
    let ended = runtime.block_on(async {
        logs::init_with_spans(&settings, function, runtime.handle())?;
        let ended = run_async(function, settings, build).await;
        otlp::flush().await;
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(function, &error),
    }
}

/// One line: what was to be done, and the chain of causes.
#[expect(clippy::print_stderr, reason = "a start that fails is told to the person who started it")]
fn fail(function: &str, error: &anyhow::Error) -> ExitCode {
    eprintln!("{function}: {error:#}");
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, Bytes};
    use axum::routing::post;
    use tower::ServiceExt as _;

    use super::*;

    async fn answer(app: &Router, path: &str, body: Vec<u8>) -> (StatusCode, String) {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), MAX_BODY).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_one_answer_and_the_next_request_is_served() {
        let router = Router::new().route(
            "/",
            post(async |body: Bytes| if body.is_ascii() { StatusCode::NO_CONTENT } else { panic!("72.10") }),
        );
        let app =
            wrap("test", router, Arc::new(|| Box::pin(async { Err("the database is away".to_owned()) })));
        let (status, text) = answer(&app, "/", vec![200]).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(text.contains("the function failed") && !text.contains("72.10"), "{text}");
        assert_eq!(answer(&app, "/", vec![1]).await, (StatusCode::NO_CONTENT, String::new()));
        assert_eq!(answer(&app, "/", vec![1; MAX_BODY + 1]).await.0, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(answer(&app, "/livez", Vec::new()).await.0, StatusCode::OK);
        let (status, text) = answer(&app, "/readyz", Vec::new()).await;
        assert_eq!((status, text.contains("the database is away")), (StatusCode::SERVICE_UNAVAILABLE, true));
        assert!(answer(&app, "/metrics", Vec::new()).await.1.contains("ohx_http_requests_total"));
    }

    #[tokio::test]
    async fn more_metrics_stand_behind_those_of_all_functions() {
        let ready: Ready = Arc::new(|| Box::pin(async { Ok(()) }));
        let more: More = Arc::new(|| Box::pin(async { "one_more 1\n".to_owned() }));
        let app = wrap_with("test", Router::new(), ready, Some(more));
        let (status, text) = answer(&app, "/metrics", Vec::new()).await;
        assert_eq!(status, StatusCode::OK);
        assert!(
            text.contains("# TYPE ohx_http_requests_total") && text.ends_with("\none_more 1\n"),
            "{text}"
        );
    }
}
