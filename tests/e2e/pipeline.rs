//! Readings travel: history, notifications, corrections, late data, reconnection.

use ohx_sandbox::withings::{Measure, NewGroup};
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::Outside;
use ohx_tests::patient::connect;
use ohx_tests::until;

use crate::both_shapes;

both_shapes!(
    history_and_news_arrive_once,
    a_server_that_assigns_ids_gets_each_reading_once,
    a_corrected_reading_replaces_the_former,
    two_patients_do_not_mix,
    a_burst_of_notifications_is_few_requests,
    nothing_readable_is_kept,
);

/// The main job over SQS: history by the low queues, news by the high ones.
#[tokio::test(flavor = "multi_thread")]
async fn history_and_news_arrive_once_over_sqs() {
    history_and_news_arrive_once(Shape::Sqs).await;
}

/// Push fails, a watch syncs days late, a reading is corrected: the nightly run asks for what changed, and finds it.
#[tokio::test(flavor = "multi_thread")]
async fn the_nightly_run_finds_what_nobody_told_of() {
    let (outside, deployment, person) = world(Shape::ManyProcesses).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 31).await;
    outside.agree(person, PATIENT).await;
    deployment.settled(&link).await;
    outside.withings.inject(ohx_sandbox::withings::Fault::LoseNotifications { count: 100 });
    let days_ago: ohx_domain::Instant = ohx_domain::Instant::from_second(jiff_now() - 9 * 86_400).unwrap();
    outside.withings.late(person, days_ago, 97).unwrap();
    let grpid = outside.withings.add_group(person, weight(72_100)).unwrap();
    outside.withings.correct(grpid, vec![Measure::new(1, 72_200, -3)]).unwrap();
    let before = outside.agreement(person, PATIENT).await;
    assert_eq!(before.missing, 2, "{before:?}");
    deployment.ping_nightly().await;
    outside.agree(person, PATIENT).await;

    // Again: only what changed since is asked for, and nothing is written.
    let requests = |logs: &str| logs.matches("\"nightly run planned\"").count();
    let planned = requests(&deployment.logs());
    deployment.ping_nightly().await;
    assert_eq!(requests(&deployment.logs()), planned + 1);
    outside.agree(person, PATIENT).await;
}

const PATIENT: &str = "Patient/p1";

async fn world(shape: Shape) -> (Outside, Deployment, u64) {
    let outside = Outside::start().await;
    let person = outside.person(1, "Ada");
    outside.withings.seed_history(person, 30, 3).unwrap();
    let deployment = Deployment::start(shape, &outside).await;
    (outside, deployment, person)
}

async fn history_and_news_arrive_once(shape: Shape) {
    let (outside, deployment, person) = world(shape).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 31).await;
    let history = outside.agree(person, PATIENT).await;
    assert!(history.ehr > 100, "{history:?}");

    // The ledger says so too, and nothing is missing up to the moment of the fetch.
    until("the window is covered", 20, async || {
        let coverage = deployment.list(&format!("/api/ingestors/coverage/?link={link}")).await;
        let published = coverage[0]["published"].as_array()?.len();
        (published == 1).then_some(())
    })
    .await;

    deployment.settled(&link).await;
    outside.withings.weigh_now(person, "72.10").unwrap();
    let news = outside.agree(person, PATIENT).await;
    assert!(news.ehr > history.ehr, "{news:?}");
    assert_eq!(deployment.list("/api/publishers/dead-letters/").await, serde_json::json!([]));

    // Asking again changes nothing at the EHR.
    let (status, sync) = deployment
        .post("/api/ingestors/syncs/", &serde_json::json!({"link": link, "from": "2020-01-01T00:00:00Z"}))
        .await;
    assert_eq!(status, 422, "a window of years is too long: {sync}");
    let (status, sync) = deployment.post("/api/ingestors/syncs/", &serde_json::json!({"link": link})).await;
    assert_eq!(status, 202, "{sync}");
    let sync = sync["id"].as_str().unwrap().to_owned();
    let done = until("the sync is published", 30, async || {
        let shown = deployment.get(&format!("/api/ingestors/syncs/{sync}/")).await;
        (shown["completed"] == true).then_some(shown)
    })
    .await;
    assert_eq!(done["counts"]["created"], 0, "{done}");
    assert_eq!(done["counts"]["updated"], 0, "{done}");
    assert_eq!(outside.agree(person, PATIENT).await, news);
}

