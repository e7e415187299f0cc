//! Getting an access token (RFC 6749, section 4.4; RFC 7523).

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use ohx_domain::{EhrAuth, EhrOAuth, Instant, SecretIn, SigningAlgorithm};
use reqwest::RequestBuilder;
use reqwest::header::{ACCEPT, AUTHORIZATION, DATE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::assertion::{Claims, LASTS};
use super::refusal::{self, Asked};
use super::smart::SmartConfiguration;
use super::{Authorization, SigningError, SigningKey, scope};
use crate::client::http_date;
use crate::{EhrClient, EhrError};

pub(super) const CALL: &str = "an access token";

/// Before its end a token is renewed: the call that it is for may take a while.
const MARGIN: Duration = Duration::from_secs(60);

/// How long a token counts as good whose server does not say. SMART asks for no more.
const UNTOLD: u64 = 300;

/// The longest that a token is believed.
const LONGEST: u64 = 24 * 3600;

/// A difference of clocks that is worth telling, in seconds.
const SKEW: i64 = 30;

const CLIENT_CREDENTIALS: &str = "client_credentials";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const JWT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An access token.
pub(crate) struct Token {
    pub(super) access: SecretString,
    /// From when on another one is asked for.
    pub(super) renew_at: Instant,
}

impl Token {
    /// `lasts` in seconds. Of a short one the last quarter is not used.
    fn new(access: SecretString, now: Instant, lasts: u64) -> Self {
        let lasts = Duration::from_secs(lasts.min(LONGEST));
        Self { access, renew_at: now + (lasts - MARGIN.min(lasts / 4)) }
    }
}

/// RFC 6749, section 5.1.
#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    token_type: Option<String>,
    /// A number, which some servers write as a text.
    expires_in: Option<serde_json::Value>,
    scope: Option<String>,
}

impl Granted {
    fn lasts(&self) -> u64 {
        let told = self.expires_in.as_ref();
        told.and_then(|told| told.as_u64().or_else(|| told.as_str()?.parse().ok())).unwrap_or(UNTOLD)
    }
}

/// RFC 6749, section 2.3.1: both are form-encoded before they are joined.
fn basic(client_id: &str, secret: &SecretString) -> Option<HeaderValue> {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(client_id), encode(secret.expose_secret()));
    let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64.encode(pair.as_bytes()))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// By how many seconds the server's clock is ahead of ours, where it tells its time.
fn skew(headers: &HeaderMap, now: Instant) -> Option<i64> {
    let theirs = http_date(headers.get(DATE)?.to_str().ok()?)?;
    let ahead = theirs.as_second() - now.as_second();
    (ahead.abs() > SKEW).then_some(ahead)
}

impl Authorization {
    /// Asks for a token. `known` is the smart-configuration as far as it is remembered.
    pub(super) async fn obtain(
        &self,
        client: &EhrClient,
        known: &mut Option<(Option<SmartConfiguration>, Instant)>,
    ) -> Result<Token, EhrError> {
        let endpoint = &client.endpoint;
        let Some(oauth) = &endpoint.oauth else {
            return Err(client.unsupported("its oauth is missing: set oauth.client_id at least".into()));
        };
        if endpoint.auth == EhrAuth::JwtBearer && oauth.token_url.is_none() {
            return self.self_signed(client, oauth).await;
        }
        let smart = discovered(client, oauth, known).await?;
        let token_url = token_url(client, oauth, smart.as_ref())?;
        let scope = match &oauth.scope {
            Some(scope) => scope.clone(),
            None => scope::needed(endpoint, smart.as_ref().is_some_and(SmartConfiguration::only_v1)),
        };
        let mut asked = Asked { auth: endpoint.auth, oauth, scope: &scope, signed: None };
        let now = client.now();
        let (request, signed) = self.request(client, oauth, smart.as_ref(), &token_url, &scope, now).await?;
        asked.signed = signed;
        let response = request.send().await.map_err(|error| client.transport(CALL, &error))?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        if matches!(status, 408 | 425 | 429 | 500..=599) {
            return Err(client.busy(CALL, status, &headers));
        }
        let body = client.read(CALL, response).await?;
        if !(200..300).contains(&status) {
            return Err(refusal::refused(client, &asked, status, &body, skew(&headers, client.now())));
        }
        granted(client, &asked, &body, now)
    }

