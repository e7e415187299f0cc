//! Links.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use http::{StatusCode, header};
use ohx_domain::{
    Destination, EhrName, Instant, Link, LinkId, LinkState, PatientReference, ProviderName, PushState,
};
use ohx_link::{Disconnected, Links, ticket};
use ohx_runtime::Problem;
use ohx_store::LinkFilter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::page::{self, narrowed};
use crate::http::{InBody, InPath, InQuery, Page};
use crate::{problem, read, store_problem};

/// What cursors of this list say.
const LIST: &str = "links";
/// The days of history that a link brings in where nothing is said.
const DEFAULT_BACKFILL_DAYS: u32 = 30;
/// Ten years: as much as any provider keeps.
const MAX_BACKFILL_DAYS: u32 = 3660;

#[derive(Serialize, ToSchema)]
#[schema(as = Link)]
pub(crate) struct ShownLink {
    id: LinkId,
    provider: ProviderName,
    ehr: EhrName,
    patient: PatientReference,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<Destination>,
    state: LinkState,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason: Option<String>,
    /// The reason in one word, where a consent is needed: `grant-refused`, `access-refused` or `no-profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    state_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    state_since: Option<Instant>,
    backfill_days: u32,
    scopes: Vec<String>,
    push: PushState,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    history_start: Option<Instant>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    connected_at: Option<Instant>,
}

impl From<Link> for ShownLink {
    fn from(link: Link) -> Self {
        Self {
            id: link.id,
            provider: link.provider,
            ehr: link.ehr,
            patient: link.patient,
            also: link.also,
            state: link.state,
            state_reason: link.state_reason,
            state_code: link.state_code,
            state_since: link.state_since,
            backfill_days: link.backfill_days,
            scopes: link.scopes,
            push: link.push,
            history_start: link.history_start,
            created_at: link.created_at,
            connected_at: link.connected_at,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLink {
    provider: ProviderName,
    ehr: EhrName,
    patient: PatientReference,
    /// Further EHR endpoints that the readings go to, and who the patient is there.
    #[serde(default)]
    also: Vec<Destination>,
    backfill_days: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedLink {
    #[serde(flatten)]
    link: ShownLink,
    /// Where to send the patient; absent where no consent is needed, because readings are brought.
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_url: Option<String>,
}

/// A pending link, and the address to send the patient to (good for seven days). Where
/// readings are brought, the link is active at once.
#[utoipa::path(post, path = "/api/base/provider-links/", operation_id = "createLink", tag = "base",
    request_body = NewLink, responses((status = 201, description = "The link", body = CreatedLink)))]
pub(crate) async fn create(
    State(links): State<Links>,
    InBody(body): InBody<NewLink>,
) -> Result<impl IntoResponse, Problem> {
    let new = body;
    let backfill_days = new.backfill_days.unwrap_or(DEFAULT_BACKFILL_DAYS);
    if backfill_days > MAX_BACKFILL_DAYS {
        let detail = format!("backfill_days must be 0 to {MAX_BACKFILL_DAYS}, got {backfill_days}");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let (app, _) = links.app(&new.provider).await.map_err(problem)?;
    let consent = ohx_providers::kind(&app.config.kind).is_none_or(|kind| kind.consent);
    let parts = links.parts();
    let mut link = Link::pending(new.provider, new.ehr, new.patient, backfill_days, parts.clock.now());
    link.also = new.also;
    let mut seen = BTreeSet::new();
    for (ehr, _) in link.destinations() {
        if !seen.insert(ehr) {
            let detail =
                format!("EHR endpoint {ehr} is named twice: a link's readings go to each endpoint once");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
        if parts.store.ehr(ehr).await.map_err(store_problem)?.is_none() {
            let detail = format!("EHR endpoint {ehr} is not configured: add it with ohx apply");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
    }
    parts.store.insert_link(&link).await.map_err(store_problem)?;
    if consent {
        let address = ticket::connect_address(parts, link.id).await.map_err(store_problem)?;
        let connect_url = Some(address.to_string());
        return Ok((StatusCode::CREATED, Json(CreatedLink { link: link.into(), connect_url })));
    }
    links.connect_without_consent(&link).await.map_err(problem)?;
    let link = links.get(link.id).await.map_err(problem)?;
    Ok((StatusCode::CREATED, Json(CreatedLink { link: link.into(), connect_url: None })))
}

#[derive(Serialize, ToSchema)]
#[schema(as = ConnectAddress)]
pub(crate) struct Address {
    connect_url: String,
}

/// A fresh address for a link that needs a consent.
#[utoipa::path(post, path = "/api/base/provider-links/{id}/initiate_oauth2/", operation_id = "initiateOauth2", tag = "base",
    params(("id" = LinkId, Path, description = "The link")), responses((status = 200, description = "The address", body = Address)))]
pub(crate) async fn connect_address(
    State(links): State<Links>,
    InPath(id): InPath<String>,
) -> Result<Json<Address>, Problem> {
    let link = links.get(read(&id)?).await.map_err(problem)?;
    let connect_url =
        ticket::connect_address(links.parts(), link.id).await.map_err(store_problem)?.to_string();
    Ok(Json(Address { connect_url }))
}

/// Where a browser comes back from a provider that knows this address: it is sent on to `/oauth/callback/{provider}`, which ends
/// the consent. That is the address that `redirect_uri` of a provider app says, and the one to register.
#[utoipa::path(get, path = "/api/base/provider-links/{provider}/oauth2_callback/", operation_id = "oauth2Callback",
    tag = "base", security(()), params(("provider" = ProviderName, Path, description = "The provider app")),
    responses((status = 303, description = "To the address that ends the consent")))]
pub(crate) async fn oauth2_callback(
    State(links): State<Links>,
    InPath(provider): InPath<String>,
    RawQuery(query): RawQuery,
) -> Result<impl IntoResponse, Problem> {
    let provider: ProviderName = read(&provider)?;
    let mut to = links.parts().public(&format!("oauth/callback/{provider}"));
    to.set_query(query.as_deref());
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to.to_string())]))
}

