//! Documents: listed, read, validated, saved.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use ohx_domain::{Activation, Instant};
use ohx_link::Links;
use ohx_mapping::Mapping;
use ohx_runtime::Problem;
use ohx_store::{MappingFilter, NewMapping};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::check::{self, Refused};
use super::refusal::Refusal;
use super::{Kept, Saved, Which, aside, kept, named};
use crate::access::Principal;
use crate::access::audit::Audited;
use crate::{read, store_problem};

#[derive(Serialize)]
pub(super) struct ShownName {
    name: String,
    /// The newest version: a saved one, where there is one.
    newest: Option<u32>,
    /// The version of the program's own document.
    builtin: Option<u32>,
    /// What each scope points to.
    activations: Vec<Activation>,
}

/// `GET /`: every mapping that there can be.
pub(super) async fn list(State(links): State<Links>) -> Result<Json<Vec<ShownName>>, Problem> {
    let store = &links.parts().store;
    let mut activations = store.activations(None).await.map_err(store_problem)?;
    let mut shown = Vec::new();
    for name in check::names() {
        let saved = store.latest_mapping_version(&name).await.map_err(store_problem)?;
        let builtin = check::own(&name).map(|(version, _)| version);
        let own = activations.extract_if(.., |a| a.mapping == name).collect();
        shown.push(ShownName { newest: saved.or(builtin), builtin, activations: own, name });
    }
    Ok(Json(shown))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    after: Option<u32>,
    limit: Option<u32>,
}

#[derive(Serialize)]
pub(super) struct VersionPage {
    versions: Vec<ShownVersion>,
    /// Give it as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u32>,
}

#[derive(Serialize)]
struct ShownVersion {
    version: u32,
    origin: Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_at: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_by: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Origin {
    /// It comes with the program.
    Program,
    Saved,
}

impl ShownVersion {
    fn new(version: u32, saved: Option<Saved>) -> Self {
        let origin = if saved.is_some() { Origin::Saved } else { Origin::Program };
        let (note, saved_at, saved_by) = match saved {
            Some(saved) => (saved.note, Some(saved.at), Some(saved.by)),
            None => (None, None, None),
        };
        Self { version, origin, note, saved_at, saved_by }
    }
}

/// `GET /{provider}/{record}/`: its versions, newest first; the program's own is the last.
pub(super) async fn versions(
    State(links): State<Links>,
    Path((provider, record)): Path<(String, String)>,
    query: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<VersionPage>, Problem> {
    let name = named(&provider, &record)?;
    let Query(listing) = query.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
    let limit = listing.limit.unwrap_or(100).clamp(1, 1000);
    let after = listing.after.map(|version| (name.clone(), version));
    let filter = MappingFilter { name: Some(name.clone()), after, limit };
    let found = links.parts().store.mappings(&filter).await.map_err(store_problem)?;
    let next = found.last().filter(|_| found.len() == limit as usize).map(|m| m.version);
    let saved = found
        .into_iter()
        .map(|m| ShownVersion::new(m.version, Some(Saved { note: m.note, at: m.saved_at, by: m.saved_by })));
    let own = check::own(&name).filter(|_| next.is_none());
    let own = own.map(|(version, _)| ShownVersion::new(version, None));
    Ok(Json(VersionPage { versions: saved.chain(own).collect(), next }))
}

#[derive(Serialize)]
pub(super) struct ShownDocument {
    name: String,
    #[serde(flatten)]
    version: ShownVersion,
    document: String,
}

/// `GET /{provider}/{record}/versions/{version}/`: the text of a version.
pub(super) async fn one(
    State(links): State<Links>,
    Path((provider, record, version)): Path<(String, String, String)>,
) -> Result<Json<ShownDocument>, Problem> {
    let name = named(&provider, &record)?;
    let which: Which = read(&version)?;
    let found = kept(&links.parts().store, &name, which).await.map_err(store_problem)?;
    let Some(Kept { version, text, saved }) = found else {
        let detail = format!("mapping {name} has no version {version}");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    Ok(Json(ShownDocument { name, version: ShownVersion::new(version, saved), document: text }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToValidate {
    document: String,
}

/// What a document is.
#[derive(Serialize)]
pub(super) struct Valid {
    name: String,
    version: u32,
    /// The kinds of reading it can yield.
    kinds: Vec<String>,
    /// The names of its examples, which all hold.
    examples: Vec<String>,
}

impl From<&Mapping> for Valid {
    fn from(mapping: &Mapping) -> Self {
        Self {
            name: mapping.name().to_owned(),
            version: mapping.version(),
            kinds: mapping.kinds().map(str::to_owned).collect(),
            examples: mapping.examples().map(str::to_owned).collect(),
        }
    }
}

/// `POST /validate/`: what is wrong with a document. Saves nothing.
pub(super) async fn validate(body: Result<Json<ToValidate>, JsonRejection>) -> Result<Json<Valid>, Refusal> {
    let Json(to) = body.map_err(rejected)?;
    let mapping = aside(move || check::document(&to.document)).await??;
    Ok(Json((&mapping).into()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToSave {
    document: String,
    /// What changed, for a person.
    note: Option<String>,
}

/// The longest note, in characters.
const LONGEST_NOTE: usize = 2000;

/// `POST /`: saves a document under the version that stands in it. The same text again is no error.
pub(super) async fn save(
    State(links): State<Links>,
    principal: Principal,
    body: Result<Json<ToSave>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Json(to) = body.map_err(rejected)?;
    if to.note.as_ref().is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
        let detail = format!("a note has at most {LONGEST_NOTE} characters");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).into());
    }
    let (mapping, document) = aside(move || {
        let mapping = check::document(&to.document)?;
        Ok::<_, Refused>((mapping, to.document))
    })
    .await??;
    let parts = links.parts();
    let (name, version) = (mapping.name().to_owned(), mapping.version());
    let known = parts.store.mapping(&name, version).await?.is_some_and(|known| known.document == document);
    if !known {
        check::version(&mapping, parts.store.latest_mapping_version(&name).await?)?;
        let new = NewMapping { name: name.clone(), document, note: to.note, by: principal.actor };
        parts.store.save_mapping(&new, version, parts.clock.now()).await?;
        tracing::info!(mapping = name, version, "a mapping is saved");
    }
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = (status, Json(Valid::from(&mapping))).into_response();
    let audited = Audited::new(format!("mapping:{name}"), json!({"version": version, "known": known}));
    response.extensions_mut().insert(audited);
    let location = format!("/api/transformers/mappings/{name}/versions/{version}/");
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// A body that is not what it should be.
pub(super) fn rejected(error: JsonRejection) -> Refusal {
    Problem::new(error.status(), error.body_text()).into()
}
