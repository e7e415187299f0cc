//! What the mapping left out, by reason.

use std::collections::BTreeMap;

use ohx_domain::{Counts, LinkId, Record, RequestId, RunId, SyncId, SyncReason};
use ohx_store::{Acknowledgement, NewRequest, Progress};

use crate::rig::Rig;
use crate::samples::{ack, at, new_request, record, window};

crate::promises!(
    reasons_add_up_over_parts_and_requests_of_a_record,
    a_repeated_acknowledgement_adds_nothing,
    what_has_ended_adds_nothing,
    an_acknowledgement_that_is_refused_adds_nothing,
    every_record_has_its_own_reasons,
    pieces_that_come_at_once_all_count,
    pruning_removes_the_reasons,
    a_reason_may_hold_any_character,
);

fn reasons(some: &[(&str, u64)]) -> BTreeMap<String, u64> {
    some.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect()
}

fn skipping(request: RequestId, run: RunId, part: u32, some: &[(&str, u64)]) -> Acknowledgement {
    let counts = Counts { skipped: some.iter().map(|(_, n)| n).sum(), ..Counts::default() };
    Acknowledgement { counts, skipped: reasons(some), ..ack(request, run, part) }
}

/// A request of a sync that has begun.
async fn begun(rig: &Rig, sync: SyncId, record: Record) -> RequestId {
    let new = NewRequest { sync, record, ..new_request(LinkId::new(), window(0, 100), SyncReason::Manual) };
    rig.store.request(&new, at(0)).await.unwrap();
    rig.store.begin_fetch(new.id, at(1)).await.unwrap().unwrap();
    new.id
}

/// The reasons of a sync's one record, as the other process sees them.
async fn left_out(rig: &Rig, sync: SyncId) -> BTreeMap<String, u64> {
    let mut skips = rig.other.skips_of_sync(sync).await.unwrap();
    let of_record = skips.remove(&record()).unwrap_or_default();
    assert!(skips.is_empty(), "{skips:?}");
    of_record
}

async fn reasons_add_up_over_parts_and_requests_of_a_record(rig: Rig) {
    let sync = SyncId::new();
    let (one, two, run) =
        (begun(&rig, sync, record()).await, begun(&rig, sync, record()).await, RunId::new());
    assert_eq!(left_out(&rig, sync).await, reasons(&[]));
    for ack in [
        skipping(one, run, 0, &[("out-of-range", 2), ("unmapped:173", 5)]),
        skipping(one, run, 1, &[("out-of-range", 1)]),
        skipping(one, run, 2, &[]),
        skipping(two, run, 0, &[("unmapped:173", 40), ("ambiguous", 1)]),
    ] {
        assert_eq!(rig.store.acknowledge(&ack, at(3)).await.unwrap(), Progress::Open);
    }
    let expected = reasons(&[("ambiguous", 1), ("out-of-range", 3), ("unmapped:173", 45)]);
    assert_eq!(left_out(&rig, sync).await, expected);
    assert_eq!(rig.store.request_by_id(one).await.unwrap().unwrap().counts.skipped, 8);
    assert_eq!(left_out(&rig, SyncId::new()).await, reasons(&[]));
}

async fn a_repeated_acknowledgement_adds_nothing(rig: Rig) {
    let (sync, run) = (SyncId::new(), RunId::new());
    let id = begun(&rig, sync, record()).await;
    for some in [[("out-of-range", 2)], [("out-of-range", 2)], [("ambiguous", 9)]] {
        rig.store.acknowledge(&skipping(id, run, 0, &some), at(3)).await.unwrap();
    }
    assert_eq!(left_out(&rig, sync).await, reasons(&[("out-of-range", 2)]));
}

