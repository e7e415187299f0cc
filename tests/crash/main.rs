//! Each function is killed at random points during a backfill of 2,000 readings, and started again: nothing is
//! missing, nothing is doubled. `OHX_CRASH_SEED` replays a run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    missing_docs
)]

use ohx_sandbox::withings::{Measure, NewGroup};
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::Outside;
use ohx_tests::patient::connect;
use ohx_tests::process::breathe;
use ohx_tests::until;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

const PATIENT: &str = "Patient/p1";
const READINGS: i64 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn one_process_is_killed_again_and_again() {
    survive(Shape::OneProcess, 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_is_killed_again_and_again() {
    survive(Shape::ManyProcesses, 40).await;
}

async fn survive(shape: Shape, kills: u32) {
    let seed =
        std::env::var("OHX_CRASH_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("OHX_CRASH_SEED={seed}");
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    // Small pages and slow answers stretch the backfill, so that every function is met at work.
    let outside = Outside::with(|config| {
        config.requests_per_minute = 100_000;
        config.page_size = 60;
    })
    .await
    .writing("update", 20);
    let person = outside.person(1, "Ada");
    let now = {
        use ohx_domain::Clock as _;
        ohx_domain::SystemClock.now().as_second()
    };
    let groups = (0..READINGS).map(|n| NewGroup {
        date: now - 60 - n * 1_200,
        attrib: 0,
        category: 1,
        modelid: (n % 3 != 0).then_some(18),
        measures: vec![Measure::new(1, 70_000 + n, -3)],
    });
    outside.withings.add_groups(person, groups.collect()).unwrap();
    outside.slow(30);
    let mut deployment = Deployment::start(shape, &outside).await;
    connect(&deployment, &outside, PATIENT, "1", 40).await;
    // In one process, a consent that nobody has acted on yet is the nightly run's to find.
    until("the backfill has begun", 60, async || {
        outside.withings.stats().calls.contains_key("measure/getmeas").then_some(())
    })
    .await;

    let mut killed = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..kills {
        breathe(rng.random_range(40..400)).await;
        // Those that events reach; the consent is over.
        let candidates: Vec<usize> = (0..deployment.processes.len())
            .filter(|&p| {
                !matches!(
                    deployment.processes[p].name.as_str(),
                    "ohx-oauth" | "ohx-api" | "ohx-webhook" | "ohx-metrics"
                )
            })
            .collect();
        let chosen = candidates[rng.random_range(0..candidates.len())];
        let process = &mut deployment.processes[chosen];
        process.kill();
        *killed.entry(process.name.clone()).or_default() += 1;
        breathe(rng.random_range(0..100)).await;
        process.restart();
    }
    outside.slow(0);
    let at_the_end = outside.agreement(person, PATIENT).await;
    println!("killed {killed:?}; {} of {READINGS} had arrived when the kills ended", at_the_end.ehr);

    // Every reading is at the EHR, once.
    let row = outside.agree(person, PATIENT).await;
    assert_eq!(row.provider, READINGS as usize, "{row:?}");
    until("the ledger knows", 60, async || {
        let links = deployment.list("/api/base/provider-links/").await;
        let link = links[0]["id"].as_str()?.to_owned();
        let coverage = deployment.list(&format!("/api/ingestors/coverage/?link={link}")).await;
        (coverage[0]["published"].as_array()?.len() == 1).then_some(())
    })
    .await;
}
