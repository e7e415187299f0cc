//! The ledger under many processes at once.

use std::sync::Arc;

use ohx_domain::{LinkId, Query, RequestState, RunId, SyncReason};
use ohx_store::{Acknowledgement, OpenRequests, Progress, Requested};

use crate::rig::Rig;
use crate::samples::{ack, at, created, new_request, record, requested, span, window};

crate::promises!(
    of_many_steps_exactly_one_completes,
    repetitions_at_once_count_once,
    two_runs_at_once_complete_once,
    requests_that_complete_at_once_both_count,
    notifications_at_once_become_one_request,
    nothing_is_merged_into_what_has_begun,
    links_are_worked_on_side_by_side,
);

async fn of_many_steps_exactly_one_completes(rig: Rig) {
    for round in 0..8 {
        let (id, run) = (requested(&*rig.store, LinkId::new(), window(0, 100)).await, RunId::new());
        rig.store.begin_fetch(id, at(1)).await.unwrap();
        let steps = rig
            .at_once(13, |store, i| async move {
                if i == round {
                    return store.fetched(id, run, 12, None, at(2)).await.unwrap();
                }
                let part = u32::try_from(if i < round { i } else { i - 1 }).unwrap();
                store.acknowledge(&ack(id, run, part), at(2)).await.unwrap()
            })
            .await;
        assert_eq!(steps.iter().filter(|p| **p == Progress::Completed).count(), 1, "{steps:?}");
        assert_eq!(steps.iter().filter(|p| **p == Progress::Open).count(), 12, "{steps:?}");
        let found = rig.store.request_by_id(id).await.unwrap().unwrap();
        assert_eq!((found.state, found.counts), (RequestState::Published, created(12)));
    }
}

async fn repetitions_at_once_count_once(rig: Rig) {
    for _ in 0..6 {
        let (id, run) = (requested(&*rig.store, LinkId::new(), window(0, 100)).await, RunId::new());
        rig.store.begin_fetch(id, at(1)).await.unwrap();
        let steps = rig
            .at_once(18, |store, i| async move {
                if i % 6 == 5 {
                    return store.fetched(id, run, 3, None, at(2)).await.unwrap();
                }
                store.acknowledge(&ack(id, run, u32::try_from(i % 3).unwrap()), at(2)).await.unwrap()
            })
            .await;
        assert_eq!(steps.iter().filter(|p| **p == Progress::Completed).count(), 1, "{steps:?}");
        assert_eq!(rig.store.request_by_id(id).await.unwrap().unwrap().counts, created(3));
    }
}

async fn two_runs_at_once_complete_once(rig: Rig) {
    for _ in 0..6 {
        let link = LinkId::new();
        let id = requested(&*rig.store, link, window(0, 100)).await;
        let runs = [RunId::new(), RunId::new()];
        rig.store.begin_fetch(id, at(1)).await.unwrap();
        let steps = rig
            .at_once(8, |store, i| async move {
                let run = runs[i % 2];
                match u32::try_from(i / 2).unwrap() {
                    3 => store.fetched(id, run, 3, None, at(2)).await.unwrap(),
                    part => {
                        let hole = at(10 + i64::try_from(i % 2).unwrap() * 20);
                        let ack = Acknowledgement { holes: vec![hole], ..ack(id, run, part) };
                        store.acknowledge(&ack, at(2)).await.unwrap()
                    }
                }
            })
            .await;
        assert_eq!(steps.iter().filter(|p| **p == Progress::Completed).count(), 1, "{steps:?}");
        let published = rig.store.coverage(link, &record()).await.unwrap().published;
        assert_ne!(published.contains(at(10)), published.contains(at(30)), "the holes of one run");
    }
}

async fn requests_that_complete_at_once_both_count(rig: Rig) {
    for _ in 0..5 {
        let link = LinkId::new();
        let mut ids = Vec::new();
        for n in 0..12 {
            ids.push(requested(&*rig.store, link, window(n * 10, n * 10 + 10)).await);
        }
        let ids = Arc::new(ids);
        let steps = rig
            .at_once(12, |store, i| {
                let ids = Arc::clone(&ids);
                async move { store.fetched(ids[i], RunId::new(), 0, None, at(2)).await.unwrap() }
            })
            .await;
        assert_eq!(steps, [Progress::Completed; 12]);
        let published = rig.store.coverage(link, &record()).await.unwrap().published;
        assert_eq!(published.iter().copied().collect::<Vec<_>>(), [span(0, 120)]);
    }
}

