//! `api`: links, syncs and mappings, for the integrator and the app developer.
//!
//! Every address wants `Authorization: Bearer <OHX_API_KEY>`, but the public keys at `/.well-known/jwks.json`. Errors are problem details (RFC 9457). No answer holds
//! a health value (but a preview, which says what becomes of the page it was given), a token or a provider user id.

mod coverage;
mod dead_letters;
mod devices;
mod ehrs;
mod imports;
mod keys;
mod links;
pub mod mappings;
mod syncs;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderValue, StatusCode, header};
use ohx_link::{LinkError, Links};
use ohx_providers::beurer::csv::MAX_FILE_BYTES;
use ohx_runtime::Problem;
use ohx_runtime::settings::{SettingError, Settings};
use ohx_store::StoreError;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

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

/// The function's routes, under `/api/<module>/<endpoint>/`, and the public keys.
pub fn router(links: Links, key: &SecretString) -> Router {
    let expected: Arc<[u8; 32]> = Arc::new(Sha256::digest(key.expose_secret().as_bytes()).into());
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
        .layer(middleware::from_fn_with_state(expected, authorize))
        // After the layer: EHRs have no key of ours.
        .route("/.well-known/jwks.json", get(keys::jwks))
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
