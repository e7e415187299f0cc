//! Whether a provider takes an app's own credentials, asked without a patient.
//!
//! A token endpoint authenticates the client before it looks at the grant (RFC 6749, sections 3.2.1 and 6), and says which of
//! the two it refuses. So a refresh token that was made up is enough to tell: `invalid_grant` means that the client
//! itself was taken. Nothing changes at the provider by that.

use secrecy::SecretString;
use serde::Serialize;

use crate::{Grant, ProviderError, Remedy};

/// What a provider says to an app's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ProviderCredentials))]
#[serde(rename_all = "kebab-case")]
pub enum Credentials {
    /// They are taken.
    Accepted,
    /// They are not: the client id or the secret is wrong, or the app may not do this.
    Refused,
    /// It did not say.
    Unknown,
    /// This type of provider has none.
    NotUsed,
}

/// A refresh token that nobody was given. Fixed, so that a provider's own log shows what it is.
pub(crate) fn made_up() -> SecretString {
    "open-health-exchange-check-of-credentials".to_owned().into()
}

/// What the answer to a made-up token says of the client.
pub(crate) fn told(answer: Result<Grant, ProviderError>) -> Result<Credentials, ProviderError> {
    match answer {
        // Whatever gives tokens for this is no token endpoint to learn from.
        Ok(_) => Ok(Credentials::Unknown),
        Err(ProviderError::Refused { remedy: Remedy::Reauthorize, .. }) => Ok(Credentials::Accepted),
        Err(ProviderError::Refused { status, .. })
            if matches!(status.rsplit(' ').next(), Some("invalid_client" | "unauthorized_client")) =>
        {
            Ok(Credentials::Refused)
        }
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: &str, remedy: Remedy) -> Result<Grant, ProviderError> {
        let (call, meaning) = ("the token endpoint".to_owned(), String::new());
        Err(ProviderError::Refused { provider: "test", call, status: status.to_owned(), meaning, remedy })
    }

    #[test]
    fn the_grant_that_is_refused_says_that_the_client_is_not() {
        let retry = Remedy::Retry { after: None };
        for (status, remedy, expected) in [
            ("HTTP 400 invalid_grant", Remedy::Reauthorize, Some(Credentials::Accepted)),
            ("HTTP 401 invalid_client", Remedy::Permanent, Some(Credentials::Refused)),
            ("HTTP 400 unauthorized_client", Remedy::Permanent, Some(Credentials::Refused)),
            ("HTTP 404", Remedy::Permanent, None),
            ("HTTP 401", retry, None),
            ("HTTP 503", retry, None),
        ] {
            assert_eq!(told(refused(status, remedy)).ok(), expected, "{status}");
        }
    }
}
