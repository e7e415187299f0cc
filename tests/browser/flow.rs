//! The flow of readings is watched in the console, over the real functions, the simulated provider and the small FHIR server.

use std::collections::BTreeSet;
use std::time::Duration;

use ohx_sandbox::withings::NewGroup;
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::{Outside, http};
use ohx_tests::patient::{connect, consent};
use ohx_tests::until;
use serde_json::{Value, json};

use crate::{PATIENT, World};

/// Somebody with some days of history at the provider.
const DAYS: u32 = 12;

impl World {
    /// With a person at the provider who has some history, and no link.
    async fn with_history() -> Self {
        let outside = Outside::start().await;
        outside.person(1, "Ada");
        outside.withings.seed_history(1, DAYS, 2).unwrap();
        let deployment = Deployment::start(Shape::OneProcess, &outside).await;
        Self { outside, deployment, files: tempfile::tempdir().unwrap() }
    }

    /// With a link whose history came to the EHR, but for one reading that it refused. Gives the link.
    async fn with_a_dead_letter() -> (Self, String) {
        let world = Self::with_history().await;
        world.refuse_a_weight(6);
        let link = connect(&world.deployment, &world.outside, PATIENT, "1", DAYS + 1).await;
        until("the dead letter", 30, async || {
            let letters = world.deployment.list("/api/publishers/dead-letters/").await;
            (!letters.as_array()?.is_empty()).then_some(())
        })
        .await;
        world.syncs_are_done(&link).await;
        (world, link)
    }

    /// The EHR refuses a weight, the first after so many groups. Gives when it was measured, in Unix seconds.
    fn refuse_a_weight(&self, after: usize) -> i64 {
        let groups = self.outside.withings.truth(1).unwrap();
        let weighed = |content: &NewGroup| {
            content.category == 1 && content.attrib == 0 && content.measures.iter().any(|m| m.meastype == 1)
        };
        let group = groups.iter().skip(after).find(|group| weighed(&group.content)).unwrap();
        self.outside.refuse_at_ehr(&format!(".{}.body-weight", group.grpid), 422);
        group.content.date
    }

    /// Waits until nothing of the link's syncs is open.
    async fn syncs_are_done(&self, link: &str) {
        until("the syncs are done", 60, async || {
            let syncs = self.deployment.list(&format!("/api/ingestors/syncs/?link={link}")).await;
            let syncs = syncs.as_array().filter(|syncs| !syncs.is_empty())?.clone();
            syncs.iter().all(|sync| sync["open"] == 0).then_some(())
        })
        .await;
    }

