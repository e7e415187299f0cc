//! The claims of what OHX signs: a client assertion (RFC 7523, section 2.2) or an authorization grant (section 2.1).

use std::time::Duration;

use ohx_domain::Instant;
use serde::Serialize;

/// How far ahead an assertion ends. SMART allows five minutes; the fifth is for clocks that differ.
pub(super) const LASTS: Duration = Duration::from_secs(240);

/// How far back an assertion begins, so that a server whose clock is behind does not find it made in the future.
const SINCE: Duration = Duration::from_secs(30);

/// Claims of RFC 7519, section 4.1.
#[derive(Serialize)]
pub(super) struct Claims<'c> {
    iss: &'c str,
    sub: &'c str,
    aud: &'c str,
    /// Seconds since 1970.
    exp: i64,
    /// Seconds since 1970.
    iat: i64,
    /// 128 random bits: never used twice.
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'c str>,
}

impl<'c> Claims<'c> {
    pub(super) fn new(issuer: &'c str, subject: &'c str, audience: &'c str, now: Instant) -> Self {
        Self {
            iss: issuer,
            sub: subject,
            aud: audience,
            exp: (now + LASTS).as_second(),
            iat: (now - SINCE).as_second(),
            jti: format!("{:032x}", rand::random::<u128>()),
            scope: None,
        }
    }

    /// The same, asking for scopes.
    pub(super) fn asking(self, scope: &'c str) -> Self {
        Self { scope: (!scope.is_empty()).then_some(scope), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_lasts_less_than_five_minutes_and_is_never_the_same() {
        let now: Instant = "2026-11-21T10:00:00Z".parse().unwrap();
        let claims = Claims::new("c", "c", "https://as.example/token", now);
        assert_eq!(claims.exp, now.as_second() + 240);
        assert!(claims.exp - claims.iat <= 300 && claims.iat < now.as_second());
        assert_ne!(claims.jti, Claims::new("c", "c", "https://as.example/token", now).jti);
        let printed = serde_json::to_string(&claims.asking("")).unwrap();
        assert!(!printed.contains("scope"), "{printed}");
    }
}
