//! Which version counts for whom: shown, changed, and changed back.

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::editor;
use crate::api::ApiError;
use crate::session::SignedIn;
use crate::{Console, ConsoleError};

/// What a scope points to.
#[derive(Deserialize, Clone)]
pub(super) struct Activation {
    pub(super) scope: String,
    pub(super) version: Option<u32>,
    canary: Option<Canary>,
    at: String,
    by: String,
    seq: i64,
}

#[derive(Deserialize, Clone)]
struct Canary {
    version: u32,
    percent: u32,
}

/// A scope, and what can be done with it.
pub(super) struct Scope {
    /// As the API calls it.
    pub(super) scope: String,
    /// For a person.
    pub(super) title: String,
    pub(super) now: String,
    /// Since when and by whom.
    pub(super) since: String,
    /// What was looked at.
    pub(super) seq: i64,
    chosen: Option<u32>,
}

impl Scope {
    fn new(scope: &str, activation: Option<&Activation>, builtin: Option<u32>) -> Self {
        let title = match scope.split_once(':') {
            Some(("ehr", name)) => format!("EHR endpoint {name}"),
            Some(("link", id)) => format!("Link {id}"),
            _ => "Everybody".to_owned(),
        };
        let otherwise = match (scope, builtin) {
            ("global", Some(own)) => format!("the program's own ({own})"),
            ("global", None) => "none".to_owned(),
            _ => "as for everybody".to_owned(),
        };
        let version = activation.and_then(|activation| activation.version);
        let mut now = match version {
            Some(version) if Some(version) == builtin => format!("the program's own ({version})"),
            Some(version) => version.to_string(),
            None => otherwise,
        };
        if let Some(canary) = activation.and_then(|activation| activation.canary.as_ref()) {
            now = format!("{now}; for {} % of links {}", canary.percent, canary.version);
        }
        Self {
            scope: scope.to_owned(),
            title,
            now,
            since: activation.map_or(String::new(), |a| format!("since {}, by {}", time(&a.at), a.by)),
            seq: activation.map_or(0, |activation| activation.seq),
            chosen: version,
        }
    }

    /// Whether it points to this version.
    pub(super) fn points_to(&self, version: &u32) -> bool {
        self.chosen == Some(*version)
    }

    /// Everybody, every endpoint, and whatever else points to something.
    pub(super) fn all(activations: &[Activation], ehrs: &[String], builtin: Option<u32>) -> Vec<Self> {
        let of = |scope: &str| activations.iter().find(|activation| activation.scope == scope);
        let endpoints = ehrs.iter().map(|name| format!("ehr:{name}"));
        let mut scopes: Vec<String> = std::iter::once("global".to_owned()).chain(endpoints).collect();
        let others = activations.iter().map(|activation| &activation.scope);
        let others: Vec<_> = others.filter(|scope| !scopes.contains(*scope)).cloned().collect();
        scopes.extend(others);
        scopes.iter().map(|scope| Self::new(scope, of(scope), builtin)).collect()
    }
}

/// A time as people read it.
pub(super) fn time(iso: &str) -> String {
    let text = iso.get(..16).unwrap_or(iso).replace('T', " ");
    format!("{text} UTC")
}

#[derive(Deserialize)]
pub(crate) struct ToActivate {
    #[serde(default)]
    token: String,
    scope: String,
    version: String,
    seq: i64,
}

#[derive(Deserialize)]
pub(crate) struct ToRollBack {
    #[serde(default)]
    token: String,
    scope: String,
}

/// `POST /console/mappings/{provider}/{record}/activate/`.
pub(crate) async fn activate(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path((provider, record)): Path<(String, String)>,
    given: Result<Form<ToActivate>, FormRejection>,
) -> Result<Response, Response> {
    let done = async {
        let Form(to) = given.map_err(|_| ConsoleError::Form("A field is missing."))?;
        console.sessions.check(&signed_in.session, &to.token)?;
        let version: Option<u32> = match to.version.trim() {
            "" => None,
            number => Some(number.parse().map_err(|_| ConsoleError::Form("The version is no number."))?),
        };
        let scope = to.scope.trim();
        // A link's id by itself is what people have at hand.
        let scope = match scope.contains(':') || scope == "global" {
            true => scope.to_owned(),
            false => format!("link:{scope}"),
        };
        let body = json!({"scope": scope, "version": version, "expected_seq": to.seq});
        pointed(&console, &signed_in, &provider, &record, "activations", &body).await
    };
    done.await.map_err(ConsoleError::into_response)
}

/// `POST /console/mappings/{provider}/{record}/roll-back/`.
pub(crate) async fn roll_back(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path((provider, record)): Path<(String, String)>,
    given: Result<Form<ToRollBack>, FormRejection>,
) -> Result<Response, Response> {
    let done = async {
        let Form(to) = given.map_err(|_| ConsoleError::Form("A field is missing."))?;
        console.sessions.check(&signed_in.session, &to.token)?;
        let body = json!({"scope": to.scope});
        pointed(&console, &signed_in, &provider, &record, "roll-back", &body).await
    };
    done.await.map_err(ConsoleError::into_response)
}

async fn pointed(
    console: &Console,
    signed_in: &SignedIn,
    provider: &str,
    record: &str,
    action: &str,
    body: &Value,
) -> Result<Response, ConsoleError> {
    let address = ["transformers", "mappings", provider, record, action];
    let refused = match console.api.post::<Activation>(&signed_in.key, &address, body).await {
        Ok(_) if action == "roll-back" => {
            return Ok(console.to(&format!("/mappings/{provider}/{record}/?note=rolled-back")));
        }
        Ok(_) => return Ok(console.to(&format!("/mappings/{provider}/{record}/?note=activated"))),
        Err(ApiError::Refused {
            status: StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY,
            problem,
        }) => problem,
        Err(error) => return Err(error.into()),
    };
    let mut said = refused.detail.unwrap_or_else(|| "The exchange refuses it.".to_owned());
    if !refused.more.hint.is_empty() {
        said = format!("{said}: {}", refused.more.hint);
    }
    editor::refused(console, signed_in, provider, record, said).await
}
