//! The issuer's keys, kept for a while. A key that is not among them is looked for again, because issuers rotate them; but
//! not each time that somebody makes one up.

use std::time::Duration;

use ohx_domain::Instant;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::NotTaken;
use super::token::{Algorithm, Jwk};

/// How long keys are taken without being asked for again: so long a key that the issuer has withdrawn may still be believed.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// How long they are taken while the issuer is out of reach.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// How long after one look the next may be made.
const AGAIN: Duration = Duration::from_secs(30);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 512 * 1024;

#[derive(Default)]
struct Kept {
    keys: Vec<Jwk>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

pub(super) struct Keys {
    http: reqwest::Client,
    /// As tokens write it: with a slash at its end, or without.
    issuer: String,
    url: Url,
    jwks: Option<Url>,
    /// Held while the issuer is asked: many who wait for one answer ask once.
    kept: Mutex<Kept>,
}

#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: Url,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl Keys {
    pub(super) fn new(http: reqwest::Client, issuer: String, url: Url, jwks: Option<Url>) -> Self {
        Self { http, issuer, url, jwks, kept: Mutex::default() }
    }

    /// The key that a token names; where it names none, the only one that is for the algorithm.
    pub(super) async fn key(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: Instant,
    ) -> Result<Jwk, NotTaken> {
        let since = |at: Option<Instant>| {
            at.map_or(Duration::MAX, |at| now.duration_since(at).try_into().unwrap_or_default())
        };
        let mut kept = self.kept.lock().await;
        let found = find(&kept.keys, kid, algorithm);
        let due = found.is_none() || since(kept.fetched) >= FRESH;
        if due && since(kept.tried) >= AGAIN {
            kept.tried = Some(now);
            match self.fetch().await {
                Ok(keys) => {
                    tracing::info!(keys = keys.len(), "the OpenID provider's keys are read");
                    (kept.keys, kept.fetched) = (keys, Some(now));
                }
                Err(why) => tracing::warn!(why, "the OpenID provider's keys cannot be read"),
            }
        }
        if since(kept.fetched) >= STALE {
            return Err(NotTaken::OutOfReach);
        }
        find(&kept.keys, kid, algorithm).ok_or(NotTaken::UnknownKey)
    }

    async fn fetch(&self) -> Result<Vec<Jwk>, String> {
        let jwks = match &self.jwks {
            Some(jwks) => jwks.clone(),
            None => {
                // OpenID Connect Discovery 1.0, section 4: below the issuer's path.
                let at =
                    format!("{}/.well-known/openid-configuration", self.url.as_str().trim_end_matches('/'));
                let at = at.parse().map_err(|_| "its discovery address cannot be made".to_owned())?;
                let found: Discovered = self.get(at).await?;
                if found.issuer != self.issuer {
                    return Err("its discovery document names another issuer".to_owned());
                }
                if found.jwks_uri.scheme() != "https" && self.url.scheme() == "https" {
                    return Err("its jwks_uri is not https".to_owned());
                }
                found.jwks_uri
            }
        };
        let set: Set = self.get(jwks).await?;
        // A key of a kind that is not known here does not spoil the others.
        Ok(set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
    }

    async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, String> {
        let failed = |error: reqwest::Error| error.without_url().to_string();
        let mut response =
            self.http.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > LARGEST {
                return Err("its answer is too large".to_owned());
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    }
}

fn find(keys: &[Jwk], kid: Option<&str>, algorithm: Algorithm) -> Option<Jwk> {
    let mut fitting = keys.iter().filter(|key| key.is_for(algorithm));
    match kid {
        Some(kid) => fitting.find(|key| key.kid.as_deref() == Some(kid)).cloned(),
        None => {
            let only = fitting.next()?;
            fitting.next().is_none().then(|| only.clone())
        }
    }
}
