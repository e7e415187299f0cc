//! Links: adding, finding, moving between states. Consents are in `links_connect`.

use ohx_domain::{Link, LinkId, LinkState, PushState};
use ohx_store::{LinkFilter, StoreError};

use crate::rig::Rig;
use crate::samples::{at, connected, consent, pending};

crate::promises!(
    a_link_is_read_back,
    an_id_is_added_once,
    links_are_listed_by_id_and_filtered,
    a_list_has_at_most_a_thousand,
    a_state_comes_with_its_reason,
    an_unknown_link_cannot_be_changed,
    disconnecting_destroys_what_is_secret,
    an_account_leads_to_its_connected_links,
    a_push_state_is_read_back,
    the_nightly_run_streams_over_active_links,
    a_reason_may_hold_any_character,
    who_a_patient_is_is_kept_for_each_endpoint,
);

async fn a_link_is_read_back(rig: Rig) {
    let link = Link {
        scopes: vec!["a".to_owned(), "b c".to_owned()],
        history_start: Some(at(-5)),
        state_reason: Some("new".to_owned()),
        ..pending("p1")
    };
    assert_eq!(rig.store.link(link.id).await.unwrap(), None);
    rig.store.insert_link(&link).await.unwrap();
    assert_eq!(rig.other.link(link.id).await.unwrap(), Some(link.clone()));
    assert_eq!(rig.store.sealed_account(link.id).await.unwrap(), None);
    assert_eq!(rig.store.tokens(link.id).await.unwrap(), None);
}

async fn who_a_patient_is_is_kept_for_each_endpoint(rig: Rig) {
    let named = "Patient?identifier=https://clinic.example/mrn|1234".parse().unwrap();
    let (clinic, registry) = ("clinic".parse().unwrap(), "registry".parse().unwrap());
    assert_eq!(rig.store.resolved_patient(&clinic, &named).await.unwrap(), None);
    for reference in ["Patient/7", "Patient/8"] {
        let reference = reference.parse().unwrap();
        rig.store.keep_resolved_patient(&clinic, &named, &reference, at(1)).await.unwrap();
        assert_eq!(rig.other.resolved_patient(&clinic, &named).await.unwrap(), Some(reference));
    }
    assert_eq!(rig.store.resolved_patient(&registry, &named).await.unwrap(), None);
}

async fn an_id_is_added_once(rig: Rig) {
    let link = pending("p1");
    rig.store.insert_link(&link).await.unwrap();
    let again = Link { id: link.id, ..pending("p2") };
    assert!(matches!(rig.store.insert_link(&again).await, Err(StoreError::Conflict { .. })));
    assert_eq!(rig.store.link(link.id).await.unwrap(), Some(link));
}

async fn links_are_listed_by_id_and_filtered(rig: Rig) {
    let links = [
        pending("p1"),
        Link { provider: "fitbit".parse().unwrap(), ..pending("p1") },
        Link { state: LinkState::Disconnected, ..pending("p2") },
        pending("p3"),
    ];
    for link in links.iter().rev() {
        rig.store.insert_link(link).await.unwrap();
    }
    let all = LinkFilter { limit: 100, ..LinkFilter::default() };
    for (filter, expected) in [
        (all.clone(), &links[..]),
        (LinkFilter { limit: 2, ..all.clone() }, &links[..2]),
        (LinkFilter { limit: 2, after: Some(links[1].id), ..all.clone() }, &links[2..]),
        (LinkFilter { after: Some(links[3].id), ..all.clone() }, &[]),
        (LinkFilter { provider: Some(links[1].provider.clone()), ..all.clone() }, &links[1..2]),
        (LinkFilter { patient: Some(links[0].patient.clone()), ..all.clone() }, &links[..2]),
        (LinkFilter { state: Some(LinkState::Disconnected), ..all.clone() }, &links[2..3]),
        (LinkFilter { state: Some(LinkState::Active), ..all.clone() }, &[]),
        (
            LinkFilter {
                patient: Some(links[0].patient.clone()),
                state: Some(LinkState::Pending),
                provider: Some(links[0].provider.clone()),
                ..all.clone()
            },
            &links[..1],
        ),
    ] {
        assert_eq!(rig.store.links(&filter).await.unwrap(), expected, "{filter:?}");
    }
}

async fn a_list_has_at_most_a_thousand(rig: Rig) {
    let links: Vec<_> = (0..1001).map(|_| pending("p1")).collect();
    for some in links.chunks(50) {
        rig.at_once(some.len(), |store, i| {
            let link = some[i].clone();
            async move { store.insert_link(&link).await.unwrap() }
        })
        .await;
    }
    for (limit, expected) in [(u32::MAX, 1000), (1000, 1000), (1, 1), (0, 1)] {
        let filter = LinkFilter { limit, ..LinkFilter::default() };
        assert_eq!(rig.store.links(&filter).await.unwrap().len(), expected);
    }
}

