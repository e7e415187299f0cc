//! `/metrics` of the `metrics` function, and of the one process: its numbers are what the world is.

use std::sync::Arc;
use std::time::Duration;

use ohx_domain::{Clock as _, ManualClock, SystemClock};
use ohx_metrics::Collector;
use ohx_store::SharedStore;
use ohx_store_postgres::PostgresStore;
use ohx_store_sqlite::SqliteStore;
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::Outside;
use ohx_tests::patient::{connect, create_link};
use ohx_tests::until;

use crate::both_shapes;

both_shapes!(the_numbers_are_what_the_world_is, a_pause_of_the_ehr_shows_and_passes);

const PATIENT: &str = "Patient/p1";
const DAY: Duration = Duration::from_secs(86_400);

async fn start(shape: Shape, outside: &Outside) -> Deployment {
    Deployment::start_with(shape, outside, async |settings| {
        settings.insert("OHX_METRICS_KEPT_SECONDS".into(), "0".into());
    })
    .await
}

/// A sample of a text, by its name and labels.
fn sample(text: &str, name: &str) -> Option<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(value.parse().unwrap())
}

/// Waits until a sample has a value.
async fn becomes(deployment: &Deployment, name: &str, value: f64) {
    until(&format!("{name} becomes {value}"), 60, async || {
        let text = deployment.metrics("metrics").await;
        (sample(&text, name) == Some(value)).then_some(())
    })
    .await;
}

/// The same database, read by another process whose clock is ahead.
async fn ahead(deployment: &Deployment, by: Duration) -> String {
    let url = deployment.setting("DATABASE_URL").unwrap();
    let store: SharedStore = match url.starts_with("sqlite") {
        true => Arc::new(SqliteStore::open(url).await.unwrap()),
        false => Arc::new(PostgresStore::connect(url).unwrap()),
    };
    let clock = Arc::new(ManualClock::new(SystemClock.now() + by));
    Collector::new(store, None, clock, Duration::ZERO).text().await
}

