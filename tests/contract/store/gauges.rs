//! What metrics are made of: freshness, gaps, what is under way, outcomes, nights and troubles.

use std::time::Duration;

use ohx_domain::{Counts, LinkId, LinkState, Query, RequestId, RunId, SyncReason};
use ohx_store::{Acknowledgement, DeadLetter, FRESHNESS, Prediction, Progress, Store, Trouble};

use crate::rig::{Engine, Rig};
use crate::samples::{ack, at, connected, new_request, pending, requested, since, window};

crate::promises!(
    freshness_is_told_by_bucket_and_app,
    what_was_given_up_is_a_gap_until_something_brings_it,
    what_is_late_or_refused_is_a_gap,
    what_is_under_way_is_counted_with_its_age,
    letters_are_counted_by_function,
    outcomes_outlive_requests_and_links,
    a_repeated_acknowledgement_is_counted_once,
    many_writers_count_together,
    a_migration_takes_over_what_there_is,
    a_night_is_remembered,
    a_trouble_ends_by_itself_or_is_ended,
);

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// One whole run of a request, which brings `counts`, completed at `seconds`.
async fn published(store: &dyn Store, id: RequestId, counts: Counts, seconds: i64) {
    let run = RunId::new();
    assert!(store.begin_fetch(id, at(seconds)).await.unwrap().is_some());
    assert_eq!(store.fetched(id, run, 1, Some(at(seconds)), at(seconds)).await.unwrap(), Progress::Open);
    let ack = Acknowledgement { counts, ..ack(id, run, 0) };
    assert_eq!(store.acknowledge(&ack, at(seconds)).await.unwrap(), Progress::Completed);
}

async fn asked(store: &dyn Store, link: LinkId, query: Query, seconds: i64) -> RequestId {
    let new = new_request(link, query, SyncReason::Nightly);
    store.request(&new, at(seconds)).await.unwrap();
    new.id
}

/// What the outcomes are now: created, updated, unchanged and rejected of `withings`.
async fn outcomes(store: &dyn Store) -> [u64; 4] {
    let counted = store.count_outcomes().await.unwrap();
    assert!(counted.iter().all(|one| one.provider.as_str() == "withings"), "{counted:?}");
    ["created", "updated", "unchanged", "rejected"]
        .map(|of| counted.iter().filter(|one| one.outcome == of).map(|one| one.resources).sum())
}

async fn freshness_is_told_by_bucket_and_app(rig: Rig) {
    assert_eq!(rig.other.count_freshness(at(0)).await.unwrap(), []);
    let now = 40 * DAY;
    // By the age of the newest of two, in seconds: at a bound, just beyond it, beyond all, and two links with none at all.
    for (n, age) in [HOUR, HOUR + 1, 30 * DAY, 30 * DAY + 1].into_iter().enumerate() {
        let link = connected(&*rig.store, &format!("p{n}"), n as u8 + 1).await;
        for (start, earlier) in [(0, 50), (100, 0)] {
            let id = requested(&*rig.store, link, window(start, start + 10)).await;
            published(&*rig.store, id, Counts::default(), now - age - earlier).await;
        }
    }
    connected(&*rig.store, "never", 90).await;
    rig.store.insert_link(&pending("not-active")).await.unwrap();
    let ended = connected(&*rig.store, "ended", 91).await;
    rig.store.set_link_state(ended, LinkState::Disconnected, None).await.unwrap();
    let told = rig.other.count_freshness(at(now)).await.unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].provider.as_str(), "withings");
    assert_eq!((told[0].within, told[0].beyond), ([1, 1, 0, 0, 0, 0, 0, 1], 2));
    let ages = 2 * HOUR + 1 + 60 * DAY + 1;
    assert_eq!(told[0].sum, Duration::from_secs(ages.unsigned_abs()));
    assert!(FRESHNESS.is_sorted());
    // What is removed after a month changes nothing.
    assert!(rig.store.prune(at(now)).await.unwrap() > 0);
    assert_eq!(rig.other.count_freshness(at(now)).await.unwrap(), told);
    // A clock that is behind makes no negative ages.
    let told = rig.other.count_freshness(at(0)).await.unwrap();
    assert_eq!((told[0].within[0], told[0].beyond, told[0].sum), (4, 1, Duration::ZERO));
}

