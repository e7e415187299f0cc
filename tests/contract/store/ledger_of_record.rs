//! What was asked of a record, for those who ask why something is missing.

use ohx_domain::{LinkId, RequestId};
use ohx_store::{RequestsOfRecord, Store};

use crate::rig::Rig;
use crate::samples::{at, record, requested, since, span, whole_run, window};

crate::promises!(requests_that_have_to_do_with_a_span_are_listed_latest_first, a_list_is_bounded);

async fn listed(store: &dyn Store, link: LinkId, start: i64, end: i64, limit: u32) -> Vec<RequestId> {
    let filter = RequestsOfRecord { link, record: record(), within: span(start, end), limit };
    store.requests_of_record(&filter).await.unwrap().into_iter().map(|r| r.id).collect()
}

async fn requests_that_have_to_do_with_a_span_are_listed_latest_first(rig: Rig) {
    let (store, link) = (&*rig.store, LinkId::new());
    let before = requested(store, link, window(0, 10)).await;
    let within = requested(store, link, window(10, 20)).await;
    let over = requested(store, link, window(15, 40)).await;
    let after = requested(store, link, window(30, 40)).await;
    // Asked at 0: of what came later it can say nothing.
    let changes = requested(store, link, since(-100)).await;
    requested(store, LinkId::new(), window(10, 20)).await;
    let other = ohx_store::NewRequest {
        record: "heart".parse().unwrap(),
        ..crate::samples::new_request(link, window(10, 20), ohx_domain::SyncReason::Manual)
    };
    store.request(&other, at(0)).await.unwrap();

    assert_eq!(listed(store, link, 10, 20, 100).await, [over, within]);
    assert_eq!(listed(store, link, 20, 30, 100).await, [over]);
    assert_eq!(listed(store, link, -50, 1, 100).await, [changes, before]);
    assert_eq!(listed(store, link, 39, 50, 100).await, [after, over]);
    whole_run(store, within, None, Vec::new()).await;
    store.fail(over, "no", at(5)).await.unwrap();
    assert_eq!(listed(&*rig.other, link, 10, 20, 100).await, [over, within], "ended ones too");
}

async fn a_list_is_bounded(rig: Rig) {
    let link = LinkId::new();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(requested(&*rig.store, link, window(0, 10)).await);
    }
    assert_eq!(listed(&*rig.store, link, 0, 10, 2).await, [ids[2], ids[1]]);
    assert_eq!(listed(&*rig.store, link, 0, 10, 0).await, [ids[2]]);
}