/// One link.
#[utoipa::path(get, path = "/api/base/provider-links/{id}/", operation_id = "getLink", tag = "base",
    params(("id" = LinkId, Path, description = "The link")), responses((status = 200, description = "The link", body = ShownLink)))]
pub(crate) async fn one(
    State(links): State<Links>,
    InPath(id): InPath<String>,
) -> Result<Json<ShownLink>, Problem> {
    let link = links.get(read(&id)?).await.map_err(problem)?;
    Ok(Json(link.into()))
}

/// A link to make in another one's place.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Successor {
    provider: ProviderName,
}

/// A pending link of the same patient, EHR and history at a service that
/// replaces this one's, and the address to send the patient to. When the patient has consented with the same account, the
/// new link goes on where this one ended, and this one ends.
#[utoipa::path(post, path = "/api/base/provider-links/{id}/successor/", operation_id = "replaceLink", tag = "base",
    params(("id" = LinkId, Path, description = "The link that is replaced")), request_body = Successor, responses((status = 201, description = "The new link", body = CreatedLink)))]
pub(crate) async fn successor(
    State(links): State<Links>,
    InPath(id): InPath<String>,
    InBody(body): InBody<Successor>,
) -> Result<impl IntoResponse, Problem> {
    let Successor { provider } = body;
    let older = links.get(read(&id)?).await.map_err(problem)?;
    let (app, _) = links.app(&older.provider).await.map_err(problem)?;
    let (newer, _) = links.app(&provider).await.map_err(problem)?;
    let replaced = ohx_providers::kind(&app.config.kind).and_then(|kind| kind.replaced_by);
    if replaced != Some(newer.config.kind.as_str()) {
        let detail = match replaced {
            Some(by) => format!(
                "{} is replaced by apps of type {by}, and {provider} is {}",
                older.provider, newer.config.kind
            ),
            None => format!("provider app {} is of a type that nothing replaces", older.provider),
        };
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let parts = links.parts();
    let mut link = Link::pending(provider, older.ehr, older.patient, older.backfill_days, parts.clock.now());
    link.also = older.also;
    parts.store.insert_link(&link).await.map_err(store_problem)?;
    let address = ticket::connect_address(parts, link.id).await.map_err(store_problem)?;
    let connect_url = Some(address.to_string());
    Ok((StatusCode::CREATED, Json(CreatedLink { link: link.into(), connect_url })))
}

/// What ending a link did.
#[derive(Serialize, ToSchema)]
#[schema(as = Disconnected)]
pub(crate) struct Ended {
    state: LinkState,
    /// `revoked`, `not-offered` or `failed`.
    at_provider: &'static str,
    /// Why it failed at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Ends the grant at the provider as well as can be, and destroys the
/// link's key, tokens and account here whatever the provider says.
#[utoipa::path(post, path = "/api/base/provider-links/{id}/disconnect/", operation_id = "disconnectLink", tag = "base",
    params(("id" = LinkId, Path, description = "The link")), responses((status = 200, description = "What was done", body = Ended)))]
pub(crate) async fn disconnect(
    State(links): State<Links>,
    InPath(id): InPath<String>,
) -> Result<Json<Ended>, Problem> {
    let ended = links.disconnect(read(&id)?, "disconnected through the API").await.map_err(problem)?;
    let (at_provider, reason) = match ended {
        Disconnected::Revoked => ("revoked", None),
        Disconnected::NotOffered => ("not-offered", None),
        Disconnected::Failed(reason) => ("failed", Some(reason)),
    };
    Ok(Json(Ended { state: LinkState::Disconnected, at_provider, reason }))
}

/// Which links.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    /// Only of this provider app.
    #[param(value_type = Option<ProviderName>)]
    provider: Option<String>,
    /// Only of this patient.
    #[param(value_type = Option<PatientReference>)]
    patient: Option<String>,
    /// Only in this state.
    state: Option<LinkState>,
    /// At most so many items: 1 to 1000, 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// Links by their ids, so by creation.
#[utoipa::path(get, path = "/api/base/provider-links/", operation_id = "listLinks", tag = "base",
    params(Listing), responses((status = 200, description = "Links", body = Page<ShownLink>)))]
pub(crate) async fn list(
    State(links): State<Links>,
    InQuery(listing): InQuery<Listing>,
) -> Result<Json<Page<ShownLink>>, Problem> {
    let limit = page::limit(listing.limit)?;
    let after: Option<LinkId> = page::key(LIST, listing.cursor.as_deref())?;
    let filter = LinkFilter {
        provider: narrowed("provider", listing.provider.as_deref())?,
        patient: narrowed("patient", listing.patient.as_deref())?,
        state: listing.state,
        after,
        limit,
    };
    let found = links.parts().store.links(&filter).await.map_err(store_problem)?;
    Ok(Json(Page::new(LIST, found, limit, |link| link.id.to_string())))
}
