//! On AWS Lambda: the same router, behind API Gateway, function URLs and load balancers (HTTP), event source mappings of SQS
//! (batches of events) and EventBridge (the nightly ping).
//!
//! Lambda freezes a process when it asks for the next invocation, and a frozen process may never be woken up. So it asks
//! only when all that was begun is done, [`crate::serve::spawn`]ed work included; the answer has gone out before.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use cloudevents::{EventBuilder as _, EventBuilderV10};
use futures_util::StreamExt as _;
use http::{Uri, header};
use lambda_http::lambda_runtime::{LambdaInvocation, Runtime};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::tower::layer::layer_fn;
use lambda_http::{Adapter, LambdaEvent, RequestExt as _, Service, service_fn};
use ohx_bus::Verdict;
use ohx_bus::deliver::{RouterDeliver, attempt};
use ohx_bus::queue::Outward;
use ohx_bus::retry::RetryPolicy;
use ohx_bus_sqs::lambda::{Record, SqsBatches};
use ohx_domain::{Clock, Instant, SystemClock};
use ohx_events::{Function, types};
use ohx_store::SharedStore;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use tower::ServiceExt as _;

use crate::bury::StoreBury;
use crate::serve::in_hand;
use crate::{Settings, otlp, parts};

type Error = lambda_http::Error;

/// How long a delivery may take: as a relay has it. What Lambda leaves may be less.
const TIMEOUT: Duration = Duration::from_secs(240);

/// How long server-sent events are collected: Lambda's answer goes out whole, and API Gateway waits for 30 seconds at most.
/// The browser's `EventSource` connects again.
const FOLLOWED: Duration = Duration::from_secs(15);

/// What is kept of an invocation's time when work is waited for.
const MARGIN: Duration = Duration::from_millis(500);

/// What a function does with events beside HTTP.
pub(crate) struct Events {
    function: Function,
    outward: Outward,
    /// `None` where the bus is not SQS.
    batches: Option<SqsBatches>,
    clock: Arc<dyn Clock>,
}

impl Events {
    /// For the function that `app` is.
    ///
    /// # Errors
    /// A setting of SQS is missing or wrong.
    pub(crate) fn new(
        function: Function,
        store: SharedStore,
        app: &Router,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let sqs = settings.text("OHX_BUS") == Some("sqs");
        let place = sqs.then(|| parts::sqs_place(settings)).transpose()?;
        Ok(Self {
            function,
            outward: Outward {
                deliver: Arc::new(RouterDeliver::new(BTreeMap::from([(function, app.clone())]))),
                graves: Arc::new(StoreBury::new(store, clock.clone())),
                policy: RetryPolicy::default(),
                timeout: TIMEOUT,
            },
            batches: place.map(|place| SqsBatches::new(&place, clock.clone())),
            clock,
        })
    }

    /// Delivers a batch; what Lambda is to be told.
    async fn batch(&self, records: Vec<Record>, left: Duration) -> Result<serde_json::Value, Error> {
        if !records.iter().all(Record::is_sqs) {
            return Err("this function takes batches of SQS only".into());
        }
        let Some(batches) = &self.batches else {
            return Err("a batch of SQS came, but OHX_BUS is not sqs".into());
        };
        let again = batches.deliver(self.function, records, &self.outward, left).await;
        let failures: Vec<_> =
            again.into_iter().map(|id| serde_json::json!({ "itemIdentifier": id })).collect();
        Ok(serde_json::json!({ "batchItemFailures": failures }))
    }

    /// Delivers EventBridge's schedule as the ping that Knative's PingSource sends. What fails is told to Lambda, which tries
    /// again.
    async fn ping(&self, id: &str, left: Duration) -> Result<(), Error> {
        let event = EventBuilderV10::new()
            .id(id)
            .ty(types::PING)
            .source("/aws/scheduler")
            .data("application/json", serde_json::json!({}))
            .build()?;
        match attempt(self.outward.deliver.as_ref(), self.function, &event, left).await {
            Verdict::Done => Ok(()),
            Verdict::Retry { reason, .. } | Verdict::Reject { reason } => Err(reason.into()),
        }
    }
}

/// The parts by which invocations are told apart.
#[derive(Deserialize)]
struct Shape {
    #[serde(rename = "Records")]
    records: Option<Vec<Record>>,
    #[serde(rename = "detail-type")]
    detail_type: Option<String>,
    id: Option<String>,
}

/// Answers invocations until Lambda ends the process.
///
/// # Errors
/// Where Lambda's runtime interface cannot be talked to.
pub(crate) async fn run(app: Router, events: Option<Events>) -> anyhow::Result<()> {
    let state = Arc::new((app, events));
    let handler = service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let state = state.clone();
        async move { answer(&state.0, state.1.as_ref(), event).await }
    });
    let runtime = Runtime::new(handler).layer(layer_fn(|inner| Finished { inner }));
    runtime.run().await.map_err(|e| anyhow::anyhow!("the Lambda runtime: {e}"))
}

async fn answer(
    app: &Router,
    events: Option<&Events>,
    LambdaEvent { payload, context }: LambdaEvent<Box<RawValue>>,
) -> Result<Box<RawValue>, Error> {
    // What is not of this shape is somebody's HTTP.
    let shape = serde_json::from_str::<Shape>(payload.get()).ok();
    match (events, shape) {
        (Some(events), Some(Shape { records: Some(records), .. })) => {
            let left = left(events.clock.now(), context.deadline);
            Ok(to_raw_value(&events.batch(records, left).await?)?)
        }
        (Some(events), Some(Shape { detail_type: Some(kind), id, .. })) if kind == "Scheduled Event" => {
            let left = left(events.clock.now(), context.deadline).saturating_sub(MARGIN);
            events.ping(&id.unwrap_or(context.request_id), left).await?;
            Ok(to_raw_value(&())?)
        }
        _ => {
            let request: LambdaRequest = serde_json::from_str(payload.get())?;
            let app = app.clone();
            // Not held while it works: it would have to be shared between threads.
            let call = Adapter::from(service_fn(move |request| serve(app.clone(), request)))
                .call(LambdaEvent::new(request, context));
            Ok(to_raw_value(&call.await?)?)
        }
    }
}

