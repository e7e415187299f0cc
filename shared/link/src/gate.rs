//! The gate before an EHR endpoint: how many write at the same time, one writer a link where the endpoint needs it, and
//! none while it does not answer.
//!
//! The bounds hold for all instances together: they are leases in the store. A lease that cannot be kept ends the work
//! that it stands for. Where nobody knows what became of a request, the link stays closed to writers until its lease runs out:
//! the server may still be at work on it, and whoever looked meanwhile would find nothing, and make the same again.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use ohx_domain::{EhrEndpoint, EhrName, Instant, LinkId};
use ohx_fhir::EhrError;
use ohx_runtime::EventFailure;
use ohx_runtime::metrics::EHR_PAUSES;
use ohx_runtime::parts::Parts;
use ohx_store::{Quota, Rate, Trouble};
use tokio::sync::Semaphore;

use crate::breaker::{Breaker, Entry};

/// How long a lease holds if its holder vanishes.
const LEASE: Duration = Duration::from_secs(60);
/// How often it is extended, by the clock that leases are kept by.
const EXTEND: Duration = Duration::from_secs(20);
/// How often that clock is looked at: a process that was stopped for a while, or a clock that was set, is noticed before
/// anything more is sent.
const LOOK: Duration = Duration::from_millis(100);
/// How often, and how long at most, a lease that somebody else holds is asked for again.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(250);
/// When an event that found no room is delivered again.
const LATER: Duration = Duration::from_secs(2);
/// The shared hold of an endpoint is a bucket that never runs out by itself.
const UNBOUNDED: Rate = Rate { per_minute: 60_000_000, burst: 1_000_000 };

/// What only one writer at a time may write at an endpoint, where two could make a resource twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// What belongs to a link.
    Link(LinkId),
    /// The models of devices, which all links share.
    Models,
}

impl std::fmt::Display for Only {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link(link) => write!(f, "link:{link}"),
            Self::Models => f.write_str("models"),
        }
    }
}

/// The gates of all endpoints.
#[derive(Clone)]
pub struct Gate {
    parts: Parts,
    endpoints: Arc<Mutex<HashMap<EhrName, Arc<Endpoint>>>>,
}

struct Endpoint {
    breaker: Mutex<Breaker>,
    /// This instance's own share: who waits here does not ask the store.
    room: Semaphore,
    concurrency: u32,
}

impl Endpoint {
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A probe of an endpoint that did not answer: one that is cut off keeps nobody from the next.
struct Passing<'a>(&'a Endpoint);

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        self.0.breaker().left();
    }
}

fn room(ehr: &EhrName, slot: u32) -> String {
    format!("ehr:{ehr}:room:{slot}")
}

fn hold(ehr: &EhrName) -> String {
    format!("ehr:{ehr}:hold")
}

impl Gate {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts, endpoints: Arc::default() }
    }

    fn endpoint(&self, ehr: &EhrEndpoint) -> Arc<Endpoint> {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let known = endpoints.get(&ehr.name).filter(|known| known.concurrency == ehr.concurrency);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let new = Arc::new(Endpoint {
            breaker: Mutex::default(),
            room: Semaphore::new(ehr.concurrency.max(1) as usize),
            concurrency: ehr.concurrency,
        });
        endpoints.insert(ehr.name.clone(), Arc::clone(&new));
        new
    }

    /// Does `work` at an endpoint when there is room. `only` names what nobody else may write meanwhile.
    ///
    /// # Errors
    /// Where the endpoint does not answer, there is no room in time, or `work` fails.
    pub async fn pass<T>(
        &self,
        ehr: &EhrEndpoint,
        only: Option<Only>,
        work: impl Future<Output = Result<T, EhrError>>,
    ) -> Result<T, EventFailure> {
        let endpoint = self.endpoint(ehr);
        let store = &self.parts.store;
        let _permit = endpoint.room.acquire().await.map_err(|_| EventFailure::retry("shutting down"))?;
        let entry = endpoint.breaker().enter(self.parts.clock.now());
        let probing = match entry {
            Entry::Wait(after) => return Err(resting(&ehr.name, after)),
            Entry::Probe => Some(Passing(&endpoint)),
            Entry::Free => None,
        };
        if let Quota::Wait(after) =
            store.take_quota(&hold(&ehr.name), UNBOUNDED, self.parts.clock.now()).await?
        {
            // It asked for patience, and answers: that is waiting, and no failure.
            let reason = format!("EHR endpoint {} asked for patience", ehr.name);
            return Err(EventFailure::Wait { reason, after });
        }
        let holder = uuid::Uuid::now_v7().to_string();
        let mut leases = Leases { parts: &self.parts, holder, names: Vec::new(), only: None, since: None };
        let mut in_doubt = false;
        let result = match leases.take_all(ehr, only).await {
            Ok(()) => {
                let result = leases.keep_while(work).await;
                in_doubt = match &result {
                    Ok(done) => done.as_ref().is_err_and(EhrError::in_doubt),
                    // It was cut off.
                    Err(_) => true,
                };
                result
            }
            Err(failure) => Err(failure),
        };
        leases.release(in_doubt).await;
        drop(probing);
        match result? {
            Ok(done) => {
                // The lock is not held while the store is told.
                let answers_again = endpoint.breaker().answered();
                if answers_again {
                    tracing::info!(ehr = %ehr.name, "the EHR answers again");
                    self.tell(ehr, self.parts.clock.now()).await;
                }
                Ok(done)
            }
            Err(error) => {
                let failure = self.failed(ehr, &endpoint, &error).await;
                Err(if in_doubt && only.is_some() { not_before(failure, LEASE) } else { failure })
            }
        }
    }

    async fn failed(&self, ehr: &EhrEndpoint, endpoint: &Endpoint, error: &EhrError) -> EventFailure {
        let (now, asked) = (self.parts.clock.now(), error.retry_after());
        let pause = endpoint.breaker().failed(now, asked);
        if let Some(pause) = pause {
            EHR_PAUSES.with_label_values(&[ehr.name.as_str()]).inc();
            tracing::warn!(ehr = %ehr.name, seconds = pause.as_secs(), "the EHR is left alone for a while");
            self.tell(ehr, now.checked_add(pause).unwrap_or(now)).await;
        }
        // What it asks for itself, it asks of every instance.
        if let Some(until) = asked.and_then(|asked| now.checked_add(asked).ok())
            && let Err(error) = self.parts.store.drain_quota(&hold(&ehr.name), until).await
        {
            tracing::warn!(ehr = %ehr.name, %error, "the other instances were not told to wait");
        }
        EventFailure::Retry { reason: error.to_string(), after: asked.or(pause) }
    }

    /// Notes until when the endpoint is left alone, for who watches: this process may be gone when they look.
    async fn tell(&self, ehr: &EhrEndpoint, until: Instant) {
        let note = self.parts.store.note_trouble(Trouble::EhrPaused, ehr.name.as_str(), until);
        if let Err(error) = note.await {
            tracing::warn!(ehr = %ehr.name, %error, "a pause of the EHR was not noted");
        }
    }
}

