//! Pointers to mapping versions: moved one after the other, remembered for ever.

use ohx_domain::{Activation, Canary, EhrName, LinkId, MappingScope, choose};
use ohx_store::{NewActivation, StoreError};

use crate::mappings::document;
use crate::rig::Rig;
use crate::samples::at;

crate::promises!(
    an_activation_is_read_back,
    each_scope_and_mapping_has_its_own_pointer,
    the_history_is_newest_first,
    a_rollback_is_one_more_activation,
    a_saved_version_must_exist,
    a_canary_is_1_to_100_percent,
    an_expected_place_must_be_the_latest,
    activations_at_once_have_a_place_each,
    of_those_that_expect_the_same_place_one_has_it,
    what_is_active_decides_for_a_link,
    a_name_may_hold_any_character_but_one,
);

const GETMEAS: &str = "withings/getmeas";

fn to(version: impl Into<Option<u32>>) -> NewActivation {
    NewActivation {
        mapping: GETMEAS.to_owned(),
        scope: MappingScope::Global,
        version: version.into(),
        canary: None,
        by: "test".to_owned(),
        expected_seq: None,
    }
}

async fn history(rig: &Rig, scope: &MappingScope, limit: u32) -> Vec<Activation> {
    rig.other.activation_history(GETMEAS, scope, None, limit).await.unwrap()
}

async fn an_activation_is_read_back(rig: Rig) {
    for version in [1000, 1001] {
        rig.store.save_mapping(&document(GETMEAS, "text"), version, at(0)).await.unwrap();
    }
    assert_eq!(rig.store.activations(None).await.unwrap(), []);
    let canary = Some(Canary { version: 1001, percent: 5 });
    let scopes = [
        MappingScope::Ehr("clinic".parse().unwrap()),
        MappingScope::Global,
        MappingScope::Link(LinkId::new()),
    ];
    let mut expected = Vec::new();
    for (scope, version, canary) in
        [(&scopes[0], Some(1000), canary), (&scopes[1], Some(3), None), (&scopes[2], None, canary)]
    {
        let new = NewActivation { scope: scope.clone(), canary, ..to(version) };
        let done = rig.store.activate(&new, at(7)).await.unwrap();
        let mapping = GETMEAS.to_owned();
        let (scope, by) = (scope.clone(), "test".to_owned());
        assert_eq!(done, Activation { mapping, scope, version, canary, at: at(7), by, seq: 1 });
        expected.push(done);
    }
    assert_eq!(rig.other.activations(None).await.unwrap(), expected, "by mapping and scope");
    assert_eq!(rig.other.activations(Some(GETMEAS)).await.unwrap(), expected);
    for one in &expected {
        assert_eq!(history(&rig, &one.scope, 10).await, std::slice::from_ref(one));
    }
}

async fn each_scope_and_mapping_has_its_own_pointer(rig: Rig) {
    let scopes = [
        MappingScope::Global,
        MappingScope::Ehr("a".parse().unwrap()),
        MappingScope::Ehr("b".parse().unwrap()),
        MappingScope::Link(LinkId::new()),
    ];
    let mut expected = Vec::new();
    for (n, mapping) in ["withings/getactivity", GETMEAS].into_iter().enumerate() {
        for (m, scope) in scopes.iter().enumerate() {
            for version in 0..=n + m {
                let version = Some(u32::try_from(version).unwrap());
                let (mapping, scope) = (mapping.to_owned(), scope.clone());
                rig.store.activate(&NewActivation { mapping, scope, ..to(version) }, at(0)).await.unwrap();
            }
            expected.push((mapping, scope.to_string(), u32::try_from(n + m).ok()));
        }
    }
    expected.sort();
    let shown = |found: &[Activation]| {
        let one = |a: &Activation| {
            assert_eq!(a.seq, i64::from(a.version.unwrap()) + 1);
            (a.mapping.clone(), a.scope.to_string(), a.version)
        };
        found.iter().map(one).collect::<Vec<_>>()
    };
    let expected: Vec<_> = expected.into_iter().map(|(m, s, v)| (m.to_owned(), s, v)).collect();
    assert_eq!(shown(&rig.other.activations(None).await.unwrap()), expected);
    assert_eq!(shown(&rig.other.activations(Some(GETMEAS)).await.unwrap()), expected[4..]);
    assert_eq!(rig.other.activations(Some("withings")).await.unwrap(), []);
}

