//! What every request passes.

use axum::extract::{FromRequestParts as _, MatchedPath, Query, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use ohx_domain::{LinkId, Role, SyncId};
use ohx_link::{LinkError, Links};
use ohx_runtime::Problem;
use ohx_runtime::caller::{Caller, ForwardedHops};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::oidc::{NotTaken, Oidc};
use super::principal::{Bearer, Principal};
use super::rules::{self, About, Rule};
use super::{Access, digest};
use crate::{problem, store_problem};

pub(super) async fn guard(
    State((links, access)): State<(Links, Access)>,
    request: Request,
    next: Next,
) -> Response {
    match pass(&links, &access, request, next).await {
        Ok(response) => response,
        Err(refused) => *refused,
    }
}

/// The address as it is registered, and the rule for it.
pub(super) fn rule_of(parts: &Parts) -> (String, Option<&'static Rule>) {
    let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
    let rule = rules::of(method, &path);
    (path, rule)
}

async fn pass(
    links: &Links,
    access: &Access,
    request: Request,
    next: Next,
) -> Result<Response, Box<Response>> {
    if request.extensions().get::<MatchedPath>().is_none() {
        // Nothing is at this address: the fallback says so.
        return Ok(next.run(request).await);
    }
    let (mut parts, body) = request.into_parts();
    let (path, rule) = rule_of(&parts);
    if rule.is_some_and(|rule| rule.about == About::Public) {
        return Ok(next.run(Request::from_parts(parts, body)).await);
    }
    let refused = |problem: Problem| Box::new(problem.into_response());
    let principal = known(links, access, &mut parts).await?;
    let now = links.parts().clock.now();
    if let Err(wait) = access.0.calls.take(&principal.actor, now) {
        let detail = "this caller makes too many requests";
        return Err(refused(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(Some(wait))));
    }
    let Some(rule) = rule else {
        return Err(Box::new(no_rule(&path)));
    };
    if !rule.least.iter().any(|least| principal.role.covers(*least)) {
        let least: Vec<&str> = rule.least.iter().copied().map(Role::as_str).collect();
        let detail = format!("this is for {}; the caller's role is {}", least.join(" and "), principal.role);
        return Err(refused(Problem::new(StatusCode::FORBIDDEN, detail)));
    }
    let target = Target::of(&path, parts.uri.path());
    if principal.within.confines() {
        there(links, &principal, rule, &target, &parts).await.map_err(refused)?;
    }
    parts.extensions.insert(principal);
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// An address without a rule for this method: what is not said to be open is not.
fn no_rule(path: &str) -> Response {
    let allowed: Vec<&str> = rules::of_path(path).map(|rule| rule.method.as_str()).collect();
    if allowed.is_empty() {
        return Problem::new(StatusCode::FORBIDDEN, "nobody is let in here").into_response();
    }
    let detail = format!("this address takes {}", allowed.join(", "));
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response();
    if let Ok(allow) = HeaderValue::from_str(&allowed.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// Whose request it is.
async fn known(links: &Links, access: &Access, parts: &mut Parts) -> Result<Principal, Box<Response>> {
    let now = links.parts().clock.now();
    let Ok(Bearer(token)) = Bearer::from_request_parts(parts, &()).await;
    let why = match token {
        None => "send a key of the API, or a token: Authorization: Bearer ...".to_owned(),
        Some(token) => match principal(links, access, &token).await {
            Ok(principal) => return Ok(principal),
            Err(Unknown::Refused(why)) => why,
            Err(Unknown::Token(why @ (NotTaken::NoRole | NotTaken::OutOfReach))) => {
                let status = match why {
                    NotTaken::NoRole => StatusCode::FORBIDDEN,
                    _ => StatusCode::SERVICE_UNAVAILABLE,
                };
                return Err(Box::new(Problem::new(status, why.to_string()).into_response()));
            }
            Err(Unknown::Token(why)) => why.to_string(),
            Err(Unknown::Store(problem)) => return Err(Box::new(problem.into_response())),
        },
    };
    // Nobody guesses 256 bits. But each guess is a question to the database, and one address shall not ask without end.
    parts.extensions.insert::<ForwardedHops>(access.0.hops);
    let Ok(Caller(address)) = Caller::from_request_parts(parts, &()).await;
    let address = address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
    if let Err(wait) = access.0.failures.take(&address, now) {
        let detail = "too many requests from this address were refused";
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(Some(wait));
        return Err(Box::new(problem.into_response()));
    }
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, why).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Err(Box::new(response))
}

/// Why nobody is known by a token.
enum Unknown {
    Refused(String),
    Token(NotTaken),
    Store(Problem),
}

async fn principal(links: &Links, access: &Access, token: &str) -> Result<Principal, Unknown> {
    let parts = links.parts();
    let digest = digest(token);
    // Digests are compared, in constant time: neither the key nor its length shows.
    if access.0.operator.is_some_and(|operator| operator.ct_eq(&digest).into()) {
        return Ok(Principal::operator());
    }
    let now = parts.clock.now();
    if let Some(oidc) = &access.0.oidc
        && Oidc::is_for(token)
    {
        return oidc.principal(token, now).await.map_err(Unknown::Token);
    }
    let store = |error| Unknown::Store(store_problem(error));
    // How long the index takes to find a digest tells nothing of a key: nobody can choose a digest.
    let Some(stored) = parts.store.api_key_by_digest(&digest).await.map_err(store)? else {
        return Err(Unknown::Refused("this key is not known: it was never made here".to_owned()));
    };
    if !stored.is_good(now) {
        return Err(Unknown::Refused("this key has expired or was revoked".to_owned()));
    }
    if let Err(error) = parts.store.note_api_key_use(stored.key.id, now).await {
        tracing::warn!(%error, key = %stored.key.id, "its use could not be noted");
    }
    Ok(Principal::of_key(&stored))
}

#[derive(Deserialize)]
struct OfLink {
    link: Option<String>,
}

/// Whether what a request is about is there for a confined caller.
async fn there(
    links: &Links,
    principal: &Principal,
    rule: &Rule,
    target: &Target,
    parts: &Parts,
) -> Result<(), Problem> {
    // What cannot be read as an id is for the handler to refuse, in its own words.
    let link = match rule.about {
        About::Public | About::Everybody | About::Handler => None,
        About::Whole => {
            let detail = "this is about the whole deployment; the caller is confined to some of its links";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        About::Link => target.get("id").and_then(|id| id.parse::<LinkId>().ok()),
        About::QueryLink => {
            let query = Query::<OfLink>::try_from_uri(&parts.uri).ok();
            query.and_then(|Query(of)| of.link).and_then(|id| id.parse().ok())
        }
        About::Sync => {
            let Some(id) = target.get("id").and_then(|id| id.parse::<SyncId>().ok()) else { return Ok(()) };
            let requests = links.parts().store.requests_of_sync(id).await.map_err(store_problem)?;
            for request in &requests {
                let seen = match links.parts().store.link(request.link).await.map_err(store_problem)? {
                    Some(link) => principal.within.allows(&link),
                    None => false,
                };
                if !seen {
                    return Err(Problem::new(StatusCode::NOT_FOUND, format!("sync {id} is not known")));
                }
            }
            None
        }
    };
    let Some(id) = link else { return Ok(()) };
    let link = links.parts().store.link(id).await.map_err(store_problem)?;
    link.ok_or_else(|| problem(LinkError::Unknown(id))).and_then(|link| principal.sees(&link))
}

/// What an address names: the segments that stand for something.
pub(super) struct Target(Vec<(String, String)>);

impl Target {
    pub(super) fn of(pattern: &str, path: &str) -> Self {
        let named = |(name, value): (&str, &str)| {
            let name = name.strip_prefix('{')?.strip_suffix('}')?;
            Some((name.to_owned(), value.chars().take(80).collect()))
        };
        Self(pattern.split('/').zip(path.split('/')).filter_map(named).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A text with the names in it replaced by what they stand for.
    pub(super) fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }
}
