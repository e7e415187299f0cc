//! Links that need a consent, and what leads to it; histories that begin earlier.

use std::collections::BTreeSet;
use std::time::Duration;

use ohx_domain::{Link, LinkId, LinkState};
use ohx_store::{ConsentNeed, OutageGate, Refusals, Witnesses};

use crate::rig::Rig;
use crate::samples::{at, connected, consent, pending};

crate::promises!(
    of_many_who_find_out_one_moves_the_link,
    another_pair_or_state_is_not_moved,
    a_consent_ends_the_need,
    refusals_are_counted_by_app_and_time,
    a_refusal_outlives_a_new_pair_until_it_is_trusted,
    an_outage_is_known_once_and_probed_by_one,
    the_end_of_an_outage_forgets_every_refusal_of_the_app,
    a_refusal_of_an_older_pair_says_nothing,
    a_history_is_extended_to_the_earlier,
);

/// Everything since `start` counts.
fn since(start: i64) -> Witnesses {
    Witnesses { since: at(start), settled: at(100_000) }
}

const NEED: ConsentNeed<'static> = ConsentNeed {
    code: "grant-refused",
    reason: "the provider refused\0 it",
    since: ohx_domain::Instant::UNIX_EPOCH,
};

async fn of_many_who_find_out_one_moves_the_link(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    let before = rig.store.link(id).await.unwrap().unwrap();
    let found = rig
        .at_once(16, move |store, i| async move {
            let need = ConsentNeed { since: at(i64::try_from(i).unwrap()), ..NEED };
            (i, store.require_consent(id, 1, &need).await.unwrap())
        })
        .await;
    let won: Vec<_> = found.into_iter().filter_map(|(i, won)| won.then_some(i)).collect();
    assert_eq!(won.len(), 1, "announced once");
    let expected = Link {
        state: LinkState::ReauthorizationRequired,
        state_code: Some("grant-refused".to_owned()),
        state_reason: Some("the provider refused\u{fffd} it".to_owned()),
        state_since: Some(at(i64::try_from(won[0]).unwrap())),
        ..before
    };
    assert_eq!(rig.other.link(id).await.unwrap(), Some(expected));
    assert!(rig.store.tokens(id).await.unwrap().is_some(), "it may still be revoked at the provider");
}

async fn another_pair_or_state_is_not_moved(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    for version in [0, 2, i64::MAX] {
        assert!(!rig.store.require_consent(id, version, &NEED).await.unwrap());
    }
    for state in [LinkState::Pending, LinkState::ReauthorizationRequired, LinkState::Disconnected] {
        rig.store.set_link_state(id, state, None).await.unwrap();
        assert!(!rig.store.require_consent(id, 1, &NEED).await.unwrap(), "{state:?}");
        assert_eq!(rig.store.link(id).await.unwrap().unwrap().state, state);
    }
    assert!(!rig.store.require_consent(LinkId::new(), 1, &NEED).await.unwrap());
}

async fn a_consent_ends_the_need(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    rig.store.note_refusal(id, 1, at(20), since(0)).await.unwrap().unwrap();
    assert!(rig.store.require_consent(id, 1, &NEED).await.unwrap());
    rig.store.connect(id, &consent(1, 2, 50)).await.unwrap();
    let link = rig.store.link(id).await.unwrap().unwrap();
    assert_eq!((link.state, link.state_code, link.state_since), (LinkState::Active, None, Some(at(50))));
    assert_eq!(rig.store.tokens(id).await.unwrap().unwrap().refused, None);
}

