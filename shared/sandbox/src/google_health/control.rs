//! The control interface: what a test in another process, or a person at a demo, can do to the cloud.

use std::collections::BTreeMap;

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{NewPoint, Person, Point, Simulator, SimulatorError, USUAL};
use crate::steer::{self, Past, done, refused};

/// All of it, as JSON, under `/_sandbox/google-health`.
pub(super) fn routes() -> Router<Simulator> {
    let routes = Router::new()
        .route("/persons", get(persons).post(add_person))
        .route("/persons/{person}/daily-history", post(daily_history))
        .route("/persons/{person}/points", post(add_points))
        .route("/persons/{person}/points/{type}", get(points))
        .route("/persons/{person}/points/{type}/{id}", delete(delete_point).put(change))
        .route("/persons/{person}/weigh", post(weigh))
        .route("/persons/{person}/unlink", post(unlink))
        .route("/persons/{person}/truth", get(truth))
        .route("/subscribers", get(subscribers))
        .route("/keys", post(rotate))
        .merge(steer::routes());
    Router::new().nest("/_sandbox/google-health", routes)
}

impl IntoResponse for SimulatorError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::UnknownPerson | Self::UnknownPoint => StatusCode::NOT_FOUND,
            Self::BadPoint | Self::UnknownZone => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NoKey => StatusCode::INTERNAL_SERVER_ERROR,
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

async fn daily_history(
    Shared(sim): Sim,
    Path(person): Path<u64>,
    Json(of): Json<Past>,
) -> Reply<BTreeMap<String, usize>> {
    sim.seed_daily(person, of.days).map(Json)
}

async fn add_points(
    Shared(sim): Sim,
    Path(person): Path<u64>,
    Json(add): Json<Vec<NewPoint>>,
) -> Reply<Value> {
    Ok(Json(json!({ "ids": sim.add_points(person, add)? })))
}

async fn points(Shared(sim): Sim, Path((person, name)): Path<(u64, String)>) -> Reply<Vec<Point>> {
    sim.points(person, &name).map(Json)
}

async fn delete_point(
    Shared(sim): Sim,
    Path((person, name, id)): Path<(u64, String, String)>,
) -> Reply<Value> {
    sim.delete(person, &name, &id).map(|()| done())
}

async fn change(
    Shared(sim): Sim,
    Path((person, name, id)): Path<(u64, String, String)>,
    Json(value): Json<Box<RawValue>>,
) -> Reply<Value> {
    sim.change(person, &name, &id, value.get().to_owned()).map(|()| done())
}

#[derive(Deserialize)]
struct Weigh {
    grams: u32,
}

async fn weigh(Shared(sim): Sim, Path(person): Path<u64>, Json(weigh): Json<Weigh>) -> Reply<Value> {
    Ok(Json(json!({ "id": sim.weigh_now(person, weigh.grams)? })))
}

async fn unlink(Shared(sim): Sim, Path(person): Path<u64>) -> Reply<Value> {
    sim.unlink(person).map(|()| done())
}

async fn truth(Shared(sim): Sim, Path(person): Path<u64>) -> Reply<Value> {
    Ok(Json(json!({ "readings": sim.readings(person, &USUAL)?, "counts": sim.counts(person)? })))
}

async fn subscribers(Shared(sim): Sim) -> Json<BTreeMap<String, String>> {
    Json(sim.subscribers())
}

async fn rotate(Shared(sim): Sim) -> Reply<Value> {
    sim.rotate_key().map(|()| done())
}
