//! The console in a real browser: Debian's Chromium, driven by `drive.mjs` over a running exchange.
//!
//! `tests/needs chromium browser` fetches what it takes. Every scenario also fails on a request to another host, on
//! anything that the content security policy stops, and on an error of the page's script.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod flow;
mod patient;
mod workshop;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use ohx_tests::deployment::{API_KEY, Deployment, Shape};
use ohx_tests::outside::{Outside, http};
use ohx_tests::process::Process;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

const PATIENT: &str = "Patient/p1";

/// As the app writes it: with a byte order mark and CRLF.
const GERMAN: &str = "\u{feff}Benutzerangaben\r\n\r\nVorname;Erika\r\nNachname;Muster\r\n\r\nZeitraum\r\n\r\nvon;01.10.2026\r\nbis;31.10.2026\r\n\r\n\
    Ausgewählte Kategorien\r\n\r\nBlutdruck;2\r\nGewicht;1\r\n\r\nBLUTDRUCK\r\n\
    Datum;Uhrzeit;Sys;Dia;Puls;MAD;Manuell hinzugefügt\r\n04.10.2026;07:41;128;82;67;97;0\r\n05.10.2026;07:39;131;84;70;100;1\r\n\r\n\
    Gewicht\r\nDatum;Uhrzeit;kg;BMI;Körperfett;Wasser;Muskeln;Knochen\r\n04.10.2026;07:45;81,40;28,8;31,2;49,6;36,0;2,9\r\n";

/// Day first or month first: the file does not show it.
const ENGLISH: &str = "Blood pressure\nDate;Time;Sys;Dia;Pulse;MAP;Added manually\n\
    04/10/2026;07:41;128;82;67;97;0\n05/10/2026;07:39;131;84;70;100;1\n";

/// With one of everything that there is to say about a file.
const ODD: &str = "Schlaf\nDatum;Uhrzeit;Tiefschlaf\n04.10.2026;07:00;120\n\n\
    Temperatur\nDatum;Uhrzeit;°C\n29.03.2026;02:30;36,9\n29.03.2026;02:30;36,9\n\n\
    Gewicht\nDatum;Uhrzeit;kg;Aura;BMI;Kommentar\n04.10.2026;07:45;81,4;9;x;gut\n04.10.2026;07:46;=1+1;9;28;gut\n";

/// Runs a task of `drive.mjs`; gives what it found.
async fn browse(task: &Value, logs: impl Fn() -> String) -> Value {
    let run = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/browser/drive.mjs"))
        .arg(task.to_string())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/browser"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let run = tokio::time::timeout(Duration::from_secs(240), run).await.expect("the browser ends");
    let run = run.expect("node, and target/browser: run tests/needs chromium browser, or make test");
    let said = String::from_utf8_lossy(&run.stdout);
    let wrong = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{}:\n{said}\n{wrong}\n{}", task["scenario"], logs());
    serde_json::from_str(said.lines().last().expect("a result")).expect("JSON")
}

struct World {
    outside: Outside,
    deployment: Deployment,
    files: TempDir,
}

impl World {
    async fn start() -> Self {
        let outside = Outside::start().await;
        let deployment = Deployment::start(Shape::OneProcess, &outside).await;
        let new = json!({"provider": "beurer", "ehr": "clinic", "patient": PATIENT});
        let (status, link) = deployment.post("/api/base/provider-links/", &new).await;
        assert_eq!(status, 201, "{link}");
        let files = tempfile::tempdir().unwrap();
        for (name, text) in [("german", GERMAN), ("english", ENGLISH), ("odd", ODD)] {
            std::fs::write(files.path().join(format!("{name}.csv")), text).unwrap();
        }
        Self { outside, deployment, files }
    }

    /// Runs a scenario of `drive.mjs` at a console; gives what it found.
    async fn drive(&self, scenario: &str, console: &str) -> Value {
        self.drive_with(scenario, console, json!({})).await
    }

