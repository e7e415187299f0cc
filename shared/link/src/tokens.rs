//! Token pairs: sealed, refreshed by one process at a time, stored before they are first used.
//!
//! Refresh tokens rotate, and the old one dies when the new access token is first used. So: take the link's lease,
//! read the pair again inside it (another process may have been faster), refresh, store the new pair durably, and
//! only then hand it out. A crash before the pair is stored leaves the old refresh token good; a crash after it
//! leaves the new pair stored. The pair's version fences: should a lease run out during a refresh that hangs, the
//! slower process finds the version changed and uses what the faster one has stored.

use std::time::Duration;

use ohx_domain::{Instant, LinkId};
use ohx_providers::{App, Grant, Provider, Remedy};
use ohx_runtime::metrics::REFRESHES;
use ohx_seal::DataKey;
use ohx_store::{OutageGate, StoredTokens};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::belief::{HOLD, rest};
use crate::{LinkError, Links, OpenLink, Result};

/// A token this close to its end is not handed out: the call it is for may take a while.
const MARGIN: Duration = Duration::from_secs(120);
/// Longer than a refresh with its retries can take.
const LEASE: Duration = Duration::from_secs(120);
/// How long to wait for another process's refresh before giving the event back.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to look meanwhile.
const POLL: Duration = Duration::from_millis(100);
/// Attempts with the same refresh token, which stays good as long as nobody has used the new access token.
const ATTEMPTS: u32 = 3;

/// An access and a refresh token.
pub struct TokenPair {
    /// Opens the API.
    pub access: SecretString,
    /// Gets the next pair.
    pub refresh: SecretString,
}

#[derive(Serialize, Deserialize)]
struct Written {
    access: String,
    refresh: String,
}

fn place(link: &str) -> [&str; 3] {
    ["tokens", link, "pair"]
}

fn seal_error(link: LinkId) -> impl Fn(ohx_seal::SealError) -> LinkError {
    move |source| LinkError::Seal { of: format!("link {link}"), source }
}

impl TokenPair {
    /// The pair of a grant. One without a refresh token keeps the one `before`; `None` where there is none at all.
    pub fn of(grant: &Grant, before: Option<&SecretString>) -> Option<Self> {
        let refresh = grant.refresh_token.as_ref().or(before)?.clone();
        Some(Self { access: grant.access_token.clone(), refresh })
    }

    /// The pair as it is stored.
    ///
    /// # Errors
    /// [`LinkError::Seal`].
    pub fn seal(&self, link: LinkId, key: &DataKey) -> Result<Vec<u8>> {
        let written = Written {
            access: self.access.expose_secret().into(),
            refresh: self.refresh.expose_secret().into(),
        };
        let plain =
            serde_json::to_vec(&written).map_err(|_| seal_error(link)(ohx_seal::SealError::Refused))?;
        key.seal(&place(&link.to_string()), &plain).map_err(seal_error(link))
    }

    fn open(link: LinkId, key: &DataKey, sealed: &[u8]) -> Result<Self> {
        let plain = key.open(&place(&link.to_string()), sealed).map_err(seal_error(link))?;
        let written: Written =
            serde_json::from_slice(&plain).map_err(|_| seal_error(link)(ohx_seal::SealError::Refused))?;
        Ok(Self { access: written.access.into(), refresh: written.refresh.into() })
    }
}

/// Which token is no use any more.
pub(crate) enum Stale<'a> {
    /// None that we know of: refresh only when it is about to end.
    None,
    /// The provider has refused this one.
    Refused(&'a SecretString),
    /// One that was stored so long ago: a refresh token that nobody uses ends some day.
    Idle(Duration),
}

/// An access token that is good for some minutes at least.
pub(crate) struct Good {
    pub(crate) access: SecretString,
    /// The version of its pair.
    pub(crate) version: i64,
    /// Whether the provider has refused the link before, so that a success is news.
    pub(crate) doubted: bool,
}

impl Good {
    fn new(pair: TokenPair, stored: &StoredTokens) -> Self {
        Self { access: pair.access, version: stored.version, doubted: stored.refused.is_some() }
    }
}

impl Stale<'_> {
    fn wants_refresh(&self, pair: &TokenPair, stored: &StoredTokens, now: Instant) -> bool {
        let ending = stored.expires_at <= now + MARGIN;
        ending
            || match self {
                Self::None => false,
                Self::Refused(token) => token.expose_secret() == pair.access.expose_secret(),
                Self::Idle(long) => stored.refreshed_at.is_none_or(|at| at + *long <= now),
            }
    }
}

impl Links {
    /// An access token that is good for some minutes at least, refreshed if need be. A link whose grant was refused rests until
    /// it is to be looked at again.
    pub(crate) async fn tokens(
        &self,
        open: &OpenLink,
        app: &App,
        provider: &dyn Provider,
        stale: Stale<'_>,
    ) -> Result<Good> {
        let id = open.link.id;
        let (pair, stored) = self.read_tokens(open).await?;
        self.rested(id, &stored, &stale)?;
        if !stale.wants_refresh(&pair, &stored, self.parts.clock.now()) {
            return Ok(Good::new(pair, &stored));
        }
        let lease = format!("refresh:{id}");
        let holder = format!("{:032x}", rand::random::<u128>());
        let give_up = tokio::time::Instant::now() + PATIENCE;
        while !self.parts.store.acquire_lease(&lease, &holder, LEASE, self.parts.clock.now()).await? {
            let (pair, stored) = self.read_tokens(open).await?;
            if !stale.wants_refresh(&pair, &stored, self.parts.clock.now()) {
                REFRESHES.with_label_values(&[provider.kind(), "elsewhere"]).inc();
                return Ok(Good::new(pair, &stored));
            }
            self.rested(id, &stored, &stale)?;
            if tokio::time::Instant::now() >= give_up {
                return Err(LinkError::Busy(id));
            }
            tokio::time::sleep(POLL).await;
        }
        let result = self.refresh_leased(open, app, provider, stale).await;
        if let Err(error) = self.parts.store.release_lease(&lease, &holder).await {
            // It runs out by itself.
            tracing::warn!(link = %id, error = %error, "lease not given back");
        }
        result
    }

