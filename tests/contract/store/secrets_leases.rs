//! Leases: held by one, for so long.

use std::time::Duration;

use crate::rig::Rig;
use crate::samples::at;

crate::promises!(
    a_lease_has_one_holder,
    its_holder_may_extend_it,
    an_expired_lease_is_anybodys,
    a_lease_that_somebody_else_has_had_is_not_extended,
    a_lease_is_given_back_by_its_holder_only,
    leases_are_apart,
    of_many_one_has_the_lease,
    a_lease_may_last_for_ever,
);

const TTL: Duration = Duration::from_secs(30);

async fn a_lease_has_one_holder(rig: Rig) {
    assert!(rig.store.acquire_lease("refresh", "a", TTL, at(0)).await.unwrap());
    assert!(!rig.other.acquire_lease("refresh", "b", TTL, at(0)).await.unwrap());
    assert!(!rig.other.acquire_lease("refresh", "b", TTL, at(29)).await.unwrap());
}

async fn its_holder_may_extend_it(rig: Rig) {
    assert!(rig.store.acquire_lease("refresh", "a", TTL, at(0)).await.unwrap());
    assert!(rig.store.acquire_lease("refresh", "a", TTL, at(20)).await.unwrap());
    assert!(!rig.other.acquire_lease("refresh", "b", TTL, at(49)).await.unwrap());
    assert!(rig.other.acquire_lease("refresh", "b", TTL, at(50)).await.unwrap());
}

async fn an_expired_lease_is_anybodys(rig: Rig) {
    assert!(rig.store.acquire_lease("refresh", "a", TTL, at(0)).await.unwrap());
    assert!(rig.other.acquire_lease("refresh", "b", TTL, at(30)).await.unwrap());
    assert!(!rig.store.acquire_lease("refresh", "a", TTL, at(30)).await.unwrap(), "it is lost");
}

async fn a_lease_that_somebody_else_has_had_is_not_extended(rig: Rig) {
    assert!(!rig.store.extend_lease("write", "a", TTL, at(0)).await.unwrap(), "it was never taken");
    assert!(rig.store.acquire_lease("write", "a", TTL, at(0)).await.unwrap());
    // It has run out, but nobody was there meanwhile.
    assert!(rig.store.extend_lease("write", "a", TTL, at(45)).await.unwrap());
    assert!(!rig.other.acquire_lease("write", "b", TTL, at(74)).await.unwrap());
    assert!(rig.other.acquire_lease("write", "b", TTL, at(75)).await.unwrap());
    assert!(!rig.store.extend_lease("write", "a", TTL, at(75)).await.unwrap());
    rig.other.release_lease("write", "b").await.unwrap();
    assert!(
        !rig.store.extend_lease("write", "a", TTL, at(76)).await.unwrap(),
        "it is free, and was another's"
    );
}

async fn a_lease_is_given_back_by_its_holder_only(rig: Rig) {
    rig.store.release_lease("refresh", "a").await.unwrap();
    assert!(rig.store.acquire_lease("refresh", "a", TTL, at(0)).await.unwrap());
    rig.other.release_lease("refresh", "b").await.unwrap();
    assert!(!rig.other.acquire_lease("refresh", "b", TTL, at(1)).await.unwrap());
    rig.store.release_lease("refresh", "a").await.unwrap();
    assert!(rig.other.acquire_lease("refresh", "b", TTL, at(1)).await.unwrap());
    rig.store.release_lease("refresh", "a").await.unwrap();
    assert!(
        !rig.store.acquire_lease("refresh", "a", TTL, at(1)).await.unwrap(),
        "the late release took nothing"
    );
}

async fn leases_are_apart(rig: Rig) {
    assert!(rig.store.acquire_lease("one", "a", TTL, at(0)).await.unwrap());
    assert!(rig.store.acquire_lease("two", "b", TTL, at(0)).await.unwrap());
    rig.store.release_lease("one", "a").await.unwrap();
    assert!(!rig.store.acquire_lease("two", "a", TTL, at(0)).await.unwrap());
}

async fn of_many_one_has_the_lease(rig: Rig) {
    for round in 0..10 {
        // At first there is none; then it has just expired.
        let now = at(round * 30);
        let held = rig
            .at_once(16, |store, i| async move {
                store.acquire_lease("refresh", &format!("{round}-{i}"), TTL, now).await.unwrap()
            })
            .await;
        assert_eq!(held.iter().filter(|held| **held).count(), 1);
    }
}

async fn a_lease_may_last_for_ever(rig: Rig) {
    assert!(rig.store.acquire_lease("refresh", "a", Duration::MAX, at(0)).await.unwrap());
    assert!(!rig.store.acquire_lease("refresh", "b", TTL, at(1_000_000_000)).await.unwrap());
}
