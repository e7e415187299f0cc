//! Dead letters.

use ohx_domain::{LinkId, RequestId};
use ohx_store::DeadLetter;

use crate::rig::Rig;
use crate::samples::at;

crate::promises!(
    a_letter_is_read_back,
    the_same_letter_is_replaced_and_its_attempts_add_up,
    another_function_has_its_own_letter,
    letters_are_newest_first_and_filtered,
    a_letter_is_forgotten_once,
    letters_that_come_at_once_all_count,
    a_letter_may_hold_any_character,
);

fn letter(key: &str, seconds: i64) -> DeadLetter {
    DeadLetter {
        key: key.to_owned(),
        event_type: "org.openhealthexchange.resources.mapped.v1".to_owned(),
        function: "publish".to_owned(),
        link: Some(LinkId::new()),
        request: Some(RequestId::new()),
        reason: "refused with 422".to_owned(),
        attempts: 3,
        at: at(seconds),
    }
}

async fn a_letter_is_read_back(rig: Rig) {
    let known = letter("a", 0);
    let unknown = DeadLetter { link: None, request: None, attempts: u32::MAX, ..letter("b", -1) };
    rig.store.bury(&known).await.unwrap();
    rig.store.bury(&unknown).await.unwrap();
    assert_eq!(rig.other.dead_letters(None, 10).await.unwrap(), [known, unknown]);
}

async fn the_same_letter_is_replaced_and_its_attempts_add_up(rig: Rig) {
    rig.store.bury(&letter("a", 0)).await.unwrap();
    let later = DeadLetter {
        event_type: "another.v1".to_owned(),
        link: None,
        reason: "refused with 400".to_owned(),
        attempts: 2,
        ..letter("a", 9)
    };
    rig.store.bury(&later).await.unwrap();
    assert_eq!(
        rig.store.dead_letters(None, 10).await.unwrap(),
        [DeadLetter { attempts: 5, ..later.clone() }]
    );
    rig.store.bury(&DeadLetter { attempts: u32::MAX, ..later.clone() }).await.unwrap();
    assert_eq!(rig.store.dead_letters(None, 10).await.unwrap(), [DeadLetter { attempts: u32::MAX, ..later }]);
}

async fn another_function_has_its_own_letter(rig: Rig) {
    let (mine, other) = (letter("a", 1), DeadLetter { function: "fetch".to_owned(), ..letter("a", 0) });
    rig.store.bury(&mine).await.unwrap();
    rig.store.bury(&other).await.unwrap();
    assert_eq!(rig.store.dead_letters(None, 10).await.unwrap(), [mine, other.clone()]);
    assert!(rig.store.unbury("a", "publish").await.unwrap());
    assert_eq!(rig.store.dead_letters(None, 10).await.unwrap(), [other]);
}

async fn letters_are_newest_first_and_filtered(rig: Rig) {
    let letters: Vec<_> = [50, 10, 30, 20].iter().map(|s| letter(&format!("k{s}"), *s)).collect();
    for letter in &letters {
        rig.store.bury(letter).await.unwrap();
    }
    let keys = |found: Vec<DeadLetter>| found.into_iter().map(|l| l.key).collect::<Vec<_>>();
    assert_eq!(keys(rig.store.dead_letters(None, 10).await.unwrap()), ["k50", "k30", "k20", "k10"]);
    assert_eq!(keys(rig.store.dead_letters(None, 2).await.unwrap()), ["k50", "k30"]);
    assert_eq!(keys(rig.store.dead_letters(letters[2].link, 10).await.unwrap()), ["k30"]);
    assert_eq!(keys(rig.store.dead_letters(Some(LinkId::new()), 10).await.unwrap()), [""; 0]);
    assert_eq!(keys(rig.store.dead_letters(None, 0).await.unwrap()), [""; 0]);
}

async fn a_letter_is_forgotten_once(rig: Rig) {
    rig.store.bury(&letter("a", 0)).await.unwrap();
    assert!(!rig.store.unbury("b", "publish").await.unwrap());
    assert!(!rig.store.unbury("a", "fetch").await.unwrap());
    assert!(rig.store.unbury("a", "publish").await.unwrap());
    assert!(!rig.store.unbury("a", "publish").await.unwrap());
    assert!(rig.store.dead_letters(None, 10).await.unwrap().is_empty());
}

async fn letters_that_come_at_once_all_count(rig: Rig) {
    rig.at_once(20, |store, _| async move { store.bury(&letter("a", 0)).await.unwrap() }).await;
    let found = rig.store.dead_letters(None, 10).await.unwrap();
    assert_eq!(found.iter().map(|l| l.attempts).collect::<Vec<_>>(), [60]);
}

async fn a_letter_may_hold_any_character(rig: Rig) {
    let odd = "a\0b'\u{1f642}";
    rig.store.bury(&DeadLetter { reason: odd.to_owned(), ..letter(odd, 0) }).await.unwrap();
    let found = rig.store.dead_letters(None, 10).await.unwrap();
    assert_eq!(found[0].reason, odd.replace('\0', "\u{fffd}"));
    assert!(rig.store.unbury(odd, "publish").await.unwrap());
}
