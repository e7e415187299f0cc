//! The control interface: what a test in another process, or a person at a demo, can do to the cloud.

use std::collections::BTreeMap;

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ALL, Day, Ecg, Kind, Measure, NewGroup, Night, Person, Sample, Seeded, Simulator, SimulatorError, Workout,
};
use crate::steer::{self, Past, done, month, refused};

/// All of it, as JSON, under `/_sandbox/withings`.
pub(super) fn routes() -> Router<Simulator> {
    let routes = Router::new()
        .route("/persons", get(persons).post(add_person))
        .route("/persons/{person}/history", post(history))
        .route("/persons/{person}/daily-history", post(daily_history))
        .route("/persons/{person}/days", get(days).post(add_days))
        .route("/persons/{person}/workouts", get(workouts).post(add_workouts))
        .route("/persons/{person}/nights", get(nights).post(add_nights))
        .route("/persons/{person}/samples", get(intraday).post(add_samples))
        .route("/persons/{person}/ecgs", get(ecgs).post(add_ecgs))
        .route("/persons/{person}/sleep", post(sleep))
        .route("/persons/{person}/ecg", post(ecg))
        .route("/persons/{person}/entitlement", post(entitle))
        .route("/persons/{person}/groups", post(add_groups))
        .route("/persons/{person}/weigh", post(weigh))
        .route("/persons/{person}/unlink", post(unlink))
        .route("/persons/{person}/truth", get(truth))
        .route("/groups/{grpid}", delete(delete_group))
        .route("/groups/{grpid}/correct", post(correct))
        .route("/groups/{grpid}/confirm", post(confirm))
        .route("/truth", get(all_counts))
        .merge(steer::routes());
    Router::new().nest("/_sandbox/withings", routes)
}

impl IntoResponse for SimulatorError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::UnknownPerson | Self::UnknownGroup => StatusCode::NOT_FOUND,
            Self::BadWeight | Self::UnknownZone => StatusCode::UNPROCESSABLE_ENTITY,
        };
        refused(status, &self)
    }
}

type Reply<T> = Result<Json<T>, SimulatorError>;
type Sim = Shared<Simulator>;

async fn persons(Shared(sim): Sim) -> Json<Vec<Person>> {
    Json(sim.persons())
}

#[derive(Deserialize)]
struct AddPerson {
    /// One more than the highest there is, where it is not given.
    id: Option<u64>,
    name: String,
    timezone: String,
}

async fn add_person(Shared(sim): Sim, Json(add): Json<AddPerson>) -> Reply<Person> {
    let next = sim.persons().last().map_or(1000, |last| last.id.saturating_add(1));
    let person = Person { id: add.id.unwrap_or(next), name: add.name, timezone: add.timezone };
    sim.add_person(person.clone())?;
    Ok(Json(person))
}

#[derive(Deserialize)]
struct History {
    #[serde(default = "month")]
    days: u32,
    groups_per_day: u32,
}

async fn history(Shared(sim): Sim, Path(person): Path<u64>, Json(of): Json<History>) -> Reply<Value> {
    let groups = sim.seed_history(person, of.days, of.groups_per_day)?;
    Ok(Json(json!({ "groups": groups })))
}

async fn daily_history(Shared(sim): Sim, Path(person): Path<u64>, Json(of): Json<Past>) -> Reply<Seeded> {
    sim.seed_daily(person, of.days).map(Json)
}

/// What a person has lived, and how to add to it: each takes and gives a list.
macro_rules! lived {
    ($($get:ident $add:ident $kind:ty, $name:literal;)+) => {
        $(async fn $get(Shared(sim): Sim, Path(person): Path<u64>) -> Reply<Vec<$kind>> {
            sim.$get(person).map(Json)
        }

        async fn $add(Shared(sim): Sim, Path(person): Path<u64>, Json(add): Json<Vec<$kind>>) -> Reply<Value> {
            Ok(Json(json!({ $name: sim.$add(person, add)? })))
        })+
    };
}

lived! {
    days add_days Day, "added";
    workouts add_workouts Workout, "ids";
    nights add_nights Night, "ids";
    intraday add_samples Sample, "added";
    ecgs add_ecgs Ecg, "signalids";
}

#[derive(Deserialize)]
struct Sleep {
    /// How long, until now.
    minutes: i64,
}

async fn sleep(Shared(sim): Sim, Path(person): Path<u64>, Json(sleep): Json<Sleep>) -> Reply<Value> {
    Ok(Json(json!({ "id": sim.sleep_until_now(person, sleep.minutes)? })))
}

async fn ecg(Shared(sim): Sim, Path(person): Path<u64>) -> Reply<Value> {
    Ok(Json(json!({ "signalid": sim.ecg_now(person)? })))
}

#[derive(Deserialize)]
struct Entitlement {
    /// Whether the app's plan includes everything for this person.
    everything: bool,
}

async fn entitle(Shared(sim): Sim, Path(person): Path<u64>, Json(to): Json<Entitlement>) -> Reply<Value> {
    sim.entitle(person, to.everything).map(|()| done())
}

async fn add_groups(
    Shared(sim): Sim,
    Path(person): Path<u64>,
    Json(groups): Json<Vec<NewGroup>>,
) -> Reply<Value> {
    Ok(Json(json!({ "grpids": sim.add_groups(person, groups)? })))
}

#[derive(Deserialize)]
struct Weigh {
    /// The digits on the display, such as `72.10`.
    kg: String,
}

async fn weigh(Shared(sim): Sim, Path(person): Path<u64>, Json(weigh): Json<Weigh>) -> Reply<Value> {
    Ok(Json(json!({ "grpid": sim.weigh_now(person, &weigh.kg)? })))
}

async fn unlink(Shared(sim): Sim, Path(person): Path<u64>) -> Reply<Value> {
    sim.unlink(person).map(|()| done())
}

async fn truth(Shared(sim): Sim, Path(person): Path<u64>) -> Reply<Value> {
    let (groups, readings, counts) = (sim.truth(person)?, sim.readings(person, &ALL)?, sim.counts(person)?);
    Ok(Json(json!({ "groups": groups, "readings": readings, "counts": counts })))
}

async fn all_counts(Shared(sim): Sim) -> Reply<BTreeMap<u64, BTreeMap<&'static str, BTreeMap<Kind, usize>>>> {
    let persons = sim.persons();
    let counts = persons.iter().map(|person| Ok((person.id, sim.counts(person.id)?)));
    counts.collect::<Result<_, SimulatorError>>().map(Json)
}

#[derive(Deserialize)]
struct Correct {
    measures: Vec<Measure>,
}

async fn correct(Shared(sim): Sim, Path(grpid): Path<i64>, Json(to): Json<Correct>) -> Reply<Value> {
    sim.correct(grpid, to.measures).map(|()| done())
}

async fn confirm(Shared(sim): Sim, Path(grpid): Path<i64>) -> Reply<Value> {
    sim.confirm(grpid).map(|()| done())
}

async fn delete_group(Shared(sim): Sim, Path(grpid): Path<i64>) -> Reply<Value> {
    sim.delete(grpid).map(|()| done())
}