async fn what_has_ended_adds_nothing(rig: Rig) {
    let (sync, run) = (SyncId::new(), RunId::new());
    let id = begun(&rig, sync, record()).await;
    rig.store.fetched(id, run, 1, None, at(2)).await.unwrap();
    let last = skipping(id, run, 0, &[("out-of-range", 2)]);
    assert_eq!(rig.store.acknowledge(&last, at(3)).await.unwrap(), Progress::Completed);
    let late = skipping(id, RunId::new(), 0, &[("out-of-range", 2)]);
    assert_eq!(rig.store.acknowledge(&late, at(4)).await.unwrap(), Progress::AlreadyDone);
    assert_eq!(left_out(&rig, sync).await, reasons(&[("out-of-range", 2)]));
}

async fn an_acknowledgement_that_is_refused_adds_nothing(rig: Rig) {
    let (sync, run) = (SyncId::new(), RunId::new());
    let id = begun(&rig, sync, record()).await;
    let odd = Acknowledgement { piece: 1, pieces: 1, ..skipping(id, run, 0, &[("out-of-range", 2)]) };
    rig.store.acknowledge(&odd, at(3)).await.unwrap_err();
    assert_eq!(left_out(&rig, sync).await, reasons(&[]));
}

async fn every_record_has_its_own_reasons(rig: Rig) {
    let (sync, run) = (SyncId::new(), RunId::new());
    let activity: Record = "getactivity".parse().unwrap();
    let (one, two) = (begun(&rig, sync, record()).await, begun(&rig, sync, activity.clone()).await);
    // Another sync's are not this one's.
    let other = begun(&rig, SyncId::new(), record()).await;
    for (id, n) in [(one, 1), (two, 20), (other, 300)] {
        rig.store.acknowledge(&skipping(id, run, 0, &[("no-unit", n)]), at(3)).await.unwrap();
    }
    let expected =
        BTreeMap::from([(record(), reasons(&[("no-unit", 1)])), (activity, reasons(&[("no-unit", 20)]))]);
    assert_eq!(rig.other.skips_of_sync(sync).await.unwrap(), expected);
}

async fn pieces_that_come_at_once_all_count(rig: Rig) {
    let (sync, run) = (SyncId::new(), RunId::new());
    let id = begun(&rig, sync, record()).await;
    rig.at_once(24, |store, i| async move {
        // Each of 12 parts twice, with the reasons that a map gives in the same order whatever they are.
        let part = u32::try_from(i % 12).unwrap();
        let ack = skipping(id, run, part, &[("a", 1), ("b", 10), (&format!("c{}", i % 3), 100)]);
        store.acknowledge(&ack, at(3)).await.unwrap();
    })
    .await;
    let expected = reasons(&[("a", 12), ("b", 120), ("c0", 400), ("c1", 400), ("c2", 400)]);
    assert_eq!(left_out(&rig, sync).await, expected);
}

async fn pruning_removes_the_reasons(rig: Rig) {
    let sync = SyncId::new();
    let new = NewRequest { sync, ..new_request(LinkId::new(), window(0, 10), SyncReason::Manual) };
    for n in 1..=2 {
        // The second time under the same id: what was left of the first would be added to.
        let run = RunId::new();
        rig.store.request(&new, at(0)).await.unwrap();
        rig.store.begin_fetch(new.id, at(1)).await.unwrap().unwrap();
        rig.store.acknowledge(&skipping(new.id, run, 0, &[("ambiguous", n)]), at(1)).await.unwrap();
        assert_eq!(left_out(&rig, sync).await, reasons(&[("ambiguous", n)]));
        assert_eq!(rig.store.fetched(new.id, run, 1, None, at(1)).await.unwrap(), Progress::Completed);
        assert_eq!(rig.store.prune(at(1000)).await.unwrap(), 1);
        assert_eq!(left_out(&rig, sync).await, reasons(&[]));
    }
}

async fn a_reason_may_hold_any_character(rig: Rig) {
    let sync = SyncId::new();
    let id = begun(&rig, sync, record()).await;
    let odd = "a\0b'\u{1f642}";
    rig.store.acknowledge(&skipping(id, RunId::new(), 0, &[(odd, 1)]), at(3)).await.unwrap();
    assert_eq!(left_out(&rig, sync).await, reasons(&[("a\u{fffd}b'\u{1f642}", 1)]));
}