/// How long it is until a deadline, in milliseconds of the clock's epoch.
fn left(now: Instant, deadline: u64) -> Duration {
    let now = u64::try_from(now.as_millisecond()).unwrap_or_default();
    Duration::from_millis(deadline.saturating_sub(now))
}

/// One HTTP request.
async fn serve(app: Router, mut request: lambda_http::Request) -> Result<Response, Error> {
    let (stage, source) = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => {
            (context.stage.clone(), context.http.source_ip.clone())
        }
        Some(RequestContext::ApiGatewayV1(context)) => {
            (context.stage.clone(), context.identity.source_ip.clone())
        }
        _ => (None, None),
    };
    if let Some(stage) = stage.filter(|stage| stage != "$default") {
        *request.uri_mut() = without_stage(request.uri(), &stage);
    }
    // Who has called the gateway: what a peer is on a port. A load balancer does not say it but in X-Forwarded-For.
    if let Some(source) = source.and_then(|source| source.parse::<IpAddr>().ok()) {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(source, 0)));
    }
    let response = match app.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let streams = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.starts_with("text/event-stream")));
    Ok(if streams {
        let end = Box::pin(tokio::time::sleep(FOLLOWED));
        response.map(|body| Body::from_stream(body.into_data_stream().take_until(end)))
    } else {
        response
    })
}

/// An address without the stage's name in front, which is part of where the deployment is and not of what it serves.
fn without_stage(uri: &Uri, stage: &str) -> Uri {
    let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str());
    let rest = path_and_query.strip_prefix('/').and_then(|path| path.strip_prefix(stage));
    match rest {
        Some("") => Uri::from_static("/"),
        Some(rest) if rest.starts_with('/') => rest.parse().unwrap_or_else(|_| uri.clone()),
        Some(rest) if rest.starts_with('?') => format!("/{rest}").parse().unwrap_or_else(|_| uri.clone()),
        _ => uri.clone(),
    }
}

/// Around everything, the sending of the answer included: an invocation ends when what it began is done.
struct Finished<S> {
    inner: S,
}

impl<S> Service<LambdaInvocation> for Finished<S>
where
    S: Service<LambdaInvocation, Response = (), Error = Error>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        let deadline = invocation.context.deadline;
        let work = self.inner.call(invocation);
        Box::pin(async move {
            let (answered, rest) = in_hand(work).await;
            let rest = async {
                rest.await;
                otlp::flush_soon().await;
            };
            let left = left(SystemClock.now(), deadline).saturating_sub(MARGIN);
            if tokio::time::timeout(left, rest).await.is_err() {
                tracing::warn!("not everything in hand was finished in the function's time");
            }
            answered
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_no_part_of_the_path() {
        for (uri, expected) in [
            ("https://x.example/prod/api/base/?a=%2Fprod", "/api/base/?a=%2Fprod"),
            ("/prod", "/"),
            ("/prod?a=1", "/?a=1"),
            ("/production/x", "/production/x"),
            ("/api/prod/", "/api/prod/"),
        ] {
            let uri = without_stage(&uri.parse().unwrap(), "prod");
            assert_eq!(uri.path_and_query().unwrap().as_str(), expected);
        }
    }

    fn invocation(within: Duration) -> LambdaInvocation {
        let mut context = lambda_http::Context::default();
        let now = u64::try_from(SystemClock.now().as_millisecond()).unwrap();
        context.deadline = now + u64::try_from(within.as_millis()).unwrap();
        let parts = http::Response::new(()).into_parts().0;
        LambdaInvocation { parts, body: axum::body::Bytes::new(), context }
    }

    #[tokio::test]
    async fn an_invocation_ends_when_what_it_began_is_done() {
        let (go, gate) = tokio::sync::oneshot::channel::<()>();
        let (answer, answered) = tokio::sync::oneshot::channel::<()>();
        let mut once = Some((gate, answer));
        let mut service = Finished {
            inner: service_fn(move |_: LambdaInvocation| {
                let (gate, answer) = once.take().unwrap();
                async move {
                    crate::serve::spawn(gate);
                    answer.send(()).unwrap();
                    Ok::<(), Error>(())
                }
            }),
        };
        let mut whole = service.call(invocation(Duration::from_secs(600)));
        tokio::select! {
            biased;
            _ = &mut whole => panic!("it ended with work in its hands"),
            answered = answered => answered.unwrap(),
        }
        assert!(
            tokio::time::timeout(Duration::ZERO, &mut whole).await.is_err(),
            "work is still in its hands"
        );
        go.send(()).unwrap();
        whole.await.unwrap();
    }

    #[tokio::test]
    async fn it_does_not_wait_beyond_its_time() {
        let mut service = Finished {
            inner: service_fn(async |_: LambdaInvocation| {
                crate::serve::spawn(std::future::pending::<()>());
                Ok::<(), Error>(())
            }),
        };
        service.call(invocation(MARGIN * 2)).await.unwrap();
    }

    #[test]
    fn what_is_left_is_never_negative() {
        let now = Instant::from_millisecond(10_000).unwrap();
        assert_eq!(left(now, 12_500), Duration::from_millis(2500));
        assert_eq!(left(now, 9_000), Duration::ZERO);
    }
}
