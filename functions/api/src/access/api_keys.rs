//! The keys that the API is called with: made, shown once, listed, revoked.

use axum::extract::State;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::StatusCode;
use ohx_domain::{ApiKeyId, EhrName, Instant, Role};
use ohx_link::{Links, ticket};
use ohx_runtime::Problem;
use ohx_store::{NewApiKey, SharedStore, StoreError, StoredApiKey};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::audit::Audited;
use super::digest;
use super::principal::Principal;
use crate::http::page::{self, Page, Paging};
use crate::http::{InBody, InPath, InQuery};
use crate::{read, store_problem};

/// What cursors of this list say.
const LIST: &str = "api-keys";
/// What every key begins with, so that those who look for secrets in code know one when they see it.
const PREFIX: &str = "ohx_";
/// The longest name of a key, in characters.
const LONGEST_NAME: usize = 100;

/// A key to make.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewApiKey)]
pub struct NewKey {
    /// What it is called, for people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The only EHR endpoint that it may make and see links of.
    pub ehr: Option<EhrName>,
    /// Whether it may see only the links that it has made; a link creator's always may only those.
    #[serde(default)]
    pub own_links: bool,
    /// From when on it is not taken any more.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Instant>,
}

/// Why a key is not made.
#[derive(Debug, thiserror::Error)]
pub enum KeyRefused {
    /// Its name.
    #[error("name must have 1 to {LONGEST_NAME} characters, and no control characters")]
    Name,
    /// Its end.
    #[error("expires_at must be later than now")]
    Expired,
    /// An admin could make itself a key without confinement.
    #[error("a key with role admin cannot be confined (ehr, own_links): it may make keys that are not")]
    ConfinedAdmin,
    /// The endpoint that it would be confined to.
    #[error("EHR endpoint {0} is not configured: add it with ohx apply")]
    NoEhr(EhrName),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a key: 256 random bits, of which the store keeps the SHA-256. The key is given here and never again.
///
/// # Errors
/// [`KeyRefused`].
pub async fn make(
    store: &SharedStore,
    new: NewKey,
    by: &str,
    now: Instant,
) -> Result<(StoredApiKey, SecretString), KeyRefused> {
    let length = new.name.chars().count();
    if !(1..=LONGEST_NAME).contains(&length) || new.name.chars().any(char::is_control) {
        return Err(KeyRefused::Name);
    }
    if new.expires_at.is_some_and(|at| at <= now) {
        return Err(KeyRefused::Expired);
    }
    if new.role == Role::Admin && (new.ehr.is_some() || new.own_links) {
        return Err(KeyRefused::ConfinedAdmin);
    }
    if let Some(ehr) = &new.ehr
        && store.ehr(ehr).await?.is_none()
    {
        return Err(KeyRefused::NoEhr(ehr.clone()));
    }
    let text = SecretString::from(format!("{PREFIX}{}", ticket::random()));
    let key = NewApiKey {
        id: ApiKeyId::new(),
        name: new.name,
        digest: digest(text.expose_secret()),
        role: new.role,
        ehr: new.ehr,
        own_links: new.own_links || new.role == Role::LinkCreator,
        created_by: by.to_owned(),
        expires_at: new.expires_at,
    };
    store.add_api_key(&key, now).await?;
    Ok((StoredApiKey { key, created_at: now, last_used_at: None, revoked_at: None }, text))
}

fn refused(error: KeyRefused) -> Problem {
    match error {
        KeyRefused::Store(error) => store_problem(error),
        error => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct ShownKey {
    id: ApiKeyId,
    name: String,
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    ehr: Option<EhrName>,
    own_links: bool,
    /// `good`, `expired` or `revoked`.
    state: &'static str,
    created_by: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Instant,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Instant>,
    /// To the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Instant>,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Instant>,
}

impl ShownKey {
    fn new(stored: StoredApiKey, now: Instant) -> Self {
        let state = match (stored.revoked_at, stored.is_good(now)) {
            (Some(_), _) => "revoked",
            (None, true) => "good",
            (None, false) => "expired",
        };
        let StoredApiKey { key, created_at, last_used_at, revoked_at } = stored;
        let NewApiKey { id, name, role, ehr, own_links, created_by, expires_at, .. } = key;
        Self {
            id,
            name,
            role,
            ehr,
            own_links,
            state,
            created_by,
            created_at,
            expires_at,
            last_used_at,
            revoked_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = MadeApiKey)]
pub(crate) struct MadeKey {
    #[serde(flatten)]
    shown: ShownKey,
    /// The key itself: here and nowhere else, ever.
    key: String,
}

/// Makes a key, and shows it this once.
#[utoipa::path(post, path = "/api/base/api-keys/", operation_id = "createApiKey", tag = "base",
    request_body = NewKey, responses((status = 201, description = "The key", body = MadeKey)))]
pub(crate) async fn create(
    State(links): State<Links>,
    principal: Principal,
    InBody(new): InBody<NewKey>,
) -> Result<impl IntoResponse, Problem> {
    let parts = links.parts();
    let now = parts.clock.now();
    let (stored, key) = make(&parts.store, new, &principal.actor, now).await.map_err(refused)?;
    let audited = Audited::new(format!("api-key:{}", stored.key.id), json!({"role": stored.key.role}));
    let made = MadeKey { shown: ShownKey::new(stored, now), key: key.expose_secret().to_owned() };
    Ok((StatusCode::CREATED, Extension(audited), Json(made)))
}

/// Every key there ever was, by the moment it was made.
#[utoipa::path(get, path = "/api/base/api-keys/", operation_id = "listApiKeys", tag = "base",
    params(Paging), responses((status = 200, description = "Keys", body = Page<ShownKey>)))]
