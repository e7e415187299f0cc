//! Logs: one JSON object a line on standard error, with the trace's id; plain text where a person watches.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

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

/// Begins logging, filtered by `RUST_LOG`'s text (default `info`), panics included. A second call changes nothing.
pub fn init(filter: Option<&str>, format: LogFormat) {
    log_panics();
    let filter = EnvFilter::try_new(filter.unwrap_or("info")).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE);
    // An error means that a subscriber is set already: one process, one subscriber.
    let _already = match format {
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
        }
        LogFormat::Text => builder.with_target(false).try_init(),
    };
}
