//! What is remembered between calls. Losing it costs a call, never a reading.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ohx_domain::Instant;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::zone::Zone;

/// How long a zone is taken for the patient's, and a token for a new one: a run over all records.
const LASTS: Duration = Duration::from_secs(10 * 60);
/// How many patients are remembered.
const MOST: usize = 10_000;
/// Fitbit counts by the hour.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// A host that has not answered as the API for so long is taken for retired.
const GONE: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known of the patient whose access token it is.
#[derive(Default, Clone)]
pub(super) struct Known {
    pub(super) zone: Option<Zone>,
    /// Until when there are no calls left.
    pub(super) spent: Option<Instant>,
    /// Whether the token came from the token endpoint a moment ago.
    pub(super) fresh: bool,
}

type Patients = HashMap<[u8; 32], (Instant, Known)>;

/// All of it.
#[derive(Default)]
pub(super) struct Memory {
    /// By a digest of the access token.
    patients: Mutex<Patients>,
    /// Since when a host has not answered as the API.
    silent: Mutex<HashMap<String, Instant>>,
}

fn recent(at: Instant, known: &Known, now: Instant) -> bool {
    let lasts = if known.spent.is_some_and(|until| now < until) { HOUR } else { LASTS };
    at <= now && now.duration_since(at).unsigned_abs() < lasts
}

impl Memory {
    fn key(token: &SecretString) -> [u8; 32] {
        Sha256::digest(token.expose_secret()).into()
    }

    /// What is known of a token's patient.
    pub(super) fn of(&self, token: &SecretString, now: Instant) -> Known {
        let patients = self.patients.lock().unwrap_or_else(PoisonError::into_inner);
        let known = patients.get(&Self::key(token)).filter(|(at, known)| recent(*at, known, now));
        known.map(|(_, known)| known.clone()).unwrap_or_default()
    }

    /// Remembers something more.
    pub(super) fn learn(&self, token: &SecretString, now: Instant, learn: impl FnOnce(&mut Known)) {
        let mut patients = self.patients.lock().unwrap_or_else(PoisonError::into_inner);
        if patients.len() >= MOST {
            patients.retain(|_, (at, known)| recent(*at, known, now));
        }
        let key = Self::key(token);
        if patients.len() < MOST || patients.contains_key(&key) {
            let known = patients.entry(key).or_insert_with(|| (now, Known::default()));
            if !recent(known.0, &known.1, now) {
                *known = (now, Known::default());
            }
            learn(&mut known.1);
        }
    }

    /// The host has answered as the API.
    pub(super) fn spoke(&self, api: &Url) {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).remove(api.as_str());
    }

    /// The host has not. Whether that has been so for a day.
    pub(super) fn is_gone(&self, api: &Url, now: Instant) -> bool {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *silent.entry(api.as_str().to_owned()).or_insert(now);
        since <= now && now.duration_since(since).unsigned_abs() >= GONE
    }
}
