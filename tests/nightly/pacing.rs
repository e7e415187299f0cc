//! A whole cohort at one app: paced, not failed. Two hours pass in the time that the work takes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::routing::any;
use axum::{Json, Router};
use cloudevents::AttributesReader as _;
use http::StatusCode;
use ohx_domain::{Clock as _, Instant, ManualClock, Query, RequestId, RequestState, SyncId, SyncReason};
use ohx_events::envelope::plain_data;
use ohx_events::plain::SyncRequested;
use ohx_events::{Priority, types};
use ohx_link::{Asked, Asking};
use ohx_store::OpenRequests;
use ohx_store_sqlite::SqliteStore;

use crate::world::{World, clock};

/// What Withings' free plan allows.
const PER_MINUTE: usize = 120;
const MINUTE: Duration = Duration::from_secs(60);

/// A Withings that has nothing new, and counts: how many calls there were, the most in any minute, and how many too many.
#[derive(Default)]
struct Counted {
    calls: usize,
    minute: VecDeque<Instant>,
    most: usize,
    refused: usize,
}

async fn withings(clock: Arc<ManualClock>) -> (String, Arc<Mutex<Counted>>) {
    let counted = Arc::new(Mutex::new(Counted::default()));
    let answer = {
        let counted = counted.clone();
        move || {
            let now = clock.now();
            let mut counted = counted.lock().unwrap();
            counted.calls += 1;
            while counted.minute.front().is_some_and(|at| *at + MINUTE <= now) {
                counted.minute.pop_front();
            }
            counted.minute.push_back(now);
            counted.most = counted.most.max(counted.minute.len());
            if counted.minute.len() > PER_MINUTE {
                counted.refused += 1;
                return Json(serde_json::json!({ "status": 601, "body": {} }));
            }
            Json(serde_json::json!({ "status": 0, "body": {
                "updatetime": now.as_second(), "timezone": "Europe/Vienna", "measuregrps": []
            }}))
        }
    };
    let router = Router::new().fallback(any(async move || answer()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (base, counted)
}

/// When each request was read, and how often its event was delivered.
#[derive(Default)]
struct Watched {
    read: BTreeMap<RequestId, Instant>,
    delivered: usize,
}

/// Lets `fetch` work until nothing is left, or until `until`.
async fn work(world: &World, watched: &mut Watched, until: Option<Instant>) {
    let fetch = ohx_fetch::router(world.links.clone());
    let store = &world.links.parts().store;
    while let Some(due) = world.queue.next_due().filter(|due| until.is_none_or(|until| *due <= until)) {
        let now = world.clock.now();
        if due > now {
            world.clock.advance(now.duration_until(due).unsigned_abs());
        }
        let (_, event) = world.queue.next().unwrap();
        assert_eq!(event.ty(), types::SYNC_REQUESTED);
        let status = world.deliver(fetch.clone(), &event).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "no attempt fails, so nothing can become a dead letter");
        watched.delivered += 1;
        let asked: SyncRequested = plain_data(&event).unwrap();
        let row = store.request_by_id(asked.request).await.unwrap().unwrap();
        if row.state == RequestState::Published {
            assert_eq!(row.attempts, 1, "waiting is no attempt");
            watched.read.insert(row.id, world.clock.now());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_users_are_paced_and_a_push_overtakes_them() {
    paced(1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make soak runs it"]
async fn ten_thousand_users_are_paced_and_a_push_overtakes_them() {
    paced(10_000).await;
}

async fn paced(users: u32) {
    let clock = clock();
    let (api, counted) = withings(clock.clone()).await;
    let store = Arc::new(SqliteStore::open("sqlite::memory:").await.unwrap());
    let world = World::new(store, clock.clone(), &api, PER_MINUTE.try_into().unwrap()).await;
    let mut links = Vec::new();
    for number in 0..users {
        links.push(world.link(number).await);
    }
    let began = clock.now();
    // What a night asks of each: what changed since yesterday.
    let mut asked = Vec::new();
    for id in &links {
        let link = world.links.get(*id).await.unwrap();
        let since = began - Duration::from_secs(86_400);
        asked.push(ask(&world, &link, Query::Since { since }, SyncReason::Nightly).await);
    }

    // In the middle of it, people weigh themselves.
    let mut watched = Watched::default();
    for round in 1..=5 {
        let moment = began + round * users / 1000 * MINUTE;
        work(&world, &mut watched, Some(moment)).await;
        clock.advance(clock.now().duration_until(moment).unsigned_abs());
        let mut pushed = Vec::new();
        for id in &links[round as usize * 100..][..3] {
            let link = world.links.get(*id).await.unwrap();
            let window = ohx_domain::Interval { start: moment - MINUTE, end: moment };
            pushed.push(ask(&world, &link, Query::Window(window), SyncReason::Notification).await);
        }
        work(&world, &mut watched, Some(moment + Duration::from_secs(2))).await;
        for id in pushed {
            let waited = moment.duration_until(watched.read[&id]).unsigned_abs();
            assert!(waited <= Duration::from_secs(1), "{waited:?} behind {users} others");
        }
    }
    work(&world, &mut watched, None).await;

    {
        let counted = counted.lock().unwrap();
        assert_eq!(counted.refused, 0, "never too many");
        assert!(counted.most <= PER_MINUTE, "{} in a minute", counted.most);
        assert_eq!(counted.calls, watched.read.len(), "one call each");
    }
    assert!(asked.iter().all(|id| watched.read.contains_key(id)), "every request is done");
    let none = OpenRequests { limit: 1, ..OpenRequests::default() };
    assert!(world.links.parts().store.open_requests(&none).await.unwrap().is_empty());
    assert!(world.links.parts().store.dead_letters(None, 1).await.unwrap().is_empty());
    let minutes = began.duration_until(clock.now()).unsigned_abs().as_secs() / 60;
    // A hundred a minute, for the burst is a part of what a minute may hold.
    let expected = u64::from(users) / 100;
    assert!(
        (expected - expected / 10..=expected + expected / 10 + 1).contains(&minutes),
        "{minutes} minutes: neither a burst nor idle"
    );
    let each = watched.delivered as f64 / f64::from(users);
    assert!(each < 4.0, "each event was delivered {each} times");
}

async fn ask(world: &World, link: &ohx_domain::Link, query: Query, reason: SyncReason) -> RequestId {
    let asking = Asking {
        record: "getmeas".parse().unwrap(),
        query,
        reason,
        sync: SyncId::new(),
        source: "test",
        delay: Duration::ZERO,
    };
    match world.links.ask(link, &asking).await.unwrap() {
        Asked::Requested(id) | Asked::Merged(id) => id,
    }
}

#[test]
fn the_order_of_the_bus_is_the_order_of_urgency() {
    assert!(Priority::ALL.is_sorted());
}