    /// The form of a grant, with its proof, and the key that signed it.
    async fn request(
        &self,
        client: &EhrClient,
        oauth: &EhrOAuth,
        smart: Option<&SmartConfiguration>,
        token_url: &Url,
        scope: &str,
        now: Instant,
    ) -> Result<(RequestBuilder, Option<Arc<SigningKey>>), EhrError> {
        let mut request = client.http.post(token_url.clone()).header(ACCEPT, "application/json");
        let mut form: Vec<(&str, &str)> = Vec::new();
        if !scope.is_empty() {
            form.push(("scope", scope));
        }
        if client.endpoint.auth == EhrAuth::ClientCredentials {
            let Some(secret) = &self.credentials.secret else {
                return Err(client.unsupported("no client secret is stored for it: set client_secret".into()));
            };
            form.push(("grant_type", CLIENT_CREDENTIALS));
            match oauth.secret_in {
                SecretIn::Basic => {
                    let header = basic(&oauth.client_id, secret);
                    let header =
                        header.ok_or_else(|| client.unsupported("its client_id is no text".into()))?;
                    request = request.header(AUTHORIZATION, header);
                }
                SecretIn::Body => {
                    form.push(("client_id", &oauth.client_id));
                    form.push(("client_secret", secret.expose_secret()));
                }
            }
            return Ok((request.form(&form), None));
        }
        let offered = smart.map_or(Some(SigningAlgorithm::default()), SmartConfiguration::algorithm);
        let algorithm = oauth.algorithm.or(offered).ok_or_else(|| {
            client.unsupported(
                "its smart-configuration takes neither ES384 nor RS384 for private_key_jwt".into(),
            )
        })?;
        let key = self.key(client, algorithm).await?;
        let audience = oauth.audience.as_deref().unwrap_or(token_url.as_str());
        let signed = if client.endpoint.auth == EhrAuth::JwtBearer {
            let jwt = key.sign(&grant(oauth, audience, now).asking(scope));
            form.push(("grant_type", JWT_BEARER));
            ("assertion", jwt)
        } else {
            form.push(("grant_type", CLIENT_CREDENTIALS));
            form.push(("client_assertion_type", JWT_ASSERTION));
            let claims = Claims::new(&oauth.client_id, &oauth.client_id, audience, now);
            ("client_assertion", key.sign(&claims))
        };
        let jwt = signed.1.map_err(|error| no_key(client, &error))?;
        form.push((signed.0, jwt.expose_secret()));
        Ok((request.form(&form), Some(key)))
    }

    /// A JWT that is the token.
    async fn self_signed(&self, client: &EhrClient, oauth: &EhrOAuth) -> Result<Token, EhrError> {
        let key = self.key(client, oauth.algorithm.unwrap_or_default()).await?;
        let now = client.now();
        let audience = oauth.audience.as_deref().unwrap_or(client.endpoint.base_url.as_str());
        let scope = oauth.scope.clone().unwrap_or_else(|| scope::needed(&client.endpoint, false));
        let jwt = key.sign(&grant(oauth, audience, now).asking(&scope));
        Ok(Token::new(jwt.map_err(|error| no_key(client, &error))?, now, LASTS.as_secs()))
    }

    async fn key(
        &self,
        client: &EhrClient,
        algorithm: SigningAlgorithm,
    ) -> Result<Arc<SigningKey>, EhrError> {
        let Some(keys) = &self.credentials.signing else {
            return Err(no_key(client, &SigningError::NoKey(algorithm)));
        };
        keys.signing_key(algorithm).await.map_err(|error| no_key(client, &error))
    }
}

fn no_key(client: &EhrClient, error: &SigningError) -> EhrError {
    match error {
        SigningError::Unavailable(_) => client.unavailable(CALL, error.to_string(), false),
        SigningError::NoKey(_) | SigningError::Unusable { .. } => client.unsupported(error.to_string()),
    }
}

