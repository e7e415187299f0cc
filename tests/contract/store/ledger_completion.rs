//! When a request is complete: not before, not twice, and in any order.

use ohx_domain::{Counts, LinkId, Request, RequestId, RequestState, RunId};
use ohx_store::{Acknowledgement, Progress, StoreError};

use crate::rig::Rig;
use crate::samples::{ack, at, created, record, requested, window};

crate::promises!(
    a_run_completes_with_its_last_part,
    parts_may_come_before_their_number,
    a_run_of_nothing_is_complete,
    fetched_is_a_state_of_its_own,
    repetitions_count_once,
    what_is_complete_does_not_change,
    the_ledger_says_what_it_does_not_know,
    runs_do_not_complete_each_other,
    an_older_run_may_still_complete,
    a_part_needs_all_of_its_pieces,
    a_part_that_is_cut_anew_starts_again,
    parts_beyond_the_number_do_not_count,
    the_first_word_on_a_run_counts,
    a_piece_beyond_its_number_is_refused,
    counts_add_up_over_parts_and_runs,
);

/// A request that has begun.
async fn begun(rig: &Rig) -> RequestId {
    let id = requested(&*rig.store, LinkId::new(), window(0, 100)).await;
    rig.store.begin_fetch(id, at(1)).await.unwrap();
    id
}

async fn find(rig: &Rig, id: RequestId) -> Request {
    rig.store.request_by_id(id).await.unwrap().unwrap()
}

async fn fetched(rig: &Rig, id: RequestId, run: RunId, parts: u32) -> Progress {
    rig.store.fetched(id, run, parts, None, at(2)).await.unwrap()
}

/// Acknowledges by the other process.
async fn acknowledged(rig: &Rig, id: RequestId, run: RunId, part: u32) -> Progress {
    rig.other.acknowledge(&ack(id, run, part), at(3)).await.unwrap()
}

async fn a_run_completes_with_its_last_part(rig: Rig) {
    let (id, run) = (begun(&rig).await, RunId::new());
    assert_eq!(fetched(&rig, id, run, 3).await, Progress::Open);
    assert_eq!(acknowledged(&rig, id, run, 2).await, Progress::Open);
    assert_eq!(acknowledged(&rig, id, run, 0).await, Progress::Open);
    assert_ne!(find(&rig, id).await.state, RequestState::Published);
    assert_eq!(acknowledged(&rig, id, run, 1).await, Progress::Completed);
    let found = find(&rig, id).await;
    assert_eq!((found.state, found.updated_at), (RequestState::Published, at(3)));
}

async fn parts_may_come_before_their_number(rig: Rig) {
    let (id, run) = (begun(&rig).await, RunId::new());
    for part in [1, 0] {
        assert_eq!(acknowledged(&rig, id, run, part).await, Progress::Open);
    }
    assert_eq!(fetched(&rig, id, run, 2).await, Progress::Completed);
    assert_eq!(find(&rig, id).await.state, RequestState::Published);
}

async fn a_run_of_nothing_is_complete(rig: Rig) {
    let (id, run) = (begun(&rig).await, RunId::new());
    assert_eq!(fetched(&rig, id, run, 0).await, Progress::Completed);
    let found = find(&rig, id).await;
    assert_eq!((found.state, found.counts), (RequestState::Published, Counts::default()));
}

async fn fetched_is_a_state_of_its_own(rig: Rig) {
    let (id, run) = (begun(&rig).await, RunId::new());
    assert_eq!(acknowledged(&rig, id, run, 0).await, Progress::Open);
    assert_eq!(find(&rig, id).await.state, RequestState::Fetching);
    fetched(&rig, id, run, 2).await;
    let found = find(&rig, id).await;
    assert_eq!((found.state, found.updated_at), (RequestState::Fetched, at(2)));
}

async fn repetitions_count_once(rig: Rig) {
    let (id, run) = (begun(&rig).await, RunId::new());
    for _ in 0..3 {
        assert_eq!(fetched(&rig, id, run, 2).await, Progress::Open);
        assert_eq!(acknowledged(&rig, id, run, 0).await, Progress::Open);
    }
    assert_eq!(find(&rig, id).await.counts, created(1));
    // The first word counts: a repetition may well say that now everything is unchanged.
    let again = Acknowledgement { counts: Counts { unchanged: 1, ..Counts::default() }, ..ack(id, run, 0) };
    assert_eq!(rig.store.acknowledge(&again, at(3)).await.unwrap(), Progress::Open);
    assert_eq!(find(&rig, id).await.counts, created(1));
    assert_eq!(acknowledged(&rig, id, run, 1).await, Progress::Completed);
}

async fn what_is_complete_does_not_change(rig: Rig) {
    let (id, run) = (begun(&rig).await, RunId::new());
    acknowledged(&rig, id, run, 0).await;
    assert_eq!(fetched(&rig, id, run, 1).await, Progress::Completed);
    let (before, link) = (find(&rig, id).await, find(&rig, id).await.link);
    let coverage = rig.store.coverage(link, &record()).await.unwrap();
    let holed = Acknowledgement { holes: vec![at(50)], ..ack(id, RunId::new(), 0) };
    assert_eq!(rig.store.acknowledge(&holed, at(9)).await.unwrap(), Progress::AlreadyDone);
    assert_eq!(acknowledged(&rig, id, run, 0).await, Progress::AlreadyDone);
    assert_eq!(acknowledged(&rig, id, run, 5).await, Progress::AlreadyDone);
    assert_eq!(fetched(&rig, id, run, 1).await, Progress::AlreadyDone);
    assert_eq!(fetched(&rig, id, RunId::new(), 0).await, Progress::AlreadyDone);
    assert_eq!(find(&rig, id).await, before);
    assert_eq!(rig.store.coverage(link, &record()).await.unwrap(), coverage);
}

