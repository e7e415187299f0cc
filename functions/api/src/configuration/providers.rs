//! Provider apps, and the types of provider.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode, header};
use ipnet::IpNet;
use ohx_domain::{ProviderApp, ProviderName, Record};
use ohx_link::{Links, ProviderReport};
use ohx_providers::catalogue::Listed;
use ohx_runtime::Problem;
use ohx_store::{Configured, Kept, SecretChange, Seen};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use utoipa::ToSchema;

use super::{Wrong, check_provider, check_reach, ehrs::told};
use crate::access::audit::Audited;
use crate::http::etag::{changed, etag, if_match};
use crate::http::{InBody, InPath, InQuery, Page, Paging};
use crate::{problem, read, store_problem};

/// A provider app. No secret is among it.
#[derive(Serialize, ToSchema)]
#[schema(as = Provider)]
pub(crate) struct ShownApp {
    name: ProviderName,
    #[serde(rename = "type")]
    kind: String,
    client_id: String,
    /// Whether secrets are kept.
    has_secret: bool,
    /// Where the app's registration at the provider has to point.
    redirect_uri: String,
    /// Where the provider has to send notifications, where it calls one address for all patients.
    notification_uri: String,
    #[schema(value_type = BTreeMap<String, String>)]
    base_urls: BTreeMap<String, Url>,
    scopes: Vec<String>,
    records: Vec<Record>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_minute: Option<u32>,
    #[schema(value_type = Vec<String>)]
    notify_from: Vec<IpNet>,
    options: BTreeMap<String, String>,
}

impl ShownApp {
    fn new(links: &Links, Kept { config, has_secret, .. }: Kept<ProviderApp>) -> Self {
        Self {
            redirect_uri: links.parts().public(&format!("oauth/callback/{}", config.name)).to_string(),
            notification_uri: links.app_callback(&config.name).to_string(),
            name: config.name,
            kind: config.kind,
            client_id: config.client_id,
            has_secret,
            base_urls: config.base_urls,
            scopes: config.scopes,
            records: config.records,
            requests_per_minute: config.requests_per_minute,
            notify_from: config.notify_from,
            options: config.options,
        }
    }
}

/// A provider app as it is to be. What is left out has its default; secrets stay as they are where none is given.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProvider)]
pub(crate) struct NewApp {
    /// Needed to make one; to replace one, it is the address's.
    name: Option<ProviderName>,
    /// The type of provider.
    #[serde(rename = "type")]
    kind: String,
    /// The app's client id at the provider.
    client_id: String,
    /// Only ever written.
    #[schema(value_type = Option<String>, write_only)]
    client_secret: Option<SecretString>,
    /// Further secrets, by the type's own names. Only ever written, and together with the client secret.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>, write_only)]
    secrets: BTreeMap<String, SecretString>,
    #[serde(default)]
    options: BTreeMap<String, String>,
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    base_urls: BTreeMap<String, Url>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    records: Vec<Record>,
    /// Calls a minute that all links of this app share.
    #[schema(minimum = 1)]
    requests_per_minute: Option<u32>,
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    notify_from: Vec<IpNet>,
}

impl NewApp {
    /// The app, checked, and its secrets, sealed.
    fn checked(self, links: &Links, name: ProviderName) -> Result<(ProviderApp, Option<Vec<u8>>), Problem> {
        let app = ProviderApp {
            name,
            kind: self.kind,
            client_id: self.client_id,
            base_urls: self.base_urls,
            scopes: self.scopes,
            records: self.records,
            requests_per_minute: self.requests_per_minute,
            notify_from: self.notify_from,
            options: self.options,
        };
        check_provider(&app, self.secrets.keys())?;
        for (of, url) in &app.base_urls {
            check_reach(links, &format!("base_urls/{of}"), url)?;
        }
        let mut secrets = self.secrets;
        if let Some(secret) = self.client_secret {
            secrets.insert(ohx_link::secrets::CLIENT.to_owned(), secret);
        }
        if secrets.is_empty() {
            return Ok((app, None));
        }
        let sealed = ohx_link::secrets::seal(&links.parts().keyring, &app.name, &secrets);
        Ok((app, Some(sealed.map_err(problem)?)))
    }
}

async fn kept(links: &Links, name: &ProviderName) -> Result<Kept<ProviderApp>, Problem> {
    let kept = links.parts().store.kept_provider(name).await.map_err(store_problem)?;
    kept.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("provider app {name} is not known")))
}

/// Every type of provider with its records, capabilities and limits, by name.
#[utoipa::path(get, path = "/api/base/provider-types/", operation_id = "listProviderTypes", tag = "base", params(Paging),
    responses((status = 200, description = "Types of provider", body = Page<Listed>)))]
pub(crate) async fn types(
    State(links): State<Links>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Json<Page<Listed>>, Problem> {
    let mut all = links.catalogue();
    all.sort_by_key(|listed| listed.kind);
    Page::of("provider-types", all, &paging, |listed| listed.kind.to_owned()).map(Json)
}

/// The provider apps by name, with the addresses to register for each.
#[utoipa::path(get, path = "/api/base/providers/", operation_id = "listProviders", tag = "base", params(Paging),
    responses((status = 200, description = "Provider apps", body = Page<ShownApp>)))]
