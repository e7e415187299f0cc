//! Consents: one person's readings never go into two charts.

use std::collections::BTreeSet;

use ohx_domain::{Destination, Instant, Link, LinkId, LinkState, PushState, RequestState, RunId, SyncReason};
use ohx_store::{Coverage, OpenRequests, Progress, StoreError, StoredTokens};

use crate::rig::Rig;
use crate::samples::{
    ack, at, connected, consent, new_request, pending, record, requested, whole_run, window,
};

crate::promises!(
    a_consent_takes_effect_as_a_whole,
    a_second_consent_renews_but_keeps_the_history_start,
    a_consent_ends_what_was_asked_before_it,
    a_history_start_that_is_set_stays,
    a_long_backfill_ends_where_time_begins,
    another_patient_at_the_same_ehr_is_refused,
    a_refused_consent_changes_nothing,
    a_link_in_need_of_consent_still_holds_its_account,
    the_same_patient_may_connect_twice,
    another_ehr_may_hold_the_same_account,
    a_further_endpoint_counts_as_much_as_the_first,
    a_disconnected_account_is_free,
    a_disconnected_link_may_be_connected_again,
    of_two_patients_at_once_one_wins,
);

const DAY: i64 = 86_400;

async fn a_consent_takes_effect_as_a_whole(rig: Rig) {
    let link = pending("p1");
    rig.store.insert_link(&link).await.unwrap();
    rig.store.set_link_state(link.id, LinkState::Pending, Some("waiting")).await.unwrap();
    rig.store.set_push_state(link.id, &PushState::Subscribed { checked: at(1) }).await.unwrap();
    let given = consent(1, 9, 100);
    rig.store.connect(link.id, &given).await.unwrap();
    let expected = Link {
        state: LinkState::Active,
        state_reason: None,
        scopes: given.scopes.clone(),
        history_start: Some(at(100 - 30 * DAY)),
        push: PushState::Unknown,
        data_key: Some(given.data_key.clone()),
        connected_at: Some(at(100)),
        state_since: Some(at(100)),
        ..link.clone()
    };
    assert_eq!(rig.other.link(link.id).await.unwrap(), Some(expected));
    assert_eq!(rig.other.sealed_account(link.id).await.unwrap(), Some(given.sealed_account));
    let tokens = StoredTokens {
        sealed: given.sealed_tokens,
        expires_at: given.tokens_expire_at,
        version: 1,
        refreshed_at: Some(at(100)),
        refused: None,
    };
    assert_eq!(rig.other.tokens(link.id).await.unwrap(), Some(tokens));
}

async fn a_second_consent_renews_but_keeps_the_history_start(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    rig.store.set_push_state(id, &PushState::Subscribed { checked: at(1) }).await.unwrap();
    rig.store.set_link_state(id, LinkState::ReauthorizationRequired, Some("expired")).await.unwrap();
    let again = consent(2, 8, 500);
    rig.store.connect(id, &again).await.unwrap();
    let link = rig.store.link(id).await.unwrap().unwrap();
    assert_eq!((link.state, link.state_reason), (LinkState::Active, None));
    assert_eq!(link.history_start, Some(at(10 - 30 * DAY)), "of the first consent");
    assert_eq!((link.connected_at, link.push), (Some(at(500)), PushState::Unknown));
    assert_eq!((link.data_key, link.scopes), (Some(again.data_key), again.scopes));
    let tokens = rig.store.tokens(id).await.unwrap().unwrap();
    assert_eq!((tokens.version, tokens.sealed), (2, again.sealed_tokens));
    assert_eq!(rig.store.links_of_account(&[1; 32]).await.unwrap(), [], "it is another account's now");
    assert_eq!(rig.store.links_of_account(&[2; 32]).await.unwrap(), [id]);
}

