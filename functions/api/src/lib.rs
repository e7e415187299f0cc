//! `api`: links, syncs and mappings, for the integrator and the app developer.
//!
//! Every address wants `Authorization: Bearer <key>`, but the public keys at `/.well-known/jwks.json`; what is open to whom is in [`access`]. Errors are problem details (RFC 9457). No answer holds
//! a health value (but a preview, which says what becomes of the page it was given), a token or a provider user id.

pub mod access;
mod coverage;
mod dead_letters;
mod devices;
mod ehrs;
mod imports;
mod keys;
mod links;
pub mod mappings;
mod syncs;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use http::StatusCode;
use ohx_link::{LinkError, Links};
use ohx_providers::beurer::csv::MAX_FILE_BYTES;
use ohx_runtime::Problem;
use ohx_store::StoreError;

pub use access::Access;
use access::api_keys;

/// The function's routes behind their guard: `/api/<module>/<endpoint>/`, and the public keys.
pub fn router(links: Links, access: impl Into<Access>) -> Router {
    access.into().around(routes(), links.clone()).with_state(links)
}

/// The routes without their guard, for the test that finds a rule for each of them. Not to be served.
#[doc(hidden)]
pub fn routes() -> Router<Links> {
    Router::new()
        .route("/api/base/providers/", get(links::providers))
        .route("/api/base/provider-links/", get(links::list).post(links::create))
        .route("/api/base/provider-links/{id}/", get(links::one))
        .route("/api/base/provider-links/{id}/connect-address/", post(links::connect_address))
        .route("/api/base/provider-links/{id}/disconnect/", post(links::disconnect))
        .route("/api/base/provider-links/{id}/receipt/", get(links::receipt))
        .route("/api/base/provider-links/{id}/successor/", post(links::successor))
        .route("/api/base/provider-links/{id}/devices/", get(devices::listed))
        .route("/api/base/provider-links/{id}/create_fhir_device/", post(devices::create))
        .route("/api/base/provider-links/{id}/gateway/", get(imports::gateway))
        .route("/api/base/api-keys/", get(api_keys::list).post(api_keys::create))
        .route("/api/base/api-keys/{id}/", get(api_keys::one))
        .route("/api/base/api-keys/{id}/revoke/", post(api_keys::revoke))
        .route("/api/base/audit/", get(access::audit::list))
        .route(
            "/api/ingestors/imports/",
            post(imports::import).layer(DefaultBodyLimit::max(MAX_FILE_BYTES + 1)),
        )
        .route("/api/ingestors/syncs/", post(syncs::start))
        .route("/api/ingestors/syncs/{id}/", get(syncs::one))
        .route("/api/ingestors/coverage/", get(coverage::coverage))
        .route("/api/publishers/dead-letters/", get(dead_letters::list))
        .route("/api/publishers/dead-letters/replay/", post(dead_letters::replay_many))
        .route("/api/publishers/dead-letters/{id}/", get(dead_letters::one).delete(dead_letters::discard))
        .route("/api/publishers/dead-letters/{id}/replay/", post(dead_letters::replay))
        .route("/api/publishers/ehr-endpoints/", get(ehrs::list))
        .route("/api/publishers/ehr-endpoints/{name}/check/", post(ehrs::check))
        .merge(mappings::routes())
        .route("/.well-known/jwks.json", get(keys::jwks))
}

/// A problem out of what went wrong with a link.
pub(crate) fn problem(error: LinkError) -> Problem {
    let status = match &error {
        LinkError::Unknown(_) | LinkError::Store(StoreError::NotFound { .. }) => StatusCode::NOT_FOUND,
        LinkError::State { .. }
        | LinkError::NotReplayed { .. }
        | LinkError::Store(StoreError::Conflict { .. }) => StatusCode::CONFLICT,
        LinkError::NoApp(_) | LinkError::NoEhr(_) | LinkError::NoAdapter { .. } => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Problem::new(status, error.to_string())
}

pub(crate) fn store_problem(error: StoreError) -> Problem {
    problem(LinkError::Store(error))
}

/// A text from an address or a body that should read as something.
pub(crate) fn read<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|e: T::Err| Problem::new(StatusCode::BAD_REQUEST, e.to_string()))
}
