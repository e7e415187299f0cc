//! The control interface: what a test in another process can ask the server and do to it.

use axum::extract::State as Shared;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{Fault, FhirServer, KnownIdentifier, Snapshot, Stats};

/// All of it, as JSON, under `/_sandbox/fhir`.
pub(super) fn routes() -> Router<FhirServer> {
    let routes = Router::new()
        .route("/snapshot", get(snapshot))
        .route("/identifiers", get(identifiers))
        .route("/faults", post(inject).delete(clear))
        .route("/stats", get(stats));
    Router::new().nest("/_sandbox/fhir", routes)
}

async fn snapshot(Shared(server): Shared<FhirServer>) -> Json<Snapshot> {
    Json(server.snapshot())
}

async fn identifiers(Shared(server): Shared<FhirServer>) -> Json<Vec<KnownIdentifier>> {
    Json(server.identifiers())
}

async fn inject(Shared(server): Shared<FhirServer>, Json(fault): Json<Fault>) -> Json<Value> {
    server.inject(fault);
    Json(json!({ "done": true }))
}

async fn clear(Shared(server): Shared<FhirServer>) -> Json<Value> {
    server.clear_faults();
    Json(json!({ "done": true }))
}

async fn stats(Shared(server): Shared<FhirServer>) -> Json<Stats> {
    Json(server.stats())
}
