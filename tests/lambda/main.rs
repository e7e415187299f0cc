//! Every function on AWS Lambda: HTTP by function URLs and API Gateway, events by event source mappings of SQS, the nightly run by
//! a schedule, all of it in an emulator that runs the real binaries; and, against a runtime interface of our own, what happens
//! between an answer and the freezing of the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod batches;
mod frozen;
mod gateways;
mod http;
mod template;

use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::Outside;
use ohx_tests::patient::connect;
use ohx_tests::{services, until};

const PATIENT: &str = "Patient/p1";

/// A world with one connected patient, whose history is at the EHR.
async fn world() -> (Outside, Deployment, u64, String) {
    let outside = Outside::start().await.reading(&["getmeas"]);
    let person = outside.person(1, "Ada");
    outside.withings.seed_history(person, 10, 3).unwrap();
    let deployment = Deployment::start(Shape::Lambda, &outside).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 11).await;
    (outside, deployment, person, link)
}

/// The main job: a patient consents, the history comes by the low queues, a notification by the high ones, a late reading by the
/// nightly run. Each reading is there once.
#[tokio::test(flavor = "multi_thread")]
async fn readings_travel() {
    let (outside, deployment, person, link) = world().await;
    let history = outside.agree(person, PATIENT).await;
    assert!(history.ehr > 25, "{history:?}");
    deployment.settled(&link).await;

    outside.withings.weigh_now(person, "72.10").unwrap();
    let news = outside.agree(person, PATIENT).await;
    assert_eq!(news.ehr, history.ehr + 1, "{news:?}");

    outside.withings.inject(ohx_sandbox::withings::Fault::LoseNotifications { count: 100 });
    outside.withings.weigh_now(person, "72.30").unwrap();
    deployment.ping_nightly().await;
    let late = outside.agree(person, PATIENT).await;
    assert_eq!(late.ehr, news.ehr + 1, "{late:?}");

    // What was asked for by the API is asked of the provider, and changes nothing.
    let (status, sync) = deployment.post("/api/ingestors/syncs/", &serde_json::json!({ "link": link })).await;
    assert_eq!(status, 202, "{sync}");
    let path = format!("/api/ingestors/syncs/{}/", sync["id"].as_str().unwrap());
    let done = until("the sync is published", 60, async || {
        let shown = deployment.get(&path).await;
        (shown["completed"] == true).then_some(shown)
    })
    .await;
    assert_eq!((&done["counts"]["created"], &done["counts"]["updated"]), (&0.into(), &0.into()), "{done}");
    assert_eq!(outside.agree(person, PATIENT).await, late);
    assert_eq!(deployment.list("/api/publishers/dead-letters/").await, serde_json::json!([]));
}

/// A client of the queues that knows nothing of us.
async fn sqs() -> aws_sdk_sqs::Client {
    let base = services::sqs_url();
    let endpoint = base.rsplit_once('/').unwrap().0.to_owned();
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).endpoint_url(endpoint);
    aws_sdk_sqs::Client::new(&config.load().await)
}

/// The EHR asks for time: the event comes again after that, and not only when the queue's own invisibility ends.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_to_wait_comes_again_after_its_delay() {
    let (outside, deployment, person, link) = world().await;
    deployment.settled(&link).await;
    outside.agree(person, PATIENT).await;
    let prefix = deployment.setting("OHX_SQS_PREFIX").unwrap();
    for priority in ["high", "normal", "low"] {
        let queue = format!("{}/{prefix}-publish-{priority}", services::sqs_url());
        let change = sqs().await.set_queue_attributes().queue_url(queue);
        change.attributes(QueueAttributeName::VisibilityTimeout, "3600").send().await.unwrap();
    }
    outside.withings.inject(ohx_sandbox::withings::Fault::LoseNotifications { count: 100 });
    outside.withings.weigh_now(person, "72.10").unwrap();
    outside.busy_ehr(1, 8);
    let began = tokio::time::Instant::now();
    let (status, sync) = deployment.post("/api/ingestors/syncs/", &serde_json::json!({ "link": link })).await;
    assert_eq!(status, 202, "{sync}");
    // Nobody else calls the EHR meanwhile: the answer is for the function.
    let path = format!("/api/ingestors/syncs/{}/", sync["id"].as_str().unwrap());
    until("the sync is published", 120, async || {
        (deployment.get(&path).await["completed"] == true).then_some(())
    })
    .await;
    assert!(began.elapsed() > Duration::from_secs(8), "{:?}", began.elapsed());
    outside.agree(person, PATIENT).await;
    assert_eq!(deployment.list("/api/publishers/dead-letters/").await, serde_json::json!([]));
}