async fn refusals_are_counted_by_app_and_time(rig: Rig) {
    let mut ids = Vec::new();
    for n in 1..=4 {
        ids.push(connected(&*rig.store, "p1", n).await);
    }
    let elsewhere = Link { provider: "fitbit".parse().unwrap(), ..pending("p1") };
    rig.store.insert_link(&elsewhere).await.unwrap();
    rig.store.connect(elsewhere.id, &consent(9, 9, 10)).await.unwrap();

    let refused = async |link: LinkId, seconds: i64, start: i64| {
        let version = rig.store.tokens(link).await.unwrap().unwrap().version;
        rig.store.note_refusal(link, version, at(seconds), since(start)).await.unwrap().unwrap()
    };
    refused(elsewhere.id, 100, 50).await;
    let first =
        Refusals { since: at(100), refused: 1, refreshed: 0, vouched: false, active: 4, outage: None };
    assert_eq!(refused(ids[0], 100, 50).await, first);
    assert_eq!(refused(ids[0], 110, 50).await, first, "since the first time");
    assert_eq!(rig.other.tokens(ids[0]).await.unwrap().unwrap().refused, Some((at(100), at(110))));
    assert_eq!(refused(ids[1], 120, 50).await, Refusals { since: at(120), refused: 2, ..first });
    assert_eq!(refused(ids[1], 130, 111).await.refused, 1, "the first one was before the window");
    // All were connected at 10; that is a pair as well, but of those that were refused.
    assert_eq!(refused(ids[1], 140, 10).await.refreshed, 2);

    assert!(rig.store.replace_tokens(ids[2], 1, &[1], at(9000), at(119)).await.unwrap());
    assert!(refused(ids[0], 150, 50).await.vouched, "another link was refreshed after it was refused");
    assert!(!refused(ids[1], 150, 50).await.vouched, "that one before");
    let early = Witnesses { since: at(50), settled: at(118) };
    let unsettled = rig.store.note_refusal(ids[0], 1, at(150), early).await.unwrap().unwrap();
    assert!(!unsettled.vouched && unsettled.refreshed == 0, "its pair may yet be refused");
    let later = refused(ids[2], 160, 50).await;
    assert_eq!((later.since, later.refused, later.refreshed), (at(160), 3, 0));
    assert!(!refused(ids[0], 160, 50).await.vouched, "who is refused itself vouches for nobody");
    assert!(rig.store.require_consent(ids[0], 1, &NEED).await.unwrap());
    assert_eq!(refused(ids[1], 170, 50).await, Refusals { since: at(120), refused: 2, active: 3, ..first });
}

async fn a_refusal_outlives_a_new_pair_until_it_is_trusted(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    rig.store.note_refusal(id, 1, at(20), since(0)).await.unwrap().unwrap();
    assert!(rig.store.replace_tokens(id, 1, &[1], at(9000), at(30)).await.unwrap());
    let refused = async || rig.other.tokens(id).await.unwrap().unwrap().refused;
    assert_eq!(refused().await, Some((at(20), at(20))));
    assert_eq!(rig.store.note_refusal(id, 2, at(40), since(0)).await.unwrap().unwrap().since, at(20));
    assert!(!rig.store.trust(id).await.unwrap(), "no outage ends");
    assert_eq!(refused().await, None);
    assert_eq!(rig.store.note_refusal(id, 2, at(50), since(0)).await.unwrap().unwrap().since, at(50));
}

