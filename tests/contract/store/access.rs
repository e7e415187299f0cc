//! API keys, and which links there are for a caller.

use ohx_domain::{ApiKeyId, Confinement, Link, Role};
use ohx_store::{LinkFilter, NewApiKey, StoreError, StoredApiKey};

use crate::rig::Rig;
use crate::samples::{at, pending};

crate::promises!(
    a_key_is_found_by_its_digest_only,
    a_key_is_added_once,
    keys_are_listed_by_id,
    use_is_noted_once_a_minute,
    a_key_is_revoked_once_for_all_processes,
    a_caller_finds_only_the_links_that_there_are_for_it,
);

fn key(mark: u8) -> NewApiKey {
    NewApiKey {
        id: ApiKeyId::new(),
        name: format!("key {mark}"),
        digest: [mark; 32],
        role: Role::LinkCreator,
        ehr: Some("clinic".parse().unwrap()),
        own_links: true,
        created_by: "cli:test".to_owned(),
        expires_at: Some(at(100)),
    }
}

async fn kept(rig: &Rig, id: ApiKeyId) -> StoredApiKey {
    rig.other.api_key(id).await.unwrap().unwrap()
}

async fn a_key_is_found_by_its_digest_only(rig: Rig) {
    for new in
        [key(1), NewApiKey { ehr: None, own_links: false, expires_at: None, role: Role::Admin, ..key(2) }]
    {
        rig.store.add_api_key(&new, at(5)).await.unwrap();
        let expected =
            StoredApiKey { key: new.clone(), created_at: at(5), last_used_at: None, revoked_at: None };
        assert_eq!(rig.other.api_key_by_digest(&new.digest).await.unwrap(), Some(expected.clone()));
        assert_eq!(kept(&rig, new.id).await, expected);
        assert!(expected.is_good(at(99)));
        assert_eq!(expected.is_good(at(100)), new.expires_at.is_none());
    }
    assert_eq!(rig.other.api_key_by_digest(&[3; 32]).await.unwrap(), None);
    assert_eq!(rig.other.api_key(ApiKeyId::new()).await.unwrap(), None);
}

async fn a_key_is_added_once(rig: Rig) {
    let first = key(1);
    rig.store.add_api_key(&first, at(0)).await.unwrap();
    for again in [NewApiKey { id: first.id, ..key(2) }, key(1)] {
        let again = rig.other.add_api_key(&again, at(1)).await;
        assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
    }
}

async fn keys_are_listed_by_id(rig: Rig) {
    let all: Vec<_> = (1..=3).map(key).collect();
    for new in &all {
        rig.store.add_api_key(new, at(0)).await.unwrap();
    }
    let ids = async |after, limit| {
        let found = rig.other.api_keys(after, limit).await.unwrap();
        found.iter().map(|stored| stored.key.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, 100).await, [all[0].id, all[1].id, all[2].id]);
    assert_eq!(ids(None, 2).await, [all[0].id, all[1].id]);
    assert_eq!(ids(Some(all[1].id), 2).await, [all[2].id]);
}

async fn use_is_noted_once_a_minute(rig: Rig) {
    let new = key(1);
    rig.store.add_api_key(&new, at(0)).await.unwrap();
    for (used, noted) in [(10, 10), (69, 10), (70, 70), (20, 70)] {
        rig.store.note_api_key_use(new.id, at(used)).await.unwrap();
        assert_eq!(kept(&rig, new.id).await.last_used_at, Some(at(noted)), "{used}");
    }
}

async fn a_key_is_revoked_once_for_all_processes(rig: Rig) {
    let new = key(1);
    rig.store.add_api_key(&new, at(0)).await.unwrap();
    assert!(rig.store.revoke_api_key(new.id, at(10)).await.unwrap());
    assert!(!rig.other.revoke_api_key(new.id, at(20)).await.unwrap(), "and its time stays");
    let stored = kept(&rig, new.id).await;
    assert_eq!((stored.revoked_at, stored.is_good(at(20))), (Some(at(10)), false));
    let unknown = rig.store.revoke_api_key(ApiKeyId::new(), at(20)).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{unknown:?}");
}

async fn a_caller_finds_only_the_links_that_there_are_for_it(rig: Rig) {
    let other = "registry".parse().unwrap();
    let also = vec![ohx_domain::Destination { ehr: other, patient: "Patient/9".parse().unwrap() }];
    let by = |name: &str| Some(name.to_owned());
    let links = [
        Link { created_by: by("key:a"), ..pending("p1") },
        Link { created_by: by("key:b"), ..pending("p2") },
        Link { created_by: by("key:a"), ehr: "registry".parse().unwrap(), ..pending("p3") },
        Link { also, ..pending("p4") },
        Link {
            success_url: by("myapp://done"),
            error_url: by("https://app.example/failed?x=1"),
            ..pending("p5")
        },
    ];
    for link in &links {
        rig.store.insert_link(link).await.unwrap();
        assert_eq!(rig.other.link(link.id).await.unwrap().as_ref(), Some(link));
    }
    let clinic = Some("clinic".parse().unwrap());
    for (within, expected) in [
        (Confinement::default(), vec![0, 1, 2, 3, 4]),
        (Confinement { ehr: clinic.clone(), created_by: None }, vec![0, 1, 4]),
        (Confinement { ehr: None, created_by: by("key:a") }, vec![0, 2]),
        (Confinement { ehr: clinic, created_by: by("key:a") }, vec![0]),
        (Confinement { ehr: None, created_by: by("key:c") }, vec![]),
    ] {
        let filter = LinkFilter { within: within.clone(), limit: 100, ..LinkFilter::default() };
        let found = rig.store.links(&filter).await.unwrap();
        let expected: Vec<Link> = expected.into_iter().map(|n: usize| links[n].clone()).collect();
        assert_eq!(found, expected, "{within:?}");
        assert!(links.iter().all(|link| within.allows(link) == expected.contains(link)), "{within:?}");
    }
}
