//! How OHX proves itself to an EHR endpoint.

use secrecy::SecretString;

/// What an endpoint's `auth` needs beside its configuration.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The bearer token, or the client secret.
    pub secret: Option<SecretString>,
}

impl Credentials {
    /// For an endpoint without authorization.
    pub fn none() -> Self {
        Self::default()
    }

    /// A bearer token, or a client secret.
    pub fn secret(secret: SecretString) -> Self {
        Self { secret: Some(secret) }
    }
}
