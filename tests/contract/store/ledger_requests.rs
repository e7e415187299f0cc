//! Asking, merging, beginning, noting and giving up.

use ohx_domain::{
    Counts, Instant, Interval, LinkId, Query, Request, RequestId, RequestState, RunId, SyncReason,
};
use ohx_store::{Coverage, NewRequest, Progress, Requested, StoreError};

use crate::rig::Rig;
use crate::samples::{ack, at, new_request, record, requested, since, whole_run, window};

crate::promises!(
    a_request_is_read_back,
    an_id_is_asked_for_once,
    instants_are_kept_to_the_microsecond,
    windows_that_overlap_or_touch_become_their_union,
    since_becomes_the_earlier_instant,
    only_notifications_of_one_link_and_record_are_merged,
    what_has_begun_is_not_merged_into,
    a_merged_request_is_as_idle_as_before,
    beginning_counts_an_attempt,
    what_has_ended_does_not_begin,
    a_note_does_not_end_a_request,
    a_failed_request_leaves_a_hole,
    a_published_request_does_not_fail,
    an_unknown_request_cannot_be_noted,
);

async fn a_request_is_read_back(rig: Rig) {
    for (query, reason) in [
        (window(-100, 50), SyncReason::Manual),
        (since(-100), SyncReason::Notification),
        (window(0, 1), SyncReason::Backfill),
        (since(7), SyncReason::Nightly),
    ] {
        let new = new_request(LinkId::new(), query, reason);
        assert_eq!(rig.store.request_by_id(new.id).await.unwrap(), None);
        assert_eq!(rig.store.request(&new, at(3)).await.unwrap(), Requested::Created);
        let expected = Request {
            id: new.id,
            sync: new.sync,
            link: new.link,
            record: new.record,
            query,
            reason,
            state: RequestState::Requested,
            note: None,
            attempts: 0,
            counts: Counts::default(),
            requested_at: at(3),
            updated_at: at(3),
        };
        assert_eq!(rig.other.request_by_id(new.id).await.unwrap(), Some(expected));
    }
}

async fn an_id_is_asked_for_once(rig: Rig) {
    let new = new_request(LinkId::new(), window(0, 10), SyncReason::Manual);
    rig.store.request(&new, at(0)).await.unwrap();
    let again = NewRequest { query: window(50, 60), ..new.clone() };
    assert!(matches!(rig.store.request(&again, at(1)).await, Err(StoreError::Conflict { .. })));
    assert_eq!(rig.store.request_by_id(new.id).await.unwrap().unwrap().query, window(0, 10));
}

async fn instants_are_kept_to_the_microsecond(rig: Rig) {
    let nanos = |n: i128| Instant::from_nanosecond(n).unwrap();
    let exact = Interval::new(nanos(-1_001_000), nanos(1_000)).unwrap();
    // Shorter than a microsecond, and still a window.
    let short = Interval::new(nanos(5_100), nanos(5_200)).unwrap();
    let shown = Interval::new(nanos(5_000), nanos(6_000)).unwrap();
    for (asked, expected) in [(exact, exact), (short, shown)] {
        let id = requested(&*rig.store, LinkId::new(), Query::Window(asked)).await;
        assert_eq!(rig.store.request_by_id(id).await.unwrap().unwrap().query, Query::Window(expected));
    }
}

/// Asks by notification, and says what became of it.
async fn notify(rig: &Rig, link: LinkId, query: Query) -> (RequestId, Requested) {
    let new = new_request(link, query, SyncReason::Notification);
    let became = rig.store.request(&new, at(5)).await.unwrap();
    (new.id, became)
}

async fn windows_that_overlap_or_touch_become_their_union(rig: Rig) {
    for (asked, union) in [
        ((10, 20), Some((10, 20))),
        ((12, 15), Some((10, 20))),
        ((5, 12), Some((5, 20))),
        ((15, 30), Some((10, 30))),
        ((0, 40), Some((0, 40))),
        ((20, 30), Some((10, 30))),
        ((0, 10), Some((0, 20))),
        ((21, 30), None),
        ((0, 9), None),
    ] {
        let link = LinkId::new();
        let (first, became) = notify(&rig, link, window(10, 20)).await;
        assert_eq!(became, Requested::Created);
        let (second, became) = notify(&rig, link, window(asked.0, asked.1)).await;
        let merged = rig.store.request_by_id(first).await.unwrap().unwrap().query;
        let added = rig.store.request_by_id(second).await.unwrap();
        match union {
            Some((start, end)) => {
                assert_eq!((became, merged, added), (Requested::Merged(first), window(start, end), None));
            }
            None => {
                assert_eq!((became, merged), (Requested::Created, window(10, 20)));
                assert_eq!(added.unwrap().query, window(asked.0, asked.1));
            }
        }
    }
}

