//! Whose turn it is: the order in which calls to providers are made, and the wait for them.
//!
//! Every app has a bucket of calls that all processes share, and where its provider counts patients apart, every link has
//! one, too. Work of a lower class leaves some of a bucket to the classes above it, so that a notification finds room
//! in the middle of a nightly run; and each class has a small share that those above cannot take, so that none starves.
//!
//! Who finds no room within a moment is given a place in the queue of its class: a time, one pace after the place before.
//! So what waits comes one by one, and not all at the same moment; the event waits in the bus, and counts no attempt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ohx_domain::SyncReason;
use ohx_events::{Event, Priority};
use ohx_providers::{Allowance, App, Provider, ProviderError};
use ohx_runtime::EventFailure;
use ohx_runtime::metrics::PROVIDER_CALLS;
use ohx_store::{Rate, Take, Taken};

use crate::{LinkError, Links, OpenLink, Result};

/// The longest wait that is handed out. Less than what counts as lost, so that what waits shows a sign of life in time.
pub const LONGEST_WAIT: Duration = Duration::from_secs(45 * 60);
/// Each class below the first has this part of the pace for itself: one call in so many.
const SHARE: u32 = 8;

/// How urgent work is, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Somebody waits: a notification, a person.
    Push,
    /// What a link missed that was connected again.
    Reconnect,
    /// The nightly run.
    Nightly,
    /// History.
    Backfill,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Push, Self::Reconnect, Self::Nightly, Self::Backfill];

    /// The class of a request.
    pub const fn of(reason: SyncReason) -> Self {
        match reason {
            SyncReason::Notification | SyncReason::Removal | SyncReason::Manual | SyncReason::Import => {
                Self::Push
            }
            SyncReason::Reconnect => Self::Reconnect,
            SyncReason::Nightly => Self::Nightly,
            SyncReason::Backfill => Self::Backfill,
        }
    }

    /// Its priority in the bus, which has three.
    pub const fn priority(self) -> Priority {
        match self {
            Self::Push => Priority::High,
            Self::Reconnect => Priority::Normal,
            Self::Nightly | Self::Backfill => Priority::Low,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Reconnect => "reconnect",
            Self::Nightly => "nightly",
            Self::Backfill => "backfill",
        }
    }

    /// How many calls of a burst this class leaves to others. Work that is under way comes before work of its class that has
    /// not begun, because a run that is given up has to begin anew. One call is left by all, for the share of each.
    fn kept(self, burst: u32, under_way: bool) -> u32 {
        let quarters = match self {
            Self::Push => 0,
            Self::Reconnect => 1,
            Self::Nightly => 2,
            Self::Backfill => 3,
        };
        let kept = burst / 4 * quarters;
        let kept = if under_way { kept.saturating_sub(burst / 8) } else { kept };
        kept.max(1).min(burst.saturating_sub(1))
    }
}

/// A piece of work on its way through the quota.
#[derive(Debug)]
pub struct Turn {
    class: Class,
    /// Whether the next call is counted already.
    paid: AtomicBool,
    under_way: AtomicBool,
}

impl Turn {
    /// Work of a class, which has not begun.
    pub const fn new(class: Class) -> Self {
        Self { class, paid: AtomicBool::new(false), under_way: AtomicBool::new(false) }
    }
}

/// How long a call waits for the quota on the spot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Before work has begun: the event can as well wait in the bus.
    pub first: Duration,
    /// While work is under way.
    pub under_way: Duration,
}

impl Default for Patience {
    /// One second, and one minute.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), under_way: Duration::from_secs(60) }
    }
}

/// The rate at which no stretch of time of the allowance's length ever holds more than its calls. A sixth of them may come at
/// once: enough for somebody who waits.
fn rate(allowance: Allowance) -> Rate {
    let calls = allowance.calls.max(1);
    let minutes = u32::try_from(allowance.per.as_secs() / 60).unwrap_or(u32::MAX).max(1);
    let per_minute = ((calls - calls / 6) / minutes).max(1);
    // A burst, and what is due until the time is over, come to one call more than their sum: the first is both.
    let burst = calls.saturating_add(1).saturating_sub(per_minute.saturating_mul(minutes)).max(1);
    Rate { per_minute, burst }
}

/// The calls that an app may make, as its configuration or the adapter says.
pub(crate) fn app_rate(app: &App, provider: &dyn Provider) -> Rate {
    let calls = app.config.requests_per_minute.unwrap_or_else(|| provider.default_requests_per_minute());
    rate(Allowance { calls, per: Duration::from_secs(60) })
}

