//! `api`: links, syncs and mappings, for the integrator and the app developer.
//!
//! Every address wants `Authorization: Bearer <key>`, but the public keys at `/.well-known/jwks.json`; what is open to whom is in [`access`]. Errors are problem details (RFC 9457). No answer holds
//! a health value (but a preview, which says what becomes of the page it was given), a token or a provider user id.

pub mod access;
pub mod configuration;
mod coverage;
mod dead_letters;
mod devices;
mod http;
mod imports;
mod keys;
mod links;
pub mod mappings;
mod metrics;
mod openapi;
mod syncs;

use std::sync::LazyLock;

use ::http::StatusCode;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use ohx_link::{LinkError, Links};
use ohx_providers::beurer::csv::MAX_FILE_BYTES;
use ohx_runtime::Problem;
use ohx_store::StoreError;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use crate::configuration::{ehrs, providers};
use crate::http::idempotency::idempotency;
use crate::http::problems::problems;
use crate::http::version::version;

pub use access::Access;
use access::api_keys;

/// The function's routes behind their guard: `/api/<module>/<endpoint>/`, and the public keys.
pub fn router(links: Links, access: impl Into<Access>) -> Router {
    access
        .into()
        .around(routes(links.clone()), links.clone())
        .layer(middleware::from_fn(problems))
        .with_state(links)
}

/// The routes that ask for a key.
fn keyed() -> OpenApiRouter<Links> {
    OpenApiRouter::new()
        .routes(routes!(providers::types))
        .routes(routes!(providers::list, providers::create))
        .routes(routes!(providers::one, providers::replace, providers::remove))
        .routes(routes!(providers::check))
        .routes(routes!(links::list, links::create))
        .routes(routes!(links::one))
        .routes(routes!(links::connect_address))
        .routes(routes!(links::disconnect))
        .routes(routes!(links::receipt))
        .routes(routes!(links::successor))
        .routes(routes!(devices::listed))
        .routes(routes!(devices::create))
        .routes(routes!(imports::gateway))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::one))
        .routes(routes!(api_keys::revoke))
        .routes(routes!(access::audit::list))
        .routes(routes!(imports::import).layer(DefaultBodyLimit::max(MAX_FILE_BYTES + 1)))
        .routes(routes!(syncs::list, syncs::start))
        .routes(routes!(syncs::one))
        .routes(routes!(syncs::cancel))
        .routes(routes!(syncs::events))
        .routes(routes!(coverage::coverage))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::replay_many))
        .routes(routes!(dead_letters::one, dead_letters::discard))
        .routes(routes!(dead_letters::replay))
        .routes(routes!(ehrs::list, ehrs::create))
        .routes(routes!(ehrs::one, ehrs::replace, ehrs::remove))
        .routes(routes!(ehrs::check))
        .routes(routes!(devices::list))
        .routes(routes!(metrics::overview))
        .merge(mappings::routes())
}

/// The routes that ask for none.
fn open() -> OpenApiRouter<Links> {
    // EHRs have no key of ours, and patients' browsers neither.
    OpenApiRouter::new().routes(routes!(keys::jwks)).routes(routes!(links::oauth2_callback))
}

/// The API's description: OpenAPI 3.1, as JSON.
pub fn openapi() -> String {
    let (mut described, open) = (keyed().into_openapi(), open().into_openapi());
    described.merge(open);
    openapi::text(&openapi::complete(described))
}

/// The routes without their guard, for the test that finds a rule for each of them. Not to be served.
#[doc(hidden)]
pub fn routes(links: Links) -> Router<Links> {
    // Described when somebody asks: a start is not to wait for it, nor an idle process to hold it.
    static DESCRIPTION: LazyLock<String> = LazyLock::new(openapi);
    let (keyed, _) = keyed().split_for_parts();
    let (open, _) = open().split_for_parts();
    keyed
        // The old name of initiate_oauth2.
        .route("/api/base/provider-links/{id}/connect-address/", post(links::connect_address))
        .layer(middleware::from_fn_with_state(links.clone(), access::noted::noted))
        .layer(middleware::from_fn_with_state(links, idempotency))
        .layer(middleware::from_fn(version))
        .merge(open)
        .route("/api/openapi.json", get(|| openapi::serve(&DESCRIPTION)))
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
