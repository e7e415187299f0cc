//! `api`: links, syncs and mappings, for the integrator and the app developer.
//!
//! Every address wants `Authorization: Bearer <OHX_API_KEY>`, but the public keys at `/.well-known/jwks.json`. Errors are problem details (RFC 9457). No answer holds
//! a health value (but a preview, which says what becomes of the page it was given), a token or a provider user id.

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

use std::sync::Arc;

use ::http::{HeaderValue, StatusCode, header};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ohx_link::{LinkError, Links};
use ohx_providers::beurer::csv::MAX_FILE_BYTES;
use ohx_runtime::Problem;
use ohx_runtime::settings::{SettingError, Settings};
use ohx_store::StoreError;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use crate::configuration::{ehrs, providers};
use crate::http::idempotency::idempotency;
use crate::http::problems::problems;
use crate::http::version::version;

/// The shortest key that is taken, in characters.
const SHORTEST_KEY: usize = 32;

/// The key that the API asks for: `OHX_API_KEY`.
///
/// # Errors
/// Where it is missing, or shorter than 32 characters.
pub fn api_key(settings: &Settings) -> Result<SecretString, SettingError> {
    let expected = "the key that callers of the API send as a bearer token, 32 characters or more; make one with: ohx keys new";
    let key = settings.secret("OHX_API_KEY", expected)?;
    if key.expose_secret().len() < SHORTEST_KEY {
        return Err(SettingError::Wrong { name: "OHX_API_KEY", expected: expected.into(), shown: None });
    }
    Ok(key)
}

/// The routes that ask for a key.
fn routes() -> OpenApiRouter<Links> {
    OpenApiRouter::new()
        .routes(routes!(providers::types))
        .routes(routes!(providers::list, providers::create))
        .routes(routes!(providers::one, providers::replace, providers::remove))
        .routes(routes!(links::list, links::create))
        .routes(routes!(links::one))
        .routes(routes!(links::connect_address))
        .routes(routes!(links::disconnect))
        .routes(routes!(links::successor))
        .routes(routes!(devices::listed))
        .routes(routes!(devices::create))
        .routes(routes!(imports::gateway))
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
fn open_routes() -> OpenApiRouter<Links> {
    // EHRs have no key of ours, and patients' browsers neither.
    OpenApiRouter::new().routes(routes!(keys::jwks)).routes(routes!(links::oauth2_callback))
}

/// The API's description: OpenAPI 3.1, as JSON.
pub fn openapi() -> String {
    let (mut described, open) = (routes().into_openapi(), open_routes().into_openapi());
    described.merge(open);
    openapi::text(&openapi::complete(described))
}

/// The function's routes, under `/api/<module>/<endpoint>/`, the public keys and the description.
pub fn router(links: Links, key: &SecretString) -> Router {
    let expected: Arc<[u8; 32]> = Arc::new(Sha256::digest(key.expose_secret().as_bytes()).into());
    let description: Arc<str> = openapi().into();
    let (keyed, _) = routes().split_for_parts();
    let (open, _) = open_routes().split_for_parts();
    keyed
        // The old name of initiate_oauth2.
        .route("/api/base/provider-links/{id}/connect-address/", post(links::connect_address))
        .layer(middleware::from_fn_with_state(links.clone(), idempotency))
        .layer(middleware::from_fn(version))
        .layer(middleware::from_fn_with_state(expected, authorize))
        .merge(open)
        .route("/api/openapi.json", get(move || openapi::serve(description.clone())))
        .layer(middleware::from_fn(problems))
        .with_state(links)
}

/// Digests are compared, in constant time: neither the key nor its length shows.
async fn authorize(State(expected): State<Arc<[u8; 32]>>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "));
    let good = given.is_some_and(|key| {
        Sha256::digest(key.trim().as_bytes()).as_slice().ct_eq(expected.as_slice()).into()
    });
    if good {
        return next.run(request).await;
    }
    let detail = "send the API key: Authorization: Bearer <OHX_API_KEY>";
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
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
