//! What is seen from afar: counts of links, of their flow, of what was published, and syncs as a whole.

use std::time::Duration;

use ohx_domain::{LinkId, LinkState, RequestId, RequestState, RunId, SyncId, SyncReason};
use ohx_store::{Acknowledgement, Flow, NewRequest, Progress, Store, Witnesses};

use crate::rig::Rig;
use crate::samples::{ack, at, connected, created, new_request, pending, requested, span, window};

crate::promises!(
    links_are_counted_by_app_and_state,
    flow_tells_fresh_from_stale_and_failing,
    what_was_given_up_is_forgiven_by_what_came_after,
    what_was_published_is_counted_by_app_and_step,
    the_syncs_of_a_link_come_latest_first_in_pages,
    a_cancelled_sync_has_no_work_left_but_removals,
);

/// One whole run of a request, with `n` resources created, published at `seconds`.
async fn published(store: &dyn Store, id: RequestId, n: u64, seconds: i64) {
    let run = RunId::new();
    assert!(store.begin_fetch(id, at(seconds)).await.unwrap().is_some());
    assert_eq!(store.fetched(id, run, 1, None, at(seconds)).await.unwrap(), Progress::Open);
    let ack = Acknowledgement { counts: created(n), ..ack(id, run, 0) };
    assert_eq!(store.acknowledge(&ack, at(seconds)).await.unwrap(), Progress::Completed);
}

async fn links_are_counted_by_app_and_state(rig: Rig) {
    assert_eq!(rig.other.count_links().await.unwrap(), []);
    connected(&*rig.store, "p1", 1).await;
    connected(&*rig.store, "p2", 2).await;
    rig.store.insert_link(&pending("p3")).await.unwrap();
    let mut other = pending("p4");
    other.provider = "google".parse().unwrap();
    rig.store.insert_link(&other).await.unwrap();
    let counted = rig.other.count_links().await.unwrap();
    let [google, withings] = ["google", "withings"].map(|name| name.parse().unwrap());
    let expected = [(google, LinkState::Pending, 1), (withings, LinkState::Active, 2)];
    assert_eq!(counted[..2], expected);
    assert_eq!(counted[2..], [("withings".parse().unwrap(), LinkState::Pending, 1)]);
}

/// How many are fresh, stale and failing since `since`.
async fn flow(rig: &Rig, since: i64) -> [u64; 3] {
    let counted = rig.other.count_flow(at(since)).await.unwrap();
    assert!(counted.iter().all(|(provider, ..)| provider.as_str() == "withings"));
    [Flow::Fresh, Flow::Stale, Flow::Failing].map(|flow| {
        let mut found = counted.iter().filter(|(_, is, _)| *is == flow);
        let count = found.next().map_or(0, |(.., count)| *count);
        assert_eq!(found.next(), None);
        count
    })
}

async fn flow_tells_fresh_from_stale_and_failing(rig: Rig) {
    let link = connected(&*rig.store, "p1", 1).await;
    let id = requested(&*rig.store, link, window(0, 10)).await;
    assert_eq!(flow(&rig, 0).await, [0, 1, 0], "asked for is not there yet");
    published(&*rig.store, id, 1, 100).await;
    assert_eq!(flow(&rig, 100).await, [1, 0, 0]);
    assert_eq!(flow(&rig, 101).await, [0, 1, 0], "too long ago");
    let witnesses = Witnesses { since: at(0), settled: at(0) };
    rig.store.note_refusal(link, 1, at(120), witnesses).await.unwrap().unwrap();
    assert_eq!(flow(&rig, 100).await, [0, 0, 1], "refused by the provider");
    rig.store.trust(link).await.unwrap();
    assert_eq!(flow(&rig, 100).await, [1, 0, 0]);
    rig.store.set_link_state(link, LinkState::Disconnected, None).await.unwrap();
    assert_eq!(flow(&rig, 100).await, [0, 0, 0], "only links that are active flow");
}

async fn what_was_given_up_is_forgiven_by_what_came_after(rig: Rig) {
    let link = connected(&*rig.store, "p1", 1).await;
    let first = requested(&*rig.store, link, window(0, 10)).await;
    published(&*rig.store, first, 1, 50).await;
    let second = requested(&*rig.store, link, window(10, 20)).await;
    rig.store.fail(second, "the provider said no", at(60)).await.unwrap();
    assert_eq!(flow(&rig, 40).await, [0, 0, 1], "what came before forgives nothing");
    let third = requested(&*rig.store, link, window(20, 30)).await;
    published(&*rig.store, third, 0, 70).await;
    assert_eq!(flow(&rig, 40).await, [1, 0, 0]);
}