async fn since_becomes_the_earlier_instant(rig: Rig) {
    let link = LinkId::new();
    let (first, _) = notify(&rig, link, since(10)).await;
    for (asked, earliest) in [(20, 10), (10, 10), (4, 4), (7, 4)] {
        assert_eq!(notify(&rig, link, since(asked)).await.1, Requested::Merged(first));
        assert_eq!(rig.store.request_by_id(first).await.unwrap().unwrap().query, since(earliest));
    }
    // A window is another question.
    let (second, became) = notify(&rig, link, window(0, 100)).await;
    assert_eq!(became, Requested::Created);
    assert_eq!(notify(&rig, link, window(50, 200)).await.1, Requested::Merged(second));
    assert_eq!(notify(&rig, link, since(1)).await.1, Requested::Merged(first));
}

async fn only_notifications_of_one_link_and_record_are_merged(rig: Rig) {
    let link = LinkId::new();
    let (first, _) = notify(&rig, link, window(10, 20)).await;
    let twin = new_request(link, window(10, 20), SyncReason::Notification);
    for apart in [
        NewRequest { link: LinkId::new(), ..twin.clone() },
        NewRequest { id: RequestId::new(), record: "getactivity".parse().unwrap(), ..twin.clone() },
        NewRequest { id: RequestId::new(), reason: SyncReason::Manual, ..twin.clone() },
        NewRequest { id: RequestId::new(), reason: SyncReason::Nightly, ..twin.clone() },
        NewRequest { id: RequestId::new(), reason: SyncReason::Backfill, ..twin.clone() },
    ] {
        assert_eq!(rig.store.request(&apart, at(5)).await.unwrap(), Requested::Created, "{apart:?}");
    }
    assert_eq!(notify(&rig, link, window(10, 20)).await.1, Requested::Merged(first));
    // Nor is a notification merged into what was asked for another reason.
    let link = LinkId::new();
    requested(&*rig.store, link, window(10, 20)).await;
    assert_eq!(notify(&rig, link, window(10, 20)).await.1, Requested::Created);
}

async fn what_has_begun_is_not_merged_into(rig: Rig) {
    let link = LinkId::new();
    let (first, _) = notify(&rig, link, window(10, 20)).await;
    let begun = rig.store.begin_fetch(first, at(6)).await.unwrap().unwrap();
    let (second, became) = notify(&rig, link, window(10, 30)).await;
    assert_eq!(became, Requested::Created);
    assert_eq!(rig.store.request_by_id(first).await.unwrap(), Some(begun));
    rig.store.fail(second, "given up", at(7)).await.unwrap();
    assert_eq!(notify(&rig, link, window(10, 30)).await.1, Requested::Created);
}

async fn a_merged_request_is_as_idle_as_before(rig: Rig) {
    // Its event may be lost. If bursts kept it fresh, nobody would ever ask for it again.
    let link = LinkId::new();
    let (first, _) = notify(&rig, link, window(10, 20)).await;
    let burst = new_request(link, window(10, 25), SyncReason::Notification);
    assert_eq!(rig.store.request(&burst, at(5000)).await.unwrap(), Requested::Merged(first));
    assert_eq!(rig.store.request_by_id(first).await.unwrap().unwrap().updated_at, at(5));
}

async fn beginning_counts_an_attempt(rig: Rig) {
    let id = requested(&*rig.store, LinkId::new(), window(0, 10)).await;
    for attempts in 1..=3 {
        let begun = rig.other.begin_fetch(id, at(attempts.into())).await.unwrap().unwrap();
        assert_eq!((begun.state, begun.attempts), (RequestState::Fetching, attempts));
        assert_eq!(begun.updated_at, at(attempts.into()));
        assert_eq!(rig.store.request_by_id(id).await.unwrap(), Some(begun));
    }
    rig.store.fetched(id, RunId::new(), 1, None, at(9)).await.unwrap();
    let again = rig.store.begin_fetch(id, at(10)).await.unwrap().unwrap();
    assert_eq!((again.state, again.attempts), (RequestState::Fetching, 4), "begun again after a crash");
}

