//! Documents: listed, read, validated, saved.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use ohx_domain::{Activation, Instant};
use ohx_link::Links;
use ohx_mapping::Mapping;
use ohx_runtime::Problem;
use ohx_store::{MappingFilter, NewMapping};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::check::{self, Refused};
use super::refusal::Refusal;
use super::{Kept, Saved, Which, aside, kept, named};
use crate::access::Principal;
use crate::access::audit::Audited;
use crate::http::page;
use crate::http::{InBody, InPath, InQuery, Page, Paging};
use crate::{read, store_problem};

#[derive(Serialize, ToSchema)]
#[schema(as = MappingName)]
pub(super) struct ShownName {
    name: String,
    /// The newest version: a saved one, where there is one.
    newest: Option<u32>,
    /// The version of the program's own document.
    builtin: Option<u32>,
    /// What each scope points to.
    activations: Vec<Activation>,
}

/// What cursors of the names say.
const NAMES: &str = "mappings";

/// Every mapping that there can be, by name, with what points to its versions.
#[utoipa::path(get, path = "/api/transformers/mappings/", operation_id = "listMappings", tag = "transformers",
    params(Paging), responses((status = 200, description = "Mappings", body = Page<ShownName>)))]
pub(super) async fn list(
    State(links): State<Links>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Json<Page<ShownName>>, Problem> {
    let store = &links.parts().store;
    let mut activations = store.activations(None).await.map_err(store_problem)?;
    let limit = page::limit(paging.limit)? as usize;
    let after: Option<String> = page::key(NAMES, paging.cursor.as_deref())?;
    let mut names = check::names();
    names.retain(|name| after.as_ref().is_none_or(|after| name > after));
    let next = (names.len() > limit).then(|| names.get(limit - 1)).flatten();
    let next = next.map(|last| page::cursor(NAMES, last));
    names.truncate(limit);
    let mut items = Vec::new();
    for name in names {
        let saved = store.latest_mapping_version(&name).await.map_err(store_problem)?;
        let builtin = check::own(&name).map(|(version, _)| version);
        let own = activations.extract_if(.., |a| a.mapping == name).collect();
        items.push(ShownName { newest: saved.or(builtin), builtin, activations: own, name });
    }
    Ok(Json(Page { items, next }))
}

#[derive(Serialize, ToSchema)]
#[schema(as = MappingVersion)]
pub(super) struct ShownVersion {
    version: u32,
    origin: Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    saved_at: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_by: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = MappingOrigin)]
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

/// What cursors of the versions say.
const VERSIONS: &str = "mapping-versions";

/// A mapping's versions, newest first; the program's own is the last.
#[utoipa::path(get, path = "/api/transformers/mappings/{provider}/{record}/", operation_id = "listMappingVersions", tag = "transformers",
    params(("provider" = String, Path, description = "A type of provider"), ("record" = String, Path, description = "One of its records"), Paging), responses((status = 200, description = "Versions", body = Page<ShownVersion>)))]
pub(super) async fn versions(
    State(links): State<Links>,
    InPath((provider, record)): InPath<(String, String)>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Json<Page<ShownVersion>>, Problem> {
    let name = named(&provider, &record)?;
    let limit = page::limit(paging.limit)?;
    let after: Option<u32> = page::key(VERSIONS, paging.cursor.as_deref())?;
    let filter = MappingFilter {
        name: Some(name.clone()),
        after: after.map(|version| (name.clone(), version)),
        limit,
    };
    let found = links.parts().store.mappings(&filter).await.map_err(store_problem)?;
    let next = found.last().filter(|_| found.len() == limit as usize).map(|m| m.version);
    let saved = found
        .into_iter()
        .map(|m| ShownVersion::new(m.version, Some(Saved { note: m.note, at: m.saved_at, by: m.saved_by })));
    // A full page is followed by another one, if only with the program's own.
    let own = check::own(&name).filter(|_| next.is_none());
    let own = own.map(|(version, _)| ShownVersion::new(version, None));
    let next = next.map(|last| page::cursor(VERSIONS, &last));
    Ok(Json(Page { items: saved.chain(own).collect(), next }))
}

#[derive(Serialize, ToSchema)]
#[schema(as = MappingDocument)]
pub(super) struct ShownDocument {
    name: String,
    #[serde(flatten)]
    version: ShownVersion,
    document: String,
}

/// The text of a version.
#[utoipa::path(get, path = "/api/transformers/mappings/{provider}/{record}/versions/{version}/", operation_id = "getMappingVersion", tag = "transformers",
    params(("provider" = String, Path, description = "A type of provider"), ("record" = String, Path, description = "One of its records"), ("version" = String, Path, description = "A number, or `builtin`")), responses((status = 200, description = "The version", body = ShownDocument)))]
pub(super) async fn one(
    State(links): State<Links>,
    InPath((provider, record, version)): InPath<(String, String, String)>,
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

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DocumentToValidate)]
pub(super) struct ToValidate {
    document: String,
}

/// What a document is.
#[derive(Serialize, ToSchema)]
#[schema(as = ValidDocument)]
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

/// Says what is wrong with a document. Saves nothing.
#[utoipa::path(post, path = "/api/transformers/mappings/validate/", operation_id = "validateMapping", tag = "transformers",
    request_body = ToValidate, responses((status = 200, description = "It is valid", body = Valid)))]
pub(super) async fn validate(InBody(to): InBody<ToValidate>) -> Result<Json<Valid>, Refusal> {
    let mapping = aside(move || check::document(&to.document)).await??;
    Ok(Json((&mapping).into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DocumentToSave)]
pub(super) struct ToSave {
    document: String,
    /// What changed, for a person.
    note: Option<String>,
}

/// The longest note, in characters.
const LONGEST_NOTE: usize = 2000;

/// Saves a document under the version that stands in it. The same text again is no error.
#[utoipa::path(post, path = "/api/transformers/mappings/", operation_id = "saveMapping", tag = "transformers",
    request_body = ToSave, responses((status = 200, description = "The same text was saved before", body = Valid), (status = 201, description = "It is saved", body = Valid)))]
pub(super) async fn save(
    State(links): State<Links>,
    principal: Principal,
    InBody(to): InBody<ToSave>,
) -> Result<Response, Refusal> {
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