/// RFC 7523, section 3.
fn grant<'c>(oauth: &'c EhrOAuth, audience: &'c str, now: Instant) -> Claims<'c> {
    let issuer = oauth.issuer.as_deref().unwrap_or(&oauth.client_id);
    Claims::new(issuer, oauth.subject.as_deref().unwrap_or(&oauth.client_id), audience, now)
}

/// The smart-configuration, where something is to be learnt from it.
async fn discovered(
    client: &EhrClient,
    oauth: &EhrOAuth,
    known: &mut Option<(Option<SmartConfiguration>, Instant)>,
) -> Result<Option<SmartConfiguration>, EhrError> {
    let signs = client.endpoint.auth != EhrAuth::ClientCredentials;
    let useful = oauth.token_url.is_none() || oauth.scope.is_none() || (signs && oauth.algorithm.is_none());
    if !useful {
        return Ok(None);
    }
    match client.smart_configuration(known).await {
        // Where the token URL is configured, the rest has defaults.
        Err(_) if oauth.token_url.is_some() => Ok(None),
        result => result,
    }
}

fn token_url(
    client: &EhrClient,
    oauth: &EhrOAuth,
    smart: Option<&SmartConfiguration>,
) -> Result<Url, EhrError> {
    if let Some(url) = &oauth.token_url {
        return Ok(url.clone());
    }
    let told = smart.and_then(|smart| smart.token_endpoint.clone()).ok_or_else(|| {
        client.unsupported(
            "it has no .well-known/smart-configuration that names a token_endpoint: set oauth.token_url"
                .into(),
        )
    })?;
    // Credentials that were to be sent over TLS must not be sent without because of a slip in that document.
    let as_safe =
        told.scheme() == "https" || (told.scheme() == "http" && client.endpoint.base_url.scheme() == "http");
    as_safe.then_some(told).ok_or_else(|| {
        client
            .unsupported("the token_endpoint of its smart-configuration does not begin with https://".into())
    })
}

fn granted(client: &EhrClient, asked: &Asked<'_>, body: &str, now: Instant) -> Result<Token, EhrError> {
    let unusable = |code: &str, problem: String| refusal::no_token(client, code, problem);
    let granted: Granted = serde_json::from_str(body).map_err(|_| {
        let problem = "its token URL does not answer as RFC 6749 says: check oauth.token_url";
        unusable("no-token-response", problem.into())
    })?;
    if granted.token_type.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(unusable("token-type", "it gives tokens of another type than bearer".into()));
    }
    let missing = match &granted.scope {
        // RFC 6749, section 5.1: left out where it is what was asked for.
        Some(scope) => scope::missing(asked.scope, scope),
        None => Vec::new(),
    };
    if !missing.is_empty() {
        return Err(unusable("scope", refusal::narrowed(asked, &missing)));
    }
    let lasts = granted.lasts();
    Ok(Token::new(granted.access_token, now, lasts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_form_encoded_first() {
        // RFC 6749, section 2.3.1 and appendix B.
        let header = basic("a:b c", &"s€c/r%t".to_owned().into()).unwrap();
        let text = header.to_str().unwrap().strip_prefix("Basic ").unwrap().to_owned();
        assert_eq!(BASE64.decode(text.as_bytes()).unwrap(), b"a%3Ab+c:s%E2%82%ACc%2Fr%25t");
        assert!(header.is_sensitive());
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        let now: Instant = "2026-11-21T10:00:00Z".parse().unwrap();
        let renewed = |lasts| {
            let at = Token::new("t".into(), now, lasts).renew_at;
            at.as_second() - now.as_second()
        };
        assert_eq!(renewed(3600), 3540);
        assert_eq!(renewed(60), 45);
        assert_eq!(renewed(0), 0);
        assert_eq!(renewed(u64::MAX), 86_340);
    }

    #[test]
    fn how_long_a_token_lasts_is_read_tolerantly() {
        let lasts = |expires: &str| {
            let text = format!(r#"{{"access_token":"t"{expires}}}"#);
            serde_json::from_str::<Granted>(&text).unwrap().lasts()
        };
        assert_eq!(lasts(r#","expires_in":60"#), 60);
        assert_eq!(lasts(r#","expires_in":"60""#), 60);
        assert_eq!(lasts(r#","expires_in":null"#), 300);
        assert_eq!(lasts(""), 300);
    }
}