async fn a_state_comes_with_its_reason(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    let before = rig.store.link(id).await.unwrap().unwrap();
    for (state, reason) in [
        (LinkState::ReauthorizationRequired, Some("the provider no longer accepts the grant")),
        (LinkState::Active, None),
        (LinkState::Pending, Some("again")),
    ] {
        rig.store.set_link_state(id, state, reason).await.unwrap();
        let expected =
            Link { state, state_reason: reason.map(str::to_owned), state_since: None, ..before.clone() };
        assert_eq!(rig.store.link(id).await.unwrap(), Some(expected));
        assert!(rig.store.tokens(id).await.unwrap().is_some());
    }
}

async fn an_unknown_link_cannot_be_changed(rig: Rig) {
    let id = LinkId::new();
    let state = rig.store.set_link_state(id, LinkState::Active, None).await;
    let gone = rig.store.set_link_state(id, LinkState::Disconnected, None).await;
    let push = rig.store.set_push_state(id, &PushState::Unknown).await;
    let connect = rig.store.connect(id, &consent(1, 1, 0)).await;
    for result in [state, gone, push, connect] {
        let Err(StoreError::NotFound { id: named, .. }) = result else { panic!("{result:?}") };
        assert_eq!(named, id.to_string());
    }
    assert_eq!(rig.store.link(id).await.unwrap(), None);
}

async fn disconnecting_destroys_what_is_secret(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    let before = rig.store.link(id).await.unwrap().unwrap();
    rig.store.set_link_state(id, LinkState::Disconnected, Some("the patient's wish")).await.unwrap();
    let expected = Link {
        state: LinkState::Disconnected,
        state_reason: Some("the patient's wish".to_owned()),
        state_since: None,
        data_key: None,
        ..before
    };
    assert_eq!(rig.other.link(id).await.unwrap(), Some(expected));
    assert_eq!(rig.other.tokens(id).await.unwrap(), None);
    assert_eq!(rig.other.sealed_account(id).await.unwrap(), None);
    assert_eq!(rig.other.links_of_account(&[1; 32]).await.unwrap(), []);
    // Not even when it is called active again is anything of it to be found.
    rig.store.set_link_state(id, LinkState::Active, None).await.unwrap();
    assert_eq!(rig.store.links_of_account(&[1; 32]).await.unwrap(), []);
    assert_eq!(rig.store.tokens(id).await.unwrap(), None);
}

async fn an_account_leads_to_its_connected_links(rig: Rig) {
    let store = &*rig.store;
    let first = connected(store, "p1", 1).await;
    let second = connected(store, "p1", 1).await;
    let gone = connected(store, "p1", 1).await;
    let waiting = connected(store, "p1", 1).await;
    connected(store, "p1", 2).await;
    store.set_link_state(second, LinkState::ReauthorizationRequired, None).await.unwrap();
    store.set_link_state(gone, LinkState::Disconnected, None).await.unwrap();
    store.set_link_state(waiting, LinkState::Pending, None).await.unwrap();
    assert_eq!(store.links_of_account(&[1; 32]).await.unwrap(), [first, second]);
    assert_eq!(store.links_of_account(&[3; 32]).await.unwrap(), []);
}

async fn a_push_state_is_read_back(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    for push in [
        PushState::Subscribed { checked: at(77) },
        PushState::Polling { reason: "callback not reachable".to_owned() },
        PushState::Unknown,
    ] {
        rig.store.set_push_state(id, &push).await.unwrap();
        assert_eq!(rig.other.link(id).await.unwrap().unwrap().push, push);
    }
}

async fn the_nightly_run_streams_over_active_links(rig: Rig) {
    let mut active = Vec::new();
    for n in 0..7 {
        let link = pending("p1");
        let state = if n % 3 == 1 { LinkState::ReauthorizationRequired } else { LinkState::Active };
        rig.store.insert_link(&Link { state, ..link.clone() }).await.unwrap();
        rig.store.insert_link(&pending("p2")).await.unwrap();
        if state == LinkState::Active {
            active.push(link.id);
        }
    }
    let mut seen = Vec::new();
    loop {
        let page = rig.store.active_links(seen.last().copied(), 2).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen, active);
}

async fn a_reason_may_hold_any_character(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    let reason = "invalid_grant\0 'quoted' \u{1f642} $1 \\ %";
    rig.store.set_link_state(id, LinkState::ReauthorizationRequired, Some(reason)).await.unwrap();
    rig.store.set_push_state(id, &PushState::Polling { reason: reason.to_owned() }).await.unwrap();
    let link = rig.store.link(id).await.unwrap().unwrap();
    assert_eq!(link.state_reason, Some(reason.replace('\0', "\u{fffd}")));
    assert_eq!(link.push, PushState::Polling { reason: reason.to_owned() });
}
