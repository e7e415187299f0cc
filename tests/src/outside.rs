//! The outside world: the simulated Withings and the small FHIR server, on ports of their own, in the test's process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ohx_domain::{Clock, SystemClock};
use ohx_sandbox::compare::{self, RecordAndKind, Row};
use ohx_sandbox::fhir::{Fault, FhirServer};
use ohx_sandbox::withings::{Config, Person, Simulator, USUAL};
use tokio::net::TcpListener;

use crate::others::Others;

/// The app's secret at the simulated provider.
pub const CLIENT_SECRET: &str = "canary-client-secret-5f1c9a";

/// A client like a browser or a provider's: follows nothing by itself.
pub fn http() -> reqwest::Client {
    ohx_runtime::outbound::client(Duration::from_secs(30)).expect("a client")
}

/// What OHX talks to.
pub struct Outside {
    /// The provider.
    pub withings: Simulator,
    /// The EHR.
    pub ehr: FhirServer,
    /// The provider's address.
    pub withings_url: String,
    /// The EHR's FHIR base.
    pub fhir_url: String,
    /// `update` or `conditional-create`.
    pub strategy: &'static str,
    batch_size: usize,
    records: &'static [&'static str],
    clock: Arc<dyn Clock>,
    others: Option<Others>,
}

/// Another EHR on a port of its own; gives its FHIR base too.
pub async fn another_ehr(server: FhirServer) -> (FhirServer, String) {
    let base = format!("{}/fhir", serve(server.router()).await);
    (server, base)
}

pub(crate) async fn serve(router: axum::Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(ohx_sandbox::serve(listener, router, std::future::pending()));
    format!("http://{address}")
}

impl Outside {
    /// Starts both. The provider's quota is far above the free plan's, so that a test does not wait for it.
    pub async fn start() -> Self {
        Self::with(|config| config.requests_per_minute = 100_000).await
    }

