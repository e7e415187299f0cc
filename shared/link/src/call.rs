//! Calling a provider for a link: quota first, a good token, one refresh where it is refused.

use std::time::Duration;

use ohx_providers::{App, Provider, ProviderError, Remedy};
use ohx_runtime::metrics::PROVIDER_CALLS;
use ohx_store::Trouble;
use secrecy::SecretString;
use tracing::{Instrument as _, field};

use crate::tokens::Stale;
use crate::turn::{Class, Turn};
use crate::{LinkError, Links, OpenLink, Result};

/// How long a service is taken to be retired after it last said so: until after the next night, which asks it again.
const RETIRED: Duration = Duration::from_secs(25 * 3600);

impl Links {
    /// Makes one call with an access token, for somebody who waits. See [`Links::call_in_turn`].
    ///
    /// # Errors
    /// [`LinkError::Provider`], [`LinkError::Quota`], [`LinkError::Busy`], [`LinkError::Store`].
    pub async fn call<T, F, R>(
        &self,
        open: &OpenLink,
        app: &App,
        provider: &dyn Provider,
        call: F,
    ) -> Result<T>
    where
        F: Fn(SecretString) -> R + Send,
        R: Future<Output = std::result::Result<T, ProviderError>> + Send,
        T: Send,
    {
        self.call_in_turn(open, app, provider, &Turn::new(Class::Push), call).await
    }

    /// Makes one call with an access token when it is its turn. A refused token is refreshed once; a dead grant moves the
    /// link to "consent again"; "too many requests" pauses every call of the app, or of the link where the provider counts
    /// patients apart, and is a matter of waiting.
    ///
    /// # Errors
    /// [`LinkError::Provider`], [`LinkError::Quota`], [`LinkError::Busy`], [`LinkError::Store`].
    pub async fn call_in_turn<T, F, R>(
        &self,
        open: &OpenLink,
        app: &App,
        provider: &dyn Provider,
        turn: &Turn,
        call: F,
    ) -> Result<T>
    where
        F: Fn(SecretString) -> R + Send,
        R: Future<Output = std::result::Result<T, ProviderError>> + Send,
        T: Send,
    {
        let id = open.link.id;
        let mut good = self.tokens(open, app, provider, Stale::None).await?;
        let mut refreshed = false;
        loop {
            self.take_turn(open, app, provider, turn).await?;
            // Its level keeps it out of the logs.
            let span = tracing::trace_span!(
                "provider",
                provider = provider.kind(),
                outcome = field::Empty,
                otel.kind = "client",
                otel.status_code = field::Empty,
            );
            let error = match call(good.access.clone()).instrument(span.clone()).await {
                Ok(done) => {
                    span.record("outcome", "ok");
                    PROVIDER_CALLS.with_label_values(&[provider.kind(), "ok"]).inc();
                    turn.is_under_way();
                    if good.doubted {
                        self.trust(open).await;
                    }
                    if let Some(until) = provider.spent_until(&good.access, self.parts.clock.now()) {
                        self.note_spent(open, until).await?;
                    }
                    return Ok(done);
                }
                Err(error) => error,
            };
            let outcome = match error.remedy() {
                Remedy::Retry { .. } => "retry",
                Remedy::SlowDown { .. } | Remedy::Spent { .. } => "slow_down",
                Remedy::Refresh => "refresh",
                Remedy::Reauthorize => "reauthorize",
                Remedy::Permanent => "permanent",
            };
            span.record("outcome", outcome).record("otel.status_code", "ERROR");
            PROVIDER_CALLS.with_label_values(&[provider.kind(), outcome]).inc();
            self.note_retired(app, &error).await;
            match error.remedy() {
                Remedy::Refresh if !refreshed => {
                    refreshed = true;
                    good = self.tokens(open, app, provider, Stale::Refused(&good.access)).await?;
                    continue;
                }
                Remedy::Refresh | Remedy::Reauthorize => {
                    return Err(self.refused(open, provider, good.version, error).await?);
                }
                Remedy::SlowDown { after } => {
                    return Err(self.paused(open, app, provider, turn, (&error, after, false)).await?);
                }
                Remedy::Spent { after } => {
                    return Err(self.paused(open, app, provider, turn, (&error, after, true)).await?);
                }
                Remedy::Retry { .. } | Remedy::Permanent => {}
            }
            return Err(LinkError::provider(id, error));
        }
    }

    /// Notes that the provider's service is retired, where that is what it says, for who watches.
    pub(crate) async fn note_retired(&self, app: &App, error: &ProviderError) {
        if !matches!(error, ProviderError::Retired { .. }) {
            return;
        }
        let until = self.parts.clock.now() + RETIRED;
        let note = self.parts.store.note_trouble(Trouble::ProviderRetired, app.config.name.as_str(), until);
        if let Err(error) = note.await {
            tracing::warn!(provider = %app.config.name, %error, "that a provider is retired was not noted");
        }
    }
}