    /// The states of the patient's Observations at the EHR.
    async fn states(&self) -> BTreeSet<String> {
        let url = format!("{}/Observation?subject={PATIENT}&_count=1000", self.outside.fhir_url);
        let bundle: Value = http().get(url).send().await.unwrap().json().await.unwrap();
        let all = bundle["entry"].as_array().into_iter().flatten();
        all.map(|entry| entry["resource"]["status"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn the_overview_counts_what_the_ehr_has_and_sees_what_comes() {
    let world = World::with_history().await;
    let console = world.deployment.public_url().to_owned();
    let made = world.drive_with("new-link", &console, json!({"patient": PATIENT, "days": DAYS + 1})).await;
    let (status, page) = consent(&world.outside, made["address"].as_str().unwrap(), "1").await;
    assert_eq!(status, 200, "{page}");
    let links = world.deployment.list("/api/base/provider-links/").await;
    let link = links[0]["id"].as_str().unwrap().to_owned();
    world.outside.agree(1, PATIENT).await;
    world.deployment.settled(&link).await;
    world.syncs_are_done(&link).await;
    let (before, _) = world.at_the_ehr().await;

    // A weighing is one more reading; it happens while somebody looks.
    let seen = world.files.path().join("seen");
    let weigh = async {
        until("the console was seen", 120, async || seen.exists().then_some(())).await;
        world.outside.withings.weigh_now(1, "72.10").unwrap();
    };
    let found = world.drive_with("overview", &console, json!({"more": 1}));
    let (found, ()) = tokio::join!(found, weigh);
    let (after, _) = world.at_the_ehr().await;
    assert_eq!(found, json!({"before": before, "after": after}), "the page says what the EHR has");

    let reader = json!({"name": "ward", "role": "clinician-read"});
    let (status, key) = world.deployment.post("/api/base/api-keys/", &reader).await;
    assert_eq!(status, 201);
    world.drive_with("reader", &console, json!({"reader": key["key"], "link": link})).await;
    world.drive_with("flow-without-script", &console, json!({})).await;
}

#[tokio::test]
async fn a_day_that_is_not_complete_says_why_and_its_dead_letter_is_replayed() {
    let (world, link) = World::with_a_dead_letter().await;
    let console = world.deployment.public_url().to_owned();
    world.drive_with("refused", &console, json!({"link": link})).await;
    world.outside.ehr_recovers();
    world.drive_with("replay", &console, json!({"link": link})).await;
    let row = world.outside.agreement(1, PATIENT).await;
    assert!(row.agrees(), "the reading has arrived: {row:?}");
}

#[tokio::test]
async fn a_link_is_ended_with_a_receipt() {
    let world = World::with_history().await;
    let link = connect(&world.deployment, &world.outside, PATIENT, "1", DAYS + 1).await;
    world.outside.agree(1, PATIENT).await;
    world.deployment.settled(&link).await;
    let found = world.drive_with("disconnect", world.deployment.public_url(), json!({"link": link})).await;
    let steps = found["steps"].as_array().unwrap();
    assert!(steps.len() >= 5, "{found}");
    for (step, came) in [
        ("Destroy the link's key", "Done"),
        ("End the provider's notifications", "Done"),
        // Withings has no way to be told.
        ("Revoke the grant", "Not offered"),
        ("End the device associations, at clinic", "Done"),
        ("entered-in-error, at clinic", "Done"),
    ] {
        let told = |row: &str| row.contains(step) && row.contains(came);
        assert!(steps.iter().filter_map(Value::as_str).any(told), "{step}: {found}");
    }
    assert_eq!(found["jws"].as_str().unwrap().split('.').count(), 3, "signed");
    assert_eq!(world.states().await, BTreeSet::from(["entered-in-error".to_owned()]));
}

#[tokio::test]
async fn axe_finds_nothing_on_the_pages_of_the_flow() {
    let (world, link) = World::with_a_dead_letter().await;
    let found = world.drive_with("flow-axe", world.deployment.public_url(), json!({"link": link})).await;
    assert_eq!(found["states"].as_u64(), Some(16), "{found}");
    assert_eq!(found["violations"], json!([]), "{found:#}");
}

/// The pictures of the documentation, into the folder of `OHX_SCREENSHOTS`: `make screenshots`.
#[tokio::test]
#[ignore = "writes docs/screenshots"]
#[allow(clippy::disallowed_methods, reason = "a test's own setting")]
async fn screenshots() {
    let folder = std::env::var("OHX_SCREENSHOTS").expect("OHX_SCREENSHOTS: where the pictures go");
    let outside = Outside::start().await.and_others().await;
    outside.person(1, "Ada");
    outside.withings.seed_history(1, 30, 3).unwrap();
    outside.withings.seed_daily(1, 30).unwrap();
    let deployment = Deployment::start(Shape::OneProcess, &outside).await;
    let world = World { outside, deployment, files: tempfile::tempdir().unwrap() };
    let measured = world.refuse_a_weight(60);
    let link = connect(&world.deployment, &world.outside, "Patient/1001", "1", 31).await;
    until("the dead letter", 60, async || {
        let letters = world.deployment.list("/api/publishers/dead-letters/").await;
        (!letters.as_array()?.is_empty()).then_some(())
    })
    .await;
    world.syncs_are_done(&link).await;
    let at = jiff::Timestamp::from_second(measured).unwrap();
    let day = at.in_tz("Europe/Vienna").unwrap().date().to_string();
    let new = json!({"provider": "withings", "ehr": "clinic", "patient": "Patient/1002"});
    let (_, waiting) = world.deployment.post("/api/base/provider-links/", &new).await;
    let task = json!({"link": link, "day": day, "connect": waiting["connect_url"], "pictures": folder});
    tokio::time::timeout(
        Duration::from_secs(200),
        world.drive_with("screenshots", world.deployment.public_url(), task),
    )
    .await
    .expect("the pictures are made");
}
