//! EHR endpoints, as they are configured and as they answer.

use axum::extract::State;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode, header};
use ohx_domain::{
    BundleKind, EhrAuth, EhrEndpoint, EhrName, EhrOAuth, FhirVersion, SigningAlgorithm, WriteStrategy,
};
use ohx_link::ehr::secret_place;
use ohx_link::signing::OVERLAP;
use ohx_link::{EhrReport, Links};
use ohx_runtime::Problem;
use ohx_store::{Configured, Kept, SecretChange, Seen, Uses};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use utoipa::ToSchema;

use super::{Wrong, auth_name, check_ehr, check_reach};
use crate::access::audit::Audited;
use crate::http::etag::{changed, etag, if_match};
use crate::http::{InBody, InPath, InQuery, Page, Paging};
use crate::{problem, read, store_problem};

/// An EHR endpoint. No secret is among it.
#[derive(Serialize, ToSchema)]
#[schema(as = EhrEndpoint)]
pub(crate) struct ShownEhr {
    name: EhrName,
    /// What patients know it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[schema(value_type = String, format = "uri")]
    base_url: Url,
    fhir_version: FhirVersion,
    auth: EhrAuth,
    #[serde(skip_serializing_if = "Option::is_none")]
    oauth: Option<EhrOAuth>,
    /// Whether a token or a client secret is kept.
    has_secret: bool,
    /// Where the authorization server finds our public keys, where `auth` signs with them: to be registered there.
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    strategy: WriteStrategy,
    bundle: BundleKind,
    batch_size: usize,
    concurrency: u32,
    provenance: bool,
}

impl ShownEhr {
    fn new(links: &Links, Kept { config, has_secret, .. }: Kept<EhrEndpoint>) -> Self {
        let signs = matches!(config.auth, EhrAuth::SmartBackend | EhrAuth::JwtBearer);
        Self {
            jwks_uri: signs.then(|| links.parts().public(".well-known/jwks.json").to_string()),
            name: config.name,
            title: config.title,
            base_url: config.base_url,
            fhir_version: config.fhir_version,
            auth: config.auth,
            oauth: config.oauth,
            has_secret,
            strategy: config.strategy,
            bundle: config.bundle,
            batch_size: config.batch_size,
            concurrency: config.concurrency,
            provenance: config.provenance,
        }
    }
}

/// An EHR endpoint as it is to be. What is left out has its default; a secret that is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEhr {
    /// Needed to make one; to replace one, it is the address's.
    name: Option<EhrName>,
    /// What patients know it by, such as `St. Anna Hospital`. Without it they read of "your clinic".
    #[schema(min_length = 1, max_length = 120)]
    title: Option<String>,
    /// The FHIR base URL.
    #[schema(value_type = String, format = "uri")]
    base_url: Url,
    auth: Option<EhrAuth>,
    oauth: Option<EhrOAuth>,
    /// For auth `bearer`: the token. Only ever written.
    #[schema(value_type = Option<String>, write_only)]
    token: Option<SecretString>,
    /// For auth `client-credentials`: the client secret. Only ever written.
    #[schema(value_type = Option<String>, write_only)]
    client_secret: Option<SecretString>,
    fhir_version: Option<FhirVersion>,
    strategy: Option<WriteStrategy>,
    bundle: Option<BundleKind>,
    /// Entries in one bundle at most.
    #[schema(minimum = 1, maximum = 500)]
    batch_size: Option<usize>,
    /// Requests at the same time.
    #[schema(minimum = 1, maximum = 64)]
    concurrency: Option<u32>,
    /// Whether a Provenance is written with each bundle.
    provenance: Option<bool>,
}

impl NewEhr {
    /// The endpoint, checked, and the secret that belongs to it.
    fn checked(self, links: &Links, name: EhrName) -> Result<(EhrEndpoint, Option<SecretString>), Wrong> {
        let default = if self.token.is_some() { EhrAuth::Bearer } else { EhrAuth::None };
        let auth = self.auth.unwrap_or(default);
        let mut endpoint = EhrEndpoint::new(name, self.base_url);
        endpoint.title = self.title;
        endpoint.auth = auth;
        endpoint.oauth = self.oauth;
        endpoint.fhir_version = self.fhir_version.unwrap_or(endpoint.fhir_version);
        endpoint.strategy = self.strategy.unwrap_or(endpoint.strategy);
        endpoint.bundle = self.bundle.unwrap_or(endpoint.bundle);
        endpoint.batch_size = self.batch_size.unwrap_or(endpoint.batch_size);
        endpoint.concurrency = self.concurrency.unwrap_or(endpoint.concurrency);
        endpoint.provenance = self.provenance.unwrap_or(endpoint.provenance);
        check_ehr(&endpoint)?;
        check_reach(links, "base_url", &endpoint.base_url)?;
        if let Some(url) = endpoint.oauth.as_ref().and_then(|oauth| oauth.token_url.as_ref()) {
            check_reach(links, "oauth/token_url", url)?;
        }
        let is = auth_name(auth);
        for (field, given, belongs, to) in [
            ("token", &self.token, auth == EhrAuth::Bearer, "bearer"),
            ("client_secret", &self.client_secret, auth == EhrAuth::ClientCredentials, "client-credentials"),
        ] {
            if given.is_some() && !belongs {
                return Err(Wrong::new(field, format!("{field} is for auth {to}; auth is {is}")));
            }
            if given.as_ref().is_some_and(|secret| secret.expose_secret().is_empty()) {
                return Err(Wrong::new(field, format!("{field} must not be empty")));
            }
        }
        Ok((endpoint, self.token.or(self.client_secret)))
    }
}

