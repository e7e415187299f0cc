//! What was injected: every fault that was really met, in order, by kind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The kinds of faults, as the report names them.
pub mod kind {
    pub const KILLED_NIGHTLY: &str = "`nightly` killed at an await point";
    pub const KILLED_FETCH: &str = "`fetch` killed at an await point";
    pub const KILLED_TRANSFORM: &str = "`transform` killed at an await point";
    pub const KILLED_PUBLISH: &str = "`publish` killed at an await point";
    pub const KILLED_DEVICES: &str = "`devices` killed at an await point";
    pub const KILLED_WEBHOOK: &str = "`webhook` killed at an await point";
    pub const RESTARTED: &str = "all functions started anew";
    pub const QUEUE_LOST: &str = "in-process queue lost with its process";
    pub const KEYS: &str = "keyring rotated";
    pub const DUPLICATED: &str = "event delivered twice";
    pub const DELAYED: &str = "event delayed by minutes to hours";
    pub const REORDERED: &str = "event delivered before an older one";
    pub const REFUSED: &str = "broker out of reach for a publication";
    pub const UNCONFIRMED: &str = "broker took a publication, its answer was lost";
    pub const PROVIDER_CUT: &str = "provider's answer cut";
    pub const PROVIDER_ERROR: &str = "provider answered an error, too many requests or half a page";
    pub const PROVIDER_STALLED: &str = "provider fell silent";
    pub const PROVIDER_DOWN: &str = "provider out of reach for a while";
    pub const REFRESH_LOST: &str = "answer to a token refresh lost";
    pub const EHR_CUT: &str = "EHR's answer cut";
    pub const EHR_COMMITTED: &str = "EHR's reply dropped after it had committed";
    pub const EHR_ERROR: &str = "EHR answered 429, 5xx or a proxy's page";
    pub const EHR_STALLED: &str = "EHR fell silent";
    pub const EHR_DOWN: &str = "EHR out of reach for a while";
    pub const EHR_REFUSED: &str = "EHR refused one reading until it was mended";
    pub const STORE_CUT: &str = "PostgreSQL's connections cut";
    pub const STORE_DOWN: &str = "PostgreSQL out of reach for a while";
    pub const REDIS_CUT: &str = "Redis's connections cut";
    pub const REDIS_DOWN: &str = "Redis out of reach for a while";
    pub const RELAY_KILLED: &str = "relay killed";
    pub const CLOCK_FORTH: &str = "clock jumped forth by minutes to days";
    pub const CLOCK_OFF: &str = "own clock set back or off by seconds";
    pub const NOTIFICATION_LOST: &str = "notification lost";
    pub const NOTIFICATION_DOUBLED: &str = "notification sent twice";

    /// All of them, as the report lists them.
    pub const ALL: [&str; 34] = [
        KILLED_NIGHTLY,
        KILLED_FETCH,
        KILLED_TRANSFORM,
        KILLED_PUBLISH,
        KILLED_DEVICES,
        KILLED_WEBHOOK,
        RESTARTED,
        QUEUE_LOST,
        KEYS,
        DUPLICATED,
        DELAYED,
        REORDERED,
        REFUSED,
        UNCONFIRMED,
        PROVIDER_CUT,
        PROVIDER_ERROR,
        PROVIDER_STALLED,
        PROVIDER_DOWN,
        REFRESH_LOST,
        EHR_CUT,
        EHR_COMMITTED,
        EHR_ERROR,
        EHR_STALLED,
        EHR_DOWN,
        EHR_REFUSED,
        STORE_CUT,
        STORE_DOWN,
        REDIS_CUT,
        REDIS_DOWN,
        RELAY_KILLED,
        CLOCK_FORTH,
        CLOCK_OFF,
        NOTIFICATION_LOST,
        NOTIFICATION_DOUBLED,
    ];

    /// The kill of a function.
    pub fn killed(function: &str) -> &'static str {
        match function {
            "nightly" => KILLED_NIGHTLY,
            "fetch" => KILLED_FETCH,
            "transform" => KILLED_TRANSFORM,
            "publish" => KILLED_PUBLISH,
            "devices" => KILLED_DEVICES,
            _ => KILLED_WEBHOOK,
        }
    }
}

/// A kind of fault: one of [`kind`].
pub type Kind = &'static str;

/// The faults of one world. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<(Kind, String)>>>);

impl Journal {
    fn entries(&self) -> MutexGuard<'_, Vec<(Kind, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fault was met at a step.
    pub fn note(&self, kind: Kind, step: impl Into<String>) {
        self.entries().push((kind, step.into()));
    }

    /// All of them, in order.
    pub fn all(&self) -> Vec<(Kind, String)> {
        self.entries().clone()
    }

    /// How many of each kind.
    pub fn counts(&self) -> BTreeMap<Kind, u64> {
        let mut counts = BTreeMap::new();
        for (kind, _) in self.entries().iter() {
            *counts.entry(*kind).or_default() += 1;
        }
        counts
    }
}
