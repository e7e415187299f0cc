//! A broker that does everything a broker is allowed to: it delivers twice, late and in any order, refuses, and takes
//! events whose acknowledgement is then lost. Waits are of the world's time; nothing here sleeps.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cloudevents::AttributesReader as _;
use ohx_bus::retry::RetryPolicy;
use ohx_bus::{Bus, BusError, Verdict};
use ohx_domain::Instant;
use ohx_events::{Event, Function, subscribers};

use crate::clock::Time;
use crate::journal::{Journal, kind};
use crate::plan::Plan;

/// An event on its way to a function.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub event: Event,
    pub to: Function,
    /// Attempts made so far.
    pub attempts: u32,
    due: Instant,
    /// In which order it came.
    number: u64,
}

/// What is to become of an event after an attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum After {
    Settled,
    Bury(String),
}

/// The broker. Clones share it.
#[derive(Clone)]
pub struct ChaoticBus(Arc<Inner>);

struct Inner {
    plan: Plan,
    time: Arc<Time>,
    journal: Journal,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    publications: u64,
    arrivals: u64,
    calm: bool,
}

impl ChaoticBus {
    pub fn new(plan: &Plan, time: &Arc<Time>, journal: &Journal) -> Self {
        let (plan, time, journal, state) = (plan.clone(), time.clone(), journal.clone(), Mutex::default());
        Self(Arc::new(Inner { plan, time, journal, state }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it does nothing that nobody would want.
    pub fn calm_down(&self) {
        self.state().calm = true;
    }

    /// Takes one of the events that are due: any of them.
    pub fn take(&self, step: &str) -> Option<Waiting> {
        let now = self.0.time.now();
        let mut state = self.state();
        let mut due: Vec<usize> =
            (0..state.waiting.len()).filter(|at| state.waiting[*at].due <= now).collect();
        due.sort_by_key(|at| (state.waiting[*at].due, state.waiting[*at].number));
        let first = *due.first()?;
        let chosen = match state.calm || !self.0.plan.knows(kind::REORDERED) {
            true => first,
            false => due[self.0.plan.dice.below(&format!("{step}/which"), due.len() as u64) as usize],
        };
        if state.waiting[chosen].number > state.waiting[first].number {
            self.0.journal.note(kind::REORDERED, step);
        }
        Some(state.waiting.swap_remove(chosen))
    }

    /// When the next event is due, where there is one.
    pub fn next_due(&self) -> Option<Instant> {
        self.state().waiting.iter().map(|waiting| waiting.due).min()
    }

    /// How many events are on their way.
    pub fn len(&self) -> usize {
        self.state().waiting.len()
    }

    /// The process of an in-process queue is gone, and the queue with it. Gives the number of events lost.
    pub fn lose_all(&self) -> usize {
        std::mem::take(&mut self.state().waiting).len()
    }

    /// After an attempt to deliver: what a broker makes of it. A killed function has given no verdict.
    pub fn settle(&self, mut item: Waiting, verdict: Option<Verdict>, step: &str) -> After {
        item.attempts += 1;
        let policy = RetryPolicy::default();
        let (asked, reason) = match verdict {
            Some(Verdict::Done) => return After::Settled,
            Some(Verdict::Reject { reason }) => return After::Bury(reason),
            Some(Verdict::Retry { after, reason }) => (after, reason),
            None => (None, "the function was killed".to_owned()),
        };
        if item.attempts >= policy.attempts {
            return After::Bury(reason);
        }
        // The policy's own wait is random: here the jitter comes from the seed.
        let full = policy.base.saturating_mul(1 << (item.attempts - 1).min(20)).min(policy.cap);
        let jitter = self.0.plan.dice.between(&format!("{step}/jitter"), 50, 100) as u32;
        self.put_back(
            item,
            asked.unwrap_or_default().min(Duration::from_secs(3_600)).max(full * jitter / 100),
        );
        After::Settled
    }

    /// Puts an event back, to be delivered again after a wait.
    pub fn put_back(&self, item: Waiting, wait: Duration) {
        let due = self.0.time.now() + wait;
        self.state().waiting.push(Waiting { due, ..item });
    }

    fn accept(&self, event: &Event, name: &str, delay: Duration) {
        let Inner { plan, journal, time, .. } = &*self.0;
        let now = time.now();
        for to in subscribers(event.ty()) {
            let step = format!("{name}/{to}");
            let calm = self.state().calm;
            let mut due = now + delay;
            if !calm && plan.knows(kind::DELAYED) && plan.dice.chance(&format!("{step}/delayed"), 50) {
                let longest = if plan.dice.chance(&format!("{step}/very"), 200) { 20_000 } else { 600 };
                due += Duration::from_secs(plan.dice.between(&format!("{step}/delay"), 30, longest));
                journal.note(kind::DELAYED, &step);
            }
            let twice =
                !calm && plan.knows(kind::DUPLICATED) && plan.dice.chance(&format!("{step}/twice"), 120);
            if twice {
                journal.note(kind::DUPLICATED, &step);
            }
            for copy in 0..=u64::from(twice) {
                // The second comes with the first, or long after it.
                let late = copy * plan.dice.below(&format!("{step}/second"), 3) * 1_000;
                let mut state = self.state();
                state.arrivals += 1;
                let number = state.arrivals;
                let due = due + Duration::from_secs(late);
                state.waiting.push(Waiting { event: event.clone(), to: *to, attempts: 0, due, number });
            }
        }
    }

    fn publication(&self, events: &[Event], delay: Duration) -> Result<(), BusError> {
        let Inner { plan, journal, .. } = &*self.0;
        let (name, calm) = {
            let mut state = self.state();
            state.publications += 1;
            (format!("publication {}", state.publications), state.calm)
        };
        let hit = |kind, per_mille| {
            let met = !calm && plan.knows(kind) && plan.dice.chance(&format!("{name}/{kind}"), per_mille);
            if met {
                journal.note(kind, &name);
            }
            met
        };
        if hit(kind::REFUSED, 30) {
            return Err(BusError::Unavailable("the broker is out of reach".into()));
        }
        for (n, event) in events.iter().enumerate() {
            self.accept(event, &format!("{name}.{n}"), delay);
        }
        if hit(kind::UNCONFIRMED, 30) {
            return Err(BusError::Unavailable("the broker's answer was lost".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Bus for ChaoticBus {
    async fn publish(&self, events: Vec<Event>) -> Result<(), BusError> {
        // A broker is elsewhere: whoever waits for it can be killed meanwhile, before it has the events or after.
        tokio::task::yield_now().await;
        let published = self.publication(&events, Duration::ZERO);
        tokio::task::yield_now().await;
        published
    }

    async fn publish_after(&self, event: Event, delay: Duration) -> Result<(), BusError> {
        tokio::task::yield_now().await;
        let published = self.publication(&[event], delay);
        tokio::task::yield_now().await;
        published
    }

    async fn ping(&self) -> Result<(), BusError> {
        Ok(())
    }
}
