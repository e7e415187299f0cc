//! A call out of two buckets, what each class leaves to others, and the queue of those that find no room.

use std::time::Duration;

use ohx_domain::Instant;
use ohx_store::{Quota, Rate, Store, Take, Taken};

use crate::rig::Rig;
use crate::samples::{at, at_micros};

crate::promises!(
    both_grant_or_neither_counts,
    the_longer_wait_is_told_and_whose_it_is,
    of_many_calls_neither_bucket_grants_too_many,
    what_is_kept_is_for_others,
    what_is_kept_is_of_the_whole_burst_after_a_drain,
    places_come_one_after_another,
    nobody_gets_the_place_of_another,
    a_queue_does_not_grow_beyond_its_horizon,
    a_queue_that_has_passed_begins_anew,
    idle_buckets_are_removed,
);

const APP: Rate = Rate { per_minute: 60, burst: 5 };
const PATIENT: Rate = Rate { per_minute: 6, burst: 2 };

const fn app() -> Take<'static> {
    Take { bucket: "app", rate: APP, kept: 0 }
}

const fn patient(bucket: &str) -> Take<'_> {
    Take { bucket, rate: PATIENT, kept: 0 }
}

async fn both(store: &dyn Store, who: &str, now: Instant) -> Taken {
    store.take_quotas(&app(), Some(&patient(who)), now).await.unwrap()
}

fn wait(seconds: u64, other: bool) -> Taken {
    Taken::Wait { wait: Duration::from_secs(seconds), other }
}

async fn alone(store: &dyn Store, bucket: &str, rate: Rate, now: Instant) -> usize {
    let mut n = 0;
    while store.take_quota(bucket, rate, now).await.unwrap() == Quota::Granted {
        n += 1;
    }
    n
}

async fn both_grant_or_neither_counts(rig: Rig) {
    assert_eq!(both(&*rig.store, "ada", at(0)).await, Taken::Granted);
    assert_eq!(both(&*rig.store, "ada", at(0)).await, Taken::Granted);
    for _ in 0..10 {
        assert_eq!(both(&*rig.other, "ada", at(0)).await, wait(10, true), "the patient's are used up");
    }
    assert_eq!(alone(&*rig.store, "app", APP, at(0)).await, 3, "what was refused is not counted at the app");
    for _ in 0..10 {
        assert_eq!(both(&*rig.other, "bob", at(0)).await, wait(1, false), "the app's are used up");
    }
    assert_eq!(alone(&*rig.store, "bob", PATIENT, at(0)).await, 2, "nor at the patient");
}

async fn the_longer_wait_is_told_and_whose_it_is(rig: Rig) {
    both(&*rig.store, "ada", at(0)).await;
    rig.store.drain_quota("app", at(30)).await.unwrap();
    rig.store.drain_quota("ada", at(20)).await.unwrap();
    assert_eq!(both(&*rig.store, "ada", at(0)).await, wait(30, false));
    rig.store.drain_quota("ada", at(40)).await.unwrap();
    assert_eq!(both(&*rig.store, "ada", at(0)).await, wait(40, true));
    assert_eq!(both(&*rig.store, "ada", at(40)).await, Taken::Granted);
}

async fn of_many_calls_neither_bucket_grants_too_many(rig: Rig) {
    for round in 0..4 {
        let now = at(round * 1000);
        let taken =
            rig.at_once(24, |store, i| async move {
                (i % 3, both(&*store, ["ada", "bob", "eve"][i % 3], now).await)
            })
            .await;
        let granted = |who: usize| taken.iter().filter(|one| **one == (who, Taken::Granted)).count();
        assert!((0..3).all(|who| granted(who) <= 2), "two for each patient");
        let all: usize = (0..3).map(granted).sum();
        // Whoever lost a race may have counted at one of them: never one too many, and seldom one too few.
        assert!((3..=5).contains(&all), "{all}");
    }
}

