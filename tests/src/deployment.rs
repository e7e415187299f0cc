//! The shapes that promises are tested in: every one in the first two.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ohx_domain::Instant;
use ohx_events::Function;
use tempfile::TempDir;

use crate::broker::{Broker, Delivery};
use crate::lambda::Lambda;
use crate::outside::Outside;
use crate::process::Process;
use crate::{services, until};

/// The key of the API in tests.
pub const API_KEY: &str = "an-api-key-for-tests-of-32-characters-or-more";
/// The keyring in tests: 32 bytes that are text, under the id `k1`.
pub const KEYRING: &str = "k1:c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlISE=";

/// Which shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `ohx serve`: SQLite and the in-process bus.
    OneProcess,
    /// PostgreSQL and Redis, every function as its own process, and `relay`.
    ManyProcesses,
    /// As many processes, with SQS in place of Redis.
    Sqs,
    /// As many processes behind a Knative broker in small, for which `relay` is the dead-letter sink.
    Broker,
    /// Every function on AWS Lambda, PostgreSQL, SQS, and no relay.
    Lambda,
}

/// A running Open Health Exchange.
pub struct Deployment {
    /// Its shape.
    pub shape: Shape,
    /// Its processes; the first answers for patients, providers and the API.
    pub processes: Vec<Process>,
    lambda: Option<Lambda>,
    front: Front,
    broker: Option<Broker>,
    environment: BTreeMap<String, String>,
    folder: TempDir,
    http: reqwest::Client,
}

/// Who answers what: one address in one process, three in many.
struct Front {
    oauth: String,
    webhook: String,
    api: String,
}

impl Deployment {
    /// Starts one, configured for `outside`.
    pub async fn start(shape: Shape, outside: &Outside) -> Self {
        Self::start_with(shape, outside, async |_| ()).await
    }

    /// The same, with settings of the test's own: `change` is given all of them before the first process starts.
    pub async fn start_with(
        shape: Shape,
        outside: &Outside,
        change: impl AsyncFnOnce(&mut BTreeMap<String, String>),
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let http = crate::outside::http();
        let mut environment = BTreeMap::from([
            ("OHX_KEYS".to_owned(), KEYRING.to_owned()),
            ("OHX_API_KEY".to_owned(), API_KEY.to_owned()),
            // The simulated providers and EHRs are on this machine.
            ("OHX_OUTBOUND_PRIVATE".to_owned(), "127.0.0.0/8".to_owned()),
            ("OHX_REDIRECT_URLS".to_owned(), "https://app.test/ohx/ myapp://ohx/".to_owned()),
            ("OHX_IDENTIFIER_BASE".to_owned(), "https://ohx.test/ns".to_owned()),
            ("RUST_LOG".to_owned(), "info".to_owned()),
            ("OHX_MAPPING_REFRESH_SECONDS".to_owned(), "0".to_owned()),
            ("WITHINGS_SECRET".to_owned(), crate::outside::CLIENT_SECRET.to_owned()),
        ]);
        environment.extend(outside.environment());
        // One address in front, as a reverse proxy gives: `oauth`, `webhook` and `api` are behind it.
        let front_port = crate::process::free_port();
        environment.insert("OHX_PUBLIC_URL".into(), format!("http://127.0.0.1:{front_port}"));
        let mut broker = None;
        match shape {
            Shape::OneProcess => {
                environment.insert(
                    "DATABASE_URL".into(),
                    format!("sqlite://{}?mode=rwc", folder.path().join("ohx.db").display()),
                );
            }
            Shape::ManyProcesses => {
                let (redis, prefix) = services::redis();
                environment.insert("DATABASE_URL".into(), services::database().await);
                environment.insert("OHX_BUS".into(), "redis".into());
                environment.insert("REDIS_URL".into(), redis);
                environment.insert("OHX_REDIS_PREFIX".into(), prefix);
                environment.insert("OHX_RELAY_TIMEOUT_SECONDS".into(), "6".into());
                environment.insert("OHX_RELAY_RECLAIM_SECONDS".into(), "7".into());
            }
            Shape::Sqs | Shape::Lambda => {
                environment.insert("DATABASE_URL".into(), services::database().await);
                environment.insert("OHX_BUS".into(), "sqs".into());
                environment.extend(services::sqs());
                environment.insert("OHX_RELAY_TIMEOUT_SECONDS".into(), "6".into());
                environment.insert("OHX_RELAY_RECLAIM_SECONDS".into(), "7".into());
            }
            Shape::Broker => {
                let started = Broker::start(Delivery::default()).await;
                environment.insert("DATABASE_URL".into(), services::database().await);
                environment.insert("OHX_BUS".into(), "http".into());
                environment.insert("K_SINK".into(), started.url.clone());
                broker = Some(started);
            }
        }
        change(&mut environment).await;
        if matches!(shape, Shape::Sqs | Shape::Lambda) {
            let (code, said) = run(&["migrate", "--queues"], &environment, folder.path());
            assert_eq!(code, Some(0), "{said}");
        }
        let (code, said) = apply(&environment, folder.path(), &outside.configuration());
        assert_eq!(code, Some(0), "{said}");
        let start = |name: &str, arguments: &[&str], environment: &BTreeMap<String, String>| {
            Process::start(name, arguments, environment, folder.path())
        };
        let mut lambda = None;
        let (processes, front) = match shape {
            Shape::Lambda => {
                let account = Lambda::new(&environment);
                for function in ["oauth", "webhook", "api"] {
                    account.deploy(function, &environment, folder.path()).await;
                }
                for function in ["nightly", "fetch", "transform", "publish", "devices"] {
                    account.deploy(function, &environment, folder.path()).await;
                    account.map(function).await;
                }
                let front = Front {
                    oauth: account.url("oauth").await,
                    webhook: account.url("webhook").await,
                    api: account.url("api").await,
                };
                lambda = Some(account);
                (Vec::new(), front)
            }
            Shape::OneProcess => {
                let serve = start("ohx", &["serve"], &environment);
                let front = Front { oauth: serve.url(), webhook: serve.url(), api: serve.url() };
                (vec![serve], front)
            }
            Shape::ManyProcesses | Shape::Sqs | Shape::Broker => {
                let mut processes: Vec<_> =
                    ["oauth", "webhook", "api", "nightly", "fetch", "transform", "publish", "devices"]
                        .iter()
                        .map(|f| start(&format!("ohx-{f}"), &[], &environment))
                        .collect();
                let front =
                    Front { oauth: processes[0].url(), webhook: processes[1].url(), api: processes[2].url() };
                let mut relay = environment.clone();
                for (function, process) in Function::ALL.iter().zip(&processes[3..]) {
                    relay.insert(format!("OHX_{}_URL", function.as_str().to_uppercase()), process.url());
                }
                let relay = start("ohx-relay", &[], &relay);
                if let Some(broker) = &broker {
                    for (function, process) in Function::ALL.iter().zip(&processes[3..]) {
                        broker.subscribe(*function, process.url());
                    }
                    broker.deliver(|delivery| delivery.dead_letter_sink = Some(relay.url()));
                }
                processes.push(relay);
                processes.push(start("ohx-metrics", &[], &environment));
                (processes, front)
            }
        };
        let proxy = axum::Router::new().fallback({
            let (http, front) =
                (http.clone(), [front.oauth.clone(), front.webhook.clone(), front.api.clone()]);
            move |request: axum::extract::Request| forward(http.clone(), front.clone(), request)
        });
        let listener =
            tokio::net::TcpListener::bind(("127.0.0.1", front_port)).await.expect("the front's port");
        tokio::spawn(async move { axum::serve(listener, proxy).await });
        let deployment = Self { shape, processes, lambda, front, broker, environment, folder, http };
        for process in &deployment.processes {
            process.ready(&deployment.http).await;
        }
        deployment
    }