async fn the_history_is_newest_first(rig: Rig) {
    for n in 1..=5 {
        rig.store.activate(&to(n), at(n.into())).await.unwrap();
    }
    let seqs = |found: Vec<Activation>| found.into_iter().map(|a| a.seq).collect::<Vec<_>>();
    assert_eq!(seqs(history(&rig, &MappingScope::Global, 10).await), [5, 4, 3, 2, 1]);
    assert_eq!(seqs(history(&rig, &MappingScope::Global, 2).await), [5, 4]);
    assert_eq!(seqs(history(&rig, &MappingScope::Global, 0).await), [5], "at least one");
    assert_eq!(seqs(history(&rig, &MappingScope::Link(LinkId::new()), 10).await), [0; 0]);
}

async fn a_rollback_is_one_more_activation(rig: Rig) {
    let scope = MappingScope::Global;
    for version in [Some(1), Some(2), Some(1), None] {
        rig.store.activate(&to(version), at(0)).await.unwrap();
        assert_eq!(rig.other.activations(None).await.unwrap()[0].version, version);
    }
    let versions: Vec<_> = history(&rig, &scope, 10).await.into_iter().map(|a| a.version).collect();
    assert_eq!(versions, [None, Some(1), Some(2), Some(1)]);
    assert_eq!(rig.store.activations(None).await.unwrap().len(), 1, "one row a scope");
}

async fn a_saved_version_must_exist(rig: Rig) {
    rig.store.save_mapping(&document(GETMEAS, "text"), 1000, at(0)).await.unwrap();
    rig.store.save_mapping(&document("withings/getactivity", "text"), 1001, at(0)).await.unwrap();
    let canary = |version| Some(Canary { version, percent: 10 });
    for missing in [
        to(1001),
        to(u32::MAX),
        NewActivation { canary: canary(1001), ..to(1000) },
        NewActivation { canary: canary(1001), ..to(None) },
        NewActivation { canary: canary(1000), ..to(1001) },
    ] {
        let error = rig.store.activate(&missing, at(0)).await.unwrap_err();
        assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
        assert!(error.to_string().contains("withings/getmeas version"), "{error}");
    }
    assert_eq!(rig.store.activations(None).await.unwrap(), []);
    assert_eq!(history(&rig, &MappingScope::Global, 10).await, []);
    // The program's own are not the store's to check.
    for fine in [to(999), NewActivation { canary: canary(1000), ..to(1) }, to(1000), to(None)] {
        rig.store.activate(&fine, at(0)).await.unwrap();
    }
    assert_eq!(rig.store.activations(None).await.unwrap()[0].seq, 4);
}

async fn a_canary_is_1_to_100_percent(rig: Rig) {
    for (percent, fine) in [(1, true), (100, true), (0, false), (101, false), (255, false)] {
        let new = NewActivation { canary: Some(Canary { version: 2, percent }), ..to(1) };
        match rig.store.activate(&new, at(0)).await {
            Ok(done) => assert!(fine && done.canary == new.canary, "{done:?}"),
            Err(error) => {
                assert!(!fine && matches!(error, StoreError::Conflict { .. }), "{error:?}");
                assert!(error.to_string().contains("percent"), "{error}");
            }
        }
    }
    assert_eq!(history(&rig, &MappingScope::Global, 10).await.len(), 2);
}

