//! Configuration that is changed upon what was seen: nobody undoes another's change without knowing.

use ohx_domain::{EhrEndpoint, EhrName, LinkState, ProviderApp};
use ohx_store::{Configured, Kept, Revision, SecretChange, Seen, StoreError, Uses};

use crate::configuration::app;
use crate::rig::Rig;
use crate::samples::{at, pending};

crate::promises!(
    what_is_there_is_not_made_again,
    a_change_counts_only_upon_the_state_that_was_seen,
    of_changes_at_once_one_counts,
    a_secret_stays_changes_or_goes_and_that_is_a_change_too,
    a_change_of_the_file_is_a_change_too,
    a_state_never_comes_again_over_a_removal,
    what_links_use_stays,
    lists_tell_the_same_as_each_alone,
);

fn ehr(batch_size: usize) -> EhrEndpoint {
    EhrEndpoint {
        batch_size,
        ..EhrEndpoint::new("clinic".parse().unwrap(), "https://ehr.test/fhir".parse().unwrap())
    }
}

fn named() -> EhrName {
    "clinic".parse().unwrap()
}

async fn added(rig: &Rig) -> Revision {
    let added = rig.store.put_ehr_seen(&ehr(1), SecretChange::Set(b"s"), Seen::Absent, at(0)).await.unwrap();
    added.expect("it was not there")
}

async fn now(rig: &Rig) -> Kept<EhrEndpoint> {
    rig.other.kept_ehr(&named()).await.unwrap().unwrap()
}

async fn what_is_there_is_not_made_again(rig: Rig) {
    let made = rig.at_once(8, |store, i| async move {
        store.put_ehr_seen(&ehr(i + 1), SecretChange::Clear, Seen::Absent, at(0)).await.unwrap()
    });
    assert_eq!(made.await.into_iter().flatten().count(), 1);
    let made = rig.at_once(8, |store, i| async move {
        let app = ProviderApp { client_id: i.to_string(), ..app("withings") };
        store.put_provider_seen(&app, SecretChange::Clear, Seen::Absent, at(0)).await.unwrap()
    });
    assert_eq!(made.await.into_iter().flatten().count(), 1);
}

async fn a_change_counts_only_upon_the_state_that_was_seen(rig: Rig) {
    let first = added(&rig).await;
    assert_eq!(now(&rig).await, Kept { config: ehr(1), has_secret: true, revision: first });
    let second = rig.other.put_ehr_seen(&ehr(2), SecretChange::Keep, Seen::At(first), at(0)).await.unwrap();
    let second = second.expect("nobody was there in between");
    assert!(second > first, "also within the same moment");
    let stale = rig.store.put_ehr_seen(&ehr(3), SecretChange::Clear, Seen::At(first), at(9)).await.unwrap();
    assert_eq!(stale, None);
    assert_eq!(now(&rig).await, Kept { config: ehr(2), has_secret: true, revision: second });
    let removed = rig.store.remove_configured(Configured::Ehr(&named()), first).await.unwrap();
    assert_eq!(removed, Uses::Changed);
}

async fn of_changes_at_once_one_counts(rig: Rig) {
    let seen = added(&rig).await;
    let changed = rig.at_once(8, move |store, i| async move {
        let put = store.put_ehr_seen(&ehr(i + 10), SecretChange::Keep, Seen::At(seen), at(1)).await.unwrap();
        put.map(|revision| (i + 10, revision))
    });
    let counted: Vec<_> = changed.await.into_iter().flatten().collect();
    let [(batch_size, revision)] = counted.as_slice() else { panic!("{counted:?}") };
    let now = now(&rig).await;
    assert_eq!((now.config.batch_size, now.revision), (*batch_size, *revision));
}

async fn a_secret_stays_changes_or_goes_and_that_is_a_change_too(rig: Rig) {
    let mut seen = added(&rig).await;
    for (change, expected) in [
        (SecretChange::Keep, Some(&b"s"[..])),
        (SecretChange::Set(b"new"), Some(b"new")),
        (SecretChange::Clear, None),
        (SecretChange::Keep, None),
    ] {
        let put = rig.store.put_ehr_seen(&ehr(1), change, Seen::At(seen), at(1)).await.unwrap().unwrap();
        assert!(put > seen);
        seen = put;
        let (_, sealed) = rig.other.ehr(&named()).await.unwrap().unwrap();
        assert_eq!(sealed.as_deref(), expected);
        assert_eq!(now(&rig).await.has_secret, expected.is_some());
    }
}

async fn a_change_of_the_file_is_a_change_too(rig: Rig) {
    let seen = added(&rig).await;
    rig.other.put_ehr(&ehr(7), None, at(0)).await.unwrap();
    let stale = rig.store.put_ehr_seen(&ehr(2), SecretChange::Keep, Seen::At(seen), at(1)).await.unwrap();
    assert_eq!(stale, None);
    assert_eq!(now(&rig).await.config.batch_size, 7);
}

async fn a_state_never_comes_again_over_a_removal(rig: Rig) {
    let first = added(&rig).await;
    let removed = rig.other.remove_configured(Configured::Ehr(&named()), first).await.unwrap();
    assert_eq!(removed, Uses::Removed);
    let again = rig.store.remove_configured(Configured::Ehr(&named()), first).await;
    assert!(matches!(again, Err(StoreError::NotFound { .. })), "{again:?}");
    let second = rig.store.put_ehr_seen(&ehr(1), SecretChange::Clear, Seen::Absent, at(1)).await.unwrap();
    assert_ne!(second, Some(first));
    assert!(!now(&rig).await.has_secret, "the former one's secret is gone with it");
}

async fn what_links_use_stays(rig: Rig) {
    let seen = added(&rig).await;
    let app = app("withings");
    let put = rig.store.put_provider_seen(&app, SecretChange::Clear, Seen::Absent, at(0)).await.unwrap();
    let link = pending("p1");
    rig.other.insert_link(&link).await.unwrap();
    let both = [(Configured::Ehr(&link.ehr), seen), (Configured::Provider(&link.provider), put.unwrap())];
    for (which, seen) in both {
        assert_eq!(rig.store.remove_configured(which, seen).await.unwrap(), Uses::Links(1), "{which:?}");
    }
    rig.other.set_link_state(link.id, LinkState::Disconnected, None).await.unwrap();
    for (which, seen) in both {
        assert_eq!(rig.store.remove_configured(which, seen).await.unwrap(), Uses::Removed, "{which:?}");
    }
}

async fn lists_tell_the_same_as_each_alone(rig: Rig) {
    added(&rig).await;
    for name in ["withings", "google"] {
        let set = SecretChange::Set(b"s");
        rig.store.put_provider_seen(&app(name), set, Seen::Absent, at(0)).await.unwrap().unwrap();
    }
    assert_eq!(rig.other.kept_ehrs().await.unwrap(), [now(&rig).await]);
    let listed = rig.other.kept_providers().await.unwrap();
    let names: Vec<_> = listed.iter().map(|kept| kept.config.name.as_str()).collect();
    assert_eq!(names, ["google", "withings"]);
    for kept in listed {
        assert_eq!(rig.store.kept_provider(&kept.config.name).await.unwrap(), Some(kept));
    }
}
