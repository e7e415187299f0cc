//! The patient's pages, driven by `patient.mjs`: through the real addresses and the sandbox's consent page.

use std::process::Stdio;
use std::time::Duration;

use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::Outside;
use ohx_tests::patient::create_link;
use serde_json::{Value, json};
use tokio::process::Command;

const PEOPLE: [&str; 4] = ["Ada", "Ben", "Chiyo", "Dora"];

struct World {
    outside: Outside,
    deployment: Deployment,
    addresses: Vec<String>,
    links: Vec<String>,
}

impl World {
    /// Four people, and a link for each of four patients.
    async fn start() -> Self {
        let outside = Outside::start().await;
        for (n, name) in PEOPLE.iter().enumerate() {
            let person = outside.person(n as u64 + 1, name);
            outside.withings.seed_history(person, 14, 3).expect("a past");
        }
        let deployment = Deployment::start(Shape::OneProcess, &outside).await;
        // What an operator does once in the provider's dashboard.
        let redirect = format!("{}/oauth/callback/withings", deployment.public_url());
        outside.withings.register_redirect(&redirect);
        let (mut addresses, mut links) = (Vec::new(), Vec::new());
        for n in 1..=PEOPLE.len() {
            let (link, address) = create_link(&deployment, &format!("Patient/p{n}"), 14).await;
            addresses.push(address);
            links.push(link);
        }
        Self { outside, deployment, addresses, links }
    }

    /// Runs a scenario; gives what it found.
    async fn drive(&self, scenario: &str) -> Value {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let task = json!({"scenario": scenario, "url": self.deployment.public_url(),
            "provider": self.outside.withings_url, "addresses": self.addresses, "people": PEOPLE});
        let run = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/browser/patient.mjs"))
            .arg(task.to_string())
            .current_dir(format!("{root}/target/browser"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let run = tokio::time::timeout(Duration::from_secs(240), run).await.expect("the browser ends");
        let run = run.expect("node, and target/browser: run tests/needs chromium browser, or make test");
        let said = String::from_utf8_lossy(&run.stdout);
        let wrong = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{scenario}:\n{said}\n{wrong}\n{}", self.deployment.logs());
        serde_json::from_str(said.lines().last().expect("a result")).expect("JSON")
    }

    async fn state(&self, n: usize) -> Value {
        let shown = self.deployment.get(&format!("/api/base/provider-links/{}/", self.links[n])).await;
        shown["state"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_each_language_patients_connect_see_their_readings_come_and_disconnect() {
    let world = World::start().await;
    let found = world.drive("languages").await;
    for n in 0..PEOPLE.len() {
        assert_eq!(world.state(n).await, "disconnected");
        // What has arrived stays; nothing of it was said on a page.
        let there = world.outside.agree(n as u64 + 1, &format!("Patient/p{}", n + 1)).await;
        assert_eq!(found["delivered"][n].as_u64(), Some(there.provider as u64), "{found}: {there:?}");
    }
    for (name, bytes) in world.deployment.written() {
        let text = String::from_utf8_lossy(&bytes);
        for address in &world.addresses {
            let ticket = address.rsplit('/').next().expect("a ticket");
            assert!(!text.contains(ticket), "an address of a patient is in {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_no_or_comes_too_late_is_told_so_in_their_language() {
    let world = World::start().await;
    world.drive("refused").await;
    assert_eq!(world.state(0).await, "pending");
    assert_eq!(world.state(1).await, "active");
    assert_eq!(world.state(2).await, "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyboard_is_enough_to_connect_and_to_disconnect() {
    let world = World::start().await;
    world.drive("keyboard").await;
    assert_eq!(world.state(0).await, "disconnected");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_script_and_on_a_small_phone_it_is_the_same() {
    let world = World::start().await;
    world.outside.slow(200);
    world.drive("without-script").await;
    assert_eq!(world.state(0).await, "disconnected");
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_on_any_page_of_a_patient() {
    let world = World::start().await;
    world.outside.slow(1500);
    let found = world.drive("axe").await;
    assert_eq!(found["states"].as_u64(), Some(11), "{found}");
    assert_eq!(found["violations"], json!([]), "{found:#}");
    assert!(found["passes"].as_u64() > Some(500), "axe has looked: {found}");
}