async fn a_server_that_assigns_ids_gets_each_reading_once(shape: Shape) {
    let outside = Outside::start().await.writing("conditional-create", 50);
    let person = outside.person(1, "Ada");
    outside.withings.seed_history(person, 10, 3).unwrap();
    let deployment = Deployment::start(shape, &outside).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 11).await;
    deployment.settled(&link).await;
    outside.agree(person, PATIENT).await;
    outside.withings.weigh_now(person, "80.05").unwrap();
    outside.agree(person, PATIENT).await;
}

async fn a_corrected_reading_replaces_the_former(shape: Shape) {
    let (outside, deployment, person) = world(shape).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 31).await;
    deployment.settled(&link).await;
    outside.agree(person, PATIENT).await;
    let grpid = outside.withings.add_group(person, weight(72_100)).unwrap();
    outside.agree(person, PATIENT).await;
    outside.withings.correct(grpid, vec![Measure::new(1, 71_300, -3)]).unwrap();
    let (status, _) = deployment.post("/api/ingestors/syncs/", &serde_json::json!({"link": link})).await;
    assert_eq!(status, 202);
    // The same resource: `altered` back to none, and no doubles.
    outside.agree(person, PATIENT).await;
}

fn weight(grams: i64) -> NewGroup {
    let date = jiff_now() - 3600;
    NewGroup { date, attrib: 0, category: 1, modelid: None, measures: vec![Measure::new(1, grams, -3)] }
}

fn jiff_now() -> i64 {
    use ohx_domain::Clock as _;
    ohx_domain::SystemClock.now().as_second()
}

async fn two_patients_do_not_mix(shape: Shape) {
    let (outside, deployment, ada) = world(shape).await;
    let ben = outside.person(2, "Ben");
    outside.withings.seed_history(ben, 20, 2).unwrap();
    connect(&deployment, &outside, PATIENT, "1", 31).await;
    connect(&deployment, &outside, "Patient/p2", "2", 31).await;
    let (a, b) = (outside.agree(ada, PATIENT).await, outside.agree(ben, "Patient/p2").await);
    assert_ne!(a.ehr, b.ehr, "two histories of different length");
}

async fn a_burst_of_notifications_is_few_requests(shape: Shape) {
    let (outside, deployment, person) = world(shape).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 31).await;
    outside.agree(person, PATIENT).await;
    deployment.settled(&link).await;
    let before = outside.withings.stats();
    for grams in 0..8 {
        outside.withings.add_group(person, weight(70_000 + grams)).unwrap();
    }
    outside.agree(person, PATIENT).await;
    outside.withings.idle().await;
    let after = outside.withings.stats();
    let notified = after.notify_delivered - before.notify_delivered;
    let reads = after.calls["measure/getmeas"] - before.calls["measure/getmeas"];
    assert!(notified >= 8, "{after:?}");
    assert!(reads <= 4, "{reads} reads for {notified} notifications");
}

/// No value, token or account in logs, database or queue.
async fn nothing_readable_is_kept(shape: Shape) {
    let (outside, deployment, _) = world(shape).await;
    let canary = outside.person(987_654_321, "Canary");
    for kg in 0..5 {
        let measures = vec![Measure::new(1, 77_123_400 + kg, -6)];
        let group =
            NewGroup { date: jiff_now() - 7200 - kg, attrib: 0, category: 1, modelid: None, measures };
        outside.withings.add_group(canary, group).unwrap();
    }
    connect(&deployment, &outside, "Patient/canary", "987654321", 31).await;
    outside.agree(canary, "Patient/canary").await;
    let secrets =
        ["771234", "77.1234", "987654321", ohx_tests::outside::CLIENT_SECRET, ohx_tests::deployment::API_KEY];
    for (file, bytes) in deployment.written() {
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "{secret} is readable in {file}");
        }
    }
}
