//! The ends of links: what is destroyed and what is left to do come together, and no change of it is lost.

use ohx_domain::{LinkId, LinkState};
use ohx_store::{ErasureReport, SealedIn, Step, StepName, StepState, StoreError};

use crate::rig::Rig;
use crate::samples::{at, connected};

crate::promises!(
    an_end_destroys_what_is_secret_and_is_read_back,
    an_unknown_link_does_not_end,
    two_who_end_one_link_get_one_end,
    of_two_changes_one_is_first,
    open_ends_are_listed_until_they_are_done,
    a_link_that_lives_again_ends_anew,
);

fn report() -> ErasureReport {
    let pending = Step {
        step: StepName::Revoke,
        ehr: None,
        state: StepState::Pending,
        why: None,
        count: None,
        attempts: 0,
        at: at(5),
    };
    ErasureReport {
        provider: "withings".parse().unwrap(),
        reason: "the patient's wish".into(),
        mark: true,
        steps: vec![pending],
        owners: vec![("clinic".parse().unwrap(), "pseudonym.".into())],
    }
}

async fn an_end_destroys_what_is_secret_and_is_read_back(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    let begun = rig.store.begin_erasure(id, &report(), Some(b"sealed"), at(5)).await.unwrap();
    assert_eq!((begun.seq, begun.version, begun.begun_at, begun.done_at), (1, 1, at(5), None));
    assert_eq!((&begun.report, begun.sealed_grant.as_deref()), (&report(), Some(&b"sealed"[..])));
    assert_eq!(rig.other.erasure(id).await.unwrap(), Some(begun));
    let link = rig.other.link(id).await.unwrap().unwrap();
    assert_eq!((link.state, link.data_key), (LinkState::Disconnected, None));
    assert_eq!(link.state_reason.as_deref(), Some("the patient's wish"));
    assert_eq!(rig.other.tokens(id).await.unwrap(), None);
    assert_eq!(rig.other.sealed_account(id).await.unwrap(), None);
    assert_eq!(rig.other.links_of_account(&[1; 32]).await.unwrap(), []);
}

async fn an_unknown_link_does_not_end(rig: Rig) {
    let ended = rig.store.begin_erasure(LinkId::new(), &report(), None, at(5)).await;
    assert!(matches!(ended, Err(StoreError::NotFound { .. })), "{ended:?}");
    assert_eq!(rig.store.open_erasures(None, 10).await.unwrap(), []);
}

async fn two_who_end_one_link_get_one_end(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    let (mine, theirs) = (report(), report());
    let (a, b) = tokio::join!(
        rig.store.begin_erasure(id, &mine, Some(b"a"), at(5)),
        rig.other.begin_erasure(id, &theirs, Some(b"b"), at(5)),
    );
    assert_eq!(a.unwrap(), b.unwrap());
}

async fn of_two_changes_one_is_first(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    let begun = rig.store.begin_erasure(id, &report(), Some(b"sealed"), at(5)).await.unwrap();
    let mut mine = begun.clone();
    mine.report.steps[0].state = StepState::Done;
    mine.sealed_grant = None;
    assert!(rig.store.save_erasure(&mine, at(6)).await.unwrap());
    assert!(!rig.other.save_erasure(&begun, at(7)).await.unwrap(), "it has changed meanwhile");
    let now = rig.other.erasure(id).await.unwrap().unwrap();
    assert_eq!((now.version, now.updated_at, now.sealed_grant), (2, at(6), None));
    assert_eq!(now.report.steps[0].state, StepState::Done);
}

async fn open_ends_are_listed_until_they_are_done(rig: Rig) {
    let mut ids = Vec::new();
    for account in 1..=3 {
        let id = connected(&*rig.store, "p1", account).await;
        rig.store.begin_erasure(id, &report(), None, at(5)).await.unwrap();
        ids.push(id);
    }
    ids.sort();
    assert_eq!(rig.other.open_erasures(None, 10).await.unwrap(), ids);
    assert_eq!(rig.other.open_erasures(Some(ids[0]), 1).await.unwrap(), [ids[1]]);
    let mut done = rig.store.erasure(ids[1]).await.unwrap().unwrap();
    done.done_at = Some(at(9));
    assert!(rig.store.save_erasure(&done, at(9)).await.unwrap());
    assert_eq!(rig.other.open_erasures(None, 10).await.unwrap(), [ids[0], ids[2]]);
    assert_eq!(rig.other.erasure(ids[1]).await.unwrap().unwrap().done_at, Some(at(9)));
}

async fn a_link_that_lives_again_ends_anew(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    rig.store.begin_erasure(id, &report(), None, at(5)).await.unwrap();
    rig.store.connect(id, &crate::samples::consent(1, 1, 9)).await.unwrap();
    let again = rig.store.begin_erasure(id, &report(), Some(b"x"), at(12)).await.unwrap();
    assert_eq!((again.seq, again.begun_at), (2, at(12)));
    let rows = rig.other.sealed_rows(SealedIn::Erasures, "", 10).await.unwrap();
    assert_eq!(rows.len(), 1, "only the new one has a grant");
    assert_eq!(rows[0].row, format!("{id}/2"));
}
