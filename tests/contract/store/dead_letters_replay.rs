//! Dead letters that are paged, replayed and discarded.

use ohx_domain::{LetterId, LinkId, RequestId};
use ohx_store::{BuriedLetter, DeadLetter, LetterCursor, LetterFilter, Replay, Store};

use crate::rig::Rig;
use crate::samples::{at, requested, whole_run, window};

crate::promises!(
    pages_have_every_letter_once,
    letters_are_filtered_by_function_and_link,
    a_letter_keeps_its_id,
    a_replayed_letter_goes_when_its_request_is_published,
    a_letter_that_comes_again_is_not_replayed_any_more,
    a_replay_of_what_was_read_before_it_came_again_is_not_noted,
    a_replay_that_is_published_already_settles_at_once,
    of_a_replay_and_its_publication_at_once_nothing_remains,
    the_letters_of_a_request_go_with_its_publication,
    a_refused_resource_stays_when_its_request_is_published,
    a_letter_of_the_replay_takes_the_place_of_the_first,
    a_discarded_letter_is_gone,
);

fn letter(key: &str, request: Option<RequestId>) -> DeadLetter {
    DeadLetter {
        key: key.to_owned(),
        event_type: "org.openhealthexchange.sync.requested.v1".to_owned(),
        function: "fetch".to_owned(),
        link: None,
        request,
        reason: "no".to_owned(),
        attempts: 1,
        at: at(5),
    }
}

async fn all(store: &dyn Store) -> Vec<BuriedLetter> {
    store.letters(&LetterFilter { limit: 1000, ..LetterFilter::default() }).await.unwrap()
}

async fn buried(store: &dyn Store, letter: &DeadLetter) -> BuriedLetter {
    store.bury(letter).await.unwrap();
    all(store).await.into_iter().find(|l| l.letter.key == letter.key).unwrap()
}

fn replay(request: RequestId) -> Replay {
    Replay { request, at: at(6) }
}

async fn pages_have_every_letter_once(rig: Rig) {
    // Many of the same moment, some of others.
    for n in 0..25 {
        let letter = DeadLetter { at: at(n % 3), ..letter(&format!("k{n}"), None) };
        rig.store.bury(&letter).await.unwrap();
    }
    let expected = all(&*rig.store).await;
    assert_eq!(expected.len(), 25);
    assert!(expected.is_sorted_by(|a, b| (a.letter.at, a.id) > (b.letter.at, b.id)), "newest first");
    let mut seen = Vec::new();
    let mut after: Option<LetterCursor> = None;
    loop {
        let page =
            rig.other.letters(&LetterFilter { after, limit: 4, ..LetterFilter::default() }).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.into());
        // What is discarded meanwhile takes nothing else with it.
        assert!(rig.store.discard(last.id).await.unwrap());
        seen.extend(page);
    }
    assert_eq!(seen, expected);
}

async fn letters_are_filtered_by_function_and_link(rig: Rig) {
    let link = LinkId::new();
    for (key, function, link) in [
        ("a", "fetch", Some(link)),
        ("b", "publish", Some(link)),
        ("c", "fetch", None),
        ("d", "publish", Some(LinkId::new())),
    ] {
        let letter = DeadLetter { function: function.to_owned(), link, ..letter(key, None) };
        rig.store.bury(&letter).await.unwrap();
    }
    let keys = async |link: Option<LinkId>, function: Option<&str>| {
        let filter = LetterFilter { link, function: function.map(str::to_owned), after: None, limit: 10 };
        let mut keys: Vec<_> =
            rig.store.letters(&filter).await.unwrap().into_iter().map(|l| l.letter.key).collect();
        keys.sort();
        keys.concat()
    };
    assert_eq!(keys(None, None).await, "abcd");
    assert_eq!(keys(Some(link), None).await, "ab");
    assert_eq!(keys(None, Some("publish")).await, "bd");
    assert_eq!(keys(Some(link), Some("fetch")).await, "a");
    assert_eq!(keys(None, Some("nobody")).await, "");
}

async fn a_letter_keeps_its_id(rig: Rig) {
    let first = buried(&*rig.store, &letter("a", None)).await;
    let again = buried(&*rig.other, &DeadLetter { at: at(9), ..letter("a", None) }).await;
    assert_eq!((again.id, again.letter.attempts), (first.id, 2));
    assert_eq!(rig.store.letter(first.id).await.unwrap(), Some(again));
    assert_eq!(rig.store.letter(LetterId::new()).await.unwrap(), None);
}

async fn a_replayed_letter_goes_when_its_request_is_published(rig: Rig) {
    let store = &*rig.store;
    let link = LinkId::new();
    let (new, other) =
        (requested(store, link, window(0, 10)).await, requested(store, link, window(0, 10)).await);
    let one = buried(store, &letter("one", Some(RequestId::new()))).await;
    let two = buried(store, &letter("two", None)).await;
    assert!(store.note_replay(&one, replay(new)).await.unwrap());
    assert!(store.note_replay(&two, replay(other)).await.unwrap());
    let shown = store.letter(one.id).await.unwrap().unwrap();
    assert_eq!(shown.replay, Some(replay(new)), "it stays until the work is done");
    store.fail(other, "no", at(7)).await.unwrap();
    whole_run(store, new, None, Vec::new()).await;
    let left: Vec<_> = all(store).await.into_iter().map(|l| l.id).collect();
    assert_eq!(left, [two.id], "whose request failed");
}

