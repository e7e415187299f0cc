//! An API in small: what the pages ask it for, and what it was asked.

use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) const KEY: &str = "canary-key-of-the-api-of-32-characters";
pub(crate) const LINK: &str = "0199aaaa-0000-7000-8000-000000000001";

pub(crate) struct Says {
    pub(crate) key: String,
    pub(crate) apps: Value,
    pub(crate) links: Vec<Value>,
    pub(crate) report: Value,
    pub(crate) sync: Value,
    /// What an import is refused with.
    pub(crate) refuse: Option<(u16, Value)>,
    /// Whether it answers something else.
    pub(crate) broken: bool,
    imports: Vec<(String, Vec<u8>)>,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Says>>);

pub(crate) struct Exchange {
    says: Shared,
    pub(crate) url: String,
    stop: watch::Sender<bool>,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Exchange {
    pub(crate) async fn start() -> Self {
        let report = json!({
            "counts": {"rows": 5, "imported": 2, "duplicates": 1, "left_out": 2, "cells_left_out": 1},
            "records": {}, "date_order": "mdy",
            "lines": [
                {"line": 3, "section": "blood-pressure", "outcome": "imported"},
                {"line": 4, "section": "blood-pressure", "outcome": "duplicate"},
                {"line": 5, "section": "blood-pressure", "outcome": "left-out", "reason": "formula", "column": "Sys"},
                {"line": 9, "section": "weight", "outcome": "imported", "time": "dst-gap",
                 "cells": [{"column": "BMI", "reason": "unreadable"}]},
                {"line": 12, "outcome": "left-out", "reason": "unknown-section"}],
            "columns": [{"line": 8, "section": "weight", "column": "Aura", "reason": "unknown"}],
            "warnings": [{"line": 4, "code": "some", "text": "a hint"}]});
        let says = Shared(Arc::new(Mutex::new(Says {
            key: KEY.into(),
            apps: json!([{"name": "beurer", "type": "beurer"}, {"name": "withings", "type": "withings"}]),
            links: vec![json!({"id": LINK, "provider": "beurer", "ehr": "clinic", "patient": "Patient/p1"})],
            report,
            sync: json!({"completed": false, "counts": {}, "requests": [{"record": "weight", "state": "requested"}]}),
            refuse: None,
            broken: false,
            imports: Vec::new(),
        })));
        let router = Router::new()
            .route("/api/base/providers/", get(providers))
            .route("/api/base/provider-links/", get(links))
            .route("/api/ingestors/imports/", post(import))
            .route("/api/ingestors/syncs/{id}/", get(sync))
            .layer(middleware::from_fn_with_state(says.clone(), authorize))
            .with_state(says.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, mut stopped) = watch::channel(false);
        let running = tokio::spawn(async move {
            let end = async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            tokio::select! {
                served = axum::serve(listener, router) => served.unwrap(),
                () = end => {}
            }
        });
        Self { says, url, stop, running: Mutex::new(Some(running)) }
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Says)) {
        change(&mut self.says.0.lock().unwrap());
    }

    /// The imports that came to their end: query and file.
    pub(crate) fn imports(&self) -> Vec<(String, Vec<u8>)> {
        self.says.0.lock().unwrap().imports.clone()
    }

    pub(crate) async fn stop(&self) {
        self.stop.send_replace(true);
        let running = self.running.lock().unwrap().take().unwrap();
        running.await.unwrap();
        // Connections that were open are asked to end, too.
        self.set(|s| s.key = "nobody's".into());
    }
}

async fn authorize(
    State(Shared(says)): State<Shared>,
    headers: HeaderMap,
    request: axum::extract::Request,
    next: middleware::Next,
) -> Response {
    let (expected, broken) = {
        let says = says.lock().unwrap();
        (format!("Bearer {}", says.key), says.broken)
    };
    let given = headers.get("authorization").and_then(|v| v.to_str().ok());
    if given != Some(expected.as_str()) {
        return (StatusCode::UNAUTHORIZED, [("connection", "close")]).into_response();
    }
    if broken {
        // The last on its connection, so that none is left when the server stops.
        return ([("connection", "close")], "<html>a login page of something else</html>").into_response();
    }
    next.run(request).await
}

async fn providers(State(Shared(says)): State<Shared>) -> Json<Value> {
    Json(json!({"items": says.lock().unwrap().apps, "next": null}))
}

#[derive(Deserialize)]
struct Listing {
    provider: String,
    state: String,
    cursor: Option<String>,
    limit: usize,
}

async fn links(State(Shared(says)): State<Shared>, Query(asked): Query<Listing>) -> Json<Value> {
    assert_eq!(asked.state, "active");
    let says = says.lock().unwrap();
    let after = asked.cursor.unwrap_or_default();
    let of = says
        .links
        .iter()
        .filter(|l| l["provider"] == asked.provider && l["id"].as_str() > Some(after.as_str()));
    let page: Vec<_> = of.take(asked.limit).cloned().collect();
    let next = page.last().filter(|_| page.len() == asked.limit).map(|l| l["id"].clone());
    Json(json!({"items": page, "next": next}))
}

async fn import(State(Shared(says)): State<Shared>, RawQuery(query): RawQuery, body: Body) -> Response {
    let Ok(file) = to_bytes(body, usize::MAX).await else { return StatusCode::BAD_REQUEST.into_response() };
    let mut says = says.lock().unwrap();
    let query = query.unwrap_or_default();
    if let Some((status, problem)) = &says.refuse {
        return (StatusCode::from_u16(*status).unwrap(), Json(problem.clone())).into_response();
    }
    let dry = query.contains("dry_run=true");
    says.imports.push((query, file.to_vec()));
    let window = ("2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z");
    let records = json!([{"record": "blood-pressure", "readings": 2, "start": window.0, "end": window.1}]);
    let mut answer = json!({"dry_run": dry, "records": records, "report": says.report});
    if !dry {
        answer["sync"] = json!("sync-1");
    }
    (if dry { StatusCode::OK } else { StatusCode::ACCEPTED }, Json(answer)).into_response()
}

async fn sync(State(Shared(says)): State<Shared>, Path(id): Path<String>) -> Response {
    match id.as_str() {
        "sync-1" => Json(says.lock().unwrap().sync.clone()).into_response(),
        _ => (StatusCode::NOT_FOUND, Json(json!({"detail": "not known"}))).into_response(),
    }
}