    async fn refresh_leased(
        &self,
        open: &OpenLink,
        app: &App,
        provider: &dyn Provider,
        stale: Stale<'_>,
    ) -> Result<Good> {
        let id = open.link.id;
        let (pair, stored) = self.read_tokens(open).await?;
        let asked_at = self.parts.clock.now();
        if !stale.wants_refresh(&pair, &stored, asked_at) {
            REFRESHES.with_label_values(&[provider.kind(), "elsewhere"]).inc();
            return Ok(Good::new(pair, &stored));
        }
        self.rested(id, &stored, &stale)?;
        let name = &open.link.provider;
        let probing = match self.parts.store.outage_gate(name, asked_at, HOLD).await? {
            OutageGate::Open => false,
            OutageGate::Probe => true,
            OutageGate::Wait(wait) => return Err(LinkError::Outage { app: name.clone(), wait }),
        };
        let grant = match self.refresh(app, provider, &pair.refresh).await {
            Ok(grant) => grant,
            Err(source) if source.remedy() == Remedy::Reauthorize => {
                return Err(self.refused(open, provider, stored.version, source).await?);
            }
            Err(source) => {
                REFRESHES.with_label_values(&[provider.kind(), "failed"]).inc();
                self.note_retired(app, &source).await;
                return Err(LinkError::provider(id, source));
            }
        };
        let refresh = grant.refresh_token.as_ref().unwrap_or(&pair.refresh).clone();
        let new = TokenPair { access: grant.access_token.clone(), refresh };
        let expires_at = asked_at + grant.expires_in;
        let (sealed, now) = (new.seal(id, &open.key)?, self.parts.clock.now());
        if self.parts.store.replace_tokens(id, stored.version, &sealed, expires_at, now).await? {
            REFRESHES.with_label_values(&[provider.kind(), "refreshed"]).inc();
            let doubted = probing || stored.refused.is_some();
            return Ok(Good { access: new.access, version: stored.version + 1, doubted });
        }
        // Our lease had run out, and somebody else has stored a pair: theirs is the one to use.
        REFRESHES.with_label_values(&[provider.kind(), "elsewhere"]).inc();
        let (pair, stored) = self.read_tokens(open).await?;
        Ok(Good::new(pair, &stored))
    }

    /// A link whose grant was refused rests: not every event that waits for it asks the provider again. The call that was just
    /// refused goes on to its refresh.
    fn rested(&self, link: LinkId, stored: &StoredTokens, stale: &Stale<'_>) -> Result<()> {
        match rest(stored.refused, self.parts.clock.now()) {
            Some(wait) if !matches!(stale, Stale::Refused(_)) => Err(LinkError::Doubted { link, wait }),
            _ => Ok(()),
        }
    }

    /// Refreshes the tokens of a link that has not needed them for long, before its refresh token ends. `false` where that was
    /// not due.
    ///
    /// # Errors
    /// As [`Links::call`].
    pub async fn keep_alive(&self, open: &OpenLink) -> Result<bool> {
        let (app, provider) = self.app(&open.link.provider).await?;
        if ohx_providers::kind(&app.config.kind).is_some_and(|kind| !kind.consent) {
            return Ok(false);
        }
        let (_, stored) = self.read_tokens(open).await?;
        let long = provider.refresh_after_idle();
        if stored.refreshed_at.is_some_and(|at| at + long > self.parts.clock.now()) {
            return Ok(false);
        }
        let good = self.tokens(open, &app, provider.as_ref(), Stale::Idle(long)).await?;
        Ok(good.version != stored.version)
    }

    /// One refresh, with the same refresh token until there is an answer.
    async fn refresh(
        &self,
        app: &App,
        provider: &dyn Provider,
        token: &SecretString,
    ) -> std::result::Result<Grant, ohx_providers::ProviderError> {
        let redirect = self.parts.public(&format!("oauth/callback/{}", app.config.name));
        let mut attempt = 1;
        loop {
            match provider.refresh_at(app, token, &redirect).await {
                Err(error) if attempt < ATTEMPTS && matches!(error.remedy(), Remedy::Retry { .. }) => {
                    tokio::time::sleep(Duration::from_millis(200) * attempt).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    pub(crate) async fn read_tokens(&self, open: &OpenLink) -> Result<(TokenPair, StoredTokens)> {
        let id = open.link.id;
        let stored = self.parts.store.tokens(id).await?.ok_or(LinkError::State {
            link: id,
            state: open.link.state,
            hint: "it has no tokens; the patient has to follow its connect address",
        })?;
        match TokenPair::open(id, &open.key, &stored.sealed) {
            Ok(pair) => Ok((pair, stored)),
            Err(error) => Err(self.torn(open, error).await?),
        }
    }

    /// What it means that something of the link does not open. A consent between two readings of its row has brought another
    /// key: then the second reading is to be had again with that one.
    pub(crate) async fn torn(&self, open: &OpenLink, error: LinkError) -> Result<LinkError> {
        let now = self.get(open.link.id).await?;
        Ok(if now.data_key == open.link.data_key { error } else { LinkError::Busy(open.link.id) })
    }
}
