//! Who calls.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use ohx_domain::{Confinement, EhrName, Link, Role};
use ohx_link::LinkError;
use ohx_runtime::Problem;
use ohx_store::StoredApiKey;

use crate::problem;

/// A caller that is known. Handlers take it as an argument.
#[derive(Debug, Clone)]
pub struct Principal {
    /// As the audit log names it, and as the links that it makes say who made them: `operator`, `key:<id>`,
    /// `oidc:<subject>`. No caller can have another's.
    pub actor: String,
    /// What it may do.
    pub role: Role,
    /// Which links there are for it.
    pub within: Confinement,
}

impl Principal {
    /// The operator, by the key of the settings.
    pub(super) fn operator() -> Self {
        Self { actor: "operator".into(), role: Role::Admin, within: Confinement::default() }
    }

    pub(super) fn new(actor: String, role: Role, ehr: Option<EhrName>, own_links: bool) -> Self {
        // Whoever only makes links has nothing to do with others'.
        let own = own_links || role == Role::LinkCreator;
        let created_by = own.then(|| actor.clone());
        Self { actor, role, within: Confinement { ehr, created_by } }
    }

    pub(super) fn of_key(stored: &StoredApiKey) -> Self {
        let key = &stored.key;
        Self::new(format!("key:{}", key.id), key.role, key.ehr.clone(), key.own_links)
    }

    /// Whether a link is there for this caller. One that is not is answered for as one that never was.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn sees(&self, link: &Link) -> Result<(), Problem> {
        if self.within.allows(link) { Ok(()) } else { Err(problem(LinkError::Unknown(link.id))) }
    }

    /// Whether it may make a link whose readings go to `ehr`.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn may_link(&self, ehr: &EhrName) -> Result<(), Problem> {
        match &self.within.ehr {
            Some(only) if only != ehr => {
                let detail = format!("this caller may make links for EHR endpoint {only} only");
                Err(Problem::new(StatusCode::FORBIDDEN, detail))
            }
            _ => Ok(()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let known = parts.extensions.get::<Self>().cloned();
        known.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "nobody is signed in here"))
    }
}

/// The token of `Authorization: Bearer …`.
pub(super) struct Bearer(pub(super) Option<String>);

impl<S: Sync> FromRequestParts<S> for Bearer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let header = parts.headers.get(http::header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let token = header.and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        Ok(Self(token.filter(|token| !token.is_empty())))
    }
}