async fn what_is_kept_is_for_others(rig: Rig) {
    let take = async |kept, now| {
        let taken = rig.store.take_quotas(&Take { kept, ..app() }, None, now).await.unwrap();
        taken == Taken::Granted
    };
    for _ in 0..2 {
        assert!(take(3, at(0)).await);
    }
    assert!(!take(3, at(0)).await, "three are left");
    assert!(take(1, at(0)).await && take(1, at(0)).await);
    assert!(!take(1, at(0)).await);
    assert!(take(0, at(0)).await && !take(0, at(0)).await);
    // Lower work goes on when the bucket has filled up beyond what it leaves.
    assert!(!take(3, at(3)).await);
    assert!(take(3, at(4)).await && !take(3, at(4)).await);
    assert_eq!(alone(&*rig.other, "app", APP, at(4)).await, 3);
    assert!(!take(1000, at(8)).await, "who leaves more than there is");
    assert!(take(1000, at(100)).await, "takes from what is full");
}

async fn what_is_kept_is_of_the_whole_burst_after_a_drain(rig: Rig) {
    rig.store.drain_quota("app", at(60)).await.unwrap();
    let low = Take { kept: 2, ..app() };
    let taken = rig.store.take_quotas(&low, None, at(0)).await.unwrap();
    assert_eq!(taken, wait(62, false), "urgent work comes first");
    assert_eq!(alone(&*rig.store, "app", APP, at(60)).await, 1);
}

async fn places_come_one_after_another(rig: Rig) {
    let every = Duration::from_secs(2);
    for n in 0..5 {
        let store = if n % 2 == 0 { &rig.store } else { &rig.other };
        let place = store.next_place("queue", every, at(10), at(1000)).await.unwrap();
        assert_eq!(place, at(10 + 2 * n));
    }
    assert_eq!(rig.store.next_place("queue", every, at(50), at(1000)).await.unwrap(), at(50));
    assert_eq!(rig.store.next_place("queue", every, at(0), at(1000)).await.unwrap(), at(52));
    assert_eq!(rig.store.next_place("other", every, at(0), at(1000)).await.unwrap(), at(0));
}

async fn nobody_gets_the_place_of_another(rig: Rig) {
    let every = Duration::from_secs(1);
    let mut places = rig
        .at_once(24, |store, _| async move { store.next_place("q", every, at(0), at(1000)).await.unwrap() })
        .await;
    places.sort();
    assert_eq!(places, (0..24).map(at).collect::<Vec<_>>());
}

async fn a_queue_does_not_grow_beyond_its_horizon(rig: Rig) {
    let every = Duration::from_secs(4);
    let mut places = Vec::new();
    for _ in 0..6 {
        places.push(rig.store.next_place("queue", every, at(0), at(10)).await.unwrap());
    }
    assert_eq!(places, [at(0), at(4), at(8), at(10), at(10), at(10)]);
    assert_eq!(rig.store.next_place("queue", every, at(5), at(15)).await.unwrap(), at(14));
    assert_eq!(rig.store.next_place("new", every, at(50), at(15)).await.unwrap(), at(15), "nor begin there");
}

async fn a_queue_that_has_passed_begins_anew(rig: Rig) {
    let every = Duration::from_micros(1_500_000);
    rig.store.next_place("queue", every, at(0), at(1000)).await.unwrap();
    assert_eq!(rig.store.next_place("queue", every, at(1), at(1000)).await.unwrap(), at_micros(1_500_000));
    assert_eq!(rig.store.next_place("queue", every, at(100), at(1000)).await.unwrap(), at(100));
}

async fn idle_buckets_are_removed(rig: Rig) {
    rig.store.take_quota("old", APP, at(0)).await.unwrap();
    rig.store.take_quota("used", APP, at(500)).await.unwrap();
    rig.store.take_quota("drained", APP, at(0)).await.unwrap();
    rig.store.drain_quota("drained", at(600)).await.unwrap();
    assert_eq!(rig.other.prune_quotas(at(100)).await.unwrap(), 1);
    assert_eq!(rig.store.prune_quotas(at(100)).await.unwrap(), 0);
    assert!(matches!(rig.store.take_quota("drained", APP, at(100)).await.unwrap(), Quota::Wait(_)));
    assert_eq!(alone(&*rig.store, "used", APP, at(500)).await, 4);
    assert_eq!(alone(&*rig.store, "old", APP, at(100)).await, 5);
}