async fn a_consent_ends_what_was_asked_before_it(rig: Rig) {
    let store = &*rig.store;
    let (id, other) = (connected(store, "p1", 1).await, connected(store, "p2", 2).await);
    let waiting = requested(store, id, window(0, 10)).await;
    let fetched = requested(store, id, window(10, 20)).await;
    let run = RunId::new();
    assert!(store.begin_fetch(fetched, at(1)).await.unwrap().is_some());
    assert_eq!(store.fetched(fetched, run, 1, None, at(2)).await.unwrap(), Progress::Open);
    let removal = new_request(id, window(0, 20), SyncReason::Removal);
    store.request(&removal, at(0)).await.unwrap();
    let neighbour = requested(store, other, window(0, 10)).await;
    rig.other.connect(id, &consent(1, 8, 500)).await.unwrap();

    let open = store.open_requests(&OpenRequests { limit: 10, ..OpenRequests::default() }).await.unwrap();
    let open: BTreeSet<_> = open.into_iter().map(|request| request.id).collect();
    assert_eq!(open, BTreeSet::from([removal.id, neighbour]), "no plan would ask for a removal again");
    // Whoever is late, with readings or without, changes nothing of what is asked anew.
    assert_eq!(store.acknowledge(&ack(fetched, run, 0), at(3)).await.unwrap(), Progress::AlreadyDone);
    assert_eq!(store.coverage(id, &record()).await.unwrap(), Coverage::default());
    assert_eq!(store.begin_fetch(waiting, at(3)).await.unwrap(), None);
    store.fail(waiting, "the link needs consent", at(3)).await.unwrap();
    let request = store.request_by_id(waiting).await.unwrap().unwrap();
    assert_eq!((request.state, request.updated_at), (RequestState::Failed, at(500)));
    let asked = requested(store, id, window(0, 20)).await;
    whole_run(store, asked, None, Vec::new()).await;
    assert!(store.coverage(id, &record()).await.unwrap().published.contains(at(15)));
}

async fn a_history_start_that_is_set_stays(rig: Rig) {
    let link = Link { history_start: Some(at(-7)), ..pending("p1") };
    rig.store.insert_link(&link).await.unwrap();
    rig.store.connect(link.id, &consent(1, 1, 0)).await.unwrap();
    assert_eq!(rig.store.link(link.id).await.unwrap().unwrap().history_start, Some(at(-7)));
}

async fn a_long_backfill_ends_where_time_begins(rig: Rig) {
    let link = Link { backfill_days: u32::MAX, ..pending("p1") };
    rig.store.insert_link(&link).await.unwrap();
    rig.store.connect(link.id, &consent(1, 1, 0)).await.unwrap();
    let found = rig.store.link(link.id).await.unwrap().unwrap();
    assert_eq!((found.history_start, found.backfill_days), (Some(Instant::MIN), u32::MAX));
}

async fn refused(rig: &Rig, id: LinkId, account: u8) {
    let result = rig.other.connect(id, &consent(account, 66, 900)).await;
    assert!(matches!(result, Err(StoreError::Conflict { .. })), "{result:?}");
}

async fn another_patient_at_the_same_ehr_is_refused(rig: Rig) {
    connected(&*rig.store, "p1", 1).await;
    let second = pending("p2");
    rig.store.insert_link(&second).await.unwrap();
    refused(&rig, second.id, 1).await;
    rig.store.connect(second.id, &consent(2, 1, 0)).await.unwrap();
    // Nor may a link that is connected change to it.
    refused(&rig, second.id, 1).await;
}

async fn a_refused_consent_changes_nothing(rig: Rig) {
    connected(&*rig.store, "p1", 1).await;
    let id = connected(&*rig.store, "p2", 2).await;
    let before = (rig.store.link(id).await.unwrap(), rig.store.tokens(id).await.unwrap());
    refused(&rig, id, 1).await;
    assert_eq!((rig.store.link(id).await.unwrap(), rig.store.tokens(id).await.unwrap()), before);
    assert_eq!(rig.store.links_of_account(&[2; 32]).await.unwrap(), [id]);
}