pub(crate) async fn list(
    State(links): State<Links>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Json<Page<ShownApp>>, Problem> {
    let all = links.parts().store.kept_providers().await.map_err(store_problem)?;
    let shown = all.into_iter().map(|kept| ShownApp::new(&links, kept));
    Page::of("providers", shown, &paging, |app| app.name.to_string()).map(Json)
}

/// One provider app. Its ETag is what a change of it has to name.
#[utoipa::path(get, path = "/api/base/providers/{name}/", operation_id = "getProvider", tag = "base",
    params(("name" = ProviderName, Path, description = "The app")),
    responses((status = 200, description = "The app", body = ShownApp,
        headers(("ETag" = String, description = "Its state")))))]
pub(crate) async fn one(
    State(links): State<Links>,
    InPath(name): InPath<String>,
) -> Result<impl IntoResponse, Problem> {
    let kept = kept(&links, &read(&name)?).await?;
    Ok((etag(kept.revision), Json(ShownApp::new(&links, kept))))
}

/// Adds a provider app.
#[utoipa::path(post, path = "/api/base/providers/", operation_id = "createProvider", tag = "base", request_body = NewApp,
    responses((status = 201, description = "The app", body = ShownApp, headers(
        ("ETag" = String, description = "Its state"), ("Location" = String, description = "Its address")))))]
pub(crate) async fn create(
    State(links): State<Links>,
    InBody(mut new): InBody<NewApp>,
) -> Result<impl IntoResponse, Problem> {
    let name = new.name.take().ok_or_else(|| Wrong::new("name", "name is missing"))?;
    let (app, sealed) = new.checked(&links, name.clone())?;
    let change = sealed.as_deref().map_or(SecretChange::Clear, SecretChange::Set);
    let parts = links.parts();
    let added = parts.store.put_provider_seen(&app, change, Seen::Absent, parts.clock.now());
    let Some(revision) = added.await.map_err(store_problem)? else {
        let detail = format!("provider app {name} is there already: replace it with PUT");
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    };
    tracing::info!(provider = %name, "a provider app was added");
    let location = [(header::LOCATION, format!("/api/base/providers/{name}/"))];
    let shown = ShownApp::new(&links, Kept { config: app, has_secret: sealed.is_some(), revision });
    let audited = Extension(Audited::new(format!("provider:{name}"), Value::Null));
    Ok((StatusCode::CREATED, etag(revision), location, audited, Json(shown)))
}

/// Replaces a provider app. Its secrets stay where none is given; they are replaced together.
#[utoipa::path(put, path = "/api/base/providers/{name}/", operation_id = "replaceProvider", tag = "base",
    params(("name" = ProviderName, Path, description = "The app"),
        ("If-Match" = String, Header, description = "The ETag of the state that was seen")),
    request_body = NewApp,
    responses((status = 200, description = "The app", body = ShownApp,
        headers(("ETag" = String, description = "Its state")))))]
pub(crate) async fn replace(
    State(links): State<Links>,
    InPath(name): InPath<String>,
    headers: HeaderMap,
    InBody(new): InBody<NewApp>,
) -> Result<impl IntoResponse, Problem> {
    let name: ProviderName = read(&name)?;
    let seen = if_match(&headers)?;
    if new.name.as_ref().is_some_and(|given| *given != name) {
        return Err(Wrong::new("name", "an app keeps its name: links refer to it").into());
    }
    let before = kept(&links, &name).await?;
    if before.config.kind != new.kind {
        return Err(Wrong::new("type", "an app keeps its type: links depend on it").into());
    }
    let (app, sealed) = new.checked(&links, name.clone())?;
    let change = sealed.as_deref().map_or(SecretChange::Keep, SecretChange::Set);
    let parts = links.parts();
    let put = parts.store.put_provider_seen(&app, change, Seen::At(seen), parts.clock.now());
    let revision = put.await.map_err(store_problem)?.ok_or_else(changed)?;
    tracing::info!(provider = %name, "a provider app was replaced");
    let has_secret = sealed.is_some() || before.has_secret;
    Ok((etag(revision), Json(ShownApp::new(&links, Kept { config: app, has_secret, revision }))))
}

/// Removes a provider app with its secrets, where no link uses it that has not ended.
#[utoipa::path(delete, path = "/api/base/providers/{name}/", operation_id = "removeProvider", tag = "base",
    params(("name" = ProviderName, Path, description = "The app"),
        ("If-Match" = String, Header, description = "The ETag of the state that was seen")),
    responses((status = 204, description = "It is gone")))]
pub(crate) async fn remove(
    State(links): State<Links>,
    InPath(name): InPath<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let name: ProviderName = read(&name)?;
    let seen = if_match(&headers)?;
    let removed = links.parts().store.remove_configured(Configured::Provider(&name), seen).await;
    told(removed.map_err(store_problem)?, &format!("provider app {name}"))
}

/// Asks a provider whether it takes an app's client id and secret. No patient is needed, and nothing changes there.
#[utoipa::path(post, path = "/api/base/providers/{name}/check/", operation_id = "checkProvider", tag = "base",
    params(("name" = ProviderName, Path, description = "The app")),
    responses((status = 200, description = "What it says", body = ProviderReport)))]
pub(crate) async fn check(
    State(links): State<Links>,
    InPath(name): InPath<String>,
) -> Result<Json<ProviderReport>, Problem> {
    let name: ProviderName = read(&name)?;
    // The client's own word for it is that something refers to what is not there; here the address does.
    kept(&links, &name).await?;
    links.examine_provider(&name).await.map(Json).map_err(problem)
}