async fn the_numbers_are_what_the_world_is(shape: Shape) {
    let outside = Outside::start().await;
    let person = outside.person(1, "Ada");
    outside.withings.seed_history(person, 5, 3).unwrap();
    let mut deployment = start(shape, &outside).await;
    let text = deployment.metrics("metrics").await;
    assert!(!text.contains("ohx_links{") && !text.contains("ohx_nightly_"), "nothing yet: {text}");
    assert_eq!(sample(&text, "ohx_open_requests{provider=\"withings\"}"), Some(0.0), "{text}");

    let link = connect(&deployment, &outside, PATIENT, "1", 6).await;
    deployment.settled(&link).await;
    outside.agree(person, PATIENT).await;
    for name in [
        "ohx_open_requests{provider=\"withings\"}",
        "ohx_queue_events{function=\"fetch\",priority=\"low\"}",
        "ohx_queue_events{function=\"publish\",priority=\"low\"}",
        "ohx_queue_lag_events{function=\"devices\",priority=\"low\"}",
    ] {
        becomes(&deployment, name, 0.0).await;
    }
    let created = "ohx_readings_total{provider=\"withings\",outcome=\"created\"}";
    let at_the_ehr = outside.ehr.observations_of(PATIENT).len();
    assert!(at_the_ehr > 10, "{at_the_ehr}");
    let text = deployment.metrics("metrics").await;
    for (name, value) in [
        ("ohx_links{provider=\"withings\",state=\"active\"}", 1.0),
        ("ohx_link_freshness_seconds_bucket{provider=\"withings\",le=\"3600\"}", 1.0),
        ("ohx_link_freshness_seconds_count{provider=\"withings\"}", 1.0),
        ("ohx_coverage_gap_links{provider=\"withings\"}", 0.0),
        ("ohx_dead_letters{function=\"publish\"}", 0.0),
        ("ohx_readings_total{provider=\"withings\",outcome=\"rejected\"}", 0.0),
        (created, at_the_ehr as f64),
        ("ohx_ehr_paused{ehr=\"clinic\"}", 0.0),
        ("ohx_provider_retired{provider=\"withings\"}", 0.0),
        ("ohx_metrics_collection_errors_total{part=\"database\"}", 0.0),
        ("ohx_metrics_collection_errors_total{part=\"broker\"}", 0.0),
    ] {
        assert_eq!(sample(&text, name), Some(value), "{name} in {text}");
    }
    assert!(!text.contains(&link), "no link is told");

    // A link that waits for a consent, and a reading that the EHR refuses.
    create_link(&deployment, "Patient/p2", 1).await;
    outside.refuse_at_ehr(".body-weight", 422);
    outside.withings.weigh_now(person, "72.10").unwrap();
    becomes(&deployment, "ohx_dead_letters{function=\"publish\"}", 1.0).await;
    becomes(&deployment, "ohx_coverage_gap_links{provider=\"withings\"}", 1.0).await;
    becomes(&deployment, "ohx_readings_total{provider=\"withings\",outcome=\"rejected\"}", 1.0).await;
    becomes(&deployment, "ohx_links{provider=\"withings\",state=\"pending\"}", 1.0).await;

    // Three days later, if nothing more came.
    let later = ahead(&deployment, 3 * DAY).await;
    for (bound, links) in [("172800", 0.0), ("604800", 1.0), ("+Inf", 1.0)] {
        let name = format!("ohx_link_freshness_seconds_bucket{{provider=\"withings\",le=\"{bound}\"}}");
        assert_eq!(sample(&later, &name), Some(links), "{later}");
    }
    let sum = sample(&later, "ohx_link_freshness_seconds_sum{provider=\"withings\"}").unwrap();
    assert!((259_200.0..262_800.0).contains(&sum), "{sum}");

    if shape == Shape::ManyProcesses {
        let before = SystemClock.now().as_second() as f64;
        deployment.ping_nightly().await;
        // A reading is kept for a moment in any case.
        let (text, began, ended) = until("the night shows", 20, async || {
            let text = deployment.metrics("metrics").await;
            let began = sample(&text, "ohx_nightly_last_start_timestamp_seconds")?;
            let ended = sample(&text, "ohx_nightly_last_completion_timestamp_seconds")?;
            Some((text, began, ended))
        })
        .await;
        assert!(before <= began && began <= ended, "{text}");
        let calls = sample(&text, "ohx_nightly_predicted_calls{provider=\"withings\"}").unwrap();
        let finish =
            sample(&text, "ohx_nightly_predicted_finish_timestamp_seconds{provider=\"withings\"}").unwrap();
        assert!(calls >= 2.0 && finish >= began, "{text}");
    }
    // Every process begins anew; what was counted stays.
    let counted = sample(&deployment.metrics("metrics").await, created).unwrap();
    deployment.restart_with(&[]).await;
    let text = deployment.metrics("metrics").await;
    assert!(sample(&text, created).unwrap() >= counted && counted >= at_the_ehr as f64, "{text}");
}

async fn a_pause_of_the_ehr_shows_and_passes(shape: Shape) {
    let outside = Outside::start().await;
    let person = outside.person(1, "Ada");
    outside.withings.seed_history(person, 2, 2).unwrap();
    let deployment = start(shape, &outside).await;
    outside.busy_ehr(1000, 5);
    connect(&deployment, &outside, PATIENT, "1", 3).await;
    becomes(&deployment, "ohx_ehr_paused{ehr=\"clinic\"}", 1.0).await;
    until("requests wait", 30, async || {
        let text = deployment.metrics("metrics").await;
        (sample(&text, "ohx_open_requests{provider=\"withings\"}")? >= 1.0
            && sample(&text, "ohx_oldest_open_request_age_seconds{provider=\"withings\"}")? > 0.0)
            .then_some(())
    })
    .await;
    outside.ehr_recovers();
    outside.agree(person, PATIENT).await;
    becomes(&deployment, "ohx_ehr_paused{ehr=\"clinic\"}", 0.0).await;
    becomes(&deployment, "ohx_open_requests{provider=\"withings\"}", 0.0).await;
}