async fn an_expected_place_must_be_the_latest(rig: Rig) {
    let expecting = |seq| NewActivation { expected_seq: Some(seq), ..to(1) };
    for (expected, done) in [(1, None), (0, Some(1)), (0, None), (2, None), (1, Some(2)), (-1, None)] {
        match rig.other.activate(&expecting(expected), at(0)).await {
            Ok(activation) => assert_eq!(Some(activation.seq), done),
            Err(error) => {
                assert!(done.is_none() && matches!(error, StoreError::Conflict { .. }), "{error:?}");
                assert!(error.to_string().contains(&format!("follow {expected}")), "{error}");
            }
        }
    }
    assert_eq!(rig.store.activate(&to(1), at(0)).await.unwrap().seq, 3, "who expects nothing follows any");
}

async fn activations_at_once_have_a_place_each(rig: Rig) {
    let links = [LinkId::new(), LinkId::new()];
    for _ in 0..4 {
        rig.at_once(24, |store, i| async move {
            let scope = links.get(i % 3).map_or(MappingScope::Global, |link| MappingScope::Link(*link));
            let version = u32::try_from(i).unwrap();
            let new = NewActivation { scope, ..to(version) };
            let done = store.activate(&new, at(0)).await.unwrap();
            assert_eq!(done.version, Some(version));
        })
        .await;
    }
    let current = rig.store.activations(None).await.unwrap();
    assert_eq!(current.len(), 3);
    for now in current {
        let found = history(&rig, &now.scope, 1000).await;
        assert_eq!(found.iter().map(|a| a.seq).collect::<Vec<_>>(), (1..=32).rev().collect::<Vec<_>>());
        assert_eq!(found[0], now, "the pointer is where the history ends");
    }
}

async fn of_those_that_expect_the_same_place_one_has_it(rig: Rig) {
    for seq in 0..8 {
        let done = rig
            .at_once(12, |store, i| async move {
                let new = NewActivation { expected_seq: Some(seq), ..to(u32::try_from(i).unwrap()) };
                store.activate(&new, at(0)).await
            })
            .await;
        let won: Vec<_> = done.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert_eq!(won.iter().map(|a| a.seq).collect::<Vec<_>>(), [seq + 1]);
        for error in done.iter().filter_map(|result| result.as_ref().err()) {
            assert!(error.to_string().contains(&format!("follow {seq}, but {}", seq + 1)), "{error}");
        }
        assert_eq!(rig.store.activations(None).await.unwrap(), [won[0].clone()]);
    }
}

async fn what_is_active_decides_for_a_link(rig: Rig) {
    let (ehr, link): (EhrName, _) = ("clinic".parse().unwrap(), LinkId::new());
    let all = Some(Canary { version: 5, percent: 100 });
    for (new, expected) in [
        (to(1), Some(1)),
        (NewActivation { scope: MappingScope::Ehr(ehr.clone()), ..to(2) }, Some(2)),
        (NewActivation { scope: MappingScope::Link(link), ..to(3) }, Some(3)),
        (NewActivation { scope: MappingScope::Link(link), ..to(None) }, Some(2)),
        (NewActivation { scope: MappingScope::Ehr(ehr.clone()), canary: all, ..to(2) }, Some(5)),
        (NewActivation { scope: MappingScope::Ehr(ehr.clone()), ..to(None) }, Some(1)),
        (to(None), None),
    ] {
        rig.store.activate(&new, at(0)).await.unwrap();
        let active = rig.other.activations(None).await.unwrap();
        assert_eq!(choose(&active, GETMEAS, &ehr, link), expected, "{new:?}");
    }
}

async fn a_name_may_hold_any_character_but_one(rig: Rig) {
    let odd = "it's/\u{1f642}%_";
    let new = NewActivation { mapping: odd.to_owned(), by: "b\0".to_owned(), ..to(1) };
    let done = rig.store.activate(&new, at(0)).await.unwrap();
    assert_eq!(done.by, "b\u{fffd}");
    assert_eq!(rig.other.activations(Some(odd)).await.unwrap(), [done]);
    let refused = rig.store.activate(&NewActivation { mapping: "a\0".to_owned(), ..to(1) }, at(0)).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(rig.store.activations(Some("a\0")).await.unwrap(), []);
    assert_eq!(rig.store.activation_history("a\0", &MappingScope::Global, None, 9).await.unwrap(), []);
}
