//! Token endpoints (RFC 6749), read leniently: numbers as text, another spelling of a field, an error in the provider's
//! own shape. What is odd is put right below the `oauth2` crate, which then sees the standard.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AsyncHttpClient, AuthType, AuthorizationCode, Client, ClientId, ClientSecret, ExtraTokenFields,
    HttpRequest, HttpResponse, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError,
    StandardRevocableToken, StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use ohx_domain::Account;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::loose::{Number, Text};
use crate::wire::{Answer, malformed, object, position};
use crate::{App, Grant, ProviderError, Remedy};

/// The S256 challenge of a PKCE verifier (RFC 7636, section 4.2).
pub(crate) fn challenge(verifier: &SecretString) -> String {
    BASE64URL_NOPAD.encode(&Sha256::digest(verifier.expose_secret()))
}

/// A token endpoint, and how it is spoken to.
pub(crate) struct TokenEndpoint<'a> {
    pub(crate) provider: &'static str,
    pub(crate) http: &'a reqwest::Client,
    pub(crate) url: Url,
    /// Client id and secret in the body, or as HTTP Basic.
    pub(crate) auth: AuthType,
    /// How long an access token lasts where the answer does not say.
    pub(crate) lasts: Duration,
}

/// What is turned into tokens.
pub(crate) enum Proof<'a> {
    /// A callback's code, with the redirect URI it was asked for with.
    Code { code: &'a SecretString, redirect: &'a Url, verifier: Option<&'a SecretString> },
    /// The refresh token of the last pair.
    Refresh { token: &'a SecretString },
    /// The app's own credentials, for a token that is nobody's (RFC 6749, section 4.4).
    Own,
}

/// A grant, and what else the answer may hold.
pub(crate) struct Tokens {
    pub(crate) grant: Grant,
    /// OpenID Connect's, as it was sent.
    pub(crate) id_token: Option<SecretString>,
}

/// What providers add to a token answer. It identifies a patient, so it prints as a placeholder.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Extra {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
}

impl std::fmt::Debug for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Extra")
    }
}

impl ExtraTokenFields for Extra {}

type TokenAnswer = StandardTokenResponse<Extra, BasicTokenType>;

type LenientClient = Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

