//! Distributed tracing: spans go to an OpenTelemetry collector by OTLP over HTTP (protobuf), where
//! `OTEL_EXPORTER_OTLP_ENDPOINT` is set; otherwise nothing of this runs.
//!
//! What OpenTelemetry names is read by its own names (OpenTelemetry specification, "Environment Variable Specification"
//! and "OTLP Exporter Configuration"): `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
//! `OTEL_TRACES_SAMPLER`, `OTEL_BSP_SCHEDULE_DELAY` and the like.
//!
//! A span carries what a log line may: names, ids of links and events, status codes. Log lines themselves are not sent.
//! Spans around calls to others have the level `trace`: the collector gets every level, and log lines, which show the
//! innermost span, go on showing the request's.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::{SettingError, Settings, outbound};

/// The process's exporter; `None` inside where none is configured.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// How long an invocation waits for the collector, and for how long none does after one had to.
const PATIENCE: Duration = Duration::from_millis(500);
const QUIET: Duration = Duration::from_secs(60);
/// How long the collector may take over one batch.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The exporter that the settings ask for, named `service` unless `OTEL_SERVICE_NAME` says otherwise. Exports run on
/// `runtime`.
///
/// # Errors
/// `OTEL_EXPORTER_OTLP_ENDPOINT` is no address, or the outbound client cannot be built.
pub(crate) fn tracer(
    settings: &Settings,
    service: &'static str,
    runtime: &Handle,
) -> anyhow::Result<Option<SdkTracer>> {
    let expected = "the collector's address for OTLP over HTTP, such as http://collector:4318";
    if settings.text("OTEL_EXPORTER_OTLP_ENDPOINT").is_none() {
        return Ok(None);
    }
    let mut endpoint = settings.url("OTEL_EXPORTER_OTLP_ENDPOINT", expected)?;
    endpoint.set_path(&format!("{}/v1/traces", endpoint.path().trim_end_matches('/')));
    let client = Outbound { client: outbound::client(TIMEOUT)?, runtime: runtime.clone() };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| SettingError::Wrong {
            name: "OTEL_EXPORTER_OTLP_ENDPOINT",
            expected: format!("{expected} ({error})"),
            shown: None,
        })?;
    let resource = match settings.text("OTEL_SERVICE_NAME") {
        Some(_) => Resource::builder().build(),
        None => Resource::builder().with_service_name(service).build(),
    };
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let tracer = provider.tracer("ohx");
    // One process, one exporter: a second is only ever asked for by a second start in the same process.
    let _already = PROVIDER.set(provider);
    Ok(Some(tracer))
}

/// Whether spans are sent anywhere.
pub(crate) fn exporting() -> bool {
    PROVIDER.get().is_some()
}

/// Sends what has ended so far: before a process ends, or is frozen by Lambda.
pub async fn flush() {
    let Some(provider) = PROVIDER.get() else {
        return;
    };
    // It waits for the exporting thread, which in turn waits for this runtime.
    let flushed = tokio::task::spawn_blocking(|| provider.force_flush()).await;
    if !matches!(flushed, Ok(Ok(()))) {
        tracing::warn!("the last spans did not reach the collector");
    }
}

/// The same where somebody waits for it, at each invocation: for [`PATIENCE`] at most, and not at all for [`QUIET`] after a
/// collector was away.
pub(crate) async fn flush_soon() {
    static AWAY: Mutex<Option<Instant>> = Mutex::new(None);
    let away = || AWAY.lock().unwrap_or_else(PoisonError::into_inner);
    if PROVIDER.get().is_none() || away().is_some_and(|since| since.elapsed() < QUIET) {
        return;
    }
    let in_time = tokio::time::timeout(PATIENCE, flush()).await.is_ok();
    *away() = (!in_time).then(Instant::now);
}

/// The outbound client, for the exporter's own thread: the call runs where sockets are watched.
#[derive(Debug)]
struct Outbound {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Outbound {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let call = self.runtime.spawn(async move {
            let mut answer = client.execute(request.try_into()?).await?;
            let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
            let mut response = Response::new(answer.bytes().await?);
            (*response.status_mut(), *response.headers_mut()) = (status, headers);
            Ok::<_, reqwest::Error>(response)
        });
        Ok(call.await??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wrong_address_is_named_and_none_asks_for_nothing() {
        let ask = |pairs: &[(&str, &str)]| {
            tracer(&Settings::from_pairs(pairs.iter().copied()), "fetch", &Handle::current())
        };
        assert!(ask(&[]).unwrap().is_none());
        let error = ask(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318 or so")]).unwrap_err().to_string();
        assert!(error.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT is wrong"), "{error}");
    }
}
