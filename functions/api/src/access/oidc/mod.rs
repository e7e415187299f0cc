//! Callers whom an OpenID provider knows: JSON Web Tokens (RFC 7519, RFC 9068), sent as bearer tokens.
//!
//! A token is taken where its signature is by one of the issuer's keys, with an algorithm of ours and of that key; where issuer and audience
//! are what the settings say, and now is between its beginning and its end. What it may do is said by one of its claims.

mod keys;
mod token;

use std::collections::BTreeMap;
use std::time::Duration;

use ohx_domain::{Instant, Role};
use ohx_runtime::outbound::{self, Reach};
use ohx_runtime::settings::{SettingError, Settings};
use serde_json::{Map, Value};
use url::Url;

use super::principal::Principal;
use keys::Keys;
use token::Token;

/// How far apart the clocks may be, in seconds.
const LEEWAY: f64 = 60.0;
/// How long the issuer may take over one call.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest subject that is taken, in bytes.
const LONGEST_SUBJECT: usize = 255;

const ISSUER: &str = "OHX_OIDC_ISSUER";
const AUDIENCE: &str = "OHX_OIDC_AUDIENCE";
const ROLES: &str = "OHX_OIDC_ROLES";

/// Why a token is not taken. For the caller, who holds it: it repeats nothing of it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum NotTaken {
    #[error("this is no token: it must be a signed JSON Web Token")]
    Malformed,
    #[error("the token is signed in a way that is not taken here")]
    Algorithm,
    #[error("the token is of a type that is not taken here")]
    Type,
    #[error("the token is signed with a key that the issuer does not show")]
    UnknownKey,
    #[error("the token's signature is not right")]
    Signature,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is for somebody else (aud)")]
    Audience,
    #[error("the token has expired, or does not say when it does")]
    Expired,
    #[error("the token is not good yet")]
    Early,
    #[error("the token does not say whose it is (sub)")]
    Subject,
    /// Who it is, is known; but not that there is anything for them here.
    #[error("the token gives no role here")]
    NoRole,
    /// Not the caller's fault.
    #[error("the issuer's keys cannot be had at the moment")]
    OutOfReach,
}

/// The issuer that callers are believed by.
pub(super) struct Oidc {
    issuer: String,
    /// What stands behind a subject in the audit log.
    host: String,
    audience: String,
    /// The way to the claim that names roles.
    claim: Vec<String>,
    /// What the issuer calls our roles, where that is something else.
    names: BTreeMap<String, Role>,
    keys: Keys,
}

impl Oidc {
    /// `OHX_OIDC_ISSUER`, `OHX_OIDC_AUDIENCE`, `OHX_OIDC_ROLE_CLAIM` (`ohx_role` by default; dots lead inside),
    /// `OHX_OIDC_ROLES` (such as `clinic-admins=admin ward=clinician-read`), `OHX_OIDC_JWKS_URL` (found by discovery by
    /// default). `None` where there is no issuer.
    pub(super) fn from_settings(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let Some(issuer) = settings.text(ISSUER) else { return Ok(None) };
        let expected = "the issuer of the tokens, as they name it: an address that begins with https://";
        let url = settings.url(ISSUER, expected)?;
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() != "https" && !local {
            let (expected, shown) = (expected.to_owned(), Some(issuer.to_owned()));
            return Err(SettingError::Wrong { name: ISSUER, expected, shown }.into());
        }
        let expected = "who the tokens are for (aud), as the issuer knows this API";
        let audience = settings.text(AUDIENCE).ok_or(SettingError::Missing { name: AUDIENCE, expected })?;
        let mut reach = Reach::from_settings(settings)?.and_host_of(&url);
        let name = "OHX_OIDC_JWKS_URL";
        let expected = "the address of the issuer's keys, where discovery does not find it";
        let jwks = settings.parsed::<Url>(name, expected)?;
        if let Some(jwks) = &jwks {
            reach = reach.and_host_of(jwks);
        }
        let claim = settings.text("OHX_OIDC_ROLE_CLAIM").unwrap_or("ohx_role");
        Ok(Some(Self {
            host: url.host_str().unwrap_or_default().to_owned(),
            audience: audience.to_owned(),
            claim: claim.split('.').map(str::to_owned).collect(),
            names: names(settings)?,
            keys: Keys::new(outbound::guarded(TIMEOUT, &reach)?, issuer.to_owned(), url, jwks),
            issuer: issuer.to_owned(),
        }))
    }

    /// Whether a text looks like a token of this kind.
    pub(super) fn is_for(text: &str) -> bool {
        text.split('.').count() == 3
    }

    pub(super) async fn principal(&self, text: &str, now: Instant) -> Result<Principal, NotTaken> {
        let token = Token::read(text)?;
        let key = self.keys.key(token.kid(), token.algorithm(), now).await?;
        let claims = token.verified(&key)?;
        self.claimed(&claims, now)
    }

    /// Who the claims of a token say that it is, and what they may do.
    fn claimed(&self, claims: &Map<String, Value>, now: Instant) -> Result<Principal, NotTaken> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let number = |name: &str| claims.get(name).and_then(Value::as_f64);
        if text("iss") != Some(&self.issuer) {
            return Err(NotTaken::Issuer);
        }
        if !words(claims.get("aud")).any(|audience| audience == self.audience) {
            return Err(NotTaken::Audience);
        }
        #[expect(clippy::cast_precision_loss, reason = "exact until the year 285 000 000")]
        let now = now.as_second() as f64;
        if number("exp").is_none_or(|end| now >= end + LEEWAY) {
            return Err(NotTaken::Expired);
        }
        for name in ["nbf", "iat"] {
            let said = claims.get(name).is_some();
            if said && number(name).is_none_or(|begin| now < begin - LEEWAY) {
                return Err(NotTaken::Early);
            }
        }
        let subject = text("sub").filter(|sub| !sub.is_empty() && sub.len() <= LONGEST_SUBJECT);
        let subject = subject.filter(|sub| !sub.contains(char::is_control)).ok_or(NotTaken::Subject)?;
        let role = self.role(claims).ok_or(NotTaken::NoRole)?;
        Ok(Principal::new(format!("oidc:{subject}@{}", self.host), role, None, false))
    }

    /// The first of admin, integrator, clinician-read and link-creator that the claim names: one text or several.
    fn role(&self, claims: &Map<String, Value>) -> Option<Role> {
        let (first, inside) = self.claim.split_first()?;
        let named = inside.iter().try_fold(claims.get(first)?, |value, name| value.get(name))?;
        let role = |word: &str| self.names.get(word).copied().or_else(|| Role::parse(word));
        words(Some(named)).filter_map(role).max()
    }
}

/// The texts of a claim that is a text or a list of them.
fn words(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let several = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    value.and_then(Value::as_str).into_iter().chain(several.iter().filter_map(Value::as_str))
}

fn names(settings: &Settings) -> Result<BTreeMap<String, Role>, SettingError> {
    let text = settings.text(ROLES).unwrap_or_default();
    let wrong = || {
        SettingError::Wrong {
        name: ROLES,
        expected: "names of the issuer's and what they stand for here, such as clinic-admins=admin ward=clinician-read".into(),
        shown: Some(text.to_owned()),
    }
    };
    let one = |pair: &str| {
        let (name, role) = pair.split_once('=').ok_or_else(wrong)?;
        Ok((name.to_owned(), Role::parse(role).ok_or_else(wrong)?))
    };
    text.split([' ', ',']).filter(|pair| !pair.is_empty()).map(one).collect()
}
