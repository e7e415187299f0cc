//! "Too many requests" is waited for: never a failure, and never a success with nothing in it.

use std::time::Duration;

use cloudevents::Event;
use http::StatusCode;
use ohx_domain::{Clock as _, RequestState};
use ohx_link::LONGEST_WAIT;
use ohx_sandbox::withings::Fault;

use super::World;

impl World {
    /// The one event that is to come later.
    fn later(&self) -> (Event, Duration) {
        let mut later = self.kept.later.lock().unwrap();
        assert_eq!(later.len(), 1);
        later.pop().unwrap()
    }
}

/// Withings says 601 in an HTTP 200.
#[tokio::test(flavor = "multi_thread")]
async fn a_601_is_waited_for_and_the_readings_come_after() {
    let world = World::new().await;
    world.withings.inject(Fault::TooManyRequests { calls: 1 });
    let before = world.withings.stats();
    let (answer, row) = world.fetch("getactivity").await;
    assert_eq!(answer, StatusCode::NO_CONTENT, "no attempt of the broker is used up");
    assert_eq!(row.state, RequestState::Fetching, "and nothing is acknowledged");
    assert!(row.note.unwrap().contains("601"));
    assert!(world.parts().await.is_empty());
    assert_eq!(world.withings.stats().over_quota, before.over_quota + 1);

    let (event, delay) = world.later();
    assert!((60..=70).contains(&delay.as_secs()), "{delay:?}");
    // Whoever comes sooner waits as well, and the provider is not asked.
    let asked = world.withings.stats();
    for _ in 0..3 {
        assert_eq!(world.deliver(event.clone()).await.status(), StatusCode::NO_CONTENT);
        world.later();
    }
    let (answer, other) = world.fetch("sleep-getsummary").await;
    assert_eq!((answer, other.state, other.attempts), (StatusCode::NO_CONTENT, RequestState::Requested, 0));
    assert_eq!(world.withings.stats(), asked);
    assert!(world.parts().await.is_empty());

    world.clock.advance(delay);
    let (other_event, _) = world.later();
    for (event, id) in [(event, row.id), (other_event, other.id)] {
        assert_eq!(world.deliver(event).await.status(), StatusCode::NO_CONTENT);
        let row = world.links.parts().store.request_by_id(id).await.unwrap().unwrap();
        assert_eq!(row.state, RequestState::Fetched, "{:?}", row.note);
        assert!(!world.parts().await.is_empty());
    }
}

/// A run that has sent parts on already begins anew, and is not complete before.
#[tokio::test(flavor = "multi_thread")]
async fn a_601_in_the_middle_acknowledges_nothing() {
    let world = World::new().await;
    // The list of ECGs is answered, the first signal is not.
    world.withings.inject(Fault::RefuseAction { action: "get".into(), status: 601, calls: 1 });
    let (answer, row) = world.fetch("heart-get").await;
    assert_eq!((answer, row.state), (StatusCode::NO_CONTENT, RequestState::Fetching));
    world.parts().await;
    let (event, delay) = world.later();
    world.clock.advance(delay);
    assert_eq!(world.deliver(event).await.status(), StatusCode::NO_CONTENT);
    let row = world.links.parts().store.request_by_id(row.id).await.unwrap().unwrap();
    assert_eq!((row.state, row.attempts), (RequestState::Fetched, 2));
    assert!(!world.parts().await.is_empty());
}

/// Behind a broker that cannot wait, the answer says so and for how long.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_cannot_wait_is_told_how_long() {
    let world = World::new().await;
    world.kept.cannot_wait.store(true, std::sync::atomic::Ordering::Relaxed);
    let until = world.clock.now() + Duration::from_secs(90);
    world.links.parts().store.drain_quota("provider:withings", until).await.unwrap();
    let (answer, row) = world.fetch("getactivity").await;
    assert_eq!((answer, row.state), (StatusCode::TOO_MANY_REQUESTS, RequestState::Requested));
    assert!(world.kept.later.lock().unwrap().is_empty());

    world.kept.cannot_wait.store(false, std::sync::atomic::Ordering::Relaxed);
    let (answer, _) = world.fetch("getactivity").await;
    assert_eq!(answer, StatusCode::NO_CONTENT);
    let (event, _) = world.later();
    world.kept.cannot_wait.store(true, std::sync::atomic::Ordering::Relaxed);
    let answer = world.deliver(event).await;
    let after: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((90..=95).contains(&after), "{after}");
}

/// What waits shows a sign of life: the nightly run takes it for lost after an hour without one.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_wait_is_cut_and_noted() {
    let world = World::new().await;
    let until = world.clock.now() + Duration::from_secs(10 * 3600);
    world.links.parts().store.drain_quota("provider:withings", until).await.unwrap();
    let (_, row) = world.fetch("getactivity").await;
    let (mut event, mut delay) = world.later();
    for _ in 0..20 {
        assert!(delay <= LONGEST_WAIT && delay < Duration::from_secs(3600), "{delay:?}");
        world.clock.advance(delay);
        world.deliver(event).await;
        let row = world.links.parts().store.request_by_id(row.id).await.unwrap().unwrap();
        if row.state == RequestState::Fetched {
            return assert!(world.clock.now() >= until);
        }
        assert_eq!(row.updated_at, world.clock.now());
        assert_eq!(row.state, RequestState::Requested, "{:?}", row.note);
        (event, delay) = world.later();
    }
    panic!("it never came");
}
