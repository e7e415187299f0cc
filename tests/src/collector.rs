//! An OpenTelemetry collector in small: keeps the spans that are sent to it by OTLP over HTTP, and every byte of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message as _;

/// A span that has ended.
#[derive(Debug, Clone)]
pub struct Span {
    /// The name of the service that sent it.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its trace.
    pub trace: Vec<u8>,
    /// Its own id.
    pub id: Vec<u8>,
    /// The id of the span that it is below; empty for a root.
    pub parent: Vec<u8>,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
}

/// The collector.
#[derive(Clone, Default)]
pub struct Collector(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    spans: Vec<Span>,
    bodies: Vec<Vec<u8>>,
}

impl Collector {
    /// Starts one; gives what `OTEL_EXPORTER_OTLP_ENDPOINT` is to say.
    pub async fn start() -> (Self, String) {
        let collector = Self::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        let url = crate::outside::serve(router).await;
        (collector, url)
    }

    /// The spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.0.lock().unwrap().spans.clone()
    }

    /// What was sent so far, byte by byte.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().bodies.clone()
    }

    /// The ways from each span of this name up to its root, all of whose steps are here.
    pub fn ways(&self, name: &str) -> Vec<Vec<Span>> {
        let spans = self.spans();
        let above =
            |span: &Span| spans.iter().find(|s| s.trace == span.trace && s.id == span.parent).cloned();
        let way = |span: &Span| {
            let mut way = vec![span.clone()];
            while let Some(last) = way.last().filter(|last| !last.parent.is_empty()) {
                way.push(above(last)?);
            }
            Some(way)
        };
        spans.iter().filter(|span| span.name == name).filter_map(way).collect()
    }
}

async fn take(State(collector): State<Collector>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(&*body).expect("an ExportTraceServiceRequest");
    let mut kept = collector.0.lock().unwrap();
    kept.bodies.push(body.into());
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.map(|resource| texts(resource.attributes)).unwrap_or_default();
        let service = resource.get("service.name").cloned().unwrap_or_default();
        let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        kept.spans.extend(spans.map(|span| Span {
            service: service.clone(),
            name: span.name,
            trace: span.trace_id,
            id: span.span_id,
            parent: span.parent_span_id,
            attributes: texts(span.attributes),
        }));
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: AnyValue| match value.value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.into_iter().map(|a| (a.key, a.value.map(text).unwrap_or_default())).collect()
}
