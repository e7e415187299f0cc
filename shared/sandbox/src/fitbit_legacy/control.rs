//! The control interface: what a test in another process, or a person at a demo, can do to the cloud.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ALL, Entry, Person, Retired, Simulator, SimulatorError};
use crate::steer::{self, Past, done, refused};

/// All of it, as JSON, under `/_sandbox/fitbit-legacy`.
pub(super) fn routes() -> Router<Simulator> {
    let routes = Router::new()
        .route("/persons", get(persons).post(add_person))
        .route("/persons/{person}/history", post(history))
        .route("/persons/{person}/records/{record}", get(entries).post(add))
        .route("/persons/{person}/weigh", post(weigh))
        .route("/persons/{person}/unlink", post(unlink))
        .route("/persons/{person}/truth", get(truth))
        .route("/truth", get(counts))
        .route("/subscriber", post(subscriber))
        .route("/retired", post(retire).delete(revive))
        .merge(steer::routes());
    Router::new().nest("/_sandbox/fitbit-legacy", routes)
}

impl IntoResponse for SimulatorError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::UnknownPerson | Self::UnknownRecord => StatusCode::NOT_FOUND,
            Self::UnknownZone | Self::NotVerified => StatusCode::UNPROCESSABLE_ENTITY,
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
    Ok(Json(json!({ "entries": sim.seed(&person, of.days)? })))
}

async fn entries(Shared(sim): Sim, Path((person, record)): Path<(String, String)>) -> Reply<Vec<Entry>> {
    sim.entries(&person, &record).map(Json)
}

async fn add(
    Shared(sim): Sim,
    Path((person, record)): Path<(String, String)>,
    Json(add): Json<Vec<Entry>>,
) -> Reply<Value> {
    Ok(Json(json!({ "ids": sim.add(&person, &record, add)? })))
}

#[derive(Deserialize)]
struct Weigh {
    /// Grams.
    grams: i64,
}

async fn weigh(Shared(sim): Sim, Path(person): Path<String>, Json(weigh): Json<Weigh>) -> Reply<Value> {
    Ok(Json(json!({ "id": sim.weigh_now(&person, weigh.grams)? })))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Unlink {
    account_closed: bool,
}

async fn unlink(Shared(sim): Sim, Path(person): Path<String>, Json(how): Json<Unlink>) -> Reply<Value> {
    sim.unlink(&person, how.account_closed)?;
    Ok(done())
}

#[derive(Deserialize)]
struct Of {
    /// Names of records with commas between them; all where it is not given.
    records: Option<String>,
}

async fn truth(Shared(sim): Sim, Path(person): Path<String>, Query(of): Query<Of>) -> Response {
    let records: Vec<&str> = match &of.records {
        Some(named) => named.split(',').collect(),
        None => ALL.to_vec(),
    };
    match sim.readings(&person, &records) {
        Ok(readings) => Json(readings).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn counts(Shared(sim): Sim) -> Reply<BTreeMap<String, usize>> {
    let count = |person: Person| Ok((person.id.clone(), sim.readings(&person.id, &ALL)?.len()));
    sim.persons().into_iter().map(count).collect::<Result<_, _>>().map(Json)
}

#[derive(Deserialize)]
struct NewSubscriber {
    url: String,
    code: String,
}

async fn subscriber(Shared(sim): Sim, Json(new): Json<NewSubscriber>) -> Reply<Value> {
    sim.register_subscriber(&new.url, &new.code).await?;
    Ok(done())
}

#[derive(Deserialize)]
struct How {
    how: Retired,
}

async fn retire(Shared(sim): Sim, Json(how): Json<How>) -> Json<Value> {
    sim.retire(Some(how.how));
    done()
}

async fn revive(Shared(sim): Sim) -> Json<Value> {
    sim.retire(None);
    done()
}