fn resting(ehr: &EhrName, after: Duration) -> EventFailure {
    let seconds = after.as_secs().max(1);
    EventFailure::Retry {
        reason: format!(
            "EHR endpoint {ehr} did not answer lately, or asked for patience: again in {seconds} s"
        ),
        after: Some(after),
    }
}

/// The same, but not sooner than that.
fn not_before(failure: EventFailure, least: Duration) -> EventFailure {
    match failure {
        EventFailure::Retry { reason, after } => {
            EventFailure::Retry { reason, after: Some(after.unwrap_or_default().max(least)) }
        }
        other => other,
    }
}

/// The leases of one call.
struct Leases<'a> {
    parts: &'a Parts,
    holder: String,
    names: Vec<String>,
    /// The one among them that keeps other writers out.
    only: Option<String>,
    /// When the first of them was taken.
    since: Option<Instant>,
}

impl Leases<'_> {
    async fn take(&mut self, name: String) -> Result<bool, EventFailure> {
        let now = self.parts.clock.now();
        let taken = self.parts.store.acquire_lease(&name, &self.holder, LEASE, now).await?;
        if taken {
            self.since.get_or_insert(now);
            self.names.push(name);
        }
        Ok(taken)
    }

    /// The link first: who waits for another writer of the same link takes no room from others.
    async fn take_all(&mut self, ehr: &EhrEndpoint, only: Option<Only>) -> Result<(), EventFailure> {
        let busy = |what: &str| EventFailure::Retry {
            reason: format!("EHR endpoint {}: {what}; trying again is safe", ehr.name),
            after: Some(LATER),
        };
        if let Some(only) = only {
            let name = format!("ehr:{}:{only}", ehr.name);
            let mut tries = 0;
            while !self.take(name.clone()).await? {
                tries += 1;
                if tries == TRIES {
                    return Err(busy(
                        "another instance is writing the same, or what it wrote is not certain yet",
                    ));
                }
                tokio::time::sleep(PAUSE).await;
            }
            self.only = Some(name);
        }
        // Each call begins at another slot, so that they do not all ask for the first.
        let slots = ehr.concurrency.max(1);
        let start = uuid::Uuid::now_v7().as_u128() as u32 % slots;
        for round in 0..TRIES {
            for step in 0..slots {
                if self.take(room(&ehr.name, (start + step) % slots)).await? {
                    return Ok(());
                }
            }
            if round + 1 < TRIES {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Err(busy("as many requests as it may have are under way"))
    }

    /// Does the work, and extends the leases until it is done.
    async fn keep_while<T>(&self, work: impl Future<Output = T>) -> Result<T, EventFailure> {
        let mut work = std::pin::pin!(work);
        // What was taken first runs out first: while the others were waited for, this process may have been stopped.
        let mut extended = self.since.unwrap_or_else(|| self.parts.clock.now());
        loop {
            let mut look = std::pin::pin!(tokio::time::sleep(LOOK));
            let step = poll_fn(|context| {
                // Before any step of the work: after a lease has run out it would meet another writer.
                if self.parts.clock.now() >= extended + EXTEND || look.as_mut().poll(context).is_ready() {
                    return Poll::Ready(None);
                }
                work.as_mut().poll(context).map(Some)
            });
            if let Some(done) = step.await {
                return Ok(done);
            }
            let now = self.parts.clock.now();
            if now < extended + EXTEND {
                continue;
            }
            for name in &self.names {
                if !self.parts.store.extend_lease(name, &self.holder, LEASE, now).await? {
                    return Err(EventFailure::retry(format!(
                        "the lease {name} was lost; trying again is safe"
                    )));
                }
            }
            extended = now;
        }
    }

    /// Gives them back; but for the one that keeps other writers out, where a write is in doubt.
    async fn release(&self, in_doubt: bool) {
        let kept = self.only.as_ref().filter(|_| in_doubt);
        for name in self.names.iter().filter(|name| Some(*name) != kept) {
            if let Err(error) = self.parts.store.release_lease(name, &self.holder).await {
                tracing::warn!(lease = name, %error, "a lease was not given back: it ends by itself");
            }
        }
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