    /// The same for a scenario that has to know more.
    async fn drive_with(&self, scenario: &str, console: &str, more: Value) -> Value {
        let mut task =
            json!({"scenario": scenario, "url": console, "key": API_KEY, "files": self.files.path()});
        let more = more.as_object().cloned().unwrap_or_default();
        task.as_object_mut().unwrap().extend(more);
        browse(&task, || self.deployment.logs()).await
    }

    /// The Observations of the patient at the EHR, by the start of their time and their code.
    async fn at_the_ehr(&self) -> (usize, BTreeSet<(String, String)>) {
        let url = format!("{}/Observation?subject={PATIENT}&_count=1000", self.outside.fhir_url);
        let bundle: Value = http().get(url).send().await.unwrap().json().await.unwrap();
        let all: Vec<_> = bundle["entry"].as_array().into_iter().flatten().map(|e| &e["resource"]).collect();
        let told = all.iter().map(|o| {
            let time = o["effectiveDateTime"].as_str().unwrap()[..16].to_owned();
            (time, o["code"]["coding"][0]["code"].as_str().unwrap().to_owned())
        });
        (all.len(), told.collect())
    }
}

fn told(readings: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    readings.iter().map(|(time, code)| ((*time).to_owned(), (*code).to_owned())).collect()
}

#[tokio::test]
async fn with_the_keyboard_alone_a_file_is_checked_imported_and_imported_again() {
    let world = World::start().await;
    let found = world.drive("keyboard", world.deployment.public_url()).await;
    let (count, told_there) = world.at_the_ehr().await;
    assert_eq!(found["created"].as_u64(), Some(count as u64), "the page says what the EHR has");
    for reading in [
        ("2026-10-04T07:41", "85354-9"),
        ("2026-10-05T07:39", "85354-9"),
        ("2026-10-04T07:41", "8867-4"),
        ("2026-10-04T07:45", "29463-7"),
    ] {
        assert!(
            told_there.contains(&(reading.0.to_owned(), reading.1.to_owned())),
            "{reading:?}: {told_there:?}"
        );
    }
    let written = world.deployment.written();
    for (name, bytes) in &written {
        let text = String::from_utf8_lossy(bytes);
        assert!(name.ends_with(".yaml") || !text.contains(API_KEY), "the key is in {name}");
        assert!(!text.contains("Erika") && !text.contains("81,40"), "the file is in {name}");
    }
}

#[tokio::test]
async fn an_order_of_dates_that_nobody_knows_is_asked_for_at_its_field() {
    let world = World::start().await;
    world.drive("ambiguous", world.deployment.public_url()).await;
    let (_, there) = world.at_the_ehr().await;
    let panels = told(&[("2026-10-04T07:41", "85354-9"), ("2026-10-05T07:39", "85354-9")]);
    assert!(panels.is_subset(&there), "{there:?}");
}

#[tokio::test]
async fn without_its_script_a_console_of_its_own_does_the_same() {
    let world = World::start().await;
    let environment = BTreeMap::from([
        ("OHX_API_URL".to_owned(), world.deployment.api().to_owned()),
        // Its port is not known yet. Chromium says by itself where a form comes from.
        ("OHX_CONSOLE_URL".to_owned(), "http://127.0.0.1".to_owned()),
        ("RUST_LOG".to_owned(), "info".to_owned()),
    ]);
    let console = Process::start("ohx-console", &[], &environment, world.files.path());
    console.ready(&http()).await;
    world.drive("without-script", &console.url()).await;
    let (_, there) = world.at_the_ehr().await;
    assert!(there.contains(&("2026-10-04T07:41".to_owned(), "85354-9".to_owned())), "{there:?}");
    assert!(console.log().contains("OHX_CONSOLE_SECRET is not set"), "{}", console.log());
    assert!(!console.log().contains(API_KEY));
}

#[tokio::test]
async fn axe_finds_nothing_in_light_and_dark_on_phones_and_desktops() {
    let world = World::start().await;
    let found = world.drive("axe", world.deployment.public_url()).await;
    assert_eq!(found["states"].as_u64(), Some(8), "{found}");
    assert_eq!(found["violations"], json!([]), "{found:#}");
    assert!(found["passes"].as_u64() > Some(500), "axe has looked: {found}");
}
