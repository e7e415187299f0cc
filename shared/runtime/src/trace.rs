//! W3C trace context: taken from a request or begun, passed on with every event, shown in every log line.

use std::fmt;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use rand::RngExt as _;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::otlp;

/// Where in a trace we are (W3C Trace Context, `traceparent` version 00).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    sampled: bool,
}

impl TraceContext {
    /// A new trace.
    pub fn begin() -> Self {
        Self {
            trace: rand::rng().random_range(1..=u128::MAX),
            span: rand::rng().random_range(1..=u64::MAX),
            sampled: true,
        }
    }

    /// Reads a `traceparent`; `None` where it is malformed (then a new trace is begun, as the standard says).
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.trim().split('-');
        let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let lower_hex =
            |t: &str, n: usize| t.len() == n && t.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let shape = lower_hex(version, 2)
            && version != "ff"
            && lower_hex(trace, 32)
            && lower_hex(span, 16)
            && lower_hex(flags, 2);
        if !shape || (version == "00" && fields.next().is_some()) {
            return None;
        }
        let context = Self {
            trace: u128::from_str_radix(trace, 16).ok()?,
            span: u64::from_str_radix(span, 16).ok()?,
            sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
        };
        (context.trace != 0 && context.span != 0).then_some(context)
    }

    /// A step below this one.
    #[must_use]
    pub fn child(self) -> Self {
        Self { span: rand::rng().random_range(1..=u64::MAX), ..self }
    }

    /// Begins `span`, below `parent` where there is one: what the span is to the collector, so that whoever goes on from here
    /// names a step that is really there. Without a collector, numbers of our own.
    pub(crate) fn of(span: &Span, parent: Option<Self>) -> Self {
        let made = || parent.map_or_else(Self::begin, Self::child);
        if !otlp::exporting() {
            return made();
        }
        if let Some(parent) = parent {
            let flags = if parent.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
            let (trace, step) = (TraceId::from(parent.trace), SpanId::from(parent.span));
            let remote = SpanContext::new(trace, step, flags, true, TraceState::NONE);
            let context = opentelemetry::Context::new().with_remote_span_context(remote);
            // An error means that the span is not for the collector: then it has no context below, either.
            let _unseen = span.set_parent(context);
        }
        let context = span.context();
        let seen = context.span().span_context().clone();
        if !seen.is_valid() {
            return made();
        }
        Self {
            trace: u128::from_be_bytes(seen.trace_id().to_bytes()),
            span: u64::from_be_bytes(seen.span_id().to_bytes()),
            sampled: seen.is_sampled(),
        }
    }

    /// The trace's id, 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

tokio::task_local! {
    /// Set around every request.
    pub(crate) static CURRENT: TraceContext;
}

/// The `traceparent` for an event that is made while handling the current request.
pub fn traceparent() -> Option<String> {
    CURRENT.try_with(ToString::to_string).ok()
}

/// The trace that the current request is part of.
pub fn here() -> Option<TraceContext> {
    CURRENT.try_with(|context| *context).ok()
}

/// Goes on with a trace in a task of its own.
pub async fn within<T>(context: Option<TraceContext>, work: impl Future<Output = T>) -> T {
    match context {
        Some(context) => CURRENT.scope(context, work).await,
        None => work.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_refuses_the_rest() {
        let context = TraceContext::begin();
        assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
        assert_eq!(context.child().trace_id(), context.trace_id());
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceContext::parse(good).unwrap().to_string(), good);
        for bad in [
            "",
            "00",
            &good.to_uppercase(),
            &format!("{good}-x"),
            &good.replace("00-4", "ff-4"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }
}
