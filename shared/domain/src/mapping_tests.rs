use proptest::prelude::*;

use super::*;

const GETMEAS: &str = "withings/getmeas";

fn link(n: u128) -> LinkId {
    uuid::Uuid::from_u128(n).to_string().parse().unwrap()
}

fn clinic() -> EhrName {
    "clinic".parse().unwrap()
}

fn activation(scope: MappingScope, version: Option<u32>, canary: Option<(u32, u8)>) -> Activation {
    Activation {
        mapping: GETMEAS.to_owned(),
        scope,
        version,
        canary: canary.map(|(version, percent)| Canary { version, percent }),
        at: Instant::UNIX_EPOCH,
        by: "test".to_owned(),
        seq: 1,
    }
}

#[test]
fn a_scope_is_written_and_read() {
    let link = link(7);
    for (scope, text) in [
        (MappingScope::Global, "global".to_owned()),
        (MappingScope::Ehr(clinic()), "ehr:clinic".to_owned()),
        (MappingScope::Link(link), format!("link:{link}")),
    ] {
        assert_eq!(scope.to_string(), text);
        assert_eq!(text.parse::<MappingScope>(), Ok(scope.clone()));
        let json = serde_json::to_string(&scope).unwrap();
        assert_eq!(json, format!("{text:?}"));
        assert_eq!(serde_json::from_str::<MappingScope>(&json).unwrap(), scope);
    }
}

#[test]
fn what_is_no_scope_is_refused_with_a_hint() {
    for (text, hint) in [
        ("", "global, ehr:<name> or link:<id>"),
        ("Global", "global, ehr:<name> or link:<id>"),
        ("global:", "global, ehr:<name> or link:<id>"),
        ("tenant:a", "global, ehr:<name> or link:<id>"),
        ("ehr", "global, ehr:<name> or link:<id>"),
        ("ehr:", "an EHR name must be"),
        ("ehr:Main Clinic", "an EHR name must be"),
        ("link:", "a UUID"),
        ("link:7", "a UUID"),
    ] {
        let error = text.parse::<MappingScope>().unwrap_err().to_string();
        assert!(error.contains(hint), "{text:?}: {error}");
    }
}

#[test]
fn a_canary_is_1_to_100_percent() {
    let read =
        |percent: i32| serde_json::from_str::<Canary>(&format!(r#"{{"version":1001,"percent":{percent}}}"#));
    for percent in [1, 100] {
        assert_eq!(i32::from(read(percent).unwrap().percent), percent);
    }
    for percent in [0, 101, 256, -1] {
        assert!(read(percent).is_err(), "{percent}");
    }
}

#[test]
fn who_is_in_a_canary_is_fixed_for_ever() {
    // Golden values: a change here would move links from one version to another in the middle of a roll-out.
    // Each is the least percent that takes the link in.
    let first = |n: u128, mapping: &str| (0..=100).find(|percent| in_canary(link(n), mapping, *percent));
    let (one, two) = (GETMEAS, "withings/getactivity");
    let found: Vec<_> = (1..=6).map(|n| (first(n, one).unwrap(), first(n, two).unwrap())).collect();
    assert_eq!(found, [(86, 73), (61, 42), (51, 49), (26, 91), (93, 33), (84, 73)]);
}

#[test]
fn a_canary_has_about_its_share_of_links() {
    for percent in [1_u8, 10, 50, 90] {
        let hit = (0..20_000).filter(|n| in_canary(link(*n), GETMEAS, percent)).count();
        let expected = 200 * usize::from(percent);
        assert!(hit.abs_diff(expected) < 300, "{percent} %: {hit}, not about {expected}");
    }
}

#[test]
fn the_narrowest_scope_that_says_something_counts() {
    let link = link(7);
    let global = |version| activation(MappingScope::Global, version, None);
    let ehr = |version| activation(MappingScope::Ehr(clinic()), version, None);
    let own = |version| activation(MappingScope::Link(link), version, None);
    for (activations, expected) in [
        (vec![], None),
        (vec![global(Some(1001))], Some(1001)),
        (vec![global(None)], None),
        (vec![global(Some(1001)), ehr(Some(1002))], Some(1002)),
        (vec![global(Some(1001)), ehr(None)], Some(1001)),
        (vec![global(Some(1001)), ehr(Some(1002)), own(Some(2))], Some(2)),
        (vec![global(Some(1001)), ehr(Some(1002)), own(None)], Some(1002)),
        (vec![global(Some(1001)), ehr(None), own(None)], Some(1001)),
        (vec![own(Some(1003))], Some(1003)),
    ] {
        assert_eq!(choose(&activations, GETMEAS, &clinic(), link), expected, "{activations:?}");
    }
}

#[test]
fn what_is_for_others_does_not_count() {
    let others = [
        activation(MappingScope::Ehr("other".parse().unwrap()), Some(1001), None),
        activation(MappingScope::Link(link(8)), Some(1001), Some((1002, 100))),
        Activation {
            mapping: "withings/sleep-get".to_owned(),
            ..activation(MappingScope::Global, Some(1001), None)
        },
    ];
    assert_eq!(choose(&others, GETMEAS, &clinic(), link(7)), None);
}

#[test]
fn of_one_scope_the_latest_counts() {
    let old = activation(MappingScope::Global, Some(1001), None);
    let new = Activation { seq: 2, ..activation(MappingScope::Global, Some(1000), None) };
    for both in [[old.clone(), new.clone()], [new, old]] {
        assert_eq!(choose(&both, GETMEAS, &clinic(), link(7)), Some(1000));
    }
}

#[test]
fn the_rest_of_a_canary_without_a_version_has_the_wider_scopes() {
    let activations = [
        activation(MappingScope::Global, Some(1001), None),
        activation(MappingScope::Ehr(clinic()), None, Some((1002, 30))),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..100 {
        let chosen = choose(&activations, GETMEAS, &clinic(), link(n));
        assert_eq!(chosen, Some(if in_canary(link(n), GETMEAS, 30) { 1002 } else { 1001 }));
        seen.insert(chosen);
    }
    assert_eq!(seen.len(), 2, "there are links of both kinds");
    // And without a wider scope, the program's own.
    let alone = &activations[1..];
    assert!((0..100).any(|n| choose(alone, GETMEAS, &clinic(), link(n)).is_none()));
}

proptest! {
    #[test]
    fn raising_the_percent_never_takes_a_link_out(id: u128, mapping in "[a-z]{1,8}/[a-z]{1,8}", low: u8, high: u8) {
        let (low, high) = (low.min(high), low.max(high));
        let link = link(id);
        prop_assert!(!in_canary(link, &mapping, low) || in_canary(link, &mapping, high));
        prop_assert!(!in_canary(link, &mapping, 0));
        prop_assert!(in_canary(link, &mapping, 100));
    }

    #[test]
    fn a_canary_wins_over_its_version_and_over_wider_scopes(
        id: u128,
        percent in 1_u8..=100,
        version in prop::option::of(1_u32..2000),
        global in prop::option::of(1_u32..2000),
    ) {
        let link = link(id);
        let activations = [
            activation(MappingScope::Global, global, None),
            activation(MappingScope::Ehr(clinic()), version, Some((9000, percent))),
        ];
        let chosen = choose(&activations, GETMEAS, &clinic(), link);
        let expected = if in_canary(link, GETMEAS, percent) { Some(9000) } else { version.or(global) };
        prop_assert_eq!(chosen, expected);
    }
}
