//! Who may call: keys, tokens, roles, limits; and who did what.
//!
//! Every request passes [`guard`], which does the same for every route, in this order: whose request is it (401), does it come
//! too fast (429), may this role do this (403), is what it is about there for this caller (404), then the handler, then
//! the audit log ([`noted`]). What is open to whom is one table, [`rules`]; a route that is not in it is open to nobody.

pub(crate) mod api_keys;
pub(crate) mod audit;
mod guard;
mod headers;
mod limit;
pub(crate) mod noted;
mod oidc;
mod principal;
pub mod rules;

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Router;
use axum::middleware;
use ohx_link::Links;
use ohx_runtime::caller::ForwardedHops;
use ohx_runtime::settings::{SettingError, Settings};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

pub use api_keys::{KeyRefused, NewKey, make as make_api_key};
pub use principal::Principal;

use headers::Headers;
use limit::Buckets;
use oidc::Oidc;

/// The shortest key of the operator's that is taken, in characters.
const SHORTEST_KEY: usize = 32;
/// How many requests a minute a caller may make where nothing else is set.
const PER_MINUTE: u32 = 1200;
/// How many requests a minute an address may make without being known.
const FAILURES_PER_MINUTE: u32 = 60;

/// What callers are let in by. Cheap to clone.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    /// SHA-256 of `OHX_API_KEY`, where it is set.
    operator: Option<[u8; 32]>,
    oidc: Option<Oidc>,
    headers: Headers,
    hops: ForwardedHops,
    /// By caller.
    calls: Buckets,
    /// Of those who are not known, by address.
    failures: Buckets,
}

impl Access {
    /// From settings: `OHX_API_KEY`, `OHX_OIDC_…`, `OHX_API_REQUESTS_PER_MINUTE`, `OHX_FORWARDED_HOPS`, `OHX_CORS_ORIGINS`,
    /// `OHX_HSTS_SECONDS`. None of them has to be there.
    ///
    /// # Errors
    /// [`SettingError`], where one is wrong.
    pub fn from_settings(settings: &Settings) -> anyhow::Result<Self> {
        let expected = "a key of the API with all rights, 32 characters or more, or nothing where keys are made with ohx api-keys; make one with: ohx keys new";
        let operator = match settings.text("OHX_API_KEY") {
            Some(key) if key.len() < SHORTEST_KEY => {
                let (name, expected) = ("OHX_API_KEY", expected.into());
                return Err(SettingError::Wrong { name, expected, shown: None }.into());
            }
            key => key.map(digest),
        };
        let name = "OHX_API_REQUESTS_PER_MINUTE";
        let expected = "how many requests a caller may make in a minute, 1 or more";
        let per_minute = settings.parsed::<NonZeroU32>(name, expected)?.map_or(PER_MINUTE, NonZeroU32::get);
        Ok(Self(Arc::new(Inner {
            operator,
            oidc: Oidc::from_settings(settings)?,
            headers: Headers::from_settings(settings)?,
            hops: ohx_runtime::caller::forwarded_hops(settings)?,
            calls: Buckets::new(per_minute),
            failures: Buckets::new(FAILURES_PER_MINUTE),
        })))
    }

    /// Puts the guard around `routes`.
    pub(crate) fn around(self, routes: Router<Links>, links: Links) -> Router<Links> {
        let headers = self.0.headers.clone();
        headers.around(routes.layer(middleware::from_fn_with_state((links, self), guard::guard)))
    }
}

/// With one key that may everything, as `OHX_API_KEY` is.
impl From<&SecretString> for Access {
    fn from(key: &SecretString) -> Self {
        Self(Arc::new(Inner {
            operator: Some(digest(key.expose_secret())),
            oidc: None,
            headers: Headers::default(),
            hops: ForwardedHops(0),
            calls: Buckets::new(PER_MINUTE),
            failures: Buckets::new(FAILURES_PER_MINUTE),
        }))
    }
}

/// What is compared and looked up in a key's place.
fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}