async fn notifications_at_once_become_one_request(rig: Rig) {
    for _ in 0..8 {
        let link = LinkId::new();
        let became = rig
            .at_once(16, |store, i| async move {
                let start = i64::try_from(i).unwrap();
                let new = new_request(link, window(start, start + 16), SyncReason::Notification);
                (new.id, store.request(&new, at(0)).await.unwrap())
            })
            .await;
        let created: Vec<_> =
            became.iter().filter(|(_, r)| *r == Requested::Created).map(|(id, _)| *id).collect();
        assert_eq!(created.len(), 1, "{became:?}");
        let filter = OpenRequests { link: Some(link), limit: 100, ..OpenRequests::default() };
        let open = rig.store.open_requests(&filter).await.unwrap();
        assert_eq!(open.iter().map(|r| (r.id, r.query)).collect::<Vec<_>>(), [(created[0], window(0, 31))]);
    }
}

async fn nothing_is_merged_into_what_has_begun(rig: Rig) {
    // What `fetch` was told to read is all that the row ever says; what came too late has a row of its own.
    for round in 0..10 {
        let link = LinkId::new();
        let first = new_request(link, window(0, 10), SyncReason::Notification);
        rig.store.request(&first, at(0)).await.unwrap();
        let results = rig
            .at_once(12, |store, i| async move {
                if i == round {
                    return Err(store.begin_fetch(first.id, at(1)).await.unwrap().unwrap().query);
                }
                let end = 11 + i64::try_from(i).unwrap();
                let new = new_request(link, window(5, end), SyncReason::Notification);
                let became = store.request(&new, at(1)).await.unwrap();
                Ok((new, became))
            })
            .await;
        let begun = results.iter().find_map(|r| r.as_ref().err().copied()).unwrap();
        assert_eq!(rig.store.request_by_id(first.id).await.unwrap().unwrap().query, begun);
        let covers = |query: Query, asked: Query| match (query, asked) {
            (Query::Window(w), Query::Window(a)) => w.covers(&a),
            _ => false,
        };
        for (new, became) in results.into_iter().filter_map(Result::ok) {
            let id = if let Requested::Merged(id) = became { id } else { new.id };
            let stored = rig.store.request_by_id(id).await.unwrap().unwrap().query;
            assert!(covers(stored, new.query), "{new:?} {became:?} {stored:?}");
        }
    }
}

async fn links_are_worked_on_side_by_side(rig: Rig) {
    // Everything at once, on few rows: no deadlock, no refusal.
    let links = [LinkId::new(), LinkId::new(), LinkId::new()];
    for round in 0..4 {
        rig.at_once(24, |store, i| async move {
            let (link, now) = (links[i % 3], at(round * 100));
            let reason = if i % 2 == 0 { SyncReason::Notification } else { SyncReason::Nightly };
            let new = new_request(link, window(round * 10, round * 10 + 10), reason);
            let id = match store.request(&new, now).await.unwrap() {
                Requested::Created => new.id,
                Requested::Merged(id) => id,
            };
            let run = RunId::new();
            store.begin_fetch(id, now).await.unwrap();
            store.fetched(id, run, 2, Some(now), now).await.unwrap();
            store.note(id, "going on", now).await.unwrap();
            for part in 0..2 {
                let done = store.acknowledge(&ack(id, run, part), now).await.unwrap();
                assert_ne!(done, Progress::Unknown);
            }
            store.init_cursor(link, &record(), now).await.unwrap();
            store.prune(at(0)).await.unwrap();
        })
        .await;
    }
    let filter = OpenRequests { limit: 1000, ..OpenRequests::default() };
    assert_eq!(rig.store.open_requests(&filter).await.unwrap(), []);
}
