//! The providers beside Withings, simulated, each on a port of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ohx_domain::Clock;
use ohx_sandbox::compare::{self, RecordAndKind, Row};
use ohx_sandbox::{Reading, fitbit_legacy, google_health, omron};

use crate::outside::{CLIENT_SECRET, Outside, http, serve};

/// What Google sends as the Authorization header of its notifications.
pub const GOOGLE_WEBHOOK: &str = "Bearer canary-google-webhook-41b0";
/// The last part of the address that Omron calls.
pub const OMRON_WEBHOOK: &str = "canary-omron-webhook-9d2e7c";
/// The verification code that legacy Fitbit tries.
pub const FITBIT_VERIFY: &str = "canary-fitbit-verify-77aa";

/// The simulators.
pub struct Others {
    /// Google Health.
    pub google: google_health::Simulator,
    /// Its address.
    pub google_url: String,
    /// Omron.
    pub omron: omron::Simulator,
    /// Its address.
    pub omron_url: String,
    /// The legacy Fitbit Web API.
    pub legacy: fitbit_legacy::Simulator,
    /// Its address.
    pub legacy_url: String,
}

impl Others {
    /// Starts them, with quotas that no test waits for.
    pub async fn start(clock: Arc<dyn Clock>) -> Self {
        let mut config = google_health::Config::new("ohx-test", CLIENT_SECRET, &[]);
        config.requests_per_minute = 100_000;
        let google = google_health::Simulator::new(config, clock.clone(), http()).expect("a key");
        let mut config = omron::Config::new("ohx-test", CLIENT_SECRET, &[]);
        config.requests_per_minute = 100_000;
        let omron = omron::Simulator::new(config, clock.clone(), http());
        let mut config = fitbit_legacy::Config::new("ohx-test", CLIENT_SECRET, &[]);
        config.requests_per_hour = 100_000;
        let legacy = fitbit_legacy::Simulator::new(config, clock, http());
        let google_url = serve(google.router()).await;
        let omron_url = serve(omron.router()).await;
        let legacy_url = serve(legacy.router()).await;
        Self { google, google_url, omron, omron_url, legacy, legacy_url }
    }

    /// Their part of the file for `ohx apply`, below `providers:`.
    pub fn configuration(&self) -> String {
        let Self { google_url, omron_url, legacy_url, .. } = self;
        format!(
            "  - name: fitbit\n    type: fitbit\n    client_id: ohx-test\n    client_secret: {{ env: GOOGLE_SECRET }}\n    \
             requests_per_minute: 100000\n    secrets: {{ webhook: {{ env: GOOGLE_WEBHOOK }}, service-account: {{ env: GOOGLE_SERVICE_ACCOUNT }} }}\n    \
             options: {{ project: \"123456789012\", patient-requests-per-minute: \"100000\" }}\n    records: {:?}\n    \
             base_urls: {{ api: \"{google_url}\", accounts: \"{google_url}\", oauth: \"{google_url}\", keyset: \"{google_url}/keyset.json\" }}\n  \
             - name: omron\n    type: omron\n    client_id: ohx-test\n    client_secret: {{ env: OMRON_SECRET }}\n    \
             requests_per_minute: 100000\n    secrets: {{ webhook: {{ env: OMRON_WEBHOOK }} }}\n    options: {{ notifications: registered }}\n    \
             base_urls: {{ authorize: \"{omron_url}\", api: \"{omron_url}/prd\" }}\n  \
             - name: fitbit-legacy\n    type: fitbit-legacy\n    client_id: ohx-test\n    client_secret: {{ env: FITBIT_SECRET }}\n    \
             requests_per_minute: 100000\n    secrets: {{ webhook: {{ env: FITBIT_VERIFY }} }}\n    options: {{ accept-retired-service: \"yes\", patient-requests-per-hour: \"100000\" }}\n    \
             base_urls: {{ consent: \"{legacy_url}\", api: \"{legacy_url}\" }}\n",
            google_health::USUAL
        )
    }

    /// The variables that the file names.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let account = self.google.service_account(&self.google_url).expect("a key");
        let pairs = [
            ("GOOGLE_SECRET", CLIENT_SECRET.to_owned()),
            ("GOOGLE_WEBHOOK", GOOGLE_WEBHOOK.to_owned()),
            ("GOOGLE_SERVICE_ACCOUNT", account),
            ("OMRON_SECRET", CLIENT_SECRET.to_owned()),
            ("OMRON_WEBHOOK", OMRON_WEBHOOK.to_owned()),
            ("FITBIT_SECRET", CLIENT_SECRET.to_owned()),
            ("FITBIT_VERIFY", FITBIT_VERIFY.to_owned()),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// What an operator does once at the provider whose consent page this is.
    pub(crate) fn register_redirect(&self, page: &str, redirect: &str) {
        if page.starts_with(&self.google_url) {
            self.google.register_redirect(redirect);
        } else if page.starts_with(&self.omron_url) {
            self.omron.register_redirect(redirect);
        } else if page.starts_with(&self.legacy_url) {
            self.legacy.register_redirect(redirect);
        }
    }
}

/// Waits until the EHR has the readings that `told` gives of a provider's person, no more and no less, and they say the
/// same.
///
/// # Panics
/// After a minute and a half, with the kinds that differ.
pub async fn agree(outside: &Outside, provider: &str, patient: &str, told: impl Fn() -> Vec<Reading>) -> Row {
    let end = tokio::time::Instant::now() + Duration::from_secs(90);
    loop {
        let readings = told();
        let rows = compare::compare(provider, &readings, &http(), &outside.fhir_url, patient).await;
        let rows: BTreeMap<RecordAndKind, Row> = rows.expect("the EHR answers");
        let differ: Vec<_> = rows.iter().filter(|(_, row)| !row.agrees()).collect();
        if differ.is_empty() && !readings.is_empty() {
            return rows.into_values().sum();
        }
        assert!(tokio::time::Instant::now() < end, "{provider} and EHR do not agree: {differ:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