async fn gaps(rig: &Rig, before: i64) -> u64 {
    let counted = rig.other.count_gaps(at(before)).await.unwrap();
    assert!(counted.iter().all(|(provider, _)| provider.as_str() == "withings"));
    counted.first().map_or(0, |(_, links)| *links)
}

async fn what_was_given_up_is_a_gap_until_something_brings_it(rig: Rig) {
    let store = &*rig.store;
    let link = connected(store, "p1", 1).await;
    let good = connected(store, "p2", 2).await;
    let id = requested(store, good, window(0, 100)).await;
    published(store, id, Counts::default(), 110).await;
    assert_eq!(gaps(&rig, 0).await, 0);

    let given_up = requested(store, link, window(50, 100)).await;
    store.fail(given_up, "the provider said no", at(120)).await.unwrap();
    assert_eq!(gaps(&rig, 0).await, 1);
    // Another stretch, another link: neither brings it.
    let beside = requested(store, link, window(0, 50)).await;
    published(store, beside, Counts::default(), 130).await;
    assert_eq!(gaps(&rig, 0).await, 1);
    // The same asked for again in two: what contains its beginning brings it; what fails of the rest is a gap of its own.
    let first = requested(store, link, window(40, 70)).await;
    published(store, first, Counts::default(), 140).await;
    assert_eq!(gaps(&rig, 0).await, 0);
    let second = requested(store, link, window(70, 100)).await;
    store.fail(second, "again no", at(150)).await.unwrap();
    assert_eq!(gaps(&rig, 0).await, 1);
    // All changes since a moment before it bring it as well.
    let changes = asked(store, link, since(60), 160).await;
    published(store, changes, Counts::default(), 170).await;
    assert_eq!(gaps(&rig, 0).await, 0);

    // What changed: only a later question for changes tells.
    let changes = asked(store, link, since(150), 180).await;
    store.fail(changes, "no", at(190)).await.unwrap();
    let around = asked(store, link, window(0, 200), 191).await;
    published(store, around, Counts::default(), 200).await;
    assert_eq!(gaps(&rig, 0).await, 1);
    let later = asked(store, link, since(155), 201).await;
    published(store, later, Counts::default(), 210).await;
    assert_eq!(gaps(&rig, 0).await, 0);
    // What has ended has no gaps.
    let given_up = requested(store, good, window(500, 600)).await;
    store.fail(given_up, "no", at(600)).await.unwrap();
    assert_eq!(gaps(&rig, 0).await, 1);
    store.set_link_state(good, LinkState::Disconnected, None).await.unwrap();
    assert_eq!(gaps(&rig, 0).await, 0);
}

fn letter(key: String, function: &str, link: LinkId, request: RequestId) -> DeadLetter {
    DeadLetter {
        key,
        event_type: "org.openhealthexchange.resources.mapped.v1".to_owned(),
        function: function.to_owned(),
        link: Some(link),
        request: Some(request),
        reason: "422".to_owned(),
        attempts: 1,
        at: at(20),
    }
}

async fn what_is_late_or_refused_is_a_gap(rig: Rig) {
    let store = &*rig.store;
    let link = connected(store, "p1", 1).await;
    let id = asked(store, link, window(0, 10), 100).await;
    assert_eq!(gaps(&rig, 100).await, 0, "not before");
    assert_eq!(gaps(&rig, 101).await, 1);
    published(store, id, Counts::default(), 200).await;
    assert_eq!(gaps(&rig, 201).await, 0);
    // An event that was given up is told of by its request; a refused reading by its letter, until it is taken.
    store.bury(&letter(format!("{id}.1.0"), "publish", link, id)).await.unwrap();
    assert_eq!(gaps(&rig, 201).await, 0);
    store.bury(&letter("https://ohx.test/ns/withings|7".to_owned(), "publish", link, id)).await.unwrap();
    assert_eq!(gaps(&rig, 201).await, 1);
    assert!(store.unbury("https://ohx.test/ns/withings|7", "publish").await.unwrap());
    assert_eq!(gaps(&rig, 201).await, 0);
}

