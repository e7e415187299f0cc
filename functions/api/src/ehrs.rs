//! EHR endpoints, as they are configured and as they answer.

use axum::Json;
use axum::extract::{Path, State};
use ohx_domain::EhrEndpoint;
use ohx_link::{EhrReport, Links};
use ohx_runtime::Problem;
use serde::Serialize;

use crate::{problem, read, store_problem};

/// The endpoints that are configured. No secret is among it.
#[derive(Serialize)]
pub(crate) struct Endpoints {
    endpoints: Vec<EhrEndpoint>,
}

/// `GET /api/publishers/ehr-endpoints/`.
pub(crate) async fn list(State(links): State<Links>) -> Result<Json<Endpoints>, Problem> {
    let endpoints = links.parts().store.ehrs().await.map_err(store_problem)?;
    Ok(Json(Endpoints { endpoints }))
}

/// `POST /api/publishers/ehr-endpoints/{name}/check/`: asks the endpoint what it is and whether it lets us in, and says what
/// it does not do and what is done instead. Nothing is written to it.
pub(crate) async fn check(
    State(links): State<Links>,
    Path(name): Path<String>,
) -> Result<Json<EhrReport>, Problem> {
    links.examine_ehr(&read(&name)?).await.map(Json).map_err(problem)
}
