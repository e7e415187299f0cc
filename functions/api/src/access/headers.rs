//! What browsers are told with every answer, and which pages of others may ask at all.

use std::time::Duration;

use axum::Router;
use axum::middleware;
use axum::response::Response;
use http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH,
    IF_NONE_MATCH, LINK, LOCATION, REFERRER_POLICY, RETRY_AFTER, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method};
use ohx_runtime::settings::{SettingError, Settings};
use tower_http::cors::CorsLayer;
use url::Url;

const ORIGINS: &str = "OHX_CORS_ORIGINS";
/// How long a browser may keep the answer to "may I ask?".
const PREFLIGHT: Duration = Duration::from_secs(600);

/// What browsers are told.
#[derive(Clone, Default)]
pub(super) struct Headers {
    /// Whose pages may read our answers; nobody's, unless set.
    origins: Vec<HeaderValue>,
    hsts: Option<HeaderValue>,
}

impl Headers {
    /// `OHX_CORS_ORIGINS` and `OHX_HSTS_SECONDS`; both off unless set.
    pub(super) fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let text = settings.text(ORIGINS).unwrap_or_default();
        let origin = |one: &str| {
            let wrong = || SettingError::Wrong {
                name: ORIGINS,
                expected: "origins separated by blanks, such as https://app.example: no paths, and no *"
                    .into(),
                shown: Some(one.to_owned()),
            };
            let url: Url = one.parse().map_err(|_| wrong())?;
            let bare = matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == one;
            if bare { HeaderValue::from_str(one).map_err(|_| wrong()) } else { Err(wrong()) }
        };
        let origins = text.split([' ', ',']).filter(|one| !one.is_empty());
        let expected = "for how many seconds browsers are to come by https only, such as 31536000";
        let hsts = settings.parsed::<u64>("OHX_HSTS_SECONDS", expected)?;
        let hsts = hsts.and_then(|seconds| HeaderValue::from_str(&format!("max-age={seconds}")).ok());
        Ok(Self { origins: origins.map(origin).collect::<Result<_, _>>()?, hsts })
    }

    /// Puts them around `routes`.
    pub(super) fn around<S: Clone + Send + Sync + 'static>(&self, routes: Router<S>) -> Router<S> {
        let hsts = self.hsts.clone();
        let routes = routes.layer(middleware::map_response(move |response| {
            let hsts = hsts.clone();
            async move { told(response, hsts) }
        }));
        if self.origins.is_empty() {
            return routes;
        }
        // No cookies: who calls says so in each request, which no page of others' can make a browser do.
        let cors = CorsLayer::new()
            .allow_origin(self.origins.clone())
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([
                ACCEPT,
                AUTHORIZATION,
                CONTENT_TYPE,
                IF_MATCH,
                IF_NONE_MATCH,
                HeaderName::from_static("idempotency-key"),
                HeaderName::from_static("last-event-id"),
            ])
            .expose_headers([ETAG, LINK, LOCATION, RETRY_AFTER])
            .max_age(PREFLIGHT);
        routes.layer(cors)
    }
}

fn told(mut response: Response, hsts: Option<HeaderValue>) -> Response {
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // An answer of the API is no page: should a browser take it for one, nothing in it does anything.
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    if let Some(hsts) = hsts {
        headers.insert(STRICT_TRANSPORT_SECURITY, hsts);
    }
    response
}