async fn a_letter_that_comes_again_is_not_replayed_any_more(rig: Rig) {
    let store = &*rig.store;
    let new = requested(store, LinkId::new(), window(0, 10)).await;
    let one = buried(store, &letter("system|1", None)).await;
    assert!(store.note_replay(&one, replay(new)).await.unwrap());
    assert_eq!(buried(store, &letter("system|1", Some(new))).await.replay, None);
    whole_run(store, new, None, Vec::new()).await;
    assert_eq!(all(store).await.len(), 1, "refused again in the very run that was to bring it");
}

async fn a_replay_of_what_was_read_before_it_came_again_is_not_noted(rig: Rig) {
    let store = &*rig.store;
    let new = requested(store, LinkId::new(), window(0, 10)).await;
    let read = buried(store, &letter("system|1", None)).await;
    store.bury(&letter("system|1", Some(new))).await.unwrap();
    assert!(!store.note_replay(&read, replay(new)).await.unwrap());
    assert!(store.discard(read.id).await.unwrap());
    assert!(!store.note_replay(&read, replay(new)).await.unwrap(), "gone");
}

async fn a_replay_that_is_published_already_settles_at_once(rig: Rig) {
    let store = &*rig.store;
    let new = requested(store, LinkId::new(), window(0, 10)).await;
    let one = buried(store, &letter("one", None)).await;
    whole_run(store, new, None, Vec::new()).await;
    assert!(store.note_replay(&one, replay(new)).await.unwrap());
    assert_eq!(all(store).await, []);
}

async fn of_a_replay_and_its_publication_at_once_nothing_remains(rig: Rig) {
    for n in 0..20 {
        let new = requested(&*rig.store, LinkId::new(), window(0, 10)).await;
        let one = buried(&*rig.store, &letter(&format!("{n}"), None)).await;
        rig.at_once(2, |store, i| {
            let one = one.clone();
            async move {
                match i {
                    0 => drop(store.note_replay(&one, replay(new)).await.unwrap()),
                    _ => whole_run(&*store, new, None, Vec::new()).await,
                }
            }
        })
        .await;
        assert_eq!(all(&*rig.store).await, [], "round {n}");
    }
}

async fn the_letters_of_a_request_go_with_its_publication(rig: Rig) {
    let store = &*rig.store;
    let link = LinkId::new();
    let (done, open) =
        (requested(store, link, window(0, 10)).await, requested(store, link, window(0, 10)).await);
    for request in [done, open] {
        store.bury(&letter(&format!("{request}.0"), Some(request))).await.unwrap();
        store.bury(&letter(&format!("{request}.run.3"), Some(request))).await.unwrap();
    }
    whole_run(store, done, None, Vec::new()).await;
    let left: Vec<_> = all(store).await.into_iter().map(|l| l.letter.request).collect();
    assert_eq!(left, [Some(open), Some(open)]);
}

async fn a_refused_resource_stays_when_its_request_is_published(rig: Rig) {
    let store = &*rig.store;
    let request = requested(store, LinkId::new(), window(0, 10)).await;
    store.bury(&letter("https://ohx.test/ns/withings/getmeas|a.1.body-weight", Some(request))).await.unwrap();
    whole_run(store, request, None, vec![at(3)]).await;
    assert_eq!(all(store).await.len(), 1);
}

async fn a_letter_of_the_replay_takes_the_place_of_the_first(rig: Rig) {
    let store = &*rig.store;
    let link = LinkId::new();
    let (first, second) =
        (requested(store, link, window(0, 10)).await, requested(store, link, window(0, 10)).await);
    let event = buried(store, &letter(&format!("{first}.0"), Some(first))).await;
    let resource = buried(store, &letter("system|1", Some(first))).await;
    for one in [&event, &resource] {
        assert!(store.note_replay(one, replay(second)).await.unwrap());
    }
    store.bury(&letter(&format!("{second}.0"), Some(second))).await.unwrap();
    let mut left: Vec<_> = all(store).await.into_iter().map(|l| l.letter.key).collect();
    left.sort();
    assert_eq!(
        left,
        [format!("{second}.0"), "system|1".to_owned()],
        "a refused reading is not forgotten for it"
    );
}

async fn a_discarded_letter_is_gone(rig: Rig) {
    let one = buried(&*rig.store, &letter("a", None)).await;
    let two = buried(&*rig.store, &letter("b", None)).await;
    assert!(rig.store.discard(one.id).await.unwrap());
    assert!(!rig.other.discard(one.id).await.unwrap());
    assert_eq!(all(&*rig.other).await, [two]);
}
