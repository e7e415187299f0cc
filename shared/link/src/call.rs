//! Calling a provider for a link: quota first, a good token, one refresh where it is refused.

use std::time::Duration;

use ohx_providers::{App, Provider, ProviderError, Remedy};
use ohx_runtime::metrics::PROVIDER_CALLS;
use ohx_store::{Quota, Rate};
use secrecy::SecretString;

use crate::tokens::Stale;
use crate::{LinkError, Links, OpenLink, Result};

/// A wait for the quota up to this long is waited out on the spot; a longer one gives the event back.
const SHORT_WAIT: Duration = Duration::from_secs(2);

impl Links {
    /// Makes one call with an access token. A refused token is refreshed once; a dead grant moves the link to
    /// "consent again"; "too many requests" pauses every call of the app.
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
        let id = open.link.id;
        let mut pair = self.tokens(open, app, provider, Stale::None).await?;
        let mut refreshed = false;
        loop {
            self.take_quota(app, provider).await?;
            let error = match call(pair.access.clone()).await {
                Ok(done) => {
                    PROVIDER_CALLS.with_label_values(&[provider.kind(), "ok"]).inc();
                    return Ok(done);
                }
                Err(error) => error,
            };
            let outcome = match error.remedy() {
                Remedy::Retry { .. } => "retry",
                Remedy::SlowDown { .. } => "slow_down",
                Remedy::Refresh => "refresh",
                Remedy::Reauthorize => "reauthorize",
                Remedy::Permanent => "permanent",
            };
            PROVIDER_CALLS.with_label_values(&[provider.kind(), outcome]).inc();
            match error.remedy() {
                Remedy::Refresh if !refreshed => {
                    refreshed = true;
                    pair = self.tokens(open, app, provider, Stale::Refused(&pair.access)).await?;
                    continue;
                }
                Remedy::Refresh | Remedy::Reauthorize => self.needs_consent(open, &error.to_string()).await?,
                Remedy::SlowDown { after } => {
                    let until = self.parts.clock.now() + after;
                    self.parts.store.drain_quota(&bucket(app), until).await?;
                }
                Remedy::Retry { .. } | Remedy::Permanent => {}
            }
            return Err(LinkError::provider(id, error));
        }
    }

    async fn take_quota(&self, app: &App, provider: &dyn Provider) -> Result<()> {
        let per_minute =
            app.config.requests_per_minute.unwrap_or_else(|| provider.default_requests_per_minute()).max(1);
        // A sixth of a minute's calls may come at once: enough for a person who is waiting, too few to hit the limit.
        let rate = Rate { per_minute, burst: (per_minute / 6).max(1) };
        loop {
            match self.parts.store.take_quota(&bucket(app), rate, self.parts.clock.now()).await? {
                Quota::Granted => return Ok(()),
                Quota::Wait(wait) if wait <= SHORT_WAIT => {
                    tokio::time::sleep(wait.max(Duration::from_millis(10))).await
                }
                Quota::Wait(wait) => {
                    PROVIDER_CALLS.with_label_values(&[provider.kind(), "quota"]).inc();
                    return Err(LinkError::Quota { app: app.config.name.clone(), wait });
                }
            }
        }
    }
}

fn bucket(app: &App) -> String {
    format!("provider:{}", app.config.name)
}
