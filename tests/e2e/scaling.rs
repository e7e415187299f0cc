//! Copies of the functions and of the relay share one load.

use std::collections::BTreeMap;

use ohx_events::Function;
use ohx_sandbox::withings::Fault;
use ohx_tests::copies::Copies;
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::{Outside, http};
use ohx_tests::patient::connect;

#[tokio::test(flavor = "multi_thread")]
async fn copies_share_one_load_over_redis() {
    copies_share_one_load(Shape::ManyProcesses).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_share_one_load_over_sqs() {
    copies_share_one_load(Shape::Sqs).await;
}

/// Three relays before three copies of each function: each has its part of the work, and each reading arrives once.
async fn copies_share_one_load(shape: Shape) {
    const PATIENTS: u64 = 6;
    let outside = Outside::start().await;
    let mut deployment = Deployment::start(shape, &outside).await;
    let mut copies = Copies::of(&mut deployment, 3).await;
    for id in 1..=PATIENTS {
        let person = outside.person(id, &format!("Patient {id}"));
        outside.withings.seed_history(person, 4, 2).unwrap();
        connect(&deployment, &outside, &format!("Patient/p{id}"), &id.to_string(), 5).await;
    }
    // Slow, so that one relay is not done before the others have asked.
    outside.withings.inject(Fault::Latency { millis: 1500 });
    copies.relays(3).await;
    for id in 1..=PATIENTS {
        // Waits until both sides agree: none is missing, none is doubled.
        outside.agree(id, &format!("Patient/p{id}")).await;
    }
    for (relay, (_, fronts)) in copies.running.iter().enumerate() {
        let calls: BTreeMap<Function, usize> =
            fronts.iter().map(|(function, front)| (*function, front.calls())).collect();
        assert!(calls.values().sum::<usize>() > 0, "relay {relay} delivered nothing: {calls:?}");
    }
    let own = deployment.processes.iter();
    for process in own.chain(&copies.further) {
        let Some(function @ ("fetch" | "transform" | "publish")) = process.name.strip_prefix("ohx-") else {
            continue;
        };
        let metrics =
            http().get(format!("{}/metrics", process.url())).send().await.unwrap().text().await.unwrap();
        let done = metrics.lines().any(|line| {
            line.starts_with(&format!("ohx_events_total{{function=\"{function}\",outcome=\"done\""))
        });
        assert!(done, "a copy of {function} did nothing:\n{metrics}");
    }
    assert_eq!(deployment.list("/api/publishers/dead-letters/").await, serde_json::json!([]));
}
