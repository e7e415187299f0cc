//! The refresh of a rotating token, checked by a model checker: every interleaving of several workers, with crashes at every
//! step and a lease that may run out at any time, against a provider that rotates as Withings does.
//!
//! The steps are those of `ohx_link`'s `tokens`, and named after them:
//!
//! ```text
//! read_tokens ─ acquire_lease ─ read_tokens inside ─ refresh (sent, answered) ─ replace_tokens ─ the call
//!                                                            └ refused ─ note_refusal
//! ```
//! That the model is able to fail is tested too: each of the code's precautions is left out once, and the checker has to
//! find what comes of it.

mod refreshing;

use stateright::{Checker as _, Model as _};

use self::refreshing::{AS_WRITTEN, Order, Refreshing};

/// The names of the properties that were found: those that should be reached, and those that do not hold.
fn found(order: Order, workers: usize, pairs: usize, crashes: usize) -> Vec<&'static str> {
    let checker = Refreshing { order, workers, pairs, crashes }.checker().threads(2).spawn_bfs().join();
    assert!(checker.is_done(), "every state was looked at");
    let mut found: Vec<_> = checker.discoveries().into_keys().collect();
    found.sort_unstable();
    found
}

/// What the model has to reach.
const REACHED: [&str; 5] = [
    "a lease that has run out lets two refresh at once",
    "a lost answer leaves a pair that nobody knows",
    "a revoked grant is found out",
    "a slower worker uses what a faster one has stored",
    "the pair is refreshed twice",
];

/// `cargo test -- --include-ignored` looks at more: 500,000 states and more each.
#[test]
#[ignore = "takes a minute"]
fn nor_with_more_of_everything() {
    assert_eq!(found(AS_WRITTEN, 2, 4, 2), REACHED);
    assert_eq!(found(AS_WRITTEN, 3, 3, 1), REACHED);
}

#[test]
fn as_written_nothing_is_lost() {
    assert_eq!(found(AS_WRITTEN, 2, 3, 1), REACHED);
}

#[test]
fn nor_with_three_workers() {
    // One refresh, and no second one after it: the last of the list is out of reach.
    assert_eq!(found(AS_WRITTEN, 3, 2, 0), REACHED[..4]);
}

/// Each precaution left out, and what the checker finds.
#[test]
fn every_precaution_is_needed() {
    let lost = "no grant is lost";
    let misread = "only a revocation is read as one";
    let together = "one refresh at a time, unless a lease has run out";
    for (order, expected) in [
        (Order { store_first: false, ..AS_WRITTEN }, lost),
        (Order { fenced: false, ..AS_WRITTEN }, lost),
        (Order { fenced_refusal: false, ..AS_WRITTEN }, misread),
        (Order { lease: false, ..AS_WRITTEN }, together),
        (Order { read_again: false, ..AS_WRITTEN }, misread),
    ] {
        let broken = found(order, 2, 3, 0);
        assert!(broken.contains(&expected), "{expected} is not found: {broken:?}");
    }
}