/// A wait that many share, and half of it more at most, so that they do not all come at once.
pub fn apart(wait: Duration) -> Duration {
    wait + wait.mul_f64(0.5 * rand::random::<f64>())
}

fn pace(rate: Rate) -> Duration {
    Duration::from_secs(60) / rate.per_minute.max(1)
}

pub(crate) fn app_bucket(app: &App) -> String {
    format!("provider:{}", app.config.name)
}

fn patient_bucket(open: &OpenLink) -> String {
    format!("provider:{}:link:{}", open.link.provider, open.link.id)
}

impl Links {
    /// The same with another patience.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Calls a minute that an app makes when it has much to do: somewhat less than it may make in a minute, because some may
    /// come at once.
    pub fn calls_per_minute(&self, app: &App, provider: &dyn Provider) -> u32 {
        app_rate(app, provider).per_minute
    }

    /// Counts the first call of a piece of work, before anything of it is done. Without it that happens with the call.
    ///
    /// # Errors
    /// [`LinkError::Quota`], [`LinkError::Store`].
    pub async fn admit(
        &self,
        open: &OpenLink,
        app: &App,
        provider: &dyn Provider,
        turn: &Turn,
    ) -> Result<()> {
        self.take_turn(open, app, provider, turn).await?;
        turn.paid.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Counts a call, or waits for it as long as the patience lasts.
    pub(crate) async fn take_turn(
        &self,
        open: &OpenLink,
        app: &App,
        provider: &dyn Provider,
        turn: &Turn,
    ) -> Result<()> {
        if turn.paid.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let under_way = turn.under_way.load(Ordering::Relaxed);
        let patience = if under_way { self.patience.under_way } else { self.patience.first };
        let give_up = tokio::time::Instant::now() + patience;
        let app_rate = app_rate(app, provider);
        let patient_rate = provider.patient_allowance(&app.config).map(rate);
        let (app_bucket, patient_bucket) = (app_bucket(app), patient_bucket(open));
        let take =
            |bucket, rate: Rate, class: Class| Take { bucket, rate, kept: class.kept(rate.burst, under_way) };
        loop {
            let now = self.parts.clock.now();
            let mine = take(app_bucket.as_str(), app_rate, turn.class);
            let patient = patient_rate.map(|rate| take(patient_bucket.as_str(), rate, turn.class));
            let store = &self.parts.store;
            let mut taken = store.take_quotas(&mine, patient.as_ref(), now).await?;
            if let Taken::Wait { other: false, .. } = taken
                && turn.class > Class::Push
            {
                let bucket = format!("{app_bucket}:share:{}", turn.class.as_str());
                let rate = Rate { per_minute: (app_rate.per_minute / SHARE).max(1), burst: 1 };
                let (whole, share) = (Take { kept: 0, ..mine }, Take { bucket: &bucket, rate, kept: 0 });
                if store.take_quotas(&whole, Some(&share), now).await? == Taken::Granted {
                    taken = match &patient {
                        None => Taken::Granted,
                        Some(patient) => match store.take_quotas(patient, None, now).await? {
                            Taken::Wait { wait, .. } => Taken::Wait { wait, other: true },
                            granted => granted,
                        },
                    };
                }
            }
            let Taken::Wait { wait, other } = taken else { return Ok(()) };
            let wake = tokio::time::Instant::now() + wait.max(Duration::from_millis(10));
            if wake <= give_up {
                tokio::time::sleep_until(wake).await;
                continue;
            }
            PROVIDER_CALLS.with_label_values(&[provider.kind(), "quota"]).inc();
            let whose = if other { "what its provider allows this patient" } else { "its quota" };
            let why = format!("provider app {} has used up {whose}", app.config.name);
            let queue = if other { patient_bucket } else { app_bucket };
            let rate = if other { patient_rate.unwrap_or(app_rate) } else { app_rate };
            return Err(self.queued(&queue, rate, turn.class, wait, why).await?);
        }
    }

    /// The provider has said that its quota is used up: every call of the app (or of the link alone) pauses until it is not.
    pub(crate) async fn paused(
        &self,
        open: &OpenLink,
        app: &App,
        provider: &dyn Provider,
        turn: &Turn,
        said: (&ProviderError, Duration, bool),
    ) -> Result<LinkError> {
        let (error, after, patient_only) = said;
        let patient_rate = provider.patient_allowance(&app.config).map(rate);
        let (bucket, rate) = match patient_rate {
            Some(rate) if patient_only => (patient_bucket(open), rate),
            _ => (app_bucket(app), app_rate(app, provider)),
        };
        let until = self.parts.clock.now() + after;
        self.parts.store.drain_quota(&bucket, until).await?;
        // From then on the bucket fills up, first for those above.
        let kept = turn.class.kept(rate.burst, turn.under_way.load(Ordering::Relaxed));
        self.queued(&bucket, rate, turn.class, after + pace(rate) * (kept + 1), error.to_string()).await
    }

    /// A patient's calls are used up until then, as the provider's last answer said.
    pub(crate) async fn note_spent(&self, open: &OpenLink, until: ohx_domain::Instant) -> Result<()> {
        Ok(self.parts.store.drain_quota(&patient_bucket(open), until).await?)
    }

    /// A place in the queue before a bucket, not before `wait` is over.
    async fn queued(
        &self,
        bucket: &str,
        rate: Rate,
        class: Class,
        wait: Duration,
        why: String,
    ) -> Result<LinkError> {
        let now = self.parts.clock.now();
        let (queue, every) = (format!("{bucket}:queue:{}", class.as_str()), pace(rate));
        let wait = wait.min(LONGEST_WAIT);
        let place = self.parts.store.next_place(&queue, every, now + wait, now + LONGEST_WAIT).await?;
        let place = now.duration_until(place).unsigned_abs();
        // The queue does not grow beyond the longest wait: those behind its end come at any time, and look again.
        let wait = if place >= LONGEST_WAIT {
            LONGEST_WAIT.mul_f64(0.5 + 0.5 * rand::random::<f64>()).max(wait)
        } else {
            place + every.mul_f64(rand::random())
        };
        Ok(LinkError::Quota { why, wait })
    }

    /// Turns "not its turn yet" into "done", by publishing the event once more for later. Where the bus cannot wait, it
    /// stays what it was.
    ///
    /// # Errors
    /// The failure, where it is another one; [`EventFailure::Retry`] where the event could not be published.
    pub async fn or_later(
        &self,
        event: &Event,
        result: std::result::Result<(), EventFailure>,
    ) -> std::result::Result<(), EventFailure> {
        match result {
            Err(EventFailure::Wait { reason, after }) if self.parts.bus.can_wait() => {
                tracing::debug!(
                    link = ?ohx_events::envelope::link_of(event).ok(),
                    seconds = after.as_secs(),
                    reason,
                    "later"
                );
                Ok(self.parts.bus.publish_after(event.clone(), after).await?)
            }
            other => other,
        }
    }
}

impl Turn {
    /// Something of the work is done: the rest is not to wait in the bus.
    pub(crate) fn is_under_way(&self) {
        self.under_way.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(calls: u32, minutes: u64) -> Rate {
        rate(Allowance { calls, per: Duration::from_secs(minutes * 60) })
    }

    #[test]
    fn no_stretch_of_time_holds_more_than_is_allowed() {
        for calls in (1..=1000).chain([60_000, u32::MAX]) {
            for stretch in [1_u32, 2, 60] {
                let Rate { per_minute, burst } = minutes(calls, stretch.into());
                let most = u64::from(burst) - 1 + u64::from(per_minute) * u64::from(stretch);
                assert!(most <= u64::from(calls.max(stretch)), "{calls} in {stretch}: {most}");
                assert!(calls < stretch || most * 10 >= u64::from(calls) * 8, "{calls} in {stretch}: {most}");
            }
        }
        assert_eq!(minutes(120, 1), Rate { per_minute: 100, burst: 21 });
        assert_eq!(minutes(150, 60), Rate { per_minute: 2, burst: 31 }, "Fitbit's hour");
        assert_eq!(minutes(0, 0), Rate { per_minute: 1, burst: 1 });
    }

    #[test]
    fn each_class_leaves_room_to_those_above_and_finds_some_itself() {
        for burst in 1..500 {
            for under_way in [false, true] {
                let kept = Class::ALL.map(|class| class.kept(burst, under_way));
                assert!(kept.is_sorted(), "{burst}: {kept:?}");
                assert!(kept.iter().all(|kept| *kept < burst), "{burst}: {kept:?}");
                let enough = if under_way { 16 } else { 8 };
                assert!(burst < enough || kept.windows(2).all(|pair| pair[0] < pair[1]), "{burst}: {kept:?}");
            }
            for class in Class::ALL {
                assert!(class.kept(burst, true) <= class.kept(burst, false));
            }
        }
        assert!(Class::ALL.is_sorted_by_key(|class| class.priority()));
    }
}
