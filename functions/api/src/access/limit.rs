//! How fast a caller may be, in this process. What the providers allow is counted in the store; this only keeps one caller
//! from being in all others' way, and several processes allow several times as much.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ohx_domain::Instant;

const MINUTE: i64 = 60_000_000;
/// From how many callers on those are forgotten whose bucket is full again.
const MANY: usize = 10_000;

/// A bucket for each caller, that lets a minute's calls through at once and then one at a time (the generic cell rate
/// algorithm: ITU-T I.371, annex A).
pub(super) struct Buckets {
    /// Between two calls at an even pace, in microseconds.
    interval: i64,
    /// When the next call would be due at an even pace, in microseconds since the epoch.
    due: Mutex<HashMap<String, i64>>,
}

impl Buckets {
    pub(super) fn new(per_minute: u32) -> Self {
        Self { interval: MINUTE / i64::from(per_minute.max(1)), due: Mutex::default() }
    }

    /// Takes one call.
    ///
    /// # Errors
    /// How long to wait, where there is none to take.
    pub(super) fn take(&self, caller: &str, now: Instant) -> Result<(), Duration> {
        let now = now.as_microsecond();
        let mut all = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MANY && !all.contains_key(caller) {
            all.retain(|_, due| *due > now);
            // Everybody is new: an attack with made-up addresses. Beginning afresh lets some more through, for little memory.
            if all.len() >= MANY {
                all.clear();
            }
        }
        let due = all.get(caller).copied().unwrap_or(now).max(now);
        let next = due.saturating_add(self.interval);
        let over = next.saturating_sub(now).saturating_sub(MINUTE);
        if over > 0 {
            return Err(Duration::from_micros(over.unsigned_abs()));
        }
        all.insert(caller.to_owned(), next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_calls_may_come_at_once_and_then_at_an_even_pace() {
        let buckets = Buckets::new(60);
        let at = |second: i64| Instant::from_second(1_750_000_000 + second).unwrap();
        assert_eq!((0..100).filter(|_| buckets.take("a", at(0)).is_ok()).count(), 60);
        assert_eq!(buckets.take("a", at(0)), Err(Duration::from_secs(1)));
        assert_eq!(buckets.take("b", at(0)), Ok(()), "another caller's is its own");
        assert_eq!(buckets.take("a", at(1)), Ok(()));
        assert!(buckets.take("a", at(1)).is_err());
        assert_eq!((0..100).filter(|_| buckets.take("a", at(600)).is_ok()).count(), 60);
    }

    #[test]
    fn many_callers_take_little_memory() {
        let buckets = Buckets::new(60);
        let now = Instant::from_second(1_750_000_000).unwrap();
        for n in 0..3 * MANY {
            buckets.take(&n.to_string(), now).unwrap();
        }
        assert!(buckets.due.lock().unwrap().len() <= MANY);
    }
}
