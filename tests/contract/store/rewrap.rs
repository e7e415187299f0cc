//! What is sealed comes under another key: in pages, and never over what somebody has written meanwhile.

use std::time::Duration;

use ohx_domain::{EhrEndpoint, SigningAlgorithm};
use ohx_store::{NewSigningKey, SealedIn, SealedRow};

use crate::rig::Rig;
use crate::samples::{at, connected};

crate::promises!(
    every_sealed_value_is_listed_once_and_replaced,
    a_value_that_was_changed_meanwhile_stays,
    pages_leave_none_out,
);

async fn filled(rig: &Rig) {
    let app = crate::configuration::app("withings");
    rig.store.put_provider(&app, Some(b"app"), at(1)).await.unwrap();
    let ehr = EhrEndpoint::new("clinic".parse().unwrap(), "https://ehr.test/fhir".parse().unwrap());
    rig.store.put_ehr(&ehr, Some(b"ehr"), at(1)).await.unwrap();
    let bare = EhrEndpoint::new("open".parse().unwrap(), "https://open.test/fhir".parse().unwrap());
    rig.store.put_ehr(&bare, None, at(1)).await.unwrap();
    let key = NewSigningKey {
        kid: "kid".into(),
        algorithm: SigningAlgorithm::ES384,
        sealed: b"key".to_vec(),
        public_jwk: "{}".into(),
    };
    rig.store.add_signing_key(&key, Duration::ZERO, true, at(1)).await.unwrap();
}

async fn every_sealed_value_is_listed_once_and_replaced(rig: Rig) {
    filled(&rig).await;
    let link = connected(&*rig.store, "p1", 1).await;
    for (place, row) in [
        (SealedIn::Providers, "withings".to_owned()),
        (SealedIn::Ehrs, "clinic".to_owned()),
        (SealedIn::LinkKeys, link.to_string()),
        (SealedIn::SigningKeys, "kid".to_owned()),
    ] {
        let rows = rig.store.sealed_rows(place, "", 10).await.unwrap();
        let [only] = rows.as_slice() else { panic!("{}: {} rows", place.as_str(), rows.len()) };
        assert_eq!(only.row, row);
        assert!(rig.store.rewrap(place, only, b"other").await.unwrap());
        let now = rig.other.sealed_rows(place, "", 10).await.unwrap();
        assert_eq!(now[0].sealed, b"other", "{}", place.as_str());
    }
    assert_eq!(rig.other.link(link).await.unwrap().unwrap().data_key.as_deref(), Some(&b"other"[..]));
}

async fn a_value_that_was_changed_meanwhile_stays(rig: Rig) {
    let link = connected(&*rig.store, "p1", 1).await;
    let read = rig.store.sealed_rows(SealedIn::LinkKeys, "", 10).await.unwrap().remove(0);
    rig.other.connect(link, &crate::samples::consent(1, 7, 9)).await.unwrap();
    let theirs = rig.other.link(link).await.unwrap().unwrap().data_key;
    let stale = SealedRow { row: read.row.clone(), sealed: b"what it never was".to_vec() };
    assert!(!rig.store.rewrap(SealedIn::LinkKeys, &stale, b"mine").await.unwrap());
    assert_eq!(rig.store.link(link).await.unwrap().unwrap().data_key, theirs);
    rig.other.set_link_state(link, ohx_domain::LinkState::Disconnected, None).await.unwrap();
    let gone = SealedRow { row: read.row, sealed: theirs.unwrap() };
    assert!(!rig.store.rewrap(SealedIn::LinkKeys, &gone, b"mine").await.unwrap(), "a destroyed key stays so");
    assert_eq!(rig.store.link(link).await.unwrap().unwrap().data_key, None);
}

async fn pages_leave_none_out(rig: Rig) {
    let mut ids = Vec::new();
    for account in 1..=5 {
        ids.push(connected(&*rig.store, "p1", account).await.to_string());
    }
    ids.sort();
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = rig.store.sealed_rows(SealedIn::LinkKeys, &after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after.clone_from(&last.row);
        seen.extend(page.into_iter().map(|row| row.row));
    }
    assert_eq!(seen, ids);
}
