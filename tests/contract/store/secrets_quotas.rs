//! Quotas: never faster than the provider allows, and as fast as that.

use std::time::Duration;

use ohx_domain::Instant;
use ohx_store::{Quota, Rate, Store};

use crate::rig::Rig;
use crate::samples::{at, at_micros};

crate::promises!(
    a_burst_is_granted_and_then_one_at_a_time,
    the_wait_is_exact,
    a_long_run_keeps_to_the_rate,
    an_idle_bucket_saves_up_one_burst_only,
    of_many_calls_a_burst_is_granted,
    a_drained_bucket_grants_nothing_before_its_time,
    a_drained_bucket_is_empty_when_it_opens,
    of_two_drains_the_later_end_counts,
    a_drain_that_is_over_changes_nothing,
    buckets_are_apart,
    a_rate_of_nothing_counts_as_one,
    the_highest_rates_do_not_overflow,
);

const RATE: Rate = Rate { per_minute: 60, burst: 5 };

async fn take(store: &dyn Store, rate: Rate, now: Instant) -> Option<Duration> {
    match store.take_quota("withings", rate, now).await.unwrap() {
        Quota::Granted => None,
        Quota::Wait(wait) => Some(wait),
    }
}

async fn granted(store: &dyn Store, now: Instant) -> usize {
    let mut n = 0;
    while take(store, RATE, now).await.is_none() {
        n += 1;
    }
    n
}

async fn a_burst_is_granted_and_then_one_at_a_time(rig: Rig) {
    assert_eq!(granted(&*rig.store, at(0)).await, 5);
    assert_eq!(granted(&*rig.other, at(0)).await, 0);
    assert_eq!(granted(&*rig.other, at(1)).await, 1);
    assert_eq!(granted(&*rig.store, at(3)).await, 2);
}

async fn the_wait_is_exact(rig: Rig) {
    granted(&*rig.store, at(0)).await;
    assert_eq!(take(&*rig.store, RATE, at(0)).await, Some(Duration::from_secs(1)));
    assert_eq!(take(&*rig.store, RATE, at_micros(400_000)).await, Some(Duration::from_millis(600)));
    assert_eq!(take(&*rig.store, RATE, at_micros(999_999)).await, Some(Duration::from_micros(1)));
    assert_eq!(take(&*rig.store, RATE, at_micros(1_000_000)).await, None);
}

async fn a_long_run_keeps_to_the_rate(rig: Rig) {
    // 7 a minute does not divide a minute: what is rounded must not add up to a call too many.
    let rate = Rate { per_minute: 7, burst: 3 };
    let (mut now, mut calls) = (0_i64, Vec::new());
    while calls.len() < 80 {
        match take(&*rig.store, rate, at_micros(now)).await {
            None => calls.push(now),
            Some(wait) => now += i64::try_from(wait.as_micros()).unwrap(),
        }
    }
    for (n, call) in calls.iter().enumerate() {
        let allowed = 3 + usize::try_from(call * 7 / 60_000_000).unwrap();
        assert!(n < allowed, "call {n} at {call} µs");
    }
    assert!(now < 77 * 60_000_000 / 7 + 1_000, "and no slower: {now} µs");
}

async fn an_idle_bucket_saves_up_one_burst_only(rig: Rig) {
    granted(&*rig.store, at(0)).await;
    assert_eq!(granted(&*rig.store, at(1_000_000)).await, 5);
}

async fn of_many_calls_a_burst_is_granted(rig: Rig) {
    for round in 0..5 {
        // At first there is no row; then it is full again.
        let now = at(round * 1000);
        let taken = rig
            .at_once(24, |store, _| async move { store.take_quota("withings", RATE, now).await.unwrap() })
            .await;
        assert_eq!(taken.iter().filter(|q| **q == Quota::Granted).count(), 5);
        let waits: Vec<_> = taken.into_iter().filter(|q| *q != Quota::Granted).collect();
        assert_eq!(waits, [Quota::Wait(Duration::from_secs(1)); 19]);
    }
}

async fn a_drained_bucket_grants_nothing_before_its_time(rig: Rig) {
    // Once for a bucket that was never used, once for one that was, whatever the rate.
    for now in [0, 1000] {
        rig.store.drain_quota("withings", at(now + 60)).await.unwrap();
        assert_eq!(take(&*rig.other, RATE, at(now)).await, Some(Duration::from_secs(60)));
        let other = Rate { per_minute: 6000, burst: 1000 };
        assert_eq!(
            take(&*rig.other, other, at_micros((now + 60) * 1_000_000 - 1)).await,
            Some(Duration::from_micros(1))
        );
        assert_eq!(take(&*rig.other, RATE, at(now + 60)).await, None);
    }
}

async fn a_drained_bucket_is_empty_when_it_opens(rig: Rig) {
    granted(&*rig.store, at(0)).await;
    rig.store.drain_quota("withings", at(60)).await.unwrap();
    assert_eq!(granted(&*rig.store, at(60)).await, 1, "not a burst at a provider that has just complained");
    assert_eq!(granted(&*rig.store, at(62)).await, 2);
    assert_eq!(granted(&*rig.store, at(600)).await, 5);
}

async fn of_two_drains_the_later_end_counts(rig: Rig) {
    rig.store.drain_quota("withings", at(60)).await.unwrap();
    rig.store.drain_quota("withings", at(30)).await.unwrap();
    assert_eq!(take(&*rig.store, RATE, at(30)).await, Some(Duration::from_secs(30)));
    rig.store.drain_quota("withings", at(90)).await.unwrap();
    assert_eq!(take(&*rig.store, RATE, at(60)).await, Some(Duration::from_secs(30)));
}

async fn a_drain_that_is_over_changes_nothing(rig: Rig) {
    rig.store.drain_quota("withings", at(-1000)).await.unwrap();
    assert_eq!(granted(&*rig.store, at(0)).await, 5);
}

async fn buckets_are_apart(rig: Rig) {
    granted(&*rig.store, at(0)).await;
    rig.store.drain_quota("withings", at(60)).await.unwrap();
    assert_eq!(rig.store.take_quota("fitbit", RATE, at(0)).await.unwrap(), Quota::Granted);
}

async fn a_rate_of_nothing_counts_as_one(rig: Rig) {
    let none = Rate { per_minute: 0, burst: 0 };
    assert_eq!(take(&*rig.store, none, at(0)).await, None);
    assert_eq!(take(&*rig.store, none, at(0)).await, Some(Duration::from_secs(60)));
}

async fn the_highest_rates_do_not_overflow(rig: Rig) {
    rig.store.drain_quota("withings", at(5)).await.unwrap();
    for (per_minute, burst) in [(u32::MAX, u32::MAX), (1, u32::MAX), (u32::MAX, 1)] {
        assert!(take(&*rig.store, Rate { per_minute, burst }, at(0)).await.is_some());
        assert!(
            take(&*rig.store, Rate { per_minute, burst }, at(60)).await.is_none_or(|w| w > Duration::ZERO)
        );
    }
}
