//! Token pairs: of many who refresh, one replaces.

use ohx_domain::{LinkId, LinkState};
use ohx_store::StoredTokens;

use crate::rig::Rig;
use crate::samples::{at, connected, consent};

crate::promises!(
    tokens_are_replaced_by_who_knows_them,
    an_old_version_replaces_nothing,
    of_many_refreshes_one_is_first,
    a_refresh_does_not_undo_a_disconnection,
    a_refresh_does_not_undo_a_consent,
    an_unknown_link_has_no_tokens,
);

async fn tokens_are_replaced_by_who_knows_them(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    assert!(rig.store.replace_tokens(id, 1, &[0, 5], at(1000), at(500)).await.unwrap());
    let expected = StoredTokens {
        sealed: vec![0, 5],
        expires_at: at(1000),
        version: 2,
        refreshed_at: Some(at(500)),
        refused: None,
    };
    assert_eq!(rig.other.tokens(id).await.unwrap(), Some(expected));
    assert!(rig.other.replace_tokens(id, 2, &[6], at(2000), at(500)).await.unwrap());
}

async fn an_old_version_replaces_nothing(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    let before = rig.store.tokens(id).await.unwrap();
    for version in [0, 2, -1, i64::MAX] {
        assert!(!rig.store.replace_tokens(id, version, &[66], at(1000), at(500)).await.unwrap());
    }
    assert_eq!(rig.store.tokens(id).await.unwrap(), before);
}

async fn of_many_refreshes_one_is_first(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    for version in 1..10 {
        let results = rig
            .at_once(16, |store, i| async move {
                let mine = [u8::try_from(i).unwrap()];
                (mine, store.replace_tokens(id, version, &mine, at(1000), at(500)).await.unwrap())
            })
            .await;
        let winners: Vec<_> = results.into_iter().filter_map(|(mine, won)| won.then_some(mine)).collect();
        assert_eq!(winners.len(), 1);
        let tokens = rig.store.tokens(id).await.unwrap().unwrap();
        assert_eq!((tokens.sealed, tokens.version), (winners[0].to_vec(), version + 1));
    }
}

async fn a_refresh_does_not_undo_a_disconnection(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    rig.store.set_link_state(id, LinkState::Disconnected, None).await.unwrap();
    assert!(!rig.store.replace_tokens(id, 1, &[5], at(1000), at(500)).await.unwrap());
    assert_eq!(rig.store.tokens(id).await.unwrap(), None);
}

async fn a_refresh_does_not_undo_a_consent(rig: Rig) {
    let id = connected(&*rig.store, "p1", 1).await;
    rig.store.connect(id, &consent(1, 9, 50)).await.unwrap();
    assert!(!rig.store.replace_tokens(id, 1, &[5], at(1000), at(500)).await.unwrap());
    assert_eq!(rig.store.tokens(id).await.unwrap().unwrap().sealed, [9, 3]);
}

async fn an_unknown_link_has_no_tokens(rig: Rig) {
    assert_eq!(rig.store.tokens(LinkId::new()).await.unwrap(), None);
    assert!(!rig.store.replace_tokens(LinkId::new(), 0, &[5], at(1000), at(500)).await.unwrap());
    assert_eq!(rig.store.sealed_account(LinkId::new()).await.unwrap(), None);
}