async fn a_link_in_need_of_consent_still_holds_its_account(rig: Rig) {
    let first = connected(&*rig.store, "p1", 1).await;
    rig.store.set_link_state(first, LinkState::ReauthorizationRequired, None).await.unwrap();
    let second = pending("p2");
    rig.store.insert_link(&second).await.unwrap();
    refused(&rig, second.id, 1).await;
}

async fn the_same_patient_may_connect_twice(rig: Rig) {
    let first = connected(&*rig.store, "p1", 1).await;
    let second = connected(&*rig.store, "p1", 1).await;
    assert_eq!(rig.store.links_of_account(&[1; 32]).await.unwrap(), [first, second]);
}

async fn another_ehr_may_hold_the_same_account(rig: Rig) {
    connected(&*rig.store, "p1", 1).await;
    let elsewhere = Link { ehr: "hospital".parse().unwrap(), ..pending("p2") };
    rig.store.insert_link(&elsewhere).await.unwrap();
    rig.store.connect(elsewhere.id, &consent(1, 1, 0)).await.unwrap();
}

async fn a_further_endpoint_counts_as_much_as_the_first(rig: Rig) {
    let to = |ehr: &str, patient: &str| Destination {
        ehr: ehr.parse().unwrap(),
        patient: format!("Patient/{patient}").parse().unwrap(),
    };
    let first = Link { also: vec![to("registry", "r1")], ..pending("p1") };
    rig.store.insert_link(&first).await.unwrap();
    rig.store.connect(first.id, &consent(1, 1, 0)).await.unwrap();
    assert_eq!(rig.other.link(first.id).await.unwrap().unwrap().also, first.also);
    for other in [
        // Its own endpoint is the other's further one, and the other way round, and both further ones.
        Link { ehr: "registry".parse().unwrap(), ..pending("r2") },
        Link { ehr: "hospital".parse().unwrap(), also: vec![to("clinic", "p2")], ..pending("h2") },
        Link { ehr: "hospital".parse().unwrap(), also: vec![to("registry", "r2")], ..pending("h2") },
    ] {
        rig.store.insert_link(&other).await.unwrap();
        refused(&rig, other.id, 1).await;
    }
    let same = Link { ehr: "registry".parse().unwrap(), ..pending("r1") };
    rig.store.insert_link(&same).await.unwrap();
    rig.store.connect(same.id, &consent(1, 1, 0)).await.unwrap();
}

async fn a_disconnected_account_is_free(rig: Rig) {
    let first = connected(&*rig.store, "p1", 1).await;
    rig.store.set_link_state(first, LinkState::Disconnected, None).await.unwrap();
    connected(&*rig.store, "p2", 1).await;
}

async fn a_disconnected_link_may_be_connected_again(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    rig.store.set_link_state(id, LinkState::Disconnected, Some("over")).await.unwrap();
    rig.store.connect(id, &consent(1, 4, 50)).await.unwrap();
    assert_eq!(rig.store.link(id).await.unwrap().unwrap().state, LinkState::Active);
    assert_eq!(rig.store.tokens(id).await.unwrap().unwrap().version, 2, "a fencing token never comes again");
}

async fn of_two_patients_at_once_one_wins(rig: Rig) {
    for round in 0..12 {
        let links: Vec<_> = (0..6).map(|n| pending(&format!("p{n}"))).collect();
        for link in &links {
            rig.store.insert_link(link).await.unwrap();
        }
        let results = rig
            .at_once(links.len(), |store, i| {
                let id = links[i].id;
                async move { (id, store.connect(id, &consent(round, 1, 0)).await) }
            })
            .await;
        let mut winners = Vec::new();
        for (id, result) in results {
            match result {
                Ok(()) => winners.push(id),
                Err(StoreError::Conflict { .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(rig.store.links_of_account(&[round; 32]).await.unwrap(), winners);
    }
}
