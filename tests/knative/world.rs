//! What the suites begin with.

use std::time::{Duration, Instant};

use cloudevents::AttributesReader as _;
use ohx_events::{Event, Function, subscribers, types};
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::{Outside, http};
use ohx_tests::patient::connect;

pub(crate) const PATIENT: &str = "Patient/p1";
/// In every event that is not ours: it must not come back.
pub(crate) const CANARY: &str = "72.1234567";

/// A clinic and a provider, and the exchange between them; nobody is connected yet.
pub(crate) async fn begin(days: i64) -> (Outside, Deployment, u64) {
    let outside = Outside::start().await;
    let person = outside.person(1, "Ada");
    outside.withings.seed_history(person, days.try_into().unwrap(), 3).unwrap();
    let deployment = Deployment::start(Shape::Broker, &outside).await;
    (outside, deployment, person)
}

/// The same with a patient whose history has arrived; gives the link.
pub(crate) async fn connected(days: i64) -> (Outside, Deployment, u64, String) {
    let (outside, deployment, person) = begin(days).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 31).await;
    outside.agree(person, PATIENT).await;
    deployment.settled(&link).await;
    (outside, deployment, person, link)
}

/// An event that a function has done: the broker remembers it. Doing it again changes nothing.
pub(crate) fn done_by(deployment: &Deployment, function: Function) -> Event {
    let broker = deployment.broker();
    let done = |event: &Event| {
        let by = |a: &&ohx_tests::broker::Attempt| a.to == Some(function) && a.id == event.id();
        broker.attempts().iter().filter(by).any(|a| a.status == Some(204))
    };
    let mut events = broker.events().into_iter();
    events
        .find(|e| subscribers(e.ty()).contains(&function) && done(e))
        .unwrap_or_else(|| panic!("{function} did nothing"))
}

/// Knative's ping.
pub(crate) fn ping() -> Event {
    use cloudevents::{EventBuilder as _, EventBuilderV10};
    EventBuilderV10::new()
        .id(format!("{:016x}", rand::random::<u64>()))
        .ty(types::PING)
        .source("/apis/v1/namespaces/ohx/pingsources/nightly")
        .data("application/json", serde_json::json!({}))
        .build()
        .unwrap()
}

/// Nothing was given up, and nothing lost.
pub(crate) async fn nothing_was_lost(deployment: &Deployment) {
    let broker = deployment.broker();
    assert!(broker.dead().is_empty(), "{:?}", broker.dead());
    assert!(broker.dropped().is_empty(), "{:?}", broker.dropped());
    assert_eq!(deployment.list("/api/publishers/dead-letters/").await, serde_json::json!([]));
}

/// How long a process may take until it answers: a machine that builds beside it is slow.
const SECONDS: Duration = Duration::from_secs(10);

/// Waits until a process that was just started says yes to a probe; gives how long that took.
pub(crate) async fn answers(process: String, probe: &str) -> Duration {
    let began = Instant::now();
    let url = format!("{process}/{probe}");
    loop {
        let answer = http().get(&url).send().await;
        if answer.is_ok_and(|answer| answer.status() == 200) {
            return began.elapsed();
        }
        assert!(began.elapsed() < SECONDS, "{url} does not answer");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