async fn what_is_under_way_is_counted_with_its_age(rig: Rig) {
    assert_eq!(rig.other.count_open().await.unwrap(), []);
    let link = connected(&*rig.store, "p1", 1).await;
    for seconds in [70, 50, 60] {
        asked(&*rig.store, link, window(seconds, seconds + 1), seconds).await;
    }
    let done = asked(&*rig.store, link, window(0, 1), 10).await;
    published(&*rig.store, done, Counts::default(), 80).await;
    let open = rig.other.count_open().await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].provider.as_str(), open[0].requests, open[0].oldest), ("withings", 3, at(50)));
}

async fn letters_are_counted_by_function(rig: Rig) {
    assert_eq!(rig.other.count_letters().await.unwrap(), []);
    let link = connected(&*rig.store, "p1", 1).await;
    for (n, function) in ["publish", "fetch", "publish"].into_iter().enumerate() {
        rig.store.bury(&letter(n.to_string(), function, link, RequestId::new())).await.unwrap();
    }
    let expected = [("fetch".to_owned(), 1), ("publish".to_owned(), 2)];
    assert_eq!(rig.other.count_letters().await.unwrap(), expected);
}

async fn outcomes_outlive_requests_and_links(rig: Rig) {
    let store = &*rig.store;
    assert_eq!(outcomes(store).await, [0; 4]);
    let link = connected(store, "p1", 1).await;
    let counts = Counts { created: 5, updated: 4, unchanged: 3, rejected: 2, skipped: 1 };
    for n in 0..3 {
        let id = requested(store, link, window(n * 10, n * 10 + 5)).await;
        published(store, id, counts, 100 + n).await;
    }
    assert_eq!(outcomes(&*rig.other).await, [15, 12, 9, 6]);
    assert_eq!(store.prune(at(102)).await.unwrap(), 2);
    assert_eq!(outcomes(store).await, [15, 12, 9, 6]);
    store.set_link_state(link, LinkState::Disconnected, None).await.unwrap();
    assert_eq!(store.prune(at(1000)).await.unwrap(), 1);
    assert_eq!(outcomes(store).await, [15, 12, 9, 6]);
    // A request that nobody has a link for is nobody's.
    let lost = requested(store, LinkId::new(), window(0, 10)).await;
    published(store, lost, counts, 2000).await;
    assert_eq!(outcomes(store).await, [15, 12, 9, 6]);
}

async fn a_repeated_acknowledgement_is_counted_once(rig: Rig) {
    let link = connected(&*rig.store, "p1", 1).await;
    let (id, run) = (requested(&*rig.store, link, window(0, 10)).await, RunId::new());
    for _ in 0..3 {
        rig.store.acknowledge(&ack(id, run, 0), at(5)).await.unwrap();
    }
    assert_eq!(outcomes(&*rig.store).await, [1, 0, 0, 0]);
}

async fn many_writers_count_together(rig: Rig) {
    const WRITERS: usize = 40;
    let mut ids = Vec::new();
    for n in 0..4 {
        let link = connected(&*rig.store, &format!("p{n}"), n + 1).await;
        for start in 0..i64::try_from(WRITERS).unwrap() / 4 {
            ids.push(requested(&*rig.store, link, window(start * 10, start * 10 + 5)).await);
        }
    }
    let counts = Counts { created: 1, updated: 2, unchanged: 3, rejected: 4, skipped: 0 };
    rig.at_once(WRITERS, |store, n| {
        let id = ids[n];
        async move {
            for part in 0..5 {
                let ack = Acknowledgement { counts, ..ack(id, RunId::new(), part) };
                store.acknowledge(&ack, at(5)).await.unwrap();
            }
        }
    })
    .await;
    assert_eq!(outcomes(&*rig.store).await, [200, 400, 600, 800]);
}

/// Runs `statements` against the database, beside the store.
async fn run(rig: &Rig, statements: &str) {
    use sqlx::{Connection as _, Executor as _};
    let statements = sqlx::AssertSqlSafe(statements.to_owned());
    match rig.engine {
        Engine::Sqlite => {
            let mut connection = sqlx::SqliteConnection::connect(&rig.url).await.unwrap();
            connection.execute(sqlx::raw_sql(statements)).await.unwrap();
        }
        Engine::Postgres => {
            let mut connection = sqlx::PgConnection::connect(&rig.url).await.unwrap();
            connection.execute(sqlx::raw_sql(statements)).await.unwrap();
        }
    }
}

