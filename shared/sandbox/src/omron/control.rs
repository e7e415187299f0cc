//! The control interface: what a test in another process, or a person at a demo, can do to the cloud.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ALL, Manner, NewRow, Person, Row, Simulator, SimulatorError};
use crate::Reading;
use crate::steer::{self, Past, done, refused};

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
        .route("/notifications", put(notifications))
        .merge(steer::routes());
    Router::new().nest("/_sandbox/omron", routes)
}

impl IntoResponse for SimulatorError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::UnknownPerson => StatusCode::NOT_FOUND,
            Self::BadValue | Self::UnknownZone => StatusCode::UNPROCESSABLE_ENTITY,
        };
        refused(status, &self)
    }
}

type Reply<T> = Result<Json<T>, SimulatorError>;
type Sim = Shared<Simulator>;

async fn persons(Shared(sim): Sim) -> Json<Vec<Person>> {
    Json(sim.persons())
}

async fn add_person(Shared(sim): Sim, Json(person): Json<Person>) -> Reply<Person> {
    sim.add_person(person.clone())?;
    Ok(Json(person))
}

async fn history(Shared(sim): Sim, Path(person): Path<String>, Json(of): Json<Past>) -> Reply<Value> {
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
struct Notifications {
    #[serde(default)]
    address: Option<String>,
}

async fn notifications(Shared(sim): Sim, Json(to): Json<Notifications>) -> Json<Value> {
    sim.register_notifications(to.address.as_deref());
    done()
}
