//! What is kept of a grant: a token and whose it is, together, because calls name the patient and tokens may not.

use ohx_domain::Account;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::KIND;
use crate::{ProviderError, Remedy};

/// A token, access or refresh, with the user id it is for. It is stored sealed, as every token is.
#[derive(Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) account: String,
    /// Empty where the app's own credentials are all there is.
    pub(super) token: String,
}

impl Held {
    pub(super) fn new(account: &Account, token: &SecretString) -> Self {
        Self { account: account.reveal().clone(), token: token.expose_secret().to_owned() }
    }

    pub(super) fn pack(&self) -> SecretString {
        // Two texts are always JSON; should they ever not be, the patient is asked again.
        serde_json::to_string(self).unwrap_or_default().into()
    }

    /// # Errors
    /// [`ProviderError::Refused`] where it is none of these: the patient connects again.
    pub(super) fn unpack(packed: &SecretString) -> Result<Self, ProviderError> {
        serde_json::from_str(packed.expose_secret()).map_err(|_| ProviderError::Refused {
            provider: KIND,
            call: "the stored token".into(),
            status: "no call".into(),
            meaning: "it was not made by this contract: the patient has to connect again".into(),
            remedy: Remedy::Reauthorize,
        })
    }
}
