//! The public keys that EHRs check our signatures with.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::header;
use ohx_link::Links;
use ohx_link::signing::{JWKS_CACHED, Jwks};
use ohx_runtime::Problem;

use crate::problem;

/// The public keys that EHRs check our signatures with.
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "getKeys", tag = "base",
    security(()), responses((status = 200, description = "A JSON Web Key Set (RFC 7517)", body = Object)))]
pub(crate) async fn jwks(State(links): State<Links>) -> Result<impl IntoResponse, Problem> {
    let jwks: Jwks = links.signing_keys().jwks().await.map_err(problem)?;
    // An empty set is one that gets its first key soon.
    let cached = match jwks.keys.is_empty() {
        true => "no-store".to_owned(),
        false => format!("public, max-age={}", JWKS_CACHED.as_secs()),
    };
    Ok(([(header::CACHE_CONTROL, cached)], Json(jwks)))
}
