//! A page of links at a time: what is known of them, and asking for what they lack.

use std::collections::BTreeSet;

use ohx_domain::{LinkId, ProviderName, Record, RequestId, SyncReason};
use ohx_store::{Coverage, NewRequest, WorkAhead};

use crate::rig::Rig;
use crate::samples::{at, connected, new_request, pending, record, requested, since, whole_run, window};

crate::promises!(
    a_page_has_its_open_requests,
    a_page_has_its_coverage,
    cursors_are_set_where_there_are_none,
    what_is_planned_is_in_the_ledger,
    a_link_that_has_news_is_given_back,
    of_many_planners_one_plans_a_link,
    pages_are_planned_side_by_side,
    the_work_ahead_is_counted_by_app,
);

fn steps() -> Record {
    "steps".parse().unwrap()
}

fn sorted(n: usize) -> Vec<LinkId> {
    let mut ids: Vec<LinkId> = (0..n).map(|_| LinkId::new()).collect();
    ids.sort();
    ids
}

fn nightly(link: LinkId, start: i64) -> NewRequest {
    new_request(link, window(start, start + 10), SyncReason::Nightly)
}

async fn a_page_has_its_open_requests(rig: Rig) {
    let links = sorted(4);
    let mut ids = Vec::new();
    for _ in 0..2 {
        for link in links.iter().rev() {
            ids.push(requested(&*rig.store, *link, window(0, 10)).await);
        }
    }
    // 3 2 1 0 3 2 1 0
    rig.store.begin_fetch(ids[1], at(1)).await.unwrap();
    rig.store.fail(ids[2], "given up", at(1)).await.unwrap();
    let page = rig.other.open_requests_between(links[1], links[2]).await.unwrap();
    let found: Vec<_> = page.iter().map(|request| (request.link, request.id)).collect();
    assert_eq!(found, [(links[1], ids[6]), (links[2], ids[1]), (links[2], ids[5])]);
    assert_eq!(Some(&page[1]), rig.store.request_by_id(ids[1]).await.unwrap().as_ref());
    assert!(rig.store.open_requests_between(LinkId::new(), LinkId::new()).await.unwrap().is_empty());
}

async fn a_page_has_its_coverage(rig: Rig) {
    let links = sorted(4);
    for link in &links {
        let id = requested(&*rig.store, *link, window(0, 10)).await;
        whole_run(&*rig.store, id, Some(at(100)), Vec::new()).await;
    }
    rig.store.init_cursor(links[2], &steps(), at(7)).await.unwrap();
    let page = rig.other.coverage_between(links[1], links[2]).await.unwrap();
    let names: Vec<_> = page.iter().map(|(link, record, _)| (*link, record.clone())).collect();
    assert_eq!(names, [(links[1], record()), (links[2], record()), (links[2], steps())]);
    for (link, record, coverage) in page {
        assert_eq!(coverage, rig.store.coverage(link, &record).await.unwrap());
        assert_ne!(coverage, Coverage::default());
    }
}

async fn cursors_are_set_where_there_are_none(rig: Rig) {
    let links = sorted(2);
    rig.store.init_cursor(links[0], &record(), at(5)).await.unwrap();
    let cursors = [(links[1], record(), at(9)), (links[0], record(), at(9)), (links[0], steps(), at(9))];
    rig.store.init_cursors(&cursors).await.unwrap();
    rig.store.init_cursors(&[]).await.unwrap();
    for (link, record, cursor) in [(links[0], record(), 5), (links[0], steps(), 9), (links[1], record(), 9)] {
        assert_eq!(rig.other.coverage(link, &record).await.unwrap().cursor, Some(at(cursor)));
    }
}

async fn what_is_planned_is_in_the_ledger(rig: Rig) {
    let links = sorted(3);
    let mut new: Vec<_> = links.iter().map(|link| nightly(*link, 0)).collect();
    new.push(NewRequest { record: steps(), ..new_request(links[0], since(-5), SyncReason::Reconnect) });
    assert!(rig.store.plan(&new, &BTreeSet::new(), at(3)).await.unwrap().is_empty());
    for new in new {
        let row = rig.other.request_by_id(new.id).await.unwrap().unwrap();
        assert_eq!(row, new.into_request(at(3)));
    }
    assert!(rig.store.plan(&[], &BTreeSet::new(), at(3)).await.unwrap().is_empty());
}

async fn a_link_that_has_news_is_given_back(rig: Rig) {
    let links = sorted(3);
    let known = requested(&*rig.store, links[0], window(0, 10)).await;
    requested(&*rig.store, links[1], window(0, 10)).await;
    let ended = requested(&*rig.store, links[2], window(0, 10)).await;
    rig.store.fail(ended, "given up", at(1)).await.unwrap();
    let new: Vec<_> = links.iter().flat_map(|link| [nightly(*link, 20), nightly(*link, 40)]).collect();
    let contested = rig.store.plan(&new, &BTreeSet::from([known]), at(3)).await.unwrap();
    assert_eq!(contested, BTreeSet::from([links[1]]));
    for new in &new {
        let found = rig.store.request_by_id(new.id).await.unwrap();
        assert_eq!(found.is_some(), new.link != links[1], "all of a link, or nothing");
    }
}

async fn of_many_planners_one_plans_a_link(rig: Rig) {
    let mut links = Vec::new();
    for n in 0..20 {
        links.push(connected(&*rig.store, &format!("p{n}"), n).await);
    }
    links.sort();
    let page = links.clone();
    let contested = rig
        .at_once(8, |store, _| {
            let new: Vec<_> = page.iter().map(|link| nightly(*link, 0)).collect();
            async move { store.plan(&new, &BTreeSet::<RequestId>::new(), at(3)).await.unwrap() }
        })
        .await;
    for link in links {
        let planned = contested.iter().filter(|contested| !contested.contains(&link)).count();
        assert_eq!(planned, 1);
        assert_eq!(rig.store.open_requests_between(link, link).await.unwrap().len(), 1);
    }
}

async fn pages_are_planned_side_by_side(rig: Rig) {
    let links = sorted(64);
    let pages = links.clone();
    rig.at_once(8, |store, i| {
        let new: Vec<_> = pages[i * 8..][..8].iter().map(|link| nightly(*link, 0)).collect();
        async move { assert!(store.plan(&new, &BTreeSet::new(), at(3)).await.unwrap().is_empty()) }
    })
    .await;
    assert_eq!(rig.store.open_requests_between(links[0], links[63]).await.unwrap().len(), 64);
}

async fn the_work_ahead_is_counted_by_app(rig: Rig) {
    assert!(rig.store.work_ahead().await.unwrap().is_empty());
    let fitbit: ProviderName = "fitbit".parse().unwrap();
    let mut links = vec![connected(&*rig.store, "a", 1).await, connected(&*rig.store, "b", 2).await];
    let mut other = pending("c");
    other.provider = fitbit.clone();
    rig.store.insert_link(&other).await.unwrap();
    links.push(other.id);
    let mut ids = Vec::new();
    for link in links.iter().chain(&links) {
        ids.push(requested(&*rig.store, *link, window(0, 10)).await);
    }
    rig.store.begin_fetch(ids[0], at(1)).await.unwrap();
    whole_run(&*rig.store, ids[1], None, Vec::new()).await;
    let withings = WorkAhead { provider: "withings".parse().unwrap(), links: 2, waiting: 3 };
    // A link that waits for its consent is no work, but what it has open is.
    assert_eq!(
        rig.other.work_ahead().await.unwrap(),
        [WorkAhead { provider: fitbit, links: 0, waiting: 2 }, withings]
    );
}
