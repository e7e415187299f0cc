//! `metrics`: what the database and the broker know, for Prometheus.
//!
//! Every function counts what it does, and a function that scales to zero takes its counters with it. What is shown here is read
//! when it is asked for: how much is queued, how fresh links are, what is missing, what became of resources since the beginning.
//! So it is the same whoever reads it, and whatever has been started or stopped meanwhile.
//!
//! A reading is kept for a while, so that several Prometheus servers, or an impatient one, cost no more than one. Where one of
//! the two does not answer, its metrics are absent, and those of the other are shown.

mod broker;
mod database;
mod families;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ohx_bus::SharedBus;
use ohx_domain::{Clock, Instant};
use ohx_runtime::serve::spawn;
use ohx_runtime::{More, Ready, SettingError, Settings, parts};
use ohx_store::SharedStore;
use tokio::sync::Mutex;

use crate::database::Snapshot;
use crate::families::Families;

/// How long a reading is kept unless told otherwise.
const KEPT: Duration = Duration::from_secs(15);
/// How long each part may take to answer: less than Prometheus waits by default, so that what the other part said still gets there.
pub const LIMIT: Duration = Duration::from_secs(8);
/// A reading is kept so many times as long as it took: a large database spends no more than a tenth of its time on it.
const SHARE: u32 = 9;

/// `OHX_METRICS_KEPT_SECONDS`: how long a reading is kept.
///
/// # Errors
/// [`SettingError::Wrong`].
pub fn kept(settings: &Settings) -> Result<Duration, SettingError> {
    let seconds = settings.parsed::<u64>("OHX_METRICS_KEPT_SECONDS", "a number of seconds, such as 15")?;
    Ok(seconds.map_or(KEPT, Duration::from_secs))
}

/// The broker that `OHX_BUS` names; none where it is somebody else's (`http`), which tells nothing, and is not written to.
///
/// # Errors
/// As [`parts::bus`].
pub fn bus(settings: &Settings) -> Result<Option<SharedBus>, anyhow::Error> {
    let sink = settings.text("K_SINK").map(|_| "http");
    match settings.text("OHX_BUS").or(sink) {
        Some("http") => Ok(None),
        _ => parts::bus(settings).map(Some),
    }
}

/// Reads, keeps and shows.
pub struct Collector {
    store: SharedStore,
    bus: Option<SharedBus>,
    clock: Arc<dyn Clock>,
    keep: Duration,
    database_errors: AtomicU64,
    broker_errors: AtomicU64,
    kept: Mutex<Option<Reading>>,
}

struct Reading {
    from: Instant,
    until: Instant,
    text: String,
}

impl Collector {
    /// Over a store and, where there is one that tells, a broker. A reading is kept for `keep` at least.
    pub fn new(store: SharedStore, bus: Option<SharedBus>, clock: Arc<dyn Clock>, keep: Duration) -> Self {
        let errors = AtomicU64::default;
        Self {
            store,
            bus,
            clock,
            keep,
            database_errors: errors(),
            broker_errors: errors(),
            kept: Mutex::default(),
        }
    }

    /// The metrics, in Prometheus' text format. Who asks while they are being read waits for that reading.
    pub async fn text(&self) -> String {
        let mut kept = self.kept.lock().await;
        let began = self.clock.now();
        if let Some(reading) = kept.as_ref().filter(|reading| (reading.from..reading.until).contains(&began))
        {
            return reading.text.clone();
        }
        let text = self.read(began).await;
        let ended = self.clock.now();
        // Should the clock be set meanwhile, it did not take longer than it may.
        let took = began.duration_until(ended).unsigned_abs().min(LIMIT);
        let keep = self.keep.max(took * SHARE);
        let until = ended.checked_add(keep).unwrap_or(ended);
        *kept = Some(Reading { from: began, until, text: text.clone() });
        text
    }

    async fn read(&self, now: Instant) -> String {
        let (database, broker) = tokio::join!(
            limited(async { Snapshot::read(self.store.as_ref(), now).await.map_err(|e| e.to_string()) }),
            limited(async {
                match &self.bus {
                    Some(bus) => bus.depth().await.map_err(|e| e.to_string()),
                    None => Ok(None),
                }
            }),
        );
        let mut families = Families::default();
        match database {
            Ok(snapshot) => snapshot.show(now, &mut families),
            Err(error) => self.failed("database", &self.database_errors, &error),
        }
        match broker {
            Ok(Some(depth)) => broker::show(&depth, &mut families),
            Ok(None) => {}
            Err(error) => self.failed("broker", &self.broker_errors, &error),
        }
        for (part, errors) in [("database", &self.database_errors), ("broker", &self.broker_errors)] {
            families.counter(
                "ohx_metrics_collection_errors_total",
                "How often a part did not answer when metrics were read; then its metrics are absent.",
                &[("part", part)],
                errors.load(Ordering::Relaxed),
            );
        }
        families.text()
    }

    fn failed(&self, part: &'static str, errors: &AtomicU64, error: &str) {
        errors.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(part, error, "metrics could not be read");
    }

    /// For `/metrics`.
    pub fn more(self: &Arc<Self>) -> More {
        let collector = Arc::clone(self);
        Arc::new(move || {
            let collector = Arc::clone(&collector);
            // A caller that hangs up does not end the reading: the next one would begin it again.
            Box::pin(async move { spawn(async move { collector.text().await }).await.unwrap_or_default() })
        })
    }

    /// For `/readyz`: as long as one of the parts answers there is something to be shown, and among it that the other does not.
    pub fn ready(&self) -> Ready {
        let (store, bus) = (self.store.clone(), self.bus.clone());
        Arc::new(move || {
            let (store, bus) = (store.clone(), bus.clone());
            Box::pin(async move {
                let Err(error) = store.ping().await else { return Ok(()) };
                match bus {
                    Some(bus) if bus.ping().await.is_ok() => Ok(()),
                    _ => Err(error.to_string()),
                }
            })
        })
    }
}

async fn limited<T>(read: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = |_| Err(format!("no answer within {} s", LIMIT.as_secs()));
    tokio::time::timeout(LIMIT, read).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests;