    /// Starts both, with the provider set up otherwise.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::at(Arc::new(SystemClock), change).await
    }

    /// Starts both on a clock of the test's own.
    pub async fn at(clock: Arc<dyn Clock>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new("ohx-test", CLIENT_SECRET, &[]);
        change(&mut config);
        let withings = Simulator::new(config, clock.clone(), http());
        let ehr = FhirServer::new(clock.clone());
        let withings_url = serve(withings.router()).await;
        let fhir_url = format!("{}/fhir", serve(ehr.router()).await);
        let (strategy, batch_size, records, others) = ("update", 100, &USUAL, None);
        Self { withings, ehr, withings_url, fhir_url, strategy, batch_size, records, clock, others }
    }

    /// Starts the other providers as well.
    pub async fn and_others(mut self) -> Self {
        self.others = Some(Others::start(self.clock.clone()).await);
        self
    }

    /// The other providers, where they were started.
    ///
    /// # Panics
    /// Where they were not.
    pub fn others(&self) -> &Others {
        self.others.as_ref().expect("the other providers were started")
    }

    /// The same, to be changed.
    ///
    /// # Panics
    /// As [`Outside::others`].
    pub fn others_mut(&mut self) -> &mut Others {
        self.others.as_mut().expect("the other providers were started")
    }

    /// The variables that the configuration names, beside Withings' own.
    pub fn environment(&self) -> BTreeMap<String, String> {
        self.others.as_ref().map(Others::environment).unwrap_or_default()
    }

    /// Writes with another strategy, or other batches.
    #[must_use]
    pub fn writing(mut self, strategy: &'static str, batch_size: usize) -> Self {
        self.strategy = strategy;
        self.batch_size = batch_size;
        self
    }

    /// Reads these records.
    #[must_use]
    pub fn reading(mut self, records: &'static [&'static str]) -> Self {
        self.records = records;
        self
    }

    /// The file for `ohx apply`. It names no records where they are those that are read anyway.
    pub fn configuration(&self) -> String {
        let Self { withings_url, fhir_url, strategy, batch_size, records, .. } = self;
        let others = self.others.as_ref().map(Others::configuration).unwrap_or_default();
        let records = if *records == USUAL { String::new() } else { format!("    records: {records:?}\n") };
        format!(
            "providers:\n  - name: withings\n    type: withings\n    client_id: ohx-test\n    client_secret: {{ env: WITHINGS_SECRET }}\n    \
             requests_per_minute: 100000\n    base_urls: {{ api: \"{withings_url}\", consent: \"{withings_url}\" }}\n{records}  \
             - name: beurer\n    type: beurer\n    client_id: none\n{others}\
             ehrs:\n  - name: clinic\n    base_url: {fhir_url}\n    strategy: {strategy}\n    batch_size: {batch_size}\n"
        )
    }

    /// A person with an account.
    pub fn person(&self, id: u64, name: &str) -> u64 {
        let person = Person { id, name: name.to_owned(), timezone: "Europe/Vienna".to_owned() };
        self.withings.add_person(person).expect("a new person");
        id
    }

    /// What a browser does on the consent page; gives the address it is sent back to.
    pub async fn sign_in(&self, authorize: &str, person: &str) -> String {
        let url: url::Url = authorize.parse().expect("a URL");
        if let Some((_, redirect)) = url.query_pairs().find(|(name, _)| name == "redirect_uri") {
            // What an operator does once in the provider's dashboard.
            self.withings.register_redirect(&redirect);
            if let Some(others) = &self.others {
                others.register_redirect(authorize, &redirect);
            }
        }
        let page = http().get(authorize).send().await.expect("the provider answers");
        assert_eq!(page.status(), 200, "the consent page");
        let form: Vec<(String, String)> =
            url.query_pairs().into_owned().chain([("user".to_owned(), person.to_owned())]).collect();
        let mut url = url;
        url.set_query(None);
        let response = http().post(url).form(&form).send().await.expect("the provider answers");
        assert!(response.status().is_redirection(), "{}", response.status());
        response.headers()["location"].to_str().expect("text").to_owned()
    }

    /// Both sides, held against each other, by record and kind.
    pub async fn rows(&self, person: u64, patient: &str) -> BTreeMap<RecordAndKind, Row> {
        let readings = self.withings.readings(person, self.records).expect("a person");
        let rows = compare::compare("withings", &readings, &http(), &self.fhir_url, patient).await;
        rows.expect("both answer")
    }

    /// The same, all of them added up.
    pub async fn agreement(&self, person: u64, patient: &str) -> Row {
        self.rows(person, patient).await.into_values().sum()
    }

    /// Waits until both sides have the same readings, and say the same of each; gives all of them added up.
    ///
    /// # Panics
    /// After three minutes, with the kinds that differ: the lease of a writer that was killed (60 s), and the longest wait that
    /// failures until then may have led to (64 s before the eighth attempt), with room for a slow machine.
    pub async fn agree(&self, person: u64, patient: &str) -> Row {
        self.agreed(person, patient).await.into_values().sum()
    }

    /// The same, by record and kind.
    ///
    /// # Panics
    /// As [`Outside::agree`].
    pub async fn agreed(&self, person: u64, patient: &str) -> BTreeMap<RecordAndKind, Row> {
        let end = tokio::time::Instant::now() + Duration::from_secs(180);
        let wanted = self.withings.readings(person, self.records).expect("a person").len();
        loop {
            // Counting is cheap; reading all of them is not.
            let have = compare::count(&http(), &self.fhir_url, patient).await.expect("the EHR answers");
            let late = tokio::time::Instant::now() > end;
            if late || (have == wanted && wanted > 0) {
                let rows = self.rows(person, patient).await;
                let differ: Vec<_> = rows.iter().filter(|(_, row)| !row.agrees()).collect();
                if differ.is_empty() {
                    return rows;
                }
                assert!(!late, "provider and EHR do not agree: {differ:#?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Outside {
    /// Every call of the provider's API waits so many milliseconds first; 0 ends it.
    pub fn slow(&self, millis: u64) {
        self.withings.inject(ohx_sandbox::withings::Fault::Latency { millis });
    }

    /// A proxy's page in place of the next answers of the EHR.
    pub fn html_from_ehr(&self, calls: u32) {
        self.ehr.inject(Fault::HtmlErrorPage { status: 502, calls });
    }

    /// The EHR answers 503 with `Retry-After`, so many times.
    pub fn busy_ehr(&self, calls: u32, retry_after: u64) {
        self.ehr.inject(Fault::Unavailable { calls, retry_after });
    }

    /// The EHR refuses any resource with an identifier that ends so.
    pub fn refuse_at_ehr(&self, ending: &str, status: u16) {
        self.ehr.inject(Fault::RejectIdentifier { value: ending.to_owned(), status });
    }

    /// The EHR takes everything again.
    pub fn ehr_recovers(&self) {
        self.ehr.clear_faults();
    }
}
