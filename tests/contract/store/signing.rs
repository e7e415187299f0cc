//! Signing keys: shown before they sign, shown after they have signed, and destroyed when they are retired.

use std::time::Duration;

use ohx_domain::SigningAlgorithm::{self, ES384, RS384};
use ohx_store::{NewSigningKey, StoreError, StoredSigningKey};

use crate::rig::Rig;
use crate::samples::at;

crate::promises!(
    a_key_is_read_back,
    the_first_of_an_algorithm_signs_at_once_and_the_next_after_the_overlap,
    many_processes_make_one_first_key,
    many_rotations_at_once_leave_one_to_stay,
    a_key_id_is_used_once,
    a_retired_key_is_destroyed_and_its_predecessor_stays,
    the_only_key_is_not_retired,
    an_old_key_is_destroyed_by_the_next_rotation,
);

const DAY: i64 = 86_400;
const OVERLAP: Duration = Duration::from_secs(86_400);

fn key(kid: &str, algorithm: SigningAlgorithm) -> NewSigningKey {
    let public_jwk = format!(r#"{{"kty":"EC","kid":"{kid}"}}"#);
    NewSigningKey { kid: kid.to_owned(), algorithm, sealed: vec![0, 1, 255], public_jwk }
}

async fn kept(rig: &Rig, kid: &str) -> StoredSigningKey {
    rig.other.signing_keys().await.unwrap().into_iter().find(|key| key.kid == kid).unwrap()
}

async fn a_key_is_read_back(rig: Rig) {
    assert!(rig.store.signing_keys().await.unwrap().is_empty());
    let new = key("a", ES384);
    assert!(rig.store.add_signing_key(&new, OVERLAP, true, at(5)).await.unwrap());
    let expected = StoredSigningKey {
        kid: "a".to_owned(),
        algorithm: ES384,
        sealed: Some(vec![0, 1, 255]),
        public_jwk: new.public_jwk,
        created_at: at(5),
        signs_from: at(5),
        retired_at: None,
    };
    assert_eq!(rig.other.signing_keys().await.unwrap(), [expected]);
}

async fn the_first_of_an_algorithm_signs_at_once_and_the_next_after_the_overlap(rig: Rig) {
    for (kid, algorithm, second) in [("a", ES384, 0), ("b", RS384, 0), ("c", ES384, 10)] {
        rig.store.add_signing_key(&key(kid, algorithm), OVERLAP, false, at(second)).await.unwrap();
    }
    assert_eq!(kept(&rig, "a").await.retired_at, Some(at(10 + 2 * DAY)));
    assert_eq!((kept(&rig, "b").await.signs_from, kept(&rig, "b").await.retired_at), (at(0), None));
    assert_eq!((kept(&rig, "c").await.signs_from, kept(&rig, "c").await.retired_at), (at(10 + DAY), None));
    // Rotated again before it has signed: what was settled of the first stays.
    rig.store.add_signing_key(&key("d", ES384), OVERLAP, false, at(20)).await.unwrap();
    assert_eq!(kept(&rig, "a").await.retired_at, Some(at(10 + 2 * DAY)));
    assert_eq!(kept(&rig, "c").await.retired_at, Some(at(20 + 2 * DAY)));
    assert!(
        kept(&rig, "a").await.is_shown(at(9 + 2 * DAY)) && !kept(&rig, "a").await.is_shown(at(10 + 2 * DAY))
    );
}

async fn many_processes_make_one_first_key(rig: Rig) {
    let added = rig
        .at_once(8, |store, n| async move {
            store.add_signing_key(&key(&format!("k{n}"), ES384), OVERLAP, true, at(0)).await.unwrap()
        })
        .await;
    assert_eq!(added.iter().filter(|added| **added).count(), 1);
    assert_eq!(rig.store.signing_keys().await.unwrap().len(), 1);
}

async fn many_rotations_at_once_leave_one_to_stay(rig: Rig) {
    rig.at_once(8, |store, n| async move {
        store.add_signing_key(&key(&format!("k{n}"), ES384), OVERLAP, false, at(0)).await.unwrap()
    })
    .await;
    let keys = rig.store.signing_keys().await.unwrap();
    assert_eq!(keys.len(), 8);
    assert_eq!(keys.iter().filter(|key| key.retired_at.is_none()).count(), 1);
    assert_eq!(keys.iter().filter(|key| key.signs_from == at(0)).count(), 1, "only the first signs at once");
}

async fn a_key_id_is_used_once(rig: Rig) {
    rig.store.add_signing_key(&key("a", ES384), OVERLAP, false, at(0)).await.unwrap();
    let again = rig.other.add_signing_key(&key("a", RS384), OVERLAP, false, at(1)).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
    assert_eq!(kept(&rig, "a").await.retired_at, None, "a rotation that failed changed nothing");
}

async fn a_retired_key_is_destroyed_and_its_predecessor_stays(rig: Rig) {
    rig.store.add_signing_key(&key("a", ES384), OVERLAP, false, at(0)).await.unwrap();
    rig.store.add_signing_key(&key("b", ES384), OVERLAP, false, at(10)).await.unwrap();
    rig.other.retire_signing_key("b", at(20)).await.unwrap();
    let b = kept(&rig, "b").await;
    assert_eq!((b.sealed, b.retired_at), (None, Some(at(20))));
    let a = kept(&rig, "a").await;
    assert_eq!((a.sealed.is_some(), a.retired_at), (true, None), "nothing takes its place any more");
    let unknown = rig.store.retire_signing_key("c", at(20)).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{unknown:?}");
}

async fn the_only_key_is_not_retired(rig: Rig) {
    rig.store.add_signing_key(&key("a", ES384), OVERLAP, false, at(0)).await.unwrap();
    rig.store.add_signing_key(&key("r", RS384), OVERLAP, false, at(0)).await.unwrap();
    let refused = rig.store.retire_signing_key("a", at(1)).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert!(kept(&rig, "a").await.sealed.is_some());
}

async fn an_old_key_is_destroyed_by_the_next_rotation(rig: Rig) {
    for (kid, day) in [("a", 0), ("b", 1), ("c", 10)] {
        rig.store.add_signing_key(&key(kid, ES384), OVERLAP, false, at(day * DAY)).await.unwrap();
    }
    assert_eq!(kept(&rig, "a").await.sealed, None);
    assert!(kept(&rig, "b").await.sealed.is_some());
}
