//! A patient's user id at a provider: sealed where it rests, found again by a digest.

use ohx_domain::{Account, ProviderName, Sensitive};
use sha2::{Digest as _, Sha256};

use crate::{LinkError, Links, OpenLink, Result};

/// SHA-256 of provider app and account, for finding the links of an account.
pub fn account_digest(provider: &ProviderName, account: &Account) -> [u8; 32] {
    let mut hash = Sha256::new();
    for field in ["ohx-account-index-v1", provider.as_str(), account.reveal()] {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

/// Where a sealed account belongs.
pub(crate) fn place(link: &str) -> [&str; 3] {
    ["links", link, "account"]
}

impl Links {
    /// The patient's user id at the provider.
    ///
    /// # Errors
    /// [`LinkError::State`] where the link is not connected, [`LinkError::Seal`].
    pub async fn account(&self, open: &OpenLink) -> Result<Account> {
        let id = open.link.id;
        let sealed = self.parts.store.sealed_account(id).await?.ok_or(LinkError::State {
            link: id,
            state: open.link.state,
            hint: "it has no account; the patient has to follow its connect address",
        })?;
        let seal = |source| LinkError::Seal { of: format!("link {id}"), source };
        let bytes = match open.key.open(&place(&id.to_string()), &sealed) {
            Ok(bytes) => bytes,
            Err(source) => return Err(self.torn(open, seal(source)).await?),
        };
        let text = String::from_utf8(bytes).map_err(|_| seal(ohx_seal::SealError::Refused))?;
        Ok(Sensitive::new(text))
    }

    /// Seals an account for a link.
    ///
    /// # Errors
    /// [`LinkError::Seal`].
    pub fn seal_account(
        &self,
        link: ohx_domain::LinkId,
        key: &ohx_seal::DataKey,
        account: &Account,
    ) -> Result<Vec<u8>> {
        key.seal(&place(&link.to_string()), account.reveal().as_bytes())
            .map_err(|source| LinkError::Seal { of: format!("link {link}"), source })
    }
}