async fn an_outage_is_known_once_and_probed_by_one(rig: Rig) {
    let (app, other) = ("withings".parse().unwrap(), "fitbit".parse().unwrap());
    let pause = Duration::from_secs(100);
    assert_eq!(rig.store.outage_gate(&app, at(0), pause).await.unwrap(), OutageGate::Open);
    let begun = rig
        .at_once(8, |store, _| async move {
            store.begin_outage(&"withings".parse().unwrap(), at(0), Duration::from_secs(100)).await.unwrap()
        })
        .await;
    assert_eq!(begun.iter().filter(|first| **first).count(), 1);
    let wait = |seconds| OutageGate::Wait(Duration::from_secs(seconds));
    assert_eq!(rig.other.outage_gate(&app, at(1), pause).await.unwrap(), wait(99));
    assert_eq!(rig.other.outage_gate(&other, at(1), pause).await.unwrap(), OutageGate::Open);
    for moment in [100, 250] {
        let gates = rig
            .at_once(8, move |store, _| async move {
                store
                    .outage_gate(&"withings".parse().unwrap(), at(moment), Duration::from_secs(100))
                    .await
                    .unwrap()
            })
            .await;
        assert_eq!(gates.iter().filter(|gate| **gate == OutageGate::Probe).count(), 1, "{gates:?}");
        assert_eq!(gates.iter().filter(|gate| **gate == wait(100)).count(), 7, "{gates:?}");
    }
    let id = connected(&*rig.store, "p1", 1).await;
    let refusals = rig.store.note_refusal(id, 1, at(260), since(0)).await.unwrap().unwrap();
    assert_eq!(refusals.outage, Some(at(0)));
}

async fn the_end_of_an_outage_forgets_every_refusal_of_the_app(rig: Rig) {
    let app = "withings".parse().unwrap();
    let mut ids = Vec::new();
    for n in 1..=3 {
        ids.push(connected(&*rig.store, "p1", n).await);
    }
    let elsewhere = Link { provider: "fitbit".parse().unwrap(), ..pending("p1") };
    rig.store.insert_link(&elsewhere).await.unwrap();
    rig.store.connect(elsewhere.id, &consent(9, 9, 10)).await.unwrap();
    for id in [ids[0], ids[1], elsewhere.id] {
        rig.store.note_refusal(id, 1, at(20), since(0)).await.unwrap().unwrap();
    }
    assert!(rig.store.begin_outage(&app, at(20), Duration::from_secs(100)).await.unwrap());
    // Who was never refused finds out as well as any other.
    assert!(rig.store.trust(ids[2]).await.unwrap());
    assert!(!rig.store.trust(ids[2]).await.unwrap());
    assert!(!rig.store.trust(LinkId::new()).await.unwrap());
    let refused = async |id| rig.store.tokens(id).await.unwrap().unwrap().refused;
    assert_eq!((refused(ids[0]).await, refused(ids[1]).await), (None, None));
    assert_eq!(refused(elsewhere.id).await, Some((at(20), at(20))));
    assert_eq!(
        rig.store.outage_gate(&app, at(21), Duration::from_secs(100)).await.unwrap(),
        OutageGate::Open
    );
}

async fn a_refusal_of_an_older_pair_says_nothing(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    for version in [0, 2] {
        assert_eq!(rig.store.note_refusal(id, version, at(20), since(0)).await.unwrap(), None);
    }
    assert!(rig.store.require_consent(id, 1, &NEED).await.unwrap());
    assert_eq!(rig.store.note_refusal(id, 1, at(20), since(0)).await.unwrap(), None);
    assert_eq!(rig.store.tokens(id).await.unwrap().unwrap().refused, None);
    assert_eq!(rig.store.note_refusal(LinkId::new(), 1, at(20), since(0)).await.unwrap(), None);
}

async fn a_history_is_extended_to_the_earlier(rig: Rig) {
    let waiting = pending("p1");
    rig.store.insert_link(&waiting).await.unwrap();
    assert!(!rig.store.extend_history(waiting.id, at(0)).await.unwrap(), "it has none yet");
    let id = connected(&*rig.store, "p1", 1).await;
    let start = rig.store.link(id).await.unwrap().unwrap().history_start.unwrap();
    assert!(!rig.store.extend_history(id, start).await.unwrap());
    assert!(!rig.store.extend_history(id, at(0)).await.unwrap(), "later");
    let earlier = start - Duration::from_secs(1);
    let results =
        rig.at_once(8, move |store, _| async move { store.extend_history(id, earlier).await.unwrap() }).await;
    assert_eq!(results.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([false, true]));
    assert_eq!(rig.other.link(id).await.unwrap().unwrap().history_start, Some(earlier));
}
