//! The secrets of a provider app: sealed together, by name.

use std::collections::BTreeMap;

use ohx_domain::ProviderName;
use ohx_seal::{Keyring, SealError};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{LinkError, Result};

/// The name of the client secret; the others have the adapter's names.
pub const CLIENT: &str = "client";

fn place(provider: &ProviderName) -> [&str; 3] {
    ["providers", provider.as_str(), "secrets"]
}

fn error(provider: &ProviderName, source: SealError) -> LinkError {
    LinkError::Seal { of: format!("provider app {provider}"), source }
}

/// Seals the secrets of an app.
///
/// # Errors
/// [`LinkError::Seal`].
pub fn seal(
    keyring: &Keyring,
    provider: &ProviderName,
    secrets: &BTreeMap<String, SecretString>,
) -> Result<Vec<u8>> {
    let written: BTreeMap<&str, &str> =
        secrets.iter().map(|(name, secret)| (name.as_str(), secret.expose_secret())).collect();
    let plain = serde_json::to_vec(&written).map_err(|_| error(provider, SealError::Refused))?;
    keyring.seal(&place(provider), &plain).map_err(|e| error(provider, e))
}

/// Opens them.
pub(crate) fn open(
    keyring: &Keyring,
    provider: &ProviderName,
    sealed: &[u8],
) -> Result<BTreeMap<String, SecretString>> {
    let plain = keyring.open(&place(provider), sealed).map_err(|e| error(provider, e))?;
    serde_json::from_slice(&plain).map_err(|_| error(provider, SealError::Refused))
}