async fn what_has_ended_does_not_begin(rig: Rig) {
    assert_eq!(rig.store.begin_fetch(RequestId::new(), at(0)).await.unwrap(), None);
    let published = requested(&*rig.store, LinkId::new(), window(0, 10)).await;
    whole_run(&*rig.store, published, None, Vec::new()).await;
    let failed = requested(&*rig.store, LinkId::new(), window(0, 10)).await;
    rig.store.fail(failed, "given up", at(1)).await.unwrap();
    for id in [published, failed] {
        let before = rig.store.request_by_id(id).await.unwrap();
        assert_eq!(rig.store.begin_fetch(id, at(99)).await.unwrap(), None);
        assert_eq!(rig.store.request_by_id(id).await.unwrap(), before);
    }
}

async fn a_note_does_not_end_a_request(rig: Rig) {
    let id = requested(&*rig.store, LinkId::new(), window(0, 10)).await;
    let begun = rig.store.begin_fetch(id, at(1)).await.unwrap().unwrap();
    rig.store.note(id, "the provider answers 503\0", at(2)).await.unwrap();
    let noted =
        Request { note: Some("the provider answers 503\u{fffd}".to_owned()), updated_at: at(2), ..begun };
    assert_eq!(rig.store.request_by_id(id).await.unwrap(), Some(noted));
    whole_run(&*rig.store, id, None, Vec::new()).await;
    let published = rig.store.request_by_id(id).await.unwrap();
    rig.store.note(id, "too late", at(9)).await.unwrap();
    assert_eq!(rig.store.request_by_id(id).await.unwrap(), published);
}

async fn a_failed_request_leaves_a_hole(rig: Rig) {
    let link = LinkId::new();
    let id = requested(&*rig.store, link, window(0, 10)).await;
    let run = RunId::new();
    rig.store.begin_fetch(id, at(1)).await.unwrap();
    rig.store.fetched(id, run, 2, None, at(1)).await.unwrap();
    rig.store.acknowledge(&ack(id, run, 0), at(1)).await.unwrap();
    rig.store.fail(id, "the scope was taken back", at(2)).await.unwrap();
    let failed = rig.store.request_by_id(id).await.unwrap().unwrap();
    assert_eq!((failed.state, failed.updated_at), (RequestState::Failed, at(2)));
    assert_eq!(failed.note.as_deref(), Some("the scope was taken back"));
    // Final: what comes later changes nothing.
    assert_eq!(rig.store.acknowledge(&ack(id, run, 1), at(3)).await.unwrap(), Progress::AlreadyDone);
    assert_eq!(rig.store.fetched(id, RunId::new(), 0, None, at(3)).await.unwrap(), Progress::AlreadyDone);
    rig.store.fail(id, "again", at(4)).await.unwrap();
    rig.store.note(id, "again", at(4)).await.unwrap();
    assert_eq!(rig.store.request_by_id(id).await.unwrap(), Some(failed));
    assert_eq!(rig.store.coverage(link, &record()).await.unwrap(), Coverage::default());
}

async fn a_published_request_does_not_fail(rig: Rig) {
    let link = LinkId::new();
    let id = requested(&*rig.store, link, window(0, 10)).await;
    whole_run(&*rig.store, id, None, Vec::new()).await;
    let before =
        (rig.store.request_by_id(id).await.unwrap(), rig.store.coverage(link, &record()).await.unwrap());
    rig.store.fail(id, "too late", at(9)).await.unwrap();
    let after =
        (rig.store.request_by_id(id).await.unwrap(), rig.store.coverage(link, &record()).await.unwrap());
    assert_eq!(before, after);
}

async fn an_unknown_request_cannot_be_noted(rig: Rig) {
    let id = RequestId::new();
    assert!(matches!(rig.store.note(id, "?", at(0)).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(rig.store.fail(id, "?", at(0)).await, Err(StoreError::NotFound { .. })));
}
