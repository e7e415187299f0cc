//! Logs: one JSON object a line on standard error, with the trace's id; plain text where a person watches. Spans, where a
//! collector is configured.

use opentelemetry_sdk::trace::SdkTracer;
use tokio::runtime::Handle;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry};

use crate::{Settings, otlp};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For machines.
    Json,
    /// For a person at a terminal.
    Text,
}

/// A panic is logged with its place and without its message, which could quote a value.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panicked");
    }));
}

/// Begins logging, filtered by `RUST_LOG`'s text, panics included. A second call changes nothing.
pub fn init(filter: &str, format: LogFormat) {
    begin(filter, format, None);
}

/// Begins logging as [`init`] does, filtered by `RUST_LOG` (default `info`), and sends spans to the collector that
/// `OTEL_EXPORTER_OTLP_ENDPOINT` names, as those of `service`. `runtime` is where they are sent from.
///
/// # Errors
/// The setting is wrong.
pub fn init_with_spans(settings: &Settings, service: &'static str, runtime: &Handle) -> anyhow::Result<()> {
    let tracer = otlp::tracer(settings, service, runtime)?;
    begin(settings.text("RUST_LOG").unwrap_or("info"), LogFormat::Json, tracer);
    Ok(())
}

fn begin(filter: &str, format: LogFormat, tracer: Option<SdkTracer>) {
    log_panics();
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer::<Registry>()
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE);
    let lines = match format {
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
        }
        LogFormat::Text => lines.with_target(false).boxed(),
    };
    let spans = tracer.map(|tracer| {
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            // Ours alone, and no log lines: a library's spans could hold anything.
            .with_filter(
                filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with("ohx_"))
                    .with_max_level_hint(LevelFilter::TRACE),
            )
    });
    // One upon the other, not `and_then`: upon the registry itself that asks only the outer layer for its level, and where there is
    // none, it is off. An error means that a subscriber is set already: one process, one subscriber.
    let _already = tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).try_init();
}