fn lacks_secret(auth: EhrAuth) -> Wrong {
    let field = if auth == EhrAuth::Bearer { "token" } else { "client_secret" };
    Wrong::new(field, format!("{field} is missing: auth {} needs it", auth_name(auth)))
}

/// Makes the signing keys that an endpoint may need and that are not there yet.
async fn make_keys(links: &Links, endpoint: &EhrEndpoint) -> Result<(), Problem> {
    if !matches!(endpoint.auth, EhrAuth::SmartBackend | EhrAuth::JwtBearer) {
        return Ok(());
    }
    let chosen = endpoint.oauth.as_ref().and_then(|oauth| oauth.algorithm);
    // Which one the server takes is only known when it is asked.
    let needed = chosen.map_or(SigningAlgorithm::ALL.to_vec(), |algorithm| vec![algorithm]);
    for algorithm in needed {
        if let Some(kid) = links.signing_keys().rotate(algorithm, OVERLAP, true).await.map_err(problem)? {
            tracing::info!(kid, algorithm = algorithm.as_str(), "a signing key was made");
        }
    }
    Ok(())
}

fn seal(links: &Links, name: &EhrName, secret: &SecretString) -> Result<Vec<u8>, Problem> {
    let sealed = links.parts().keyring.seal(&secret_place(name), secret.expose_secret().as_bytes());
    sealed.map_err(|e| Problem::new(StatusCode::SERVICE_UNAVAILABLE, e.to_string()))
}

fn unknown(name: &EhrName) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("EHR endpoint {name} is not known"))
}

async fn kept(links: &Links, name: &EhrName) -> Result<Kept<EhrEndpoint>, Problem> {
    links.parts().store.kept_ehr(name).await.map_err(store_problem)?.ok_or_else(|| unknown(name))
}

/// The EHR endpoints, by name.
#[utoipa::path(get, path = "/api/publishers/ehr-endpoints/", operation_id = "listEhrEndpoints", tag = "publishers",
    params(Paging), responses((status = 200, description = "EHR endpoints", body = Page<ShownEhr>)))]
pub(crate) async fn list(
    State(links): State<Links>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Json<Page<ShownEhr>>, Problem> {
    let all = links.parts().store.kept_ehrs().await.map_err(store_problem)?;
    let shown = all.into_iter().map(|kept| ShownEhr::new(&links, kept));
    Page::of("ehr-endpoints", shown, &paging, |ehr| ehr.name.to_string()).map(Json)
}

/// One EHR endpoint. Its ETag is what a change of it has to name.
#[utoipa::path(get, path = "/api/publishers/ehr-endpoints/{name}/", operation_id = "getEhrEndpoint", tag = "publishers",
    params(("name" = EhrName, Path, description = "The endpoint")),
    responses((status = 200, description = "The endpoint", body = ShownEhr,
        headers(("ETag" = String, description = "Its state")))))]
pub(crate) async fn one(
    State(links): State<Links>,
    InPath(name): InPath<String>,
) -> Result<impl IntoResponse, Problem> {
    let kept = kept(&links, &read(&name)?).await?;
    Ok((etag(kept.revision), Json(ShownEhr::new(&links, kept))))
}

/// Adds an EHR endpoint.
#[utoipa::path(post, path = "/api/publishers/ehr-endpoints/", operation_id = "createEhrEndpoint", tag = "publishers",
    request_body = NewEhr,
    responses((status = 201, description = "The endpoint", body = ShownEhr, headers(
        ("ETag" = String, description = "Its state"), ("Location" = String, description = "Its address")))))]
