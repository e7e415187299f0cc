//! Set-up from nothing, and the mapping playground.

use std::collections::BTreeMap;

use ohx_tests::deployment::{API_KEY, KEYRING};
use ohx_tests::outside::{CLIENT_SECRET, Outside, http};
use ohx_tests::process::Process;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::browse;

/// An exchange with nothing in it, and a provider and an EHR outside.
struct Workshop {
    outside: Outside,
    exchange: Process,
    folder: TempDir,
}

impl Workshop {
    async fn start() -> Self {
        let outside = Outside::start().await;
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}?mode=rwc", folder.path().join("ohx.db").display());
        let settings = [
            ("OHX_KEYS", KEYRING),
            ("OHX_API_KEY", API_KEY),
            ("OHX_OUTBOUND_PRIVATE", "127.0.0.0/8"),
            ("OHX_IDENTIFIER_BASE", "https://ohx.test/ns"),
            // Its port is not known yet; nothing comes back here.
            ("OHX_PUBLIC_URL", "http://127.0.0.1"),
            ("OHX_MAPPING_REFRESH_SECONDS", "0"),
            ("RUST_LOG", "info"),
            ("DATABASE_URL", &database),
        ];
        let settings: BTreeMap<_, _> =
            settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let exchange = Process::start("ohx", &["serve"], &settings, folder.path());
        exchange.ready(&http()).await;
        Self { outside, exchange, folder }
    }

    async fn drive(&self, scenario: &str) -> Value {
        let Outside { withings_url, fhir_url, .. } = &self.outside;
        let sandbox = json!({"withings": withings_url, "fhir": fhir_url, "client": "ohx-test", "secret": CLIENT_SECRET});
        let task = json!({"scenario": scenario, "url": self.exchange.url(), "key": API_KEY,
            "files": self.folder.path(), "sandbox": sandbox});
        browse(&task, || self.exchange.log()).await
    }

    /// What the exchange has written: its log and its database.
    fn written(&self) -> String {
        let files = std::fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().path());
        let files = files.filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap());
        files.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
    }
}

fn clean(found: &Value, states: u64) {
    assert_eq!(found["states"].as_u64(), Some(states), "{found}");
    assert_eq!(found["violations"], json!([]), "{found:#}");
}

#[tokio::test]
async fn provider_and_ehr_are_set_up_from_nothing_and_tested_live() {
    let workshop = Workshop::start().await;
    clean(&workshop.drive("set-up").await, 10);
    let written = workshop.written();
    assert!(!written.contains(CLIENT_SECRET) && !written.contains("another-secret"), "a secret is readable");
}

#[tokio::test]
async fn set_up_works_without_its_script() {
    Workshop::start().await.drive("set-up-without-script").await;
}

#[tokio::test]
async fn a_mapping_is_tried_out_changed_saved_activated_and_rolled_back() {
    let workshop = Workshop::start().await;
    clean(&workshop.drive("mappings").await, 5);
    assert!(!workshop.written().contains("9876543210"), "a payload is kept");
}

#[tokio::test]
async fn the_playground_works_without_its_script() {
    Workshop::start().await.drive("mappings-without-script").await;
}
