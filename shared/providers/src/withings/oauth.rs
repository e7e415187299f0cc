//! Codes and refresh tokens into token pairs.
//!
//! Two things keep Withings' token endpoint from being plain OAuth 2.0: an extra `action` parameter, and the envelope
//! around the answer. [`Unwrapped`] takes the envelope off below the `oauth2` crate, which then sees the standard.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AsyncHttpClient, AuthType, AuthorizationCode, Client, ClientId, ClientSecret, ExtraTokenFields,
    HttpRequest, HttpResponse, RedirectUrl, RefreshToken, RequestTokenError, StandardRevocableToken,
    StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use ohx_domain::Account;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::call::{Answer, malformed};
use super::status::{Endpoint, refused};
use crate::bases::under;
use crate::loose::{Number, Text};
use crate::wire::{object, position};
use crate::{App, Grant, ProviderError};

const CALL: &str = "oauth2 requesttoken";

/// How long an access token lasts where the answer does not say: what the documentation says.
const ACCESS_TOKEN: Duration = Duration::from_secs(10_800);

/// What is turned into a token pair.
pub(super) enum Proof<'a> {
    /// A callback's code, with the redirect URI it was asked for with.
    Code { code: &'a SecretString, redirect: &'a Url },
    /// The refresh token of the last pair.
    Refresh { token: &'a SecretString },
}

/// What Withings adds to a token answer. It identifies a patient, so it prints as a placeholder.
#[derive(Clone, Serialize, Deserialize)]
struct UserId {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    userid: Option<String>,
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserId")
    }
}

impl ExtraTokenFields for UserId {}

type TokenAnswer = StandardTokenResponse<UserId, BasicTokenType>;

type WithingsClient = Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// Exchanges a proof for a token pair.
pub(super) async fn exchange(
    http: &reqwest::Client,
    api: &Url,
    app: &App,
    proof: Proof<'_>,
) -> Result<Grant, ProviderError> {
    let client = WithingsClient::new(ClientId::new(app.config.client_id.clone()))
        .set_client_secret(ClientSecret::new(app.secret.expose_secret().to_owned()))
        .set_auth_type(AuthType::RequestBody)
        .set_token_uri(TokenUrl::from_url(under(api, "v2/oauth2")));
    let unwrapped = Unwrapped(http.clone());
    let answer = match proof {
        Proof::Code { code, redirect } => {
            client
                .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
                .set_redirect_uri(std::borrow::Cow::Owned(RedirectUrl::from_url(redirect.clone())))
                .add_extra_param("action", "requesttoken")
                .request_async(&unwrapped)
                .await
        }
        Proof::Refresh { token } => {
            client
                .exchange_refresh_token(&RefreshToken::new(token.expose_secret().to_owned()))
                .add_extra_param("action", "requesttoken")
                .request_async(&unwrapped)
                .await
        }
    };
    grant(answer.map_err(error)?)
}

fn grant(answer: TokenAnswer) -> Result<Grant, ProviderError> {
    let missing = || malformed(CALL, "it has no refresh_token".into());
    let scopes = answer.scopes().map(|all| all.iter().map(|s| s.to_string()).collect()).unwrap_or_default();
    Ok(Grant {
        access_token: answer.access_token().secret().clone().into(),
        refresh_token: Some(answer.refresh_token().ok_or_else(missing)?.secret().clone().into()),
        expires_in: answer.expires_in().unwrap_or(ACCESS_TOKEN),
        scopes,
        account: answer.extra_fields().userid.clone().map(Account::new),
        former: None,
    })
}

/// The `oauth2` crate's error as ours. Its texts and bodies may hold tokens, so only kinds and positions are taken.
fn error(error: RequestTokenError<CallFailed, BasicErrorResponse>) -> ProviderError {
    match error {
        RequestTokenError::Request(CallFailed(error)) => error,
        RequestTokenError::ServerResponse(answer) => {
            let status = answer.error_description().and_then(|text| text.parse().ok()).unwrap_or(-1);
            refused(CALL, status, Endpoint::Token)
        }
        RequestTokenError::Parse(error, _) => malformed(CALL, position(error.inner())),
        RequestTokenError::Other(_) => malformed(CALL, "it is not an answer of a token endpoint".into()),
    }
}

/// Carries our error through the `oauth2` crate.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct CallFailed(ProviderError);

/// The client, with the envelope taken off.
struct Unwrapped(reqwest::Client);

/// What is inside the envelope, in Withings' types.
#[derive(Deserialize)]
struct Inside {
    access_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<Number>,
    scope: Option<String>,
    token_type: Option<String>,
    userid: Option<Text>,
}

/// The same in the types of RFC 6749, section 5.1.
#[derive(Serialize)]
struct Standard {
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    token_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    userid: Option<String>,
}

impl From<Inside> for Standard {
    fn from(inside: Inside) -> Self {
        // Comma-separated at Withings, space-separated in the standard.
        let scope =
            inside.scope.map(|s| s.split([',', ' ']).filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" "));
        Self {
            access_token: inside.access_token.filter(|t| !t.is_empty()),
            token_type: inside.token_type.unwrap_or_else(|| "Bearer".into()),
            expires_in: inside.expires_in.and_then(|n| u64::try_from(n.0).ok()),
            refresh_token: inside.refresh_token.filter(|t| !t.is_empty()),
            scope: scope.filter(|s| !s.is_empty()),
            userid: inside.userid.map(|id| id.0).filter(|id| !id.is_empty()),
        }
    }
}

/// RFC 6749, section 5.2, with Withings' status where its reader looks for it.
#[derive(Serialize)]
struct StandardError {
    error: &'static str,
    error_description: String,
}

fn response(status: http::StatusCode, body: &impl Serialize) -> Result<HttpResponse, CallFailed> {
    let failed = |problem: String| CallFailed(malformed(CALL, problem));
    let body = serde_json::to_vec(body).map_err(|e| failed(position(&e)))?;
    http::Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(|_| failed("it could not be unwrapped".into()))
}

fn unwrap(answer: &Answer) -> Result<HttpResponse, CallFailed> {
    let (status, body) = answer.envelope(CALL, Endpoint::Token).map_err(CallFailed)?;
    if status != 0 {
        let error = StandardError { error: "withings_status", error_description: status.to_string() };
        return response(http::StatusCode::BAD_REQUEST, &error);
    }
    let body = body.ok_or_else(|| CallFailed(malformed(CALL, "it has no body".into())))?;
    let inside: Inside =
        object(body.get().as_bytes()).map_err(|problem| CallFailed(malformed(CALL, problem)))?;
    response(http::StatusCode::OK, &Standard::from(inside))
}

impl<'c> AsyncHttpClient<'c> for Unwrapped {
    type Error = CallFailed;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, CallFailed>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let request = reqwest::Request::try_from(request);
            let response = match request {
                Ok(request) => self.0.execute(request).await,
                Err(error) => Err(error),
            };
            unwrap(&Answer::read(response, CALL).await.map_err(CallFailed)?)
        })
    }
}
