//! What a client learns about its endpoint, shared by its clones.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use ohx_domain::Instant;

use crate::plan::Plan;

/// What has been learnt so far.
#[derive(Debug)]
pub(crate) struct State {
    plan: Mutex<Option<(Plan, Instant)>>,
    /// How many entries the next bundle may have.
    entries: AtomicUsize,
    /// How many a bundle may ever have: the server has refused more as too large.
    ceiling: AtomicUsize,
}

impl State {
    /// For an endpoint that takes bundles of `entries`, as far as is known.
    pub(crate) fn new(entries: usize) -> Self {
        Self {
            plan: Mutex::new(None),
            entries: AtomicUsize::new(entries),
            ceiling: AtomicUsize::new(entries),
        }
    }

    /// The plan, and when it was made.
    pub(crate) fn plan(&self) -> Option<(Plan, Instant)> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps a plan.
    pub(crate) fn remember(&self, plan: Plan, at: Instant) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some((plan, at));
    }

    /// How many entries the next bundle may have.
    pub(crate) fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed).max(1)
    }

    /// A bundle of `sent` entries was too large: half as many from now on.
    pub(crate) fn too_large(&self, sent: usize) {
        let half = (sent / 2).max(1);
        self.ceiling.fetch_min(half, Ordering::Relaxed);
        self.entries.fetch_min(half, Ordering::Relaxed);
    }

    /// A bundle of `sent` entries took too long: half as many for now.
    pub(crate) fn too_slow(&self, sent: usize) {
        self.entries.fetch_min((sent / 2).max(1), Ordering::Relaxed);
    }

    /// A bundle of `sent` entries was answered: a little more next time, if it was a full one.
    pub(crate) fn answered(&self, sent: usize) {
        let now = self.entries();
        if sent >= now {
            let more = (now + now / 8 + 1).min(self.ceiling.load(Ordering::Relaxed).max(1));
            self.entries.fetch_max(more, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_grows_back_after_a_slow_answer_and_never_over_what_was_too_large() {
        let state = State::new(200);
        state.too_slow(200);
        assert_eq!(state.entries(), 100);
        state.answered(30);
        assert_eq!(state.entries(), 100, "a small one says nothing");
        state.answered(100);
        assert_eq!(state.entries(), 113);
        state.too_large(113);
        for _ in 0..50 {
            state.answered(state.entries());
        }
        assert_eq!(state.entries(), 56);
        state.too_large(1);
        assert_eq!(state.entries(), 1, "one entry is always tried");
    }
}
