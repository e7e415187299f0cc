//! Finding requests again, and removing those that have ended.

use ohx_domain::{Counts, LinkId, RequestId, RequestState, RunId, SyncId, SyncReason};
use ohx_store::{NewRequest, OpenRequests, Progress};

use crate::rig::Rig;
use crate::samples::{ack, at, new_request, record, requested, whole_run, window};

crate::promises!(
    open_requests_are_listed_by_id,
    open_requests_are_filtered,
    a_list_has_at_most_a_thousand,
    a_sync_has_its_requests_by_id,
    pruning_removes_what_ended_before,
    pruning_keeps_the_coverage,
    pruning_removes_runs_and_acknowledgements,
    two_may_prune_at_once,
);

async fn open(rig: &Rig, filter: OpenRequests) -> Vec<RequestId> {
    rig.other.open_requests(&filter).await.unwrap().into_iter().map(|r| r.id).collect()
}

fn all() -> OpenRequests {
    OpenRequests { limit: 100, ..OpenRequests::default() }
}

async fn open_requests_are_listed_by_id(rig: Rig) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(requested(&*rig.store, LinkId::new(), window(0, 10)).await);
    }
    rig.store.begin_fetch(ids[4], at(1)).await.unwrap();
    rig.store.begin_fetch(ids[1], at(1)).await.unwrap();
    rig.store.fetched(ids[1], RunId::new(), 1, None, at(2)).await.unwrap();
    whole_run(&*rig.store, ids[2], None, Vec::new()).await;
    rig.store.fail(ids[3], "given up", at(3)).await.unwrap();
    assert_eq!(open(&rig, all()).await, [ids[0], ids[1], ids[4]]);
    let listed = rig.store.open_requests(&all()).await.unwrap();
    assert_eq!(Some(&listed[1]), rig.store.request_by_id(ids[1]).await.unwrap().as_ref());
    assert_eq!(listed[1].state, RequestState::Fetched);
}

async fn open_requests_are_filtered(rig: Rig) {
    let links = [LinkId::new(), LinkId::new()];
    let mut ids = Vec::new();
    for n in 0..6 {
        ids.push(requested(&*rig.store, links[n % 2], window(0, 10)).await);
    }
    rig.store.begin_fetch(ids[0], at(50)).await.unwrap();
    rig.store.note(ids[1], "waiting", at(60)).await.unwrap();
    for (filter, expected) in [
        (OpenRequests { limit: 2, ..all() }, &ids[..2]),
        (OpenRequests { limit: 2, after: Some(ids[1]), ..all() }, &ids[2..4]),
        (OpenRequests { after: Some(ids[5]), ..all() }, &[]),
        (OpenRequests { link: Some(links[0]), ..all() }, &[ids[0], ids[2], ids[4]]),
        (OpenRequests { link: Some(LinkId::new()), ..all() }, &[]),
        (OpenRequests { idle_since: Some(at(-1)), ..all() }, &[]),
        (OpenRequests { idle_since: Some(at(0)), ..all() }, &ids[2..]),
        (OpenRequests { idle_since: Some(at(50)), link: Some(links[0]), ..all() }, &[ids[0], ids[2], ids[4]]),
        (OpenRequests { idle_since: Some(at(60)), ..all() }, &ids[..]),
        (OpenRequests { idle_since: Some(at(49)), link: Some(links[1]), ..all() }, &[ids[3], ids[5]]),
    ] {
        assert_eq!(open(&rig, filter.clone()).await, expected, "{filter:?}");
    }
}

async fn a_list_has_at_most_a_thousand(rig: Rig) {
    let link = LinkId::new();
    for _ in 0..20 {
        rig.at_once(51, |store, _| async move {
            let new = new_request(link, window(0, 10), SyncReason::Manual);
            store.request(&new, at(0)).await.unwrap();
        })
        .await;
    }
    for (limit, expected) in [(u32::MAX, 1000), (1, 1), (0, 1)] {
        assert_eq!(open(&rig, OpenRequests { limit, ..all() }).await.len(), expected);
    }
}

