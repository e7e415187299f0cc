//! Ending a link.

use ohx_domain::{LinkId, LinkState};
use ohx_providers::ProviderError;

use crate::{LinkError, Links, Result};

/// What ending a link did at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disconnected {
    /// The grant is revoked there.
    Revoked,
    /// The provider has no way to be told; the patient can end it there.
    NotOffered,
    /// It was tried, and failed; says why.
    Failed(String),
}

impl Links {
    /// Ends a link: revokes the grant at the provider as well as can be, then destroys the link's data key, tokens and
    /// account, whatever the provider said. What is still on its way can then be read by nobody.
    ///
    /// # Errors
    /// [`LinkError::Unknown`], [`LinkError::Store`].
    pub async fn disconnect(&self, id: LinkId, reason: &str) -> Result<Disconnected> {
        let link = self.get(id).await?;
        let outcome = match link.state {
            LinkState::Active | LinkState::ReauthorizationRequired => self.revoke(id).await,
            LinkState::Pending | LinkState::Disconnected => Disconnected::NotOffered,
        };
        self.parts.store.set_link_state(id, LinkState::Disconnected, Some(reason)).await?;
        tracing::info!(link = %id, provider = %link.provider, ?outcome, "disconnected");
        if link.state != LinkState::Pending
            && let Err(error) = self.announce_end(&link).await
        {
            // The link has ended all the same; disconnecting it once more tells again.
            tracing::error!(link = %id, %error, "link.disconnected was not sent: its devices stay as they are at the EHR");
        }
        Ok(outcome)
    }

    async fn revoke(&self, id: LinkId) -> Disconnected {
        match self.try_revoke(id).await {
            Ok(true) => Disconnected::Revoked,
            Ok(false) => Disconnected::NotOffered,
            Err(error) => Disconnected::Failed(error.to_string()),
        }
    }

    async fn try_revoke(&self, id: LinkId) -> Result<bool> {
        let open = self.open(id).await?;
        let (app, provider) = self.app(&open.link.provider).await?;
        let (pair, _) = self.read_tokens(&open).await?;
        let revoked: std::result::Result<bool, ProviderError> =
            provider.revoke(&app, &pair.access, &pair.refresh).await;
        revoked.map_err(|source| LinkError::provider(id, source))
    }
}
