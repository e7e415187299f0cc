//! One trace shows a reading's way, from the provider's notification to the EHR.

use std::collections::BTreeSet;
use std::time::Duration;

use ohx_tests::collector::{Collector, Span};
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::Outside;
use ohx_tests::patient::connect;

use crate::both_shapes;

both_shapes!(one_trace_from_the_notification_to_the_ehr, a_collector_that_is_away_holds_nothing_up,);

const PATIENT: &str = "Patient/p1";

/// What a reading passes, from the EHR back to the notification.
const WAY: [&str; 5] = [
    "ehr",
    "org.openhealthexchange.resources.mapped.v1",
    "org.openhealthexchange.records.fetched.v1",
    "org.openhealthexchange.sync.requested.v1",
    "POST /webhook/{provider}/{link}/{token}",
];

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_from_the_notification_to_the_ehr_over_sqs() {
    one_trace_from_the_notification_to_the_ehr(Shape::Sqs).await;
}

async fn one_trace_from_the_notification_to_the_ehr(shape: Shape) {
    let outside = Outside::start().await;
    let person = outside.person(1, "Ada");
    outside.withings.seed_history(person, 3, 2).unwrap();
    let (collector, url) = Collector::start().await;
    let deployment = Deployment::start_with(shape, &outside, async |environment| {
        environment.insert("OTEL_EXPORTER_OTLP_ENDPOINT".into(), url);
        environment.insert("OTEL_BSP_SCHEDULE_DELAY".into(), "100".into());
    })
    .await;
    let link = connect(&deployment, &outside, PATIENT, "1", 4).await;
    deployment.settled(&link).await;
    outside.withings.weigh_now(person, "72.10").unwrap();
    outside.agree(person, PATIENT).await;

    let names = |way: &[Span]| way.iter().map(|span| span.name.clone()).collect::<Vec<_>>();
    let found = async || {
        collector.ways("ehr").into_iter().find(|way| {
            way.len() == WAY.len() && way.iter().zip(WAY).all(|(span, name)| span.name.ends_with(name))
        })
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            match found().await {
                Some(way) => break way,
                None => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
    let Ok(way) = in_time.await else {
        let seen: BTreeSet<_> = collector.ways("ehr").iter().map(|way| names(way)).collect();
        panic!("no trace from the notification to the EHR; these lead to the EHR: {seen:#?}");
    };
    let services: Vec<_> = way.iter().map(|span| span.service.as_str()).collect();
    match shape {
        Shape::OneProcess => assert_eq!(services, ["ohx"; 5]),
        _ => assert_eq!(services, ["publish", "publish", "transform", "fetch", "webhook"]),
    }
    for event in &way[1..4] {
        assert_eq!(event.attributes["link"], link, "{event:?}");
        assert_eq!(event.attributes["status"], "204", "{event:?}");
    }
    // The provider was asked in the same trace, and a log line leads to it.
    let mut trace = String::new();
    way[0].trace.iter().for_each(|byte| trace.push_str(&format!("{byte:02x}")));
    let asked = collector.spans().into_iter().any(|s| s.name == "provider" && s.trace == way[0].trace);
    assert!(asked, "the call to the provider");
    assert!(deployment.logs().contains(&format!("\"trace_id\":\"{trace}\"")), "no log line has {trace}");
}

async fn a_collector_that_is_away_holds_nothing_up(shape: Shape) {
    let outside = Outside::start().await;
    let person = outside.person(1, "Ada");
    outside.withings.seed_history(person, 3, 2).unwrap();
    let mut deployment = Deployment::start_with(shape, &outside, async |environment| {
        environment.insert("OTEL_EXPORTER_OTLP_ENDPOINT".into(), "http://127.0.0.1:1".into());
        environment.insert("OTEL_BSP_SCHEDULE_DELAY".into(), "100".into());
    })
    .await;
    connect(&deployment, &outside, PATIENT, "1", 4).await;
    outside.agree(person, PATIENT).await;
    // Ends by itself, within the time that a process is given.
    for process in &mut deployment.processes {
        process.terminate().await;
    }
}