    /// Its broker.
    ///
    /// # Panics
    /// Where its shape has none.
    pub fn broker(&self) -> &Broker {
        self.broker.as_ref().expect("a shape with a broker")
    }

    /// The process of a function.
    ///
    /// # Panics
    /// Where it is not one of its own.
    pub fn process(&mut self, function: &str) -> &mut Process {
        let name = format!("ohx-{function}");
        self.processes.iter_mut().find(|process| process.name == name).expect("a process of its own")
    }

    /// Its functions on AWS Lambda.
    ///
    /// # Panics
    /// In another shape.
    pub fn lambda(&self) -> &Lambda {
        self.lambda.as_ref().expect("the functions are on AWS Lambda")
    }

    /// The settings of its processes.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// A setting of its processes.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }

    /// Where patients, providers and the API's callers come from outside.
    pub fn public_url(&self) -> &str {
        &self.environment["OHX_PUBLIC_URL"]
    }

    /// The API's address.
    pub fn api(&self) -> &str {
        &self.front.api
    }

    /// Asks the API.
    pub async fn get(&self, path: &str) -> serde_json::Value {
        let response = self
            .http
            .get(format!("{}{path}", self.front.api))
            .bearer_auth(API_KEY)
            .send()
            .await
            .expect("the API answers");
        response.json().await.expect("JSON")
    }

    /// The items of a list of the API's: its first page.
    pub async fn list(&self, path: &str) -> serde_json::Value {
        self.get(path).await["items"].take()
    }

