//! The project's own credential: a service account, which proves itself with a signed assertion (RFC 7523).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ohx_domain::Instant;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::call::malformed;
use super::status::refused;
use super::{Bases, KIND, SERVICE_ACCOUNT, configuration};
use crate::bases::under;
use crate::wire::{Answer, object};
use crate::{App, ProviderError, Remedy};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long an assertion is good, in seconds. Google allows an hour.
const GOOD: i64 = 600;

/// The JSON key of a service account, as Google's console gives it.
#[derive(Deserialize)]
struct Key {
    client_email: String,
    private_key: SecretString,
    #[serde(default)]
    private_key_id: Option<String>,
    token_uri: Option<Url>,
}

#[derive(Deserialize)]
struct Token {
    access_token: SecretString,
}

/// A token of the app's service account that opens the administration of the project.
pub(super) async fn token(
    http: &reqwest::Client,
    app: &App,
    now: Instant,
) -> Result<SecretString, ProviderError> {
    const CALL: &str = "the service account's token";
    let wrong = |problem: &str| configuration(app, format!("the secret {SERVICE_ACCOUNT} {problem}"));
    let secret = app.secrets.get(SERVICE_ACCOUNT).ok_or_else(|| {
        wrong("is not set: it is the JSON key of a service account of the Google Cloud project")
    })?;
    let key: Key = serde_json::from_str(secret.expose_secret()).map_err(|_| {
        wrong("should be the JSON key of a service account, with client_email and private_key")
    })?;
    let pair = pkcs8(key.private_key.expose_secret())
        .and_then(|der| KeyPair::from_pkcs8(&der).ok())
        .ok_or_else(|| wrong("has a private_key that is no RSA key in PKCS #8"))?;
    let own = under(&Bases::of(app)?.oauth, "token");
    let url = match key.token_uri {
        Some(uri) if !app.config.base_urls.contains_key("oauth") && uri.scheme() == "https" => uri,
        _ => own,
    };
    let assertion = assertion(&key.client_email, key.private_key_id.as_deref(), &url, &pair, now)
        .ok_or_else(|| wrong("has a private_key that cannot sign"))?;
    let form = [("grant_type", GRANT), ("assertion", assertion.expose_secret())];
    let answer = Answer::read(KIND, http.post(url).form(&form).send().await, CALL).await?;
    if answer.status.is_client_error() && answer.status != http::StatusCode::TOO_MANY_REQUESTS {
        return Err(ProviderError::Refused {
            provider: KIND,
            call: CALL.to_owned(),
            status: format!("HTTP {}", answer.status.as_u16()),
            meaning:
                "the service account is not accepted: check that its key has not been deleted, and the clock"
                    .into(),
            remedy: Remedy::Permanent,
        });
    }
    if !answer.status.is_success() {
        return Err(refused(CALL, &answer));
    }
    let token: Token = object(&answer.body).map_err(|problem| malformed(CALL, problem))?;
    Ok(token.access_token)
}

/// The DER inside a PEM `PRIVATE KEY`.
fn pkcs8(pem: &str) -> Option<Vec<u8>> {
    let body = pem.trim().strip_prefix("-----BEGIN PRIVATE KEY-----")?;
    let body = body.strip_suffix("-----END PRIVATE KEY-----")?;
    let text: String = body.split_ascii_whitespace().collect();
    BASE64.decode(text.as_bytes()).ok()
}

fn assertion(
    email: &str,
    id: Option<&str>,
    audience: &Url,
    pair: &KeyPair,
    now: Instant,
) -> Option<SecretString> {
    let mut header = json!({ "alg": "RS256", "typ": "JWT" });
    if let Some((header, id)) = header.as_object_mut().zip(id) {
        header.insert("kid".into(), id.into());
    }
    let issued = now.as_second();
    let claims = json!({
        "iss": email, "scope": SCOPE, "aud": audience.as_str(), "iat": issued, "exp": issued + GOOD,
    });
    let encoded = |value: &serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let message = format!("{}.{}", encoded(&header), encoded(&claims));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).ok()?;
    Some(format!("{message}.{}", BASE64URL_NOPAD.encode(&signature)).into())
}
