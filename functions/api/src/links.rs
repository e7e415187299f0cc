//! Links.

use std::collections::BTreeSet;

use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::{StatusCode, header};
use ohx_domain::{
    Destination, EhrName, Instant, Link, LinkId, LinkState, PatientReference, ProviderName, PushState,
};
use ohx_link::{Links, SignedReceipt, ticket};
use ohx_runtime::Problem;
use ohx_store::{LinkFilter, StepName, StepState};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::access::Principal;
use crate::access::audit::Audited;
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
    /// Where the patient's browser is sent once the consent is given, with `link` and `status` in its query; only an
    /// address that the operator allows. Without it, a page says that all is well.
    success_url: Option<String>,
    /// The same where nothing came of it.
    error_url: Option<String>,
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
    principal: Principal,
    InBody(body): InBody<NewLink>,
) -> Result<impl IntoResponse, Problem> {
    let new = body;
    let backfill_days = new.backfill_days.unwrap_or(DEFAULT_BACKFILL_DAYS);
    if backfill_days > MAX_BACKFILL_DAYS {
        let detail = format!("backfill_days must be 0 to {MAX_BACKFILL_DAYS}, got {backfill_days}");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    for (field, url) in [("success_url", &new.success_url), ("error_url", &new.error_url)] {
        if let Some(Err(why)) = url.as_deref().map(|url| links.redirects().allowed(url)) {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{field}: {why}")));
        }
    }
    let (app, _) = links.app(&new.provider).await.map_err(problem)?;
    let consent = ohx_providers::kind(&app.config.kind).is_none_or(|kind| kind.consent);
    let parts = links.parts();
    let mut link = Link::pending(new.provider, new.ehr, new.patient, backfill_days, parts.clock.now());
    link.also = new.also;
    (link.success_url, link.error_url) = (new.success_url, new.error_url);
    link.created_by = Some(principal.actor.clone());
    let mut seen = BTreeSet::new();
    for (ehr, _) in link.destinations() {
        principal.may_link(ehr)?;
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
    let audited = Extension(Audited::new(
        format!("link:{}", link.id),
        json!({"provider": link.provider, "ehr": link.ehr}),
    ));
    if consent {
        let address = ticket::connect_address(parts, link.id).await.map_err(store_problem)?;
        let connect_url = Some(address.to_string());
        return Ok((StatusCode::CREATED, audited, Json(CreatedLink { link: link.into(), connect_url })));
    }
    links.connect_without_consent(&link).await.map_err(problem)?;
    let link = links.get(link.id).await.map_err(problem)?;
    Ok((StatusCode::CREATED, audited, Json(CreatedLink { link: link.into(), connect_url: None })))
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
    principal: Principal,
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
    (link.success_url, link.error_url) = (older.success_url, older.error_url);
    link.created_by = Some(principal.actor);
    let audited = Extension(Audited::detail(json!({"successor": link.id})));
    parts.store.insert_link(&link).await.map_err(store_problem)?;
    let address = ticket::connect_address(parts, link.id).await.map_err(store_problem)?;
    let connect_url = Some(address.to_string());
    Ok((StatusCode::CREATED, audited, Json(CreatedLink { link: link.into(), connect_url })))
}

/// What ending a link did so far.
#[derive(Serialize, ToSchema)]
#[schema(as = Disconnected)]
pub(crate) struct Ended {
    state: LinkState,
    /// `revoked`, `not-offered` or `failed`; what failed for now is tried again.
    at_provider: &'static str,
    /// Why it failed at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(flatten)]
    receipt: SignedReceipt,
}

/// What is to be done beyond ending the link.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ending {
    /// Whether the readings that were published are marked `entered-in-error` at the EHR.
    mark_entered_in_error: bool,
}

/// Destroys the link's key, tokens and account whatever the provider says, and ends subscriptions and grant there as well as
/// can be. Answers with the signed receipt of what was done so far; what is left goes on by itself. The body may be empty.
#[utoipa::path(post, path = "/api/base/provider-links/{id}/disconnect/", operation_id = "disconnectLink", tag = "base",
    params(("id" = LinkId, Path, description = "The link")), request_body(content = Option<Ending>), responses((status = 200, description = "What was done", body = Ended)))]
pub(crate) async fn disconnect(
    State(links): State<Links>,
    InPath(id): InPath<String>,
    body: axum::body::Bytes,
) -> Result<Json<Ended>, Problem> {
    let ending: Ending = match body.trim_ascii() {
        [] => Ending::default(),
        // What was sent is not repeated.
        given => serde_json::from_slice::<Option<Ending>>(given)
            .map_err(|_| {
                let expected = "the body may be empty, or {\"mark_entered_in_error\": true} or false";
                Problem::new(StatusCode::BAD_REQUEST, expected)
            })?
            .unwrap_or_default(),
    };
    let ended = links
        .disconnect(read(&id)?, "disconnected through the API", ending.mark_entered_in_error)
        .await
        .map_err(problem)?;
    let revoke = ended.report.steps.iter().find(|step| step.step == StepName::Revoke);
    let (at_provider, reason) = match revoke.map(|step| (step.state, &step.why)) {
        Some((StepState::Done, _)) => ("revoked", None),
        Some((StepState::Pending | StepState::Failed, why)) => ("failed", why.clone()),
        Some((StepState::NotOffered | StepState::NotNeeded, _)) | None => ("not-offered", None),
    };
    let receipt = links.receipt(&ended).await.map_err(problem)?;
    Ok(Json(Ended { state: LinkState::Disconnected, at_provider, reason, receipt }))
}

/// How far the end of a link is by now, signed anew.
#[utoipa::path(get, path = "/api/base/provider-links/{id}/receipt/", operation_id = "linkReceipt", tag = "base",
    params(("id" = LinkId, Path, description = "The link")), responses((status = 200, description = "The receipt", body = SignedReceipt)))]
pub(crate) async fn receipt(
    State(links): State<Links>,
    InPath(id): InPath<String>,
) -> Result<Json<SignedReceipt>, Problem> {
    let ended = links.ended(read(&id)?).await.map_err(problem)?;
    Ok(Json(links.receipt(&ended).await.map_err(problem)?))
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
    principal: Principal,
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
        within: principal.within,
    };
    let found = links.parts().store.links(&filter).await.map_err(store_problem)?;
    Ok(Json(Page::new(LIST, found, limit, |link| link.id.to_string())))
}