impl TokenEndpoint<'_> {
    /// The call's name in errors.
    const CALL: &'static str = "the token endpoint";

    /// Exchanges a proof for tokens; `extra` are parameters beyond the standard's.
    pub(crate) async fn exchange(
        &self,
        app: &App,
        proof: Proof<'_>,
        extra: &[(&'static str, String)],
    ) -> Result<Tokens, ProviderError> {
        self.exchange_with(app, proof, extra, &HeaderMap::new()).await
    }

    /// The same with headers of the provider's own.
    pub(crate) async fn exchange_with(
        &self,
        app: &App,
        proof: Proof<'_>,
        extra: &[(&'static str, String)],
        headers: &HeaderMap,
    ) -> Result<Tokens, ProviderError> {
        let client = LenientClient::new(ClientId::new(app.config.client_id.clone()))
            .set_client_secret(ClientSecret::new(app.secret.expose_secret().to_owned()))
            .set_auth_type(self.auth.clone())
            .set_token_uri(TokenUrl::from_url(self.url.clone()));
        let lenient = Lenient { provider: self.provider, http: self.http.clone(), headers: headers.clone() };
        let answer = match proof {
            Proof::Code { code, redirect, verifier } => {
                let redirect = RedirectUrl::from_url(redirect.clone());
                let mut request = client
                    .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
                    .set_redirect_uri(std::borrow::Cow::Owned(redirect));
                if let Some(verifier) = verifier {
                    request =
                        request.set_pkce_verifier(PkceCodeVerifier::new(verifier.expose_secret().to_owned()));
                }
                for (name, value) in extra {
                    request = request.add_extra_param(*name, value.clone());
                }
                request.request_async(&lenient).await
            }
            Proof::Refresh { token } => {
                let token = RefreshToken::new(token.expose_secret().to_owned());
                let mut request = client.exchange_refresh_token(&token);
                for (name, value) in extra {
                    request = request.add_extra_param(*name, value.clone());
                }
                request.request_async(&lenient).await
            }
            Proof::Own => {
                let mut request = client.exchange_client_credentials();
                for (name, value) in extra {
                    request = request.add_extra_param(*name, value.clone());
                }
                request.request_async(&lenient).await
            }
        };
        self.tokens(answer.map_err(|e| self.error(e))?)
    }

    fn tokens(&self, answer: TokenAnswer) -> Result<Tokens, ProviderError> {
        let scopes =
            answer.scopes().map(|all| all.iter().map(|s| s.to_string()).collect()).unwrap_or_default();
        Ok(Tokens {
            grant: Grant {
                access_token: answer.access_token().secret().clone().into(),
                refresh_token: answer.refresh_token().map(|t| t.secret().clone().into()),
                expires_in: answer.expires_in().unwrap_or(self.lasts),
                scopes,
                account: answer.extra_fields().user_id.clone().map(Account::new),
                former: None,
            },
            id_token: answer.extra_fields().id_token.clone().map(SecretString::from),
        })
    }

    /// Ends a grant (RFC 7009). A token that is not known any more is as good as revoked.
    pub(crate) async fn revoke(
        &self,
        app: &App,
        url: Url,
        token: &SecretString,
        extra: &[(&'static str, &str)],
    ) -> Result<(), ProviderError> {
        self.revoke_with(app, url, token, extra, &HeaderMap::new()).await
    }

    /// The same with headers of the provider's own.
    pub(crate) async fn revoke_with(
        &self,
        app: &App,
        url: Url,
        token: &SecretString,
        extra: &[(&'static str, &str)],
        headers: &HeaderMap,
    ) -> Result<(), ProviderError> {
        let mut form = vec![("token", token.expose_secret())];
        form.extend_from_slice(extra);
        let mut request = self.http.post(url).headers(headers.clone());
        if matches!(self.auth, AuthType::BasicAuth) {
            request = request.basic_auth(&app.config.client_id, Some(app.secret.expose_secret()));
        } else {
            form.push(("client_id", &app.config.client_id));
            form.push(("client_secret", app.secret.expose_secret()));
        }
        let call = "revocation";
        let answer = Answer::read(self.provider, request.form(&form).send().await, call).await?;
        let error = standard_error(&answer.body);
        match error.as_deref() {
            _ if answer.status.is_success() => Ok(()),
            Some("invalid_token") if answer.status.is_client_error() => Ok(()),
            _ => Err(self.refused(call, answer.status, answer.retry_after(), error.as_deref())),
        }
    }

    /// The `oauth2` crate's error as ours. Its texts and bodies may hold tokens, so only kinds and positions are taken.
    fn error(&self, error: RequestTokenError<CallFailed, BasicErrorResponse>) -> ProviderError {
        let unreadable = |problem| malformed(self.provider, Self::CALL, problem);
        match error {
            RequestTokenError::Request(CallFailed::Ours(error)) => *error,
            RequestTokenError::Request(CallFailed::Refused { status, retry_after, error }) => {
                self.refused(Self::CALL, status, retry_after, error.as_deref())
            }
            RequestTokenError::Parse(error, _) => unreadable(position(error.inner())),
            RequestTokenError::ServerResponse(_) | RequestTokenError::Other(_) => {
                unreadable("it is not an answer of a token endpoint".into())
            }
        }
    }

    /// RFC 6749, section 5.2, by what helps.
    fn refused(
        &self,
        call: &str,
        status: StatusCode,
        retry_after: Option<Duration>,
        error: Option<&str>,
    ) -> ProviderError {
        let (remedy, meaning) = match (error, status) {
            (Some("invalid_grant" | "expired_token" | "invalid_token"), _) => (
                Remedy::Reauthorize,
                "the code or refresh token is not accepted any more: the patient has to connect again",
            ),
            (Some("invalid_client" | "unauthorized_client"), _) => {
                (Remedy::Permanent, "the app itself is not accepted: check its client_id and client_secret")
            }
            (_, StatusCode::TOO_MANY_REQUESTS) => {
                let after = retry_after.unwrap_or(Duration::from_secs(60)).min(LONGEST_PAUSE);
                (Remedy::SlowDown { after }, "too many requests: all calls of this app pause")
            }
            (_, status) if status.is_server_error() => {
                (Remedy::Retry { after: retry_after }, "an error at the provider: it is tried again")
            }
            (None, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => (
                Remedy::Retry { after: retry_after },
                "refused without a reason that can be read, perhaps by a proxy before the provider",
            ),
            _ => (Remedy::Permanent, "the request is not accepted: this is a defect, please report it"),
        };
        ProviderError::Refused {
            provider: self.provider,
            call: call.to_owned(),
            status: match error {
                Some(error) => format!("HTTP {} {error}", status.as_u16()),
                None => format!("HTTP {}", status.as_u16()),
            },
            meaning: meaning.to_owned(),
            remedy,
        }
    }
}

/// A Retry-After beyond this is not believed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Carries what happened through the `oauth2` crate.
#[derive(Debug, thiserror::Error)]
enum CallFailed {
    #[error(transparent)]
    Ours(Box<ProviderError>),
    #[error("HTTP {status}")]
    Refused { status: StatusCode, retry_after: Option<Duration>, error: Option<String> },
}

/// The client, with oddities put right.
struct Lenient {
    provider: &'static str,
    http: reqwest::Client,
    headers: HeaderMap,
}

/// A token answer, however it is written.
#[derive(Deserialize)]
struct Loose {
    access_token: Option<String>,
    refresh_token: Option<String>,
    #[serde(alias = "expiresIn")]
    expires_in: Option<Number>,
    scope: Option<String>,
    token_type: Option<String>,
    id_token: Option<String>,
    user_id: Option<Text>,
}

/// The same in the types of RFC 6749, section 5.1.
#[derive(Serialize)]
struct Standard {
    access_token: String,
    token_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(flatten)]
    extra: Extra,
}

fn present(text: Option<String>) -> Option<String> {
    text.filter(|t| !t.is_empty())
}

impl Lenient {
    fn standard(&self, answer: &Answer) -> Result<HttpResponse, CallFailed> {
        let failed = |problem: String| {
            CallFailed::Ours(Box::new(malformed(self.provider, TokenEndpoint::CALL, problem)))
        };
        if !answer.status.is_success() {
            return Err(CallFailed::Refused {
                status: answer.status,
                retry_after: answer.retry_after(),
                error: standard_error(&answer.body),
            });
        }
        let loose: Loose = object(&answer.body).map_err(failed)?;
        let standard = Standard {
            access_token: present(loose.access_token)
                .ok_or_else(|| failed("it has no access_token".into()))?,
            token_type: present(loose.token_type).unwrap_or_else(|| "Bearer".into()),
            expires_in: loose.expires_in.and_then(|n| u64::try_from(n.0).ok()),
            refresh_token: present(loose.refresh_token),
            scope: present(loose.scope),
            extra: Extra {
                id_token: present(loose.id_token),
                user_id: present(loose.user_id.map(|text| text.0)),
            },
        };
        let body = serde_json::to_vec(&standard).map_err(|e| failed(position(&e)))?;
        http::Response::builder()
            .status(StatusCode::OK)
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|_| failed("it could not be read".into()))
    }
}

/// The error code in a refusal: RFC 6749's `error`, or the first `errorType` of legacy Fitbit's list.
fn standard_error(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        error: Option<serde_json::Value>,
        #[serde(default)]
        errors: Vec<Listed>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Listed {
        error_type: String,
    }
    let refusal: Refusal = object(body).ok()?;
    let listed = refusal.errors.into_iter().next().map(|e| e.error_type);
    let code = refusal.error.as_ref().and_then(|e| e.as_str()).map(str::to_owned).or(listed)?;
    // A code, not a text: it is printed.
    (code.len() <= 40 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')).then_some(code)
}

impl<'c> AsyncHttpClient<'c> for Lenient {
    type Error = CallFailed;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, CallFailed>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let response = match reqwest::Request::try_from(request) {
                Ok(mut request) => {
                    let own = self.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
                    request.headers_mut().extend(own);
                    self.http.execute(request).await
                }
                Err(error) => Err(error),
            };
            let answer = Answer::read(self.provider, response, TokenEndpoint::CALL).await;
            self.standard(&answer.map_err(|e| CallFailed::Ours(Box::new(e)))?)
        })
    }
}
