//! Saved mapping documents: numbered, immutable, and read back as they were written.

use ohx_store::{MappingFilter, NewMapping, SavedMapping, StoreError};

use crate::rig::Rig;
use crate::samples::at;

crate::promises!(
    a_document_is_read_back_to_the_letter,
    versions_only_grow,
    the_programs_own_versions_are_not_saved,
    a_saved_version_never_changes,
    saving_the_same_again_changes_nothing,
    each_name_has_its_own_versions,
    of_documents_saved_at_once_one_has_the_version,
    the_same_saved_at_once_is_saved_once,
    documents_are_listed_by_name_newest_first,
    a_list_goes_on_where_it_ended,
    what_no_engine_could_keep_is_refused,
);

const GETMEAS: &str = "withings/getmeas";

pub(crate) fn document(name: &str, text: &str) -> NewMapping {
    let (name, document) = (name.to_owned(), text.to_owned());
    NewMapping { name, document, note: Some("a note".to_owned()), by: "test".to_owned() }
}

/// The text of a conflict.
fn conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(error @ StoreError::Conflict { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn a_document_is_read_back_to_the_letter(rig: Rig) {
    let odd = "mapping: withings/getmeas\r\n\tversion: 1000 # \u{1f642} \u{feff} 'it''s' \"x\" 1.50\n\n";
    let new = NewMapping { note: None, ..document(GETMEAS, odd) };
    assert_eq!(rig.store.mapping(GETMEAS, 1000).await.unwrap(), None);
    assert_eq!(rig.store.latest_mapping_version(GETMEAS).await.unwrap(), None);
    rig.store.save_mapping(&new, 1000, at(5)).await.unwrap();
    let expected = SavedMapping {
        name: GETMEAS.to_owned(),
        version: 1000,
        document: odd.to_owned(),
        note: None,
        saved_at: at(5),
        saved_by: "test".to_owned(),
    };
    assert_eq!(rig.other.mapping(GETMEAS, 1000).await.unwrap(), Some(expected));
    assert_eq!(rig.other.latest_mapping_version(GETMEAS).await.unwrap(), Some(1000));
    for (name, version) in [(GETMEAS, 1001), (GETMEAS, 0), ("withings/getactivity", 1000), ("a\0", 1000)] {
        assert_eq!(rig.other.mapping(name, version).await.unwrap(), None);
    }
}

async fn versions_only_grow(rig: Rig) {
    for version in [1000, 1001, 1007, u32::MAX - 1] {
        rig.store.save_mapping(&document(GETMEAS, &version.to_string()), version, at(0)).await.unwrap();
        assert_eq!(rig.other.latest_mapping_version(GETMEAS).await.unwrap(), Some(version));
    }
    for version in [1002, 1006, 1008] {
        let text = conflict(rig.other.save_mapping(&document(GETMEAS, "late"), version, at(1)).await);
        let latest = (u32::MAX - 1).to_string();
        assert!(text.contains(&version.to_string()) && text.contains(&latest), "{text}");
        assert_eq!(rig.store.mapping(GETMEAS, version).await.unwrap(), None);
    }
    rig.store.save_mapping(&document(GETMEAS, "the last"), u32::MAX, at(0)).await.unwrap();
    assert_eq!(rig.store.latest_mapping_version(GETMEAS).await.unwrap(), Some(u32::MAX));
}

async fn the_programs_own_versions_are_not_saved(rig: Rig) {
    for version in [0, 1, 999] {
        let text = conflict(rig.store.save_mapping(&document(GETMEAS, "x"), version, at(0)).await);
        assert!(text.contains("below 1000"), "{text}");
    }
    assert_eq!(rig.store.latest_mapping_version(GETMEAS).await.unwrap(), None);
}

async fn a_saved_version_never_changes(rig: Rig) {
    rig.store.save_mapping(&document(GETMEAS, "one"), 1000, at(0)).await.unwrap();
    let before = rig.store.mapping(GETMEAS, 1000).await.unwrap();
    for text in ["two", "one\n", "One", ""] {
        let text = conflict(rig.other.save_mapping(&document(GETMEAS, text), 1000, at(1)).await);
        assert!(text.contains("1000") && text.contains("another text"), "{text}");
    }
    assert_eq!(rig.store.mapping(GETMEAS, 1000).await.unwrap(), before);
}

async fn saving_the_same_again_changes_nothing(rig: Rig) {
    // Whoever keeps documents in Git applies all of them every time, old ones too.
    let texts = [(1000, "one"), (1001, "two"), (1002, "three")];
    for (version, text) in texts {
        rig.store.save_mapping(&document(GETMEAS, text), version, at(0)).await.unwrap();
    }
    let before = rig.store.mapping(GETMEAS, 1000).await.unwrap();
    for (version, text) in texts {
        let again = NewMapping {
            note: Some("another note".to_owned()),
            by: "another".to_owned(),
            ..document(GETMEAS, text)
        };
        rig.other.save_mapping(&again, version, at(9)).await.unwrap();
    }
    assert_eq!(rig.store.mapping(GETMEAS, 1000).await.unwrap(), before);
    assert_eq!(listed(&rig, MappingFilter { limit: 100, ..MappingFilter::default() }).await.len(), 3);
}

async fn each_name_has_its_own_versions(rig: Rig) {
    rig.store.save_mapping(&document(GETMEAS, "one"), 1005, at(0)).await.unwrap();
    rig.store.save_mapping(&document("withings/getactivity", "two"), 1000, at(0)).await.unwrap();
    assert_eq!(rig.store.latest_mapping_version(GETMEAS).await.unwrap(), Some(1005));
    assert_eq!(rig.store.latest_mapping_version("withings/getactivity").await.unwrap(), Some(1000));
    let found = rig.store.mapping("withings/getactivity", 1000).await.unwrap().unwrap();
    assert_eq!(found.document, "two");
}

async fn of_documents_saved_at_once_one_has_the_version(rig: Rig) {
    for version in 1000..1008 {
        let saved = rig
            .at_once(12, |store, i| async move {
                let mine = document(GETMEAS, &format!("text {i}"));
                store.save_mapping(&mine, version, at(0)).await.map(|()| i)
            })
            .await;
        let won: Vec<_> = saved.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "{saved:?}");
        assert!(saved.iter().all(|r| matches!(r, Ok(_) | Err(StoreError::Conflict { .. }))), "{saved:?}");
        let found = rig.store.mapping(GETMEAS, version).await.unwrap().unwrap();
        assert_eq!(found.document, format!("text {}", won[0]), "who was told so has it");
    }
    // Different versions at once: whatever was refused, what is saved was greater than all before it.
    rig.at_once(12, |store, i| async move {
        let version = 2000 + u32::try_from(i).unwrap();
        let saved = store.save_mapping(&document("other", &format!("text {i}")), version, at(0)).await;
        assert!(matches!(saved, Ok(()) | Err(StoreError::Conflict { .. })), "{saved:?}");
    })
    .await;
    assert_eq!(
        rig.store.latest_mapping_version("other").await.unwrap(),
        Some(2011),
        "the greatest is never refused"
    );
}

async fn the_same_saved_at_once_is_saved_once(rig: Rig) {
    for version in 1000..1008 {
        let saved = rig
            .at_once(12, |store, _| async move {
                store.save_mapping(&document(GETMEAS, &version.to_string()), version, at(0)).await
            })
            .await;
        assert!(saved.iter().all(Result::is_ok), "{saved:?}");
    }
}

async fn listed(rig: &Rig, filter: MappingFilter) -> Vec<(String, u32)> {
    let found = rig.other.mappings(&filter).await.unwrap();
    found.into_iter().map(|m| (m.name, m.version)).collect()
}

/// Three versions of each of three names, whose order is not that of a locale.
async fn nine(rig: &Rig) -> Vec<(String, u32)> {
    let names = ["a/b", "a-b/c", "ab"];
    for name in names {
        for version in [1000, 1003, 1004] {
            rig.store.save_mapping(&document(name, "text"), version, at(version.into())).await.unwrap();
        }
    }
    let by_name = ["a-b/c", "a/b", "ab"];
    by_name.iter().flat_map(|name| [1004, 1003, 1000].map(|version| ((*name).to_owned(), version))).collect()
}

async fn documents_are_listed_by_name_newest_first(rig: Rig) {
    let all = nine(&rig).await;
    assert_eq!(listed(&rig, MappingFilter { limit: 100, ..MappingFilter::default() }).await, all);
    let of =
        |name: &str| MappingFilter { name: Some(name.to_owned()), limit: 100, ..MappingFilter::default() };
    assert_eq!(listed(&rig, of("a/b")).await, all[3..6]);
    assert_eq!(listed(&rig, of("a")).await, []);
    let summary = rig.store.mappings(&of("ab")).await.unwrap().remove(2);
    let saved = rig.store.mapping("ab", 1000).await.unwrap().unwrap();
    assert_eq!(
        (summary.name, summary.version, summary.note, summary.saved_at, summary.saved_by),
        (saved.name, saved.version, saved.note, saved.saved_at, saved.saved_by)
    );
}

async fn a_list_goes_on_where_it_ended(rig: Rig) {
    let all = nine(&rig).await;
    for limit in 1..=10 {
        let (mut after, mut found) = (None, Vec::new());
        loop {
            let page = listed(&rig, MappingFilter { after: after.clone(), limit, name: None }).await;
            let Some(last) = page.last() else { break };
            assert!(page.len() <= usize::try_from(limit).unwrap());
            after = Some(last.clone());
            found.extend(page);
        }
        assert_eq!(found, all, "by {limit}");
    }
    let name = Some("a/b".to_owned());
    let after = Some(("a/b".to_owned(), 1003));
    assert_eq!(listed(&rig, MappingFilter { name, after, limit: 0 }).await, all[5..6], "at least one");
}

async fn what_no_engine_could_keep_is_refused(rig: Rig) {
    for new in [document("a\0b", "text"), document(GETMEAS, "te\0xt")] {
        let text = conflict(rig.store.save_mapping(&new, 1000, at(0)).await);
        assert!(text.contains("U+0000"), "{text}");
    }
    // What is only for people is kept as far as possible.
    let new = NewMapping { note: Some("n\0".to_owned()), by: "b\0".to_owned(), ..document(GETMEAS, "text") };
    rig.store.save_mapping(&new, 1000, at(0)).await.unwrap();
    let found = rig.store.mapping(GETMEAS, 1000).await.unwrap().unwrap();
    assert_eq!((found.note.as_deref(), found.saved_by.as_str()), (Some("n\u{fffd}"), "b\u{fffd}"));
}