    /// Posts to the API; gives status and body.
    pub async fn post(&self, path: &str, body: &serde_json::Value) -> (u16, serde_json::Value) {
        let request = self.http.post(format!("{}{path}", self.front.api)).bearer_auth(API_KEY).json(body);
        let response = request.send().await.expect("the API answers");
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or_default())
    }

    /// Waits until all of a link's history is at the EHR, of every record that it reads, and the provider pushes: nothing
    /// is on its way any more.
    pub async fn settled(&self, link: &str) {
        let mut last = Last::default();
        until("all of the history is published, and push is registered", 180, async || {
            let shown = self.get(&format!("/api/base/provider-links/{link}/")).await;
            let coverage = self.list(&format!("/api/ingestors/coverage/?link={link}")).await;
            last.0 = [shown.clone(), coverage.clone()];
            let connected: Instant = shown["connected_at"].as_str()?.parse().ok()?;
            // A provider's clock may have whole seconds.
            let before = connected - Duration::from_secs(1);
            let records = coverage.as_array().filter(|records| !records.is_empty())?;
            let holes = records.iter().flat_map(|record| record["missing"].as_array().into_iter().flatten());
            let mut starts = holes.map(|hole| hole["start"].as_str()?.parse::<Instant>().ok());
            let published = starts.all(|start| start.is_some_and(|start| start >= before));
            (published && shown["push"]["mode"] == "subscribed").then_some(())
        })
        .await;
    }

    /// `ohx apply` of another file; gives its exit code, and what it said.
    pub fn apply(&self, configuration: &str) -> (Option<i32>, String) {
        apply(&self.environment, self.folder.path(), configuration)
    }

    /// The command line with other settings; gives its exit code, and what it and those before it said.
    pub fn ohx(&self, arguments: &[&str], settings: &[(&str, &str)]) -> (Option<i32>, String) {
        let mut environment = self.environment.clone();
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        run(arguments, &environment, self.folder.path())
    }

    /// Ends every process, gives it other settings, and starts it again; one after the other, as an operator does.
    pub async fn restart_with(&mut self, settings: &[(&str, &str)]) {
        for process in &mut self.processes {
            process.terminate().await;
            settings.iter().for_each(|(name, value)| process.set(name, value));
            process.restart();
            process.ready(&self.http).await;
        }
    }

    /// The metrics of a function: of the one process, where there is one only.
    pub async fn metrics(&self, function: &str) -> String {
        let own = format!("ohx-{function}");
        let process = self.processes.iter().find(|p| p.name == own || p.name == "ohx").expect("the function");
        let answer = self.http.get(format!("{}/metrics", process.url())).send().await.expect("metrics");
        answer.text().await.expect("a text")
    }

    /// Sends the nightly ping, for everything: to the function in many processes. One process has a timer of its own for that.
    pub async fn ping_nightly(&self) {
        if let Some(lambda) = &self.lambda {
            let schedule = serde_json::json!({
                "version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "Scheduled Event",
                "source": "aws.events", "account": crate::lambda::ACCOUNT, "time": "2015-10-08T16:53:06Z",
                "region": "us-east-1", "resources": ["arn:aws:events:us-east-1:123456789012:rule/nightly"],
                "detail": {}
            });
            assert_eq!(lambda.invoke("nightly", &schedule).await, Ok(serde_json::Value::Null));
            return;
        }
        let nightly = self.processes.iter().find(|p| p.name == "ohx-nightly").expect("many processes");
        let response = self
            .http
            .post(nightly.url())
            .header("ce-specversion", "1.0")
            .header("ce-id", format!("{}", rand::random::<u32>()))
            .header("ce-source", "/cron")
            .header("ce-type", "dev.knative.sources.ping")
            .header("content-type", "application/json")
            .body(r#"{"all": true}"#)
            .send()
            .await
            .expect("nightly answers");
        assert_eq!(response.status(), 204);
    }

    /// What all processes have logged.
    pub fn logs(&self) -> String {
        self.processes.iter().map(Process::log).collect()
    }

    /// The folder of its logs, its configuration, and the database of one process.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Everything this deployment has written to its folder (logs, and the database of one process).
    pub fn written(&self) -> Vec<(String, Vec<u8>)> {
        let files = std::fs::read_dir(self.folder.path()).expect("the folder").flatten();
        files
            .map(|f| {
                (f.file_name().to_string_lossy().into_owned(), std::fs::read(f.path()).unwrap_or_default())
            })
            .collect()
    }
}

/// What was seen last: printed where the waiting ends in a panic.
#[derive(Default)]
struct Last([serde_json::Value; 2]);

impl Drop for Last {
    #[allow(clippy::print_stderr, reason = "a failing test's own words")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the link: {}\nits coverage: {}", self.0[0], self.0[1]);
        }
    }
}

/// Forwards a request to the function whose path it is.
async fn forward(
    http: reqwest::Client,
    [oauth, webhook, api]: [String; 3],
    request: axum::extract::Request,
) -> axum::response::Response {
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
    let to = match path.split('/').nth(1) {
        Some("oauth") => oauth,
        Some("webhook" | "gateway") => webhook,
        _ => api,
    };
    crate::balance::pass_on(&http, &to, &path, request).await
}

/// `ohx apply`, which also brings the schema up to date; gives its exit code, and what it and those before it said.
fn apply(
    environment: &BTreeMap<String, String>,
    folder: &Path,
    configuration: &str,
) -> (Option<i32>, String) {
    let file = folder.join("ohx.yaml");
    std::fs::write(&file, configuration).expect("the file");
    run(&["apply", "-f", &file.display().to_string()], environment, folder)
}

/// The command line; gives its exit code, and what it and those before it said.
fn run(arguments: &[&str], environment: &BTreeMap<String, String>, folder: &Path) -> (Option<i32>, String) {
    let mut ohx = Process::start("ohx", arguments, environment, folder);
    (ohx.wait(), ohx.log())
}
