//! What a token endpoint refuses with, and what to do about it.
//!
//! Of its answer only the error code is told (RFC 6749, section 5.2): a description is free text.

use ohx_domain::{EhrAuth, EhrOAuth, SecretIn};
use serde::Deserialize;

use super::SigningKey;
use super::token::CALL;
use crate::{EhrClient, EhrError};

/// What was asked for.
pub(super) struct Asked<'a> {
    pub(super) auth: EhrAuth,
    pub(super) oauth: &'a EhrOAuth,
    pub(super) scope: &'a str,
    /// The key that signed, where one did.
    pub(super) signed: Option<std::sync::Arc<SigningKey>>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// An error code as the RFCs have them: short, and of letters that cannot be a message.
fn code(status: u16, body: &str) -> String {
    let plain = |code: &str| {
        (1..=40).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    let told = serde_json::from_str::<Refusal>(body).ok().map(|refusal| refusal.error);
    told.filter(|code| plain(code)).unwrap_or_else(|| format!("http-{status}"))
}

pub(super) fn no_token(client: &EhrClient, code: &str, problem: String) -> EhrError {
    EhrError::NoToken { ehr: client.endpoint.name.clone(), code: code.to_owned(), problem }
}

/// The error for an answer with status 3xx or 4xx. `skew` is by how many seconds the server's clock is ahead of ours.
pub(super) fn refused(
    client: &EhrClient,
    asked: &Asked<'_>,
    status: u16,
    body: &str,
    skew: Option<i64>,
) -> EhrError {
    if (300..400).contains(&status) {
        let problem = "its token URL redirects: set oauth.token_url to the address it redirects to";
        return no_token(client, &format!("http-{status}"), problem.into());
    }
    let code = code(status, body);
    if matches!(code.as_str(), "temporarily_unavailable" | "server_error") {
        return client.unavailable(CALL, code, false);
    }
    let mut problem = advice(asked, &code);
    if let Some(ahead) = skew {
        let (seconds, way) = (ahead.unsigned_abs(), if ahead > 0 { "behind" } else { "ahead of" });
        problem.push_str(&format!(
            ". The clock of this machine is {seconds} s {way} the server's: set the wrong one right"
        ));
    }
    no_token(client, &code, problem)
}

fn advice(asked: &Asked<'_>, code: &str) -> String {
    let client_id = &asked.oauth.client_id;
    match (code, &asked.signed) {
        ("invalid_client", Some(key)) => format!(
            "it does not accept what client {client_id} signs with {} (key {}): register there the JWKS URL of OHX, \
             <OHX_PUBLIC_URL>/.well-known/jwks.json, and see that the server can read it",
            key.algorithm().as_str(),
            key.kid()
        ),
        ("invalid_client", None) => {
            let place = match asked.oauth.secret_in {
                SecretIn::Basic => "basic",
                SecretIn::Body => "body",
            };
            format!(
                "it does not know client {client_id} or refuses its secret: check oauth.client_id, client_secret and \
                 oauth.secret_in, which is {place}"
            )
        }
        ("invalid_scope", _) => format!(
            "it does not allow client {client_id} the scopes {:?}: allow them there, or set oauth.scope to those that it \
             may have",
            asked.scope
        ),
        ("invalid_grant", _) => {
            "it does not accept the assertion: check oauth.issuer, oauth.subject and oauth.audience"
                .to_owned()
        }
        ("unauthorized_client" | "unsupported_grant_type", _) => {
            let grant = if asked.auth == EhrAuth::JwtBearer { "jwt-bearer" } else { "client_credentials" };
            format!("client {client_id} may not use the grant {grant}: allow it there")
        }
        _ => "check oauth.client_id, oauth.token_url and oauth.scope".to_owned(),
    }
}

/// For a token that was given for less than was asked for.
pub(super) fn narrowed(asked: &Asked<'_>, missing: &[String]) -> String {
    format!(
        "it did not grant client {} all that was asked for; missing: {}. Allow it there, or set oauth.scope to what OHX \
         may have",
        asked.oauth.client_id,
        missing.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_code_is_told() {
        assert_eq!(code(400, r#"{"error":"invalid_client","error_description":"Jane"}"#), "invalid_client");
        assert_eq!(code(401, "<html>Jane</html>"), "http-401");
        assert_eq!(code(400, r#"{"error":"Jane Doe is unknown"}"#), "http-400");
        assert_eq!(code(400, r#"{"error":""}"#), "http-400");
    }
}