/// A counter begins with what there was, and so does freshness.
async fn a_migration_takes_over_what_there_is(rig: Rig) {
    let store = &*rig.store;
    let link = connected(store, "p1", 1).await;
    let counts = Counts { created: 5, updated: 0, unchanged: 3, rejected: 2, skipped: 1 };
    for n in 0..3 {
        let id = requested(store, link, window(n * 10, n * 10 + 5)).await;
        published(store, id, counts, 100 + n).await;
    }
    let fresh = store.count_freshness(at(200)).await.unwrap();
    // As it was before.
    run(
        &rig,
        "DROP TABLE outcomes; DROP TABLE nights; DROP TABLE night_predictions; DROP TABLE troubles;
         DROP INDEX links_by_state; DROP INDEX requests_failed; DROP INDEX coverage_by_age; ALTER TABLE coverage DROP COLUMN published_at;
         DELETE FROM _sqlx_migrations WHERE version = 12",
    )
    .await;
    rig.other.migrate().await.unwrap();
    assert_eq!(outcomes(&*rig.other).await, [15, 0, 9, 6]);
    assert_eq!(rig.other.count_freshness(at(200)).await.unwrap(), fresh);
}

async fn a_night_is_remembered(rig: Rig) {
    assert_eq!(rig.other.last_night().await.unwrap(), None);
    let predicted = |provider: &str, calls, finish| Prediction {
        provider: provider.parse().unwrap(),
        calls,
        finish: at(finish),
    };
    let first = [predicted("google", 3, 400), predicted("withings", 5, 500)];
    rig.store.begin_night(at(10), &first).await.unwrap();
    let night = rig.other.last_night().await.unwrap().unwrap();
    assert_eq!((night.started, night.completed, &night.predicted[..]), (at(10), None, &first[..]));
    rig.store.end_night(at(20)).await.unwrap();
    let second = [predicted("withings", 7, 700)];
    rig.store.begin_night(at(30), &second).await.unwrap();
    let night = rig.other.last_night().await.unwrap().unwrap();
    assert_eq!((night.started, night.completed, &night.predicted[..]), (at(30), Some(at(20)), &second[..]));
    // Runs that begin at the same moment leave the whole of one.
    let at_once = rig.at_once(8, |store, n| async move {
        let name = |app: &str| format!("{app}{n}").parse().unwrap();
        let predicted = ["a", "b"].map(|app| Prediction { provider: name(app), calls: 1, finish: at(0) });
        store.begin_night(at(40), &predicted).await.unwrap();
    });
    at_once.await;
    let night = rig.other.last_night().await.unwrap().unwrap();
    let apps: Vec<_> = night.predicted.iter().map(|one| one.provider.as_str()).collect();
    assert_eq!((night.started, apps.len(), &apps[0][1..]), (at(40), 2, &apps[1][1..]));
}

async fn a_trouble_ends_by_itself_or_is_ended(rig: Rig) {
    let paused = async |seconds| rig.other.troubles(Trouble::EhrPaused, at(seconds)).await.unwrap();
    assert_eq!(paused(0).await, [""; 0]);
    rig.store.note_trouble(Trouble::EhrPaused, "clinic", at(10)).await.unwrap();
    assert_eq!(paused(9).await, ["clinic"]);
    assert_eq!(paused(10).await, [""; 0]);
    rig.store.note_trouble(Trouble::EhrPaused, "clinic", at(30)).await.unwrap();
    rig.store.note_trouble(Trouble::EhrPaused, "ward", at(30)).await.unwrap();
    assert_eq!(paused(29).await, ["clinic", "ward"]);
    rig.store.note_trouble(Trouble::EhrPaused, "clinic", at(12)).await.unwrap();
    assert_eq!(paused(12).await, ["ward"], "it answers again");
    assert_eq!(rig.other.troubles(Trouble::ProviderRetired, at(12)).await.unwrap(), [""; 0]);
}