async fn the_ledger_says_what_it_does_not_know(rig: Rig) {
    let (id, run) = (RequestId::new(), RunId::new());
    assert_eq!(fetched(&rig, id, run, 0).await, Progress::Unknown);
    assert_eq!(acknowledged(&rig, id, run, 0).await, Progress::Unknown);
    assert_eq!(rig.store.request_by_id(id).await.unwrap(), None);
}

async fn runs_do_not_complete_each_other(rig: Rig) {
    let (id, one, two) = (begun(&rig).await, RunId::new(), RunId::new());
    fetched(&rig, id, one, 2).await;
    fetched(&rig, id, two, 2).await;
    assert_eq!(acknowledged(&rig, id, one, 0).await, Progress::Open);
    assert_eq!(acknowledged(&rig, id, two, 1).await, Progress::Open);
    assert_eq!(acknowledged(&rig, id, two, 0).await, Progress::Completed);
}

async fn an_older_run_may_still_complete(rig: Rig) {
    let (id, old, new) = (begun(&rig).await, RunId::new(), RunId::new());
    fetched(&rig, id, old, 2).await;
    acknowledged(&rig, id, old, 0).await;
    rig.store.begin_fetch(id, at(4)).await.unwrap().unwrap();
    assert_eq!(find(&rig, id).await.state, RequestState::Fetching);
    assert_eq!(acknowledged(&rig, id, new, 0).await, Progress::Open);
    assert_eq!(acknowledged(&rig, id, old, 1).await, Progress::Completed);
    assert_eq!(fetched(&rig, id, new, 1).await, Progress::AlreadyDone);
}

async fn a_part_needs_all_of_its_pieces(rig: Rig) {
    let (id, run) = (begun(&rig).await, RunId::new());
    fetched(&rig, id, run, 2).await;
    acknowledged(&rig, id, run, 0).await;
    for (piece, expected) in
        [(2, Progress::Open), (0, Progress::Open), (2, Progress::Open), (1, Progress::Completed)]
    {
        let piece = Acknowledgement { piece, pieces: 3, ..ack(id, run, 1) };
        assert_eq!(rig.store.acknowledge(&piece, at(3)).await.unwrap(), expected);
    }
    assert_eq!(find(&rig, id).await.counts, created(4));
}

async fn a_part_that_is_cut_anew_starts_again(rig: Rig) {
    let (id, run) = (begun(&rig).await, RunId::new());
    fetched(&rig, id, run, 1).await;
    for (piece, pieces, expected) in
        [(0, 2, Progress::Open), (1, 3, Progress::Open), (2, 3, Progress::Open), (1, 2, Progress::Completed)]
    {
        let piece = Acknowledgement { piece, pieces, ..ack(id, run, 0) };
        assert_eq!(rig.store.acknowledge(&piece, at(3)).await.unwrap(), expected, "{piece:?}");
    }
}

async fn parts_beyond_the_number_do_not_count(rig: Rig) {
    let (id, run) = (begun(&rig).await, RunId::new());
    for part in [1, 2, 3] {
        acknowledged(&rig, id, run, part).await;
    }
    assert_eq!(fetched(&rig, id, run, 2).await, Progress::Open);
    assert_eq!(acknowledged(&rig, id, run, 0).await, Progress::Completed);
}

async fn the_first_word_on_a_run_counts(rig: Rig) {
    let (id, run) = (begun(&rig).await, RunId::new());
    assert_eq!(fetched(&rig, id, run, 2).await, Progress::Open);
    assert_eq!(fetched(&rig, id, run, 0).await, Progress::Open);
    acknowledged(&rig, id, run, 0).await;
    assert_eq!(acknowledged(&rig, id, run, 1).await, Progress::Completed);
}

async fn a_piece_beyond_its_number_is_refused(rig: Rig) {
    let (id, run) = (begun(&rig).await, RunId::new());
    fetched(&rig, id, run, 1).await;
    let before = find(&rig, id).await;
    for (piece, pieces) in [(0, 0), (1, 1), (7, 2)] {
        let odd = Acknowledgement { piece, pieces, ..ack(id, run, 0) };
        let refused = rig.store.acknowledge(&odd, at(9)).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    }
    assert_eq!(find(&rig, id).await, before, "all of it or nothing");
    assert_eq!(acknowledged(&rig, id, run, 0).await, Progress::Completed);
}

async fn counts_add_up_over_parts_and_runs(rig: Rig) {
    let (id, one, two) = (begun(&rig).await, RunId::new(), RunId::new());
    let some = Counts { created: 1, updated: 20, unchanged: 300, rejected: 4_000, skipped: 50_000 };
    for (run, part) in [(one, 0), (one, 1), (two, 0)] {
        let ack = Acknowledgement { counts: some, ..ack(id, run, part) };
        rig.store.acknowledge(&ack, at(3)).await.unwrap();
    }
    let expected = Counts { created: 3, updated: 60, unchanged: 900, rejected: 12_000, skipped: 150_000 };
    assert_eq!(find(&rig, id).await.counts, expected);
}
