//! Who the patient is: there is no call that says so, only the tokens do.
//!
//! The id_token came over TLS from the token endpoint itself, so that its signature need not be looked at (OpenID
//! Connect Core, 3.1.3.7), and no address of a key is known. Whom it is for and whether it still counts is looked at.

use data_encoding::BASE64URL_NOPAD;
use ohx_domain::{Account, Instant};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::KIND;
use crate::ProviderError;
use crate::loose::{Number, Text};
use crate::oauth::Tokens;
use crate::wire::{malformed, object};

const CALL: &str = "the token endpoint";
/// How much two clocks may differ by, in seconds.
const LEEWAY: i64 = 300;

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    sub: Option<Text>,
    #[serde(default, rename = "custom:userId")]
    user_id: Option<Text>,
    #[serde(default)]
    aud: Option<Audience>,
    #[serde(default)]
    exp: Option<Number>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// The claims of a JWT; `None` where it is none.
fn claims(token: &str) -> Option<Claims> {
    let mut pieces = token.split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (pieces.next(), pieces.next(), pieces.next(), pieces.next())
    else {
        return None;
    };
    let payload = BASE64URL_NOPAD.decode(payload.trim_end_matches('=').as_bytes()).ok()?;
    object(&payload).ok()
}

fn named(text: Option<Text>) -> Option<String> {
    text.map(|text| text.0).filter(|text| !text.trim().is_empty())
}

/// The user id: `sub` of the id_token. Without a usable one, `sub` or else `custom:userId` of the access token, where
/// that is a JWT, too. Notifications name the same id.
///
/// # Errors
/// [`ProviderError::Malformed`] where there is none, or where the id_token is for another app or has expired.
pub(super) fn account(tokens: &Tokens, client_id: &str, now: Instant) -> Result<Account, ProviderError> {
    let failed = |problem: &str| malformed(KIND, CALL, problem.to_owned());
    let id = tokens.id_token.as_ref().and_then(|token| claims(token.expose_secret()));
    if let Some(claims) = &id {
        let ours = match &claims.aud {
            None => true,
            Some(Audience::One(one)) => one == client_id,
            Some(Audience::Several(several)) => several.iter().any(|one| one == client_id),
        };
        if !ours {
            return Err(failed("its id_token is for another app"));
        }
        if claims.exp.is_some_and(|exp| exp.0.saturating_add(LEEWAY) < now.as_second()) {
            return Err(failed("its id_token has expired: compare this machine's clock"));
        }
    }
    let by_access_token = || {
        let claims = claims(tokens.grant.access_token.expose_secret())?;
        named(claims.sub).or(named(claims.user_id))
    };
    let account = id.and_then(|claims| named(claims.sub)).or_else(by_access_token);
    let missing = "no token of it says who the user is: is the scope openid granted to the app?";
    account.map(Account::new).ok_or_else(|| failed(missing))
}
