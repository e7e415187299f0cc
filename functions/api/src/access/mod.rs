//! Who may call: keys, tokens, roles, limits; and who did what.
//!
//! Every request passes [`guard`], which does the same for every route, in this order: whose request is it (401), does it come
//! too fast (429), may this role do this (403), is what it is about there for this caller (404), then the handler, then
//! the audit log. What is open to whom is one table, [`rules`]; a route that is not in it is open to nobody.

pub(crate) mod api_keys;
pub(crate) mod audit;
mod guard;
mod limit;
mod principal;
pub mod rules;

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

use limit::Buckets;

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
    hops: ForwardedHops,
    /// By caller.
    calls: Buckets,
    /// Of those who are not known, by address.
    failures: Buckets,
}

impl Access {
    /// From settings: `OHX_API_KEY`, `OHX_API_REQUESTS_PER_MINUTE`, `OHX_FORWARDED_HOPS`. None of them has to be there.
    ///
    /// # Errors
    /// Where one is wrong.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let expected = "a key of the API with all rights, 32 characters or more, or nothing where keys are made with ohx api-keys; make one with: ohx keys new";
        let operator = match settings.text("OHX_API_KEY") {
            None => None,
            Some(key) if key.len() < SHORTEST_KEY => {
                return Err(SettingError::Wrong {
                    name: "OHX_API_KEY",
                    expected: expected.into(),
                    shown: None,
                });
            }
            Some(key) => Some(digest(key)),
        };
        let name = "OHX_API_REQUESTS_PER_MINUTE";
        let expected = "how many requests a caller may make in a minute, 1 or more";
        let per_minute = settings.parsed::<u32>(name, expected)?.unwrap_or(PER_MINUTE);
        if per_minute == 0 {
            let (expected, shown) = (expected.to_owned(), Some("0".to_owned()));
            return Err(SettingError::Wrong { name, expected, shown });
        }
        let hops = ohx_runtime::caller::forwarded_hops(settings)?;
        Ok(Self::new(operator, per_minute, hops))
    }

    fn new(operator: Option<[u8; 32]>, per_minute: u32, hops: ForwardedHops) -> Self {
        let (calls, failures) = (Buckets::new(per_minute), Buckets::new(FAILURES_PER_MINUTE));
        Self(Arc::new(Inner { operator, hops, calls, failures }))
    }

    /// Puts the guard around `routes`.
    pub(crate) fn around(self, routes: Router<Links>, links: Links) -> Router<Links> {
        routes.layer(middleware::from_fn_with_state((links, self), guard::guard))
    }
}

/// With one key that may everything, as `OHX_API_KEY` is.
impl From<&SecretString> for Access {
    fn from(key: &SecretString) -> Self {
        Self::new(Some(digest(key.expose_secret())), PER_MINUTE, ForwardedHops(0))
    }
}

/// What is compared and looked up in a key's place.
fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}
