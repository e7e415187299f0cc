//! Runs of the night.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cloudevents::AttributesReader as _;
use http::StatusCode;
use ohx_domain::{LinkId, PushState, Query, Request, SyncReason};
use ohx_events::envelope::plain_data;
use ohx_events::plain::{LinkConnected, SyncRequested};
use ohx_events::{Envelope, Priority, types};
use ohx_store::{Night, OpenRequests, Prediction, SharedStore};
use ohx_store_postgres::PostgresStore;
use ohx_store_sqlite::SqliteStore;

use serde_json::json;

use crate::world::{World, clock};

/// More pages than are planned at the same time.
const LINKS: u32 = 2600;

async fn sqlite() -> SharedStore {
    Arc::new(SqliteStore::open("sqlite::memory:").await.unwrap())
}

async fn postgres() -> SharedStore {
    Arc::new(PostgresStore::connect(&ohx_tests::services::database().await).unwrap())
}

async fn many(store: SharedStore, links: u32) -> (World, Vec<LinkId>) {
    let world = World::new(store, clock(), "http://127.0.0.1:1", 120).await;
    let mut ids = Vec::new();
    for number in 0..links {
        ids.push(world.link(number).await);
    }
    (world, ids)
}

async fn open(world: &World) -> Vec<Request> {
    let mut all: Vec<Request> = Vec::new();
    loop {
        let after = all.last().map(|request| request.id);
        let filter = OpenRequests { limit: 1000, after, ..OpenRequests::default() };
        let page = world.links.parts().store.open_requests(&filter).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// Two runs begin at the same moment, as two replicas would that heard the same ping: they do the work of one.
async fn two_runs_do_the_work_of_one(store: SharedStore) {
    let (world, ids) = many(store, LINKS).await;
    let (one, two, three) = tokio::join!(world.night(), world.night(), world.night());
    assert_eq!([one, two, three], [StatusCode::NO_CONTENT; 3]);
    let rows = open(&world).await;
    let asked: BTreeSet<_> =
        rows.iter().map(|row| (row.link, matches!(row.query, Query::Window(_)))).collect();
    // What changed since the consent, and the history before it.
    assert_eq!(asked.len(), 2 * ids.len());
    assert_eq!(rows.len(), asked.len(), "nothing is asked for twice");
    let events = world.queue.all();
    let told: BTreeSet<_> =
        events.iter().map(|event| plain_data::<SyncRequested>(event).unwrap().request).collect();
    assert_eq!((told.len(), events.len()), (rows.len(), rows.len()), "and each is told once");
    // Once more: everything is on its way.
    assert_eq!(world.night().await, StatusCode::NO_CONTENT);
    assert!(world.queue.all().is_empty());
    // What has not moved for an hour is told again, and not asked again.
    world.clock.advance(Duration::from_secs(3601));
    assert_eq!(world.night().await, StatusCode::NO_CONTENT);
    let again: BTreeSet<_> =
        world.queue.all().iter().map(|event| plain_data::<SyncRequested>(event).unwrap().request).collect();
    assert_eq!(again, told);
    assert_eq!(open(&world).await.len(), rows.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_do_the_work_of_one_on_sqlite() {
    two_runs_do_the_work_of_one(sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_do_the_work_of_one_on_postgres() {
    two_runs_do_the_work_of_one(postgres().await).await;
}

/// A run writes down when it began, what it predicts, and when it has asked for everything.
async fn a_run_is_remembered(store: SharedStore) {
    let (world, ids) = many(store, 50).await;
    let store = &world.links.parts().store;
    assert_eq!(store.last_night().await.unwrap(), None);
    assert_eq!(world.night().await, StatusCode::NO_CONTENT);
    // One record, and one look at the subscriptions, at a hundred calls a minute (20 of 120 are the burst).
    let now = ohx_domain::Clock::now(&*world.clock);
    let predicted = Prediction {
        provider: "withings".parse().unwrap(),
        calls: 2 * ids.len() as u64,
        finish: now + Duration::from_secs(60),
    };
    let night = Night { started: now, completed: Some(now), predicted: vec![predicted] };
    assert_eq!(store.last_night().await.unwrap(), Some(night));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_remembered_on_sqlite() {
    a_run_is_remembered(sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_remembered_on_postgres() {
    a_run_is_remembered(postgres().await).await;
}

/// A run takes longer than its request may: it is cut off in the middle, and the ping is delivered again. What was asked is not
/// asked again; what was asked and not told is told an hour later.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cut_off_is_gone_on_with() {
    let (world, ids) = many(postgres().await, LINKS).await;
    let mut told = Vec::new();
    for cut in 1..=2 {
        let first_told = async {
            while world.queue.next_due().is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            status = world.night() => panic!("run {cut} was not cut off: {status}"),
            () = first_told => {}
        }
        told.extend(world.queue.all());
        let night = world.links.parts().store.last_night().await.unwrap().unwrap();
        assert_eq!(night.completed, None, "it shows");
    }
    assert_eq!(world.night().await, StatusCode::NO_CONTENT);
    told.extend(world.queue.all());
    let rows = open(&world).await;
    let asked: BTreeSet<_> =
        rows.iter().map(|row| (row.link, matches!(row.query, Query::Window(_)))).collect();
    assert_eq!((asked.len(), rows.len()), (2 * ids.len(), 2 * ids.len()), "nothing is asked for twice");
    assert!(told.len() <= rows.len(), "nor told twice");
    world.clock.advance(Duration::from_secs(3601));
    assert_eq!(world.night().await, StatusCode::NO_CONTENT);
    told.extend(world.queue.all());
    let told: BTreeSet<_> =
        told.iter().map(|event| plain_data::<SyncRequested>(event).unwrap().request).collect();
    assert_eq!(told.len(), rows.len(), "and everything is told of in the end");
}

/// What was asked for tonight, and answered, is not asked for by a second run of the night; what came to nothing is. Who wants
/// everything says so; and the next night is another.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_of_a_night_asks_for_what_came_to_nothing() {
    let (world, ids) = many(sqlite().await, 3).await;
    world.app("omron").await;
    let polled = world.link_to("omron", 3).await;
    let store = &world.links.parts().store;
    for link in [ids[0], polled] {
        store.set_push_state(link, &PushState::Polling { reason: "it is".into() }).await.unwrap();
    }
    let answer = async |fails: LinkId| {
        let now = ohx_domain::Clock::now(&*world.clock);
        for row in open(&world).await {
            store.begin_fetch(row.id, now).await.unwrap();
            match row.link == fails {
                true => store.fail(row.id, "out of order", now).await.unwrap(),
                false => {
                    store.fetched(row.id, ohx_domain::RunId::new(), 0, Some(now), now).await.unwrap();
                }
            }
        }
    };
    let looks = || {
        let events = world.queue.all();
        events.iter().filter(|event| event.ty() == types::PUSH_REQUESTED).count()
    };
    let asked = async || open(&world).await.iter().map(|row| row.link).collect::<BTreeSet<_>>();
    let everybody: BTreeSet<_> = ids.iter().copied().chain([polled]).collect();

    assert_eq!(world.night().await, StatusCode::NO_CONTENT);
    assert_eq!((asked().await, looks()), (everybody.clone(), 2));
    let first = store.last_night().await.unwrap().unwrap();
    world.clock.advance(Duration::from_secs(60));
    answer(ids[1]).await;

    world.clock.advance(Duration::from_secs(3 * 3600));
    assert_eq!(world.night().await, StatusCode::NO_CONTENT);
    assert_eq!((asked().await, looks()), (BTreeSet::from([ids[1]]), 0));
    let second = store.last_night().await.unwrap().unwrap();
    assert_eq!((second.started, second.predicted), (first.started, first.predicted), "the same night");
    assert!(second.completed > first.completed);
    answer(polled).await;

    assert_eq!(world.night_of(&json!({ "all": true })).await, StatusCode::NO_CONTENT);
    assert_eq!((asked().await, looks()), (everybody.clone(), 2));
    answer(polled).await;
    world.clock.advance(Duration::from_secs(21 * 3600));
    assert_eq!(world.night_of(&json!("what another clock says")).await, StatusCode::NO_CONTENT);
    assert_eq!(
        (asked().await, looks()),
        (everybody, 4),
        "and it is time to look at the others' subscriptions"
    );
}

/// A link that is connected again lacks a stretch of time, and is asked for no more than that: at once, but after those
/// who wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_connected_again_is_asked_for_the_gap() {
    let (world, ids) = many(sqlite().await, 1).await;
    let store = &world.links.parts().store;
    let connected = async |again| {
        let now = ohx_domain::Clock::now(&*world.clock);
        let envelope = Envelope {
            id: format!("connected.{now}"),
            event_type: types::LINK_CONNECTED,
            source: "oauth",
            link: ids[0],
            sync: None,
            priority: Priority::High,
            time: now,
            traceparent: None,
        };
        let told = LinkConnected { provider: "withings".parse().unwrap(), again };
        let event = envelope.plain(&told).unwrap();
        assert_eq!(
            world.deliver(ohx_nightly::router(world.links.clone()), &event).await,
            StatusCode::NO_CONTENT
        );
        let events = world.queue.all();
        let priorities: BTreeSet<_> = events.iter().map(Priority::of).collect();
        assert!(events.iter().all(|event| event.subject() == Some(&ids[0].to_string())));
        (open(&world).await, priorities)
    };
    let (rows, priorities) = connected(false).await;
    assert!(rows.iter().all(|row| row.reason == SyncReason::Backfill));
    assert_eq!((rows.len(), priorities), (1, BTreeSet::from([Priority::Low])), "ten days of history");
    let run = ohx_domain::RunId::new();
    let until = ohx_domain::Clock::now(&*world.clock);
    store.begin_fetch(rows[0].id, until).await.unwrap();
    store.fetched(rows[0].id, run, 0, Some(until), until).await.unwrap();

    world.clock.advance(Duration::from_secs(5 * 86_400));
    let now = ohx_domain::Clock::now(&*world.clock);
    let (rows, priorities) = connected(true).await;
    let asked: Vec<_> = rows.iter().map(|row| (row.reason, row.query)).collect();
    let gap = ohx_domain::Interval::new(until, now).unwrap();
    assert_eq!(asked, [(SyncReason::Reconnect, Query::Window(gap))]);
    // A day later push is looked at again, too; that is as urgent as the consent.
    assert!(priorities.contains(&Priority::Normal), "{priorities:?}");
}

/// A provider that cannot say what changed is asked again for the last days, counted from the last night that brought all it
/// wanted: what was uploaded late is found however many nights came to nothing.
#[tokio::test(flavor = "multi_thread")]
async fn missed_nights_are_made_up_for() {
    const DAY: Duration = Duration::from_secs(86_400);
    let (world, _) = many(sqlite().await, 0).await;
    world.app("omron").await;
    let id = world.link_to("omron", 1).await;
    let store = &world.links.parts().store;
    let (app, adapter) = world.links.app(&"omron".parse().unwrap()).await.unwrap();
    let specs = adapter.records(&app.config, &[]);
    assert!(!specs.is_empty() && specs.iter().all(|spec| !spec.changes));

    assert_eq!(world.night().await, StatusCode::NO_CONTENT);
    let last = ohx_domain::Clock::now(&*world.clock);
    for row in open(&world).await {
        store.begin_fetch(row.id, last).await.unwrap();
        store.fetched(row.id, ohx_domain::RunId::new(), 0, Some(last), last).await.unwrap();
    }
    // One night all of whose requests are given up, and then a month without any.
    world.clock.advance(DAY);
    world.night().await;
    for row in open(&world).await {
        store.fail(row.id, "out of order", ohx_domain::Clock::now(&*world.clock)).await.unwrap();
    }
    world.clock.advance(30 * DAY);
    world.night().await;
    let rows = open(&world).await;
    let history = world.links.get(id).await.unwrap().history_start.unwrap();
    for spec in &specs {
        let mine = rows.iter().filter(|row| row.link == id && row.record == spec.record);
        let starts = mine.map(|row| match row.query {
            Query::Window(window) => window.start,
            Query::Since { since } => since,
        });
        let first = starts.min().unwrap();
        let wanted = (last - spec.overlap).max(history);
        assert_eq!(first, wanted, "{}", spec.record);
    }
}