pub(crate) async fn list(
    State(links): State<Links>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Json<Page<ShownKey>>, Problem> {
    let limit = page::limit(paging.limit)?;
    let after: Option<ApiKeyId> = page::key(LIST, paging.cursor.as_deref())?;
    let parts = links.parts();
    let found = parts.store.api_keys(after, limit).await.map_err(store_problem)?;
    let now = parts.clock.now();
    let shown = found.into_iter().map(|key| ShownKey::new(key, now)).collect();
    Ok(Json(Page::new(LIST, shown, limit, |key: &ShownKey| key.id.to_string())))
}

async fn shown(links: &Links, id: ApiKeyId) -> Result<Json<ShownKey>, Problem> {
    let found = links.parts().store.api_key(id).await.map_err(store_problem)?;
    let unknown = || Problem::new(StatusCode::NOT_FOUND, format!("API key {id} is not known"));
    Ok(Json(ShownKey::new(found.ok_or_else(unknown)?, links.parts().clock.now())))
}

/// One key.
#[utoipa::path(get, path = "/api/base/api-keys/{id}/", operation_id = "getApiKey", tag = "base",
    params(("id" = ApiKeyId, Path, description = "The key")), responses((status = 200, description = "The key", body = ShownKey)))]
pub(crate) async fn one(
    State(links): State<Links>,
    InPath(id): InPath<String>,
) -> Result<Json<ShownKey>, Problem> {
    shown(&links, read(&id)?).await
}

/// The key is not taken any more, from the next request on. Safe to repeat.
#[utoipa::path(post, path = "/api/base/api-keys/{id}/revoke/", operation_id = "revokeApiKey", tag = "base",
    params(("id" = ApiKeyId, Path, description = "The key")), responses((status = 200, description = "The key", body = ShownKey)))]
pub(crate) async fn revoke(
    State(links): State<Links>,
    InPath(id): InPath<String>,
) -> Result<Json<ShownKey>, Problem> {
    let id = read(&id)?;
    let parts = links.parts();
    parts.store.revoke_api_key(id, parts.clock.now()).await.map_err(store_problem)?;
    shown(&links, id).await
}
