//! The keys that notifications are signed with, fetched and remembered.
//!
//! Google turns them over about every 30 days. A set is good for a day; where no newer one can be had, for a week. A
//! key id that is not in it may be a new one: then it is fetched once more, but never twice within a minute, whoever
//! calls us with what.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ohx_domain::Instant;
use url::Url;

use super::KIND;
use super::call::{malformed, success};
use super::tink::{Key, keyset};
use crate::ProviderError;
use crate::wire::Answer;

const CALL: &str = "the keys of notifications";
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);
const USABLE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const PAUSE: Duration = Duration::from_secs(60);

/// What is remembered of one address.
#[derive(Default, Clone)]
struct Remembered {
    keys: BTreeMap<u32, Key>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

/// The keys by their address.
#[derive(Default)]
pub(super) struct Keysets(Mutex<HashMap<Url, Remembered>>);

/// Whether less than `limit` has passed since `then`. Clocks that went back count as a long time.
fn within(then: Option<Instant>, now: Instant, limit: Duration) -> bool {
    then.is_some_and(|then| then <= now && now.duration_since(then).unsigned_abs() < limit)
}

impl Keysets {
    /// The key of this id; `None` where there is none that may be used.
    ///
    /// # Errors
    /// Where no usable set is at hand and none can be fetched.
    pub(super) async fn key(
        &self,
        http: &reqwest::Client,
        address: &Url,
        id: u32,
        now: Instant,
    ) -> Result<Option<Key>, ProviderError> {
        let (known, may_fetch) = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let known = all.entry(address.clone()).or_default();
            let found = known.keys.get(&id).cloned();
            if let Some(key) = found.filter(|_| within(known.fetched, now, FRESH)) {
                return Ok(Some(key));
            }
            let may_fetch = !within(known.tried, now, PAUSE);
            if may_fetch {
                known.tried = Some(now);
            }
            (known.clone(), may_fetch)
        };
        let usable = within(known.fetched, now, USABLE);
        let old = || known.keys.get(&id).cloned().filter(|_| usable);
        if !may_fetch {
            return if usable { Ok(old()) } else { Err(malformed(CALL, "none could be had a moment ago")) };
        }
        match fetch(http, address).await {
            Ok(keys) => {
                let key = keys.get(&id).cloned();
                let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                let known = all.entry(address.clone()).or_default();
                (known.keys, known.fetched) = (keys, Some(now));
                Ok(key)
            }
            Err(error) => match old() {
                Some(key) => {
                    tracing::warn!(%error, "no newer keys of notifications; the last ones are used");
                    Ok(Some(key))
                }
                None => Err(error),
            },
        }
    }
}

async fn fetch(http: &reqwest::Client, address: &Url) -> Result<BTreeMap<u32, Key>, ProviderError> {
    let answer = Answer::read(KIND, http.get(address.clone()).send().await, CALL).await?;
    let answer = success(answer, CALL)?;
    match keyset(&answer.body) {
        Ok(keys) if keys.is_empty() => Err(malformed(CALL, "it has no key that may be used")),
        Ok(keys) => Ok(keys),
        Err(problem) => Err(malformed(CALL, problem)),
    }
}