pub(crate) async fn create(
    State(links): State<Links>,
    InBody(mut new): InBody<NewEhr>,
) -> Result<impl IntoResponse, Problem> {
    let name = new.name.take().ok_or_else(|| Wrong::new("name", "name is missing"))?;
    let (endpoint, secret) = new.checked(&links, name.clone())?;
    if endpoint.auth.uses_secret() && secret.is_none() {
        return Err(lacks_secret(endpoint.auth).into());
    }
    make_keys(&links, &endpoint).await?;
    let sealed = secret.map(|secret| seal(&links, &name, &secret)).transpose()?;
    let change = sealed.as_deref().map_or(SecretChange::Clear, SecretChange::Set);
    let parts = links.parts();
    let added = parts.store.put_ehr_seen(&endpoint, change, Seen::Absent, parts.clock.now());
    let Some(revision) = added.await.map_err(store_problem)? else {
        let detail = format!("EHR endpoint {name} is there already: replace it with PUT");
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    };
    tracing::info!(ehr = %name, "an EHR endpoint was added");
    let location = [(header::LOCATION, format!("/api/publishers/ehr-endpoints/{name}/"))];
    let shown = ShownEhr::new(&links, Kept { config: endpoint, has_secret: sealed.is_some(), revision });
    let audited = Extension(Audited::new(format!("ehr:{name}"), Value::Null));
    Ok((StatusCode::CREATED, etag(revision), location, audited, Json(shown)))
}

/// Replaces an EHR endpoint. A secret that is left out stays, where `auth` stays.
#[utoipa::path(put, path = "/api/publishers/ehr-endpoints/{name}/", operation_id = "replaceEhrEndpoint",
    tag = "publishers",
    params(("name" = EhrName, Path, description = "The endpoint"),
        ("If-Match" = String, Header, description = "The ETag of the state that was seen")),
    request_body = NewEhr,
    responses((status = 200, description = "The endpoint", body = ShownEhr,
        headers(("ETag" = String, description = "Its state")))))]
pub(crate) async fn replace(
    State(links): State<Links>,
    InPath(name): InPath<String>,
    headers: HeaderMap,
    InBody(new): InBody<NewEhr>,
) -> Result<impl IntoResponse, Problem> {
    let name: EhrName = read(&name)?;
    let seen = if_match(&headers)?;
    if new.name.as_ref().is_some_and(|given| *given != name) {
        return Err(Wrong::new("name", "an endpoint keeps its name: links refer to it").into());
    }
    let before = kept(&links, &name).await?;
    let (endpoint, secret) = new.checked(&links, name.clone())?;
    let stays = before.has_secret && before.config.auth == endpoint.auth;
    let sealed = secret.map(|secret| seal(&links, &name, &secret)).transpose()?;
    let change = match &sealed {
        Some(sealed) => SecretChange::Set(sealed),
        None if !endpoint.auth.uses_secret() => SecretChange::Clear,
        None if stays => SecretChange::Keep,
        None => return Err(lacks_secret(endpoint.auth).into()),
    };
    make_keys(&links, &endpoint).await?;
    let parts = links.parts();
    let put = parts.store.put_ehr_seen(&endpoint, change, Seen::At(seen), parts.clock.now());
    let revision = put.await.map_err(store_problem)?.ok_or_else(changed)?;
    tracing::info!(ehr = %name, "an EHR endpoint was replaced");
    let has_secret = change != SecretChange::Clear;
    Ok((etag(revision), Json(ShownEhr::new(&links, Kept { config: endpoint, has_secret, revision }))))
}

/// Removes an EHR endpoint with its secret, where no link uses it that has not ended.
#[utoipa::path(delete, path = "/api/publishers/ehr-endpoints/{name}/", operation_id = "removeEhrEndpoint",
    tag = "publishers",
    params(("name" = EhrName, Path, description = "The endpoint"),
        ("If-Match" = String, Header, description = "The ETag of the state that was seen")),
    responses((status = 204, description = "It is gone")))]
pub(crate) async fn remove(
    State(links): State<Links>,
    InPath(name): InPath<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let name: EhrName = read(&name)?;
    let seen = if_match(&headers)?;
    let removed = links.parts().store.remove_configured(Configured::Ehr(&name), seen).await;
    told(removed.map_err(store_problem)?, &format!("EHR endpoint {name}"))
}

/// What is said of a removal.
pub(super) fn told(removed: Uses, what: &str) -> Result<StatusCode, Problem> {
    match removed {
        Uses::Removed => {
            tracing::info!(what, "it was removed from the configuration");
            Ok(StatusCode::NO_CONTENT)
        }
        Uses::Changed => Err(changed()),
        Uses::Links(n) => {
            let detail = format!("{what} is used by {n} link(s): disconnect them first");
            Err(Problem::new(StatusCode::CONFLICT, detail).with("links", n))
        }
    }
}

/// Asks an EHR endpoint what it is and whether it lets us in, and says what it does not do and what is done instead. Nothing is
/// written to it.
#[utoipa::path(post, path = "/api/publishers/ehr-endpoints/{name}/check/", operation_id = "checkEhrEndpoint",
    tag = "publishers", params(("name" = EhrName, Path, description = "The endpoint")),
    responses((status = 200, description = "What it is", body = EhrReport)))]
pub(crate) async fn check(
    State(links): State<Links>,
    InPath(name): InPath<String>,
) -> Result<Json<EhrReport>, Problem> {
    let name: EhrName = read(&name)?;
    // The client's own word for it is that something refers to what is not there; here the address does.
    kept(&links, &name).await?;
    links.examine_ehr(&name).await.map(Json).map_err(problem)
}