async fn what_was_published_is_counted_by_app_and_step(rig: Rig) {
    let link = connected(&*rig.store, "p1", 1).await;
    for (n, seconds) in [(1, 99), (2, 100), (3, 159), (5, 160), (7, 3_700)] {
        let id = requested(&*rig.store, link, window(seconds, seconds + 1)).await;
        published(&*rig.store, id, n, seconds).await;
    }
    requested(&*rig.store, link, window(5_000, 5_001)).await;
    let counted = rig.other.count_published(at(100), Duration::from_secs(60)).await.unwrap();
    let counted: Vec<_> = counted.iter().map(|(app, step, n)| (app.as_str(), *step, *n)).collect();
    assert_eq!(counted, [("withings", 0, 5), ("withings", 1, 5), ("withings", 60, 7)]);
}

async fn the_syncs_of_a_link_come_latest_first_in_pages(rig: Rig) {
    let link = connected(&*rig.store, "p1", 1).await;
    let other = connected(&*rig.store, "p2", 2).await;
    requested(&*rig.store, other, window(0, 1)).await;
    let mut syncs: Vec<SyncId> = Vec::new();
    for n in 0..3 {
        let new = new_request(link, window(n * 10, n * 10 + 5), SyncReason::Manual);
        rig.store.request(&new, at(n)).await.unwrap();
        let second = NewRequest {
            id: RequestId::new(),
            query: window(1_000 + n * 10, 1_000 + n * 10 + 5),
            ..new.clone()
        };
        rig.store.request(&second, at(n + 1)).await.unwrap();
        if n > 0 {
            published(&*rig.store, new.id, 4, 50 + n).await;
        }
        if n > 1 {
            rig.store.fail(second.id, "no", at(60)).await.unwrap();
        }
        syncs.push(new.sync);
    }
    syncs.sort();
    syncs.reverse();
    let (mut seen, mut before) = (Vec::new(), None);
    while let Some(one) = rig.other.syncs_of_link(link, before, 1).await.unwrap().pop() {
        before = Some(one.id);
        seen.push(one);
    }
    assert_eq!(seen.iter().map(|sync| sync.id).collect::<Vec<_>>(), syncs);
    let mut told: Vec<_> =
        seen.iter().map(|s| (s.requests, s.open, s.failed, s.counts.created, s.requested_at)).collect();
    told.sort();
    assert_eq!(told, [(2, 0, 1, 4, at(2)), (2, 1, 0, 4, at(1)), (2, 2, 0, 0, at(0))]);
    assert_eq!(rig.store.syncs_of_link(LinkId::new(), None, 10).await.unwrap(), []);
}

async fn a_cancelled_sync_has_no_work_left_but_removals(rig: Rig) {
    let link = connected(&*rig.store, "p1", 1).await;
    let done = new_request(link, window(0, 5), SyncReason::Manual);
    let sync = done.sync;
    let open = NewRequest { query: window(10, 15), ..new_request(link, window(0, 1), SyncReason::Manual) };
    let removal = new_request(link, window(20, 25), SyncReason::Removal);
    let all = [done, open, removal].map(|new| NewRequest { sync, ..new });
    for new in &all {
        rig.store.request(new, at(0)).await.unwrap();
    }
    let elsewhere = requested(&*rig.store, link, window(30, 35)).await;
    let [done, open, removal] = all.map(|new| new.id);
    published(&*rig.store, done, 1, 5).await;
    assert_eq!(rig.other.cancel_sync(sync, "cancelled by hand", at(6)).await.unwrap(), 1);
    assert_eq!(rig.store.cancel_sync(sync, "again", at(7)).await.unwrap(), 0);
    for (id, state) in [
        (done, RequestState::Published),
        (open, RequestState::Failed),
        (removal, RequestState::Requested),
        (elsewhere, RequestState::Requested),
    ] {
        assert_eq!(rig.store.request_by_id(id).await.unwrap().unwrap().state, state);
    }
    let noted = rig.store.request_by_id(open).await.unwrap().unwrap();
    assert_eq!((noted.note.as_deref(), noted.updated_at), (Some("cancelled by hand"), at(6)));
    assert_eq!(rig.store.coverage(link, &noted.record).await.unwrap().published.gaps(span(10, 15)).len(), 1);
}