async fn a_sync_has_its_requests_by_id(rig: Rig) {
    let sync = SyncId::new();
    let news: Vec<_> = (0..4)
        .map(|_| NewRequest { sync, ..new_request(LinkId::new(), window(0, 10), SyncReason::Manual) })
        .collect();
    for new in news.iter().rev() {
        rig.store.request(new, at(0)).await.unwrap();
    }
    requested(&*rig.store, LinkId::new(), window(0, 10)).await;
    rig.store.fail(news[1].id, "given up", at(3)).await.unwrap();
    let found = rig.other.requests_of_sync(sync).await.unwrap();
    assert_eq!(found.iter().map(|r| r.id).collect::<Vec<_>>(), news.iter().map(|n| n.id).collect::<Vec<_>>());
    assert_eq!(found[1].state, RequestState::Failed);
    assert!(rig.store.requests_of_sync(SyncId::new()).await.unwrap().is_empty());
}

async fn pruning_removes_what_ended_before(rig: Rig) {
    let link = LinkId::new();
    let open = requested(&*rig.store, link, window(0, 10)).await;
    let published = requested(&*rig.store, link, window(0, 10)).await;
    whole_run(&*rig.store, published, None, Vec::new()).await; // at 3
    let failed = requested(&*rig.store, link, window(0, 10)).await;
    rig.store.fail(failed, "given up", at(5)).await.unwrap();
    for (before, gone) in [(3, 0), (5, 1), (6, 1), (1000, 0)] {
        assert_eq!(rig.store.prune(at(before)).await.unwrap(), gone, "{before}");
    }
    assert!(rig.store.request_by_id(open).await.unwrap().is_some());
    assert!(rig.store.request_by_id(published).await.unwrap().is_none());
    assert!(rig.store.request_by_id(failed).await.unwrap().is_none());
}

async fn pruning_keeps_the_coverage(rig: Rig) {
    let link = LinkId::new();
    let id = requested(&*rig.store, link, window(0, 10)).await;
    whole_run(&*rig.store, id, None, Vec::new()).await;
    let before = rig.store.coverage(link, &record()).await.unwrap();
    assert!(!before.published.is_empty());
    assert_eq!(rig.store.prune(at(1000)).await.unwrap(), 1);
    assert_eq!(rig.store.coverage(link, &record()).await.unwrap(), before);
}

async fn pruning_removes_runs_and_acknowledgements(rig: Rig) {
    let (new, run) = (new_request(LinkId::new(), window(0, 10), SyncReason::Manual), RunId::new());
    for _ in 0..2 {
        // The second time under the same id: what was left of the first would complete it too soon.
        rig.store.request(&new, at(0)).await.unwrap();
        rig.store.begin_fetch(new.id, at(1)).await.unwrap().unwrap();
        assert_eq!(rig.store.acknowledge(&ack(new.id, run, 0), at(1)).await.unwrap(), Progress::Open);
        assert_eq!(rig.store.fetched(new.id, run, 2, None, at(1)).await.unwrap(), Progress::Open);
        assert_eq!(rig.store.acknowledge(&ack(new.id, run, 1), at(1)).await.unwrap(), Progress::Completed);
        let found = rig.store.request_by_id(new.id).await.unwrap().unwrap();
        assert_eq!(found.counts, Counts { created: 2, ..Counts::default() });
        assert_eq!(rig.store.prune(at(1000)).await.unwrap(), 1);
    }
}

async fn two_may_prune_at_once(rig: Rig) {
    for _ in 0..60 {
        let id = requested(&*rig.store, LinkId::new(), window(0, 10)).await;
        rig.store.fail(id, "given up", at(1)).await.unwrap();
    }
    let gone = rig.at_once(6, |store, _| async move { store.prune(at(1000)).await.unwrap() }).await;
    assert_eq!(gone.iter().sum::<u64>(), 60);
}
