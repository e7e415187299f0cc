//! The control interface: what a test in another process, or a person at a demo, can do to the cloud.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ALL, Fault, Manner, NewRow, Person, Row, Simulator, SimulatorError, Stats};
use crate::Reading;

/// All of it, as JSON, under `/_sandbox/omron`.
pub(super) fn routes() -> Router<Simulator> {
    let routes = Router::new()
        .route("/persons", get(persons).post(add_person))
        .route("/persons/{person}/history", post(history))
        .route("/persons/{person}/rows", get(rows).post(upload))
        .route("/persons/{person}/unlink", post(unlink))
        .route("/persons/{person}/truth", get(truth))
        .route("/truth", get(all_counts))
        .route("/manner", put(behave))
        .route("/redirects", post(register))
        .route("/notifications", put(notifications))
        .route("/faults", post(inject).delete(clear))
        .route("/stats", get(stats));
    Router::new().nest("/_sandbox/omron", routes)
}

impl IntoResponse for SimulatorError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::UnknownPerson => StatusCode::NOT_FOUND,
            Self::BadValue | Self::UnknownZone => StatusCode::UNPROCESSABLE_ENTITY,
        };
        (status, Json(json!({ "error": self.to_string() }))).into_response()
    }
}

type Reply<T> = Result<Json<T>, SimulatorError>;
type Sim = Shared<Simulator>;

fn done() -> Json<Value> {
    Json(json!({ "done": true }))
}

async fn persons(Shared(sim): Sim) -> Json<Vec<Person>> {
    Json(sim.persons())
}

async fn add_person(Shared(sim): Sim, Json(person): Json<Person>) -> Reply<Person> {
    sim.add_person(person.clone())?;
    Ok(Json(person))
}

#[derive(Deserialize)]
struct History {
    days: u32,
}

async fn history(Shared(sim): Sim, Path(person): Path<String>, Json(of): Json<History>) -> Reply<Value> {
    let rows = sim.seed_history(&person, of.days)?;
    Ok(Json(json!({ "rows": rows })))
}

async fn rows(Shared(sim): Sim, Path(person): Path<String>) -> Reply<Vec<Row>> {
    sim.rows(&person).map(Json)
}

async fn upload(Shared(sim): Sim, Path(person): Path<String>, Json(rows): Json<Vec<NewRow>>) -> Reply<Value> {
    let ids = sim.upload(&person, rows)?;
    Ok(Json(json!({ "ids": ids })))
}

async fn unlink(Shared(sim): Sim, Path(person): Path<String>) -> Reply<Value> {
    sim.unlink(&person).map(|()| done())
}

#[derive(Deserialize)]
struct Records {
    /// With commas between them; all where it is not said.
    records: Option<String>,
}

async fn truth(
    Shared(sim): Sim,
    Path(person): Path<String>,
    Query(of): Query<Records>,
) -> Reply<Vec<Reading>> {
    let named = of.records.unwrap_or_else(|| ALL.join(","));
    sim.readings(&person, &named.split(',').collect::<Vec<_>>()).map(Json)
}

async fn all_counts(Shared(sim): Sim) -> Reply<BTreeMap<String, BTreeMap<&'static str, u64>>> {
    let persons = sim.persons();
    let counts = persons.into_iter().map(|person| Ok((person.id.clone(), sim.counts(&person.id)?)));
    counts.collect::<Result<_, SimulatorError>>().map(Json)
}

async fn behave(Shared(sim): Sim, Json(manner): Json<Manner>) -> Json<Value> {
    sim.behave(manner);
    done()
}

#[derive(Deserialize)]
struct Redirect {
    uri: String,
}

async fn register(Shared(sim): Sim, Json(redirect): Json<Redirect>) -> Json<Value> {
    sim.register_redirect(&redirect.uri);
    done()
}

#[derive(Deserialize)]
struct Notifications {
    #[serde(default)]
    address: Option<String>,
}

async fn notifications(Shared(sim): Sim, Json(to): Json<Notifications>) -> Json<Value> {
    sim.register_notifications(to.address.as_deref());
    done()
}

async fn inject(Shared(sim): Sim, Json(fault): Json<Fault>) -> Json<Value> {
    sim.inject(fault);
    done()
}

async fn clear(Shared(sim): Sim) -> Json<Value> {
    sim.clear_faults();
    done()
}

async fn stats(Shared(sim): Sim) -> Json<Stats> {
    Json(sim.stats())
}
