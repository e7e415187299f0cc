//! When to try again.

use std::time::Duration;

use ohx_events::Event;
use ohx_events::envelope::is_only_copy;
use rand::RngExt as _;

use crate::Verdict;
use crate::deliver::MAX_RETRY_AFTER;

/// The most that is added to a wait that a function asked for.
const SPREAD: Duration = Duration::from_secs(60);

/// Exponential backoff with jitter, and an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first wait.
    pub base: Duration,
    /// The longest wait.
    pub cap: Duration,
    /// After how many attempts an event becomes a dead letter.
    pub attempts: u32,
    /// After how often an event that was handed out without an end is not tried again ([`RetryPolicy::hopeless`]).
    pub handed_out: u32,
}

impl Default for RetryPolicy {
    /// One second, doubling to at most five minutes, twelve attempts: about half an hour of trying. Handed out 96 times: seven hours.
    fn default() -> Self {
        Self { base: Duration::from_secs(1), cap: Duration::from_secs(300), attempts: 12, handed_out: 96 }
    }
}

impl RetryPolicy {
    /// How long to wait after the `attempt`-th attempt (from 1) has failed; `None` when it was the last. Without a wish of the
    /// function's it is a random time between half and all of `base * 2^(attempt - 1)`, at most `cap`. With one it is that wish
    /// (up to one hour) and up to a tenth more, but a minute at most: many events that were told the same moment must not all
    /// come back at it, and none comes earlier.
    pub fn wait(&self, attempt: u32, asked: Option<Duration>) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let full =
            self.base.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1).min(20))).min(self.cap);
        let jittered = full.mul_f64(rand::rng().random_range(0.5..=1.0));
        let Some(asked) = asked else { return Some(jittered) };
        let asked = asked.min(MAX_RETRY_AFTER).max(jittered.min(self.base));
        let spread = (asked / 10).min(SPREAD);
        Some(asked + spread.mul_f64(rand::rng().random_range(0.0..=1.0)))
    }
}

impl RetryPolicy {
    /// Whether an event has been handed out so often without an end that it must be what ends relays or functions, and is not
    /// worth another attempt. Far beyond [`RetryPolicy::attempts`]: while the database that keeps dead letters is away, every
    /// attempt fails and none can end.
    pub fn hopeless(&self, event: Option<&Event>, attempt: u32) -> bool {
        // Nearly two weeks, which is as long as SQS keeps a message.
        let times = if event.is_some_and(is_only_copy) { 10 } else { 1 };
        attempt > self.handed_out.max(self.attempts).saturating_mul(times)
    }
}

/// What is to become of an event after an attempt to deliver it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it is done.
    Done,
    /// Another attempt, after this wait.
    Again(Duration),
    /// A dead letter, for this reason.
    Bury(String),
}

impl RetryPolicy {
    /// What follows from `verdict`, the outcome of the `attempt`-th attempt (from 1) with `event`. One that is the only copy of
    /// what it carries is tried until it is taken, refused or hopeless: a dead letter keeps no readings.
    pub fn next(&self, event: &Event, attempt: u32, verdict: Verdict) -> Next {
        match verdict {
            Verdict::Done => Next::Done,
            Verdict::Reject { reason } => Next::Bury(reason),
            Verdict::Retry { after, reason } => match self.wait(attempt, after) {
                Some(wait) => Next::Again(wait),
                None if is_only_copy(event) && !self.hopeless(Some(event), attempt) => {
                    // Less often after a while: SQS hands a message out a thousand times at most, and keeps it for two weeks.
                    let least = if attempt > self.handed_out { self.cap * 4 } else { self.cap };
                    Next::Again(after.unwrap_or_default().clamp(least, MAX_RETRY_AFTER.max(least)))
                }
                None => Next::Bury(reason),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_end() {
        let policy = RetryPolicy {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(10),
            attempts: 6,
            ..RetryPolicy::default()
        };
        for attempt in 1..6 {
            let wait = policy.wait(attempt, None).unwrap().as_secs_f64();
            let full = 2_f64.powi(attempt as i32 - 1).min(10.0);
            assert!((full / 2.0..=full).contains(&wait), "{attempt}: {wait}");
        }
        assert_eq!(policy.wait(6, None), None);
    }

    #[test]
    fn what_nobody_else_has_is_given_up_by_a_refusal_or_after_weeks() {
        let policy = RetryPolicy::default();
        let (plain, mut only) = (Event::default(), Event::default());
        ohx_events::envelope::set_only_copy(&mut only);
        let retry = |after| Verdict::Retry { after, reason: "away".into() };
        assert_eq!(policy.next(&plain, 12, retry(None)), Next::Bury("away".into()));
        assert_eq!(policy.next(&only, 12, retry(None)), Next::Again(policy.cap));
        let asked = Duration::from_secs(900);
        assert_eq!(policy.next(&only, 12, retry(Some(asked))), Next::Again(asked));
        assert_eq!(policy.next(&only, 97, retry(Some(asked))), Next::Again(policy.cap * 4));
        assert_eq!(policy.next(&only, 960, retry(None)), Next::Again(policy.cap * 4));
        assert_eq!(policy.next(&only, 961, retry(Some(asked))), Next::Bury("away".into()));
        assert_eq!(policy.next(&only, 12, Verdict::Reject { reason: "no".into() }), Next::Bury("no".into()));
        let hopeless = |event, attempt| policy.hopeless(event, attempt);
        assert!(!hopeless(Some(&plain), 96) && hopeless(Some(&plain), 97) && hopeless(None, 97));
        assert!(!hopeless(Some(&only), 960) && hopeless(Some(&only), 961));
    }

    #[test]
    fn what_is_asked_for_is_kept_and_spread() {
        let policy = RetryPolicy {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(10),
            attempts: 6,
            ..RetryPolicy::default()
        };
        let seconds = Duration::from_secs;
        for (asked, least, most) in [
            (seconds(60), seconds(60), seconds(66)),
            (seconds(3600), seconds(3600), seconds(3660)),
            (seconds(86_400), seconds(3600), seconds(3660)),
            (Duration::ZERO, Duration::from_millis(500), Duration::from_millis(1100)),
        ] {
            let waits: Vec<_> = (0..200).map(|_| policy.wait(1, Some(asked)).unwrap()).collect();
            assert!(waits.iter().all(|wait| (least..=most).contains(wait)), "{asked:?}: {waits:?}");
            // Of 200 that were told the same, no tenth of the spread has more than half.
            let mut sorted = waits;
            sorted.sort();
            assert!(
                sorted[150] - sorted[50] > (most - least) / 10,
                "{asked:?}: they come back at one moment"
            );
        }
        assert_eq!(policy.wait(6, Some(seconds(1))), None);
    }
}
