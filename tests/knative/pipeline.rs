//! Readings travel through the broker: once, whatever it does to its events, and from functions that sleep.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cloudevents::AttributesReader as _;
use ohx_events::envelope::text_extension;
use ohx_events::{Event, Function, types};
use ohx_tests::patient::connect;
use ohx_tests::process::Process;
use tokio::sync::Mutex;

use crate::world::{PATIENT, answers, begin, nothing_was_lost};

#[tokio::test(flavor = "multi_thread")]
async fn history_and_news_arrive_once() {
    let (outside, deployment, person) = begin(30).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 31).await;
    let history = outside.agree(person, PATIENT).await;
    assert!(history.ehr > 100, "{history:?}");
    deployment.settled(&link).await;
    outside.withings.weigh_now(person, "72.10").unwrap();
    let news = outside.agree(person, PATIENT).await;
    assert!(news.ehr > history.ehr, "{news:?}");
    assert_eq!(outside.ehr.snapshot().doubles, 0);
    nothing_was_lost(&deployment).await;

    // The news is one trace, from the notification's event to the last.
    let events = deployment.broker().events();
    let traces = |kind: &str| -> Vec<String> {
        let of = |event: &&Event| event.ty() == kind;
        events.iter().filter(of).map(|event| trace(event).expect("a trace")).collect()
    };
    let last = traces(types::RESOURCES_PUBLISHED).pop().expect("something was published");
    for kind in [types::SYNC_REQUESTED, types::RECORDS_FETCHED, types::RESOURCES_MAPPED] {
        assert!(traces(kind).contains(&last), "{kind} is in another trace");
    }
}

/// The id of an event's trace.
fn trace(event: &Event) -> Option<String> {
    text_extension(event, "traceparent")?.split('-').nth(1).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_answers_only_after_delivery_is_waited_for() {
    let (outside, deployment, person) = begin(10).await;
    deployment.broker().deliver(|delivery| delivery.answers_late = true);
    let link = connect(&deployment, &outside, PATIENT, "1", 31).await;
    outside.agree(person, PATIENT).await;
    deployment.settled(&link).await;
    outside.withings.weigh_now(person, "72.10").unwrap();
    outside.agree(person, PATIENT).await;
    assert_eq!(outside.ehr.snapshot().doubles, 0);
    nothing_was_lost(&deployment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twice_and_in_no_order_is_still_once() {
    let (outside, deployment, person) = begin(30).await;
    deployment.broker().deliver(|delivery| {
        delivery.twice = true;
        delivery.disorder = Duration::from_millis(400);
    });
    let link = connect(&deployment, &outside, PATIENT, "1", 31).await;
    outside.agree(person, PATIENT).await;
    deployment.settled(&link).await;
    let before = outside.agreement(person, PATIENT).await;
    for weight in ["72.10", "72.30", "71.90"] {
        outside.withings.weigh_now(person, weight).unwrap();
    }
    let after = outside.agree(person, PATIENT).await;
    assert!(after.ehr > before.ehr, "{after:?}");
    assert_eq!(outside.ehr.snapshot().doubles, 0);
    nothing_was_lost(&deployment).await;
}

/// Everything that events are for is scaled to zero; the first event of each wakes it, as the activator does: it waits for
/// the function's probe, and passes the event on.
#[tokio::test(flavor = "multi_thread")]
async fn functions_at_zero_are_woken_by_events() {
    let (outside, mut deployment, person) = begin(5).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 31).await;
    outside.agree(person, PATIENT).await;
    deployment.settled(&link).await;
    let mut asleep: BTreeMap<Function, Arc<Mutex<Process>>> = BTreeMap::new();
    for function in Function::ALL {
        let name = format!("ohx-{function}");
        let at = deployment.processes.iter().position(|process| process.name == name).unwrap();
        let mut process = deployment.processes.remove(at);
        assert_eq!(process.terminate().await, Some(0), "{name}");
        asleep.insert(function, Arc::new(Mutex::new(process)));
    }
    let all = asleep.clone();
    deployment.broker().activate_with(Arc::new(move |function| {
        let one = all[&function].clone();
        Box::pin(async move {
            let mut process = one.lock_owned().await;
            if !process.runs() {
                process.restart();
                let took = answers(process.url(), "readyz").await;
                println!("{function} was woken in {:.1} ms", took.as_secs_f64() * 1000.0);
            }
        })
    }));
    outside.withings.weigh_now(person, "72.10").unwrap();
    outside.agree(person, PATIENT).await;
    for function in [Function::Fetch, Function::Transform, Function::Publish] {
        assert!(asleep[&function].lock().await.runs(), "{function} was needed");
    }
    nothing_was_lost(&deployment).await;
}
