//! Calls with a key of idempotency: done once, by whoever comes first.

use ohx_store::{Begun, NewCall, SealedIn};

use crate::rig::Rig;
use crate::samples::at;

crate::promises!(
    of_many_callers_at_once_one_does_the_work,
    an_answer_is_given_again,
    a_key_belongs_to_one_call,
    what_was_given_up_may_be_begun_anew,
    a_dead_holder_is_replaced_and_has_no_say_any_more,
    what_has_expired_is_forgotten,
    kept_answers_are_among_what_is_sealed,
);

/// The call with this key, by `holder`, begun at second 0: until second 10, kept until second 100.
fn call(mark: u8, holder: &str) -> NewCall<'_> {
    NewCall { digest: [mark; 32], fingerprint: [mark; 32], holder, until: at(10), expires_at: at(100) }
}

async fn of_many_callers_at_once_one_does_the_work(rig: Rig) {
    let begun = rig.at_once(16, |store, i| async move {
        let holder = format!("caller {i}");
        store.begin_call(&call(1, &holder), at(0)).await.unwrap()
    });
    let begun = begun.await;
    assert_eq!(begun.iter().filter(|begun| **begun == Begun::Yours).count(), 1, "{begun:?}");
    assert!(begun.iter().all(|begun| matches!(begun, Begun::Yours | Begun::UnderWay(_))), "{begun:?}");
}

async fn an_answer_is_given_again(rig: Rig) {
    assert_eq!(rig.store.begin_call(&call(1, "a"), at(0)).await.unwrap(), Begun::Yours);
    assert_eq!(rig.other.begin_call(&call(1, "b"), at(1)).await.unwrap(), Begun::UnderWay(at(10)));
    assert!(!rig.other.finish_call(&[1; 32], "b", b"not theirs").await.unwrap());
    assert!(rig.store.finish_call(&[1; 32], "a", b"sealed").await.unwrap());
    assert!(!rig.store.finish_call(&[1; 32], "a", b"another").await.unwrap(), "the first answer stays");
    assert!(!rig.store.give_up_call(&[1; 32], "a").await.unwrap(), "what was done is not forgotten");
    for store in [&rig.store, &rig.other] {
        let again = store.begin_call(&call(1, "c"), at(99)).await.unwrap();
        assert_eq!(again, Begun::Answered(b"sealed".to_vec()));
    }
}

async fn a_key_belongs_to_one_call(rig: Rig) {
    assert_eq!(rig.store.begin_call(&call(1, "a"), at(0)).await.unwrap(), Begun::Yours);
    let other = NewCall { fingerprint: [2; 32], ..call(1, "b") };
    assert_eq!(rig.other.begin_call(&other, at(1)).await.unwrap(), Begun::Another);
    assert!(rig.store.finish_call(&[1; 32], "a", b"sealed").await.unwrap());
    assert_eq!(rig.other.begin_call(&other, at(1)).await.unwrap(), Begun::Another, "nor its answer");
    assert_eq!(rig.other.begin_call(&call(2, "b"), at(1)).await.unwrap(), Begun::Yours, "another key");
}

async fn what_was_given_up_may_be_begun_anew(rig: Rig) {
    assert_eq!(rig.store.begin_call(&call(1, "a"), at(0)).await.unwrap(), Begun::Yours);
    assert!(!rig.other.give_up_call(&[1; 32], "b").await.unwrap());
    assert!(rig.store.give_up_call(&[1; 32], "a").await.unwrap());
    assert_eq!(rig.other.begin_call(&call(1, "b"), at(1)).await.unwrap(), Begun::Yours);
}

async fn a_dead_holder_is_replaced_and_has_no_say_any_more(rig: Rig) {
    assert_eq!(rig.store.begin_call(&call(1, "dead"), at(0)).await.unwrap(), Begun::Yours);
    let later = NewCall { until: at(20), ..call(1, "next") };
    let begun =
        rig.at_once(8, move |store, _| async move { store.begin_call(&later, at(10)).await.unwrap() });
    let begun = begun.await;
    assert_eq!(begun.iter().filter(|begun| **begun == Begun::Yours).count(), 1, "{begun:?}");
    assert!(!rig.store.finish_call(&[1; 32], "dead", b"late").await.unwrap());
    assert!(!rig.store.give_up_call(&[1; 32], "dead").await.unwrap());
    assert!(rig.other.finish_call(&[1; 32], "next", b"sealed").await.unwrap());
}

async fn what_has_expired_is_forgotten(rig: Rig) {
    assert_eq!(rig.store.begin_call(&call(1, "a"), at(0)).await.unwrap(), Begun::Yours);
    assert!(rig.store.finish_call(&[1; 32], "a", b"sealed").await.unwrap());
    let other = NewCall { fingerprint: [2; 32], expires_at: at(300), ..call(1, "b") };
    assert_eq!(rig.other.begin_call(&other, at(100)).await.unwrap(), Begun::Yours);
    assert_eq!(rig.other.sealed_rows(SealedIn::Answers, "", 10).await.unwrap().len(), 0);
}

async fn kept_answers_are_among_what_is_sealed(rig: Rig) {
    for mark in [1, 0xab, 2] {
        assert_eq!(rig.store.begin_call(&call(mark, "a"), at(0)).await.unwrap(), Begun::Yours);
        assert!(rig.store.finish_call(&[mark; 32], "a", &[mark]).await.unwrap());
    }
    assert_eq!(rig.store.begin_call(&call(3, "open"), at(0)).await.unwrap(), Begun::Yours);
    let (mut seen, mut after) = (Vec::new(), String::new());
    while let Some(row) = rig.other.sealed_rows(SealedIn::Answers, &after, 1).await.unwrap().pop() {
        after.clone_from(&row.row);
        assert!(rig.other.rewrap(SealedIn::Answers, &row, &[row.sealed[0], 9]).await.unwrap());
        assert!(!rig.store.rewrap(SealedIn::Answers, &row, b"late").await.unwrap());
        seen.push(row.row);
    }
    assert_eq!(seen, ["01".repeat(32), "02".repeat(32), "ab".repeat(32)]);
    let again = rig.store.begin_call(&call(0xab, "b"), at(1)).await.unwrap();
    assert_eq!(again, Begun::Answered(vec![0xab, 9]));
}
