//! When an EHR endpoint is left alone, because it does not answer.

use std::time::Duration;

use ohx_domain::Instant;

/// So many failures in a row open the circuit.
const FAILURES: u32 = 3;
/// The first pause; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(10);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(300);

/// Counts what an endpoint fails at.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    /// Until when nothing is sent.
    open_until: Option<Instant>,
    /// Whether somebody is finding out if it answers again.
    probing: bool,
}

/// What a caller may do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Go ahead.
    Free,
    /// Go ahead, alone: whether it answers again is what this will tell.
    Probe,
    /// Not before so long.
    Wait(Duration),
}

impl Breaker {
    /// Asks to be let through.
    pub(crate) fn enter(&mut self, now: Instant) -> Entry {
        let Some(until) = self.open_until else { return Entry::Free };
        if now < until {
            return Entry::Wait(now.duration_until(until).unsigned_abs());
        }
        if self.probing {
            return Entry::Wait(FIRST);
        }
        self.probing = true;
        Entry::Probe
    }

    /// It answered. `true` where that closes the circuit.
    pub(crate) fn answered(&mut self) -> bool {
        let was_open = self.open_until.is_some();
        *self = Self::default();
        was_open
    }

    /// It did not answer as an EHR should; it may have asked for patience itself. `Some(pause)` where that opens the circuit,
    /// or keeps it open.
    pub(crate) fn failed(&mut self, now: Instant, asked: Option<Duration>) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        self.probing = false;
        let doublings = self.failures.checked_sub(FAILURES);
        let pause = match (asked, doublings) {
            (Some(asked), _) => asked.max(Duration::from_secs(1)),
            (None, Some(doublings)) => (FIRST * 2_u32.saturating_pow(doublings.min(10))).min(LONGEST),
            (None, None) => return None,
        };
        self.open_until = now.checked_add(pause).ok();
        Some(pause)
    }

    /// The caller was cut off: nothing is known.
    pub(crate) fn left(&mut self) {
        self.probing = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Instant {
        Instant::from_second(1_790_000_000 + second).unwrap()
    }

    #[test]
    fn three_failures_open_it_and_one_answer_closes_it() {
        let mut breaker = Breaker::default();
        assert_eq!((breaker.failed(at(0), None), breaker.failed(at(0), None)), (None, None));
        assert_eq!(breaker.enter(at(0)), Entry::Free);
        assert_eq!(breaker.failed(at(0), None), Some(Duration::from_secs(10)));
        assert_eq!(breaker.enter(at(4)), Entry::Wait(Duration::from_secs(6)));
        assert_eq!(breaker.enter(at(10)), Entry::Probe);
        assert!(matches!(breaker.enter(at(10)), Entry::Wait(_)), "one probe at a time");
        assert_eq!(breaker.failed(at(10), None), Some(Duration::from_secs(20)));
        assert_eq!(breaker.enter(at(30)), Entry::Probe);
        breaker.left();
        assert_eq!(breaker.enter(at(30)), Entry::Probe, "a probe that was cut off blocks nobody");
        assert!(breaker.answered());
        assert_eq!(breaker.enter(at(30)), Entry::Free);
        assert!(!breaker.answered());
    }

    #[test]
    fn what_it_asks_for_is_kept_and_the_pause_has_an_end() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.failed(at(0), Some(Duration::from_secs(17))), Some(Duration::from_secs(17)));
        assert_eq!(breaker.enter(at(16)), Entry::Wait(Duration::from_secs(1)));
        let mut pause = None;
        for _ in 0..100 {
            pause = breaker.failed(at(20), None);
        }
        assert_eq!(pause, Some(LONGEST));
    }
}
