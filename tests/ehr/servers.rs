//! The servers, each started once for all tests, on a port of its own, and ended with the tests.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use ohx_domain::{BundleKind, EhrAuth, EhrEndpoint, SystemClock, WriteStrategy};
use ohx_fhir::{Credentials, EhrClient};
use ohx_sandbox::fhir::FhirServer;
use ohx_tests::outside::http;
use ohx_tests::process::free_port;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::json::Json;
use crate::tokens::{Key, Token};
use crate::wrong::{TABLE, Wrong};

/// A way to write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) strategy: WriteStrategy,
    pub(crate) bundle: BundleKind,
}

/// Every way to write.
pub(crate) const WAYS: &[Way] = &[
    Way { strategy: WriteStrategy::Update, bundle: BundleKind::Batch },
    Way { strategy: WriteStrategy::Update, bundle: BundleKind::Transaction },
    Way { strategy: WriteStrategy::ConditionalCreate, bundle: BundleKind::Batch },
    Way { strategy: WriteStrategy::ConditionalCreate, bundle: BundleKind::Transaction },
    Way { strategy: WriteStrategy::SearchThenCreate, bundle: BundleKind::Batch },
    Way { strategy: WriteStrategy::SearchThenCreate, bundle: BundleKind::Transaction },
    Way { strategy: WriteStrategy::Auto, bundle: BundleKind::Batch },
    Way { strategy: WriteStrategy::Auto, bundle: BundleKind::Transaction },
];

impl Way {
    /// Such as `update-batch`.
    pub(crate) fn name(self) -> String {
        format!("{}-{}", self.strategy.as_str(), self.bundle.as_str())
    }
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// Its FHIR base.
    pub(crate) base: String,
    /// Who signs its tokens, if it wants any.
    pub(crate) key: Option<Key>,
}

/// The client of all tests. It keeps no connection, because each test has a runtime of its own.
pub(crate) fn client() -> reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        let _installed = http(); // what TLS stands on, once for the process
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).timeout(Duration::from_secs(60));
        client.no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
    });
    CLIENT.clone()
}

impl Server {
    /// Whether it does this otherwise; see the table.
    pub(crate) fn is(&self, wrong: Wrong) -> bool {
        TABLE.iter().any(|(server, what, _)| *server == self.name && *what == wrong)
    }

    /// A client that writes in this way.
    pub(crate) fn client(&self, way: Way) -> EhrClient {
        let mut endpoint = EhrEndpoint::new("main-clinic".parse().unwrap(), self.base.parse().unwrap());
        endpoint.strategy = way.strategy;
        endpoint.bundle = way.bundle;
        let credentials = match &self.key {
            Some(key) => {
                endpoint.auth = EhrAuth::Bearer;
                Credentials::secret(key.sign(&Token::good()).into())
            }
            None => Credentials::none(),
        };
        EhrClient::new(client(), endpoint, credentials)
    }

    /// A request to it, with a token that may do everything.
    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = client()
            .request(method, format!("{}/{path}", self.base))
            .header("accept", "application/fhir+json")
            .header("content-type", "application/fhir+json");
        match &self.key {
            Some(key) => request.bearer_auth(key.sign(&Token::good())),
            None => request,
        }
    }

    /// What a search finds, as text: its first page, and whether there are more.
    pub(crate) async fn page(&self, kind: &str, query: &[(&str, &str)]) -> (Vec<String>, bool) {
        let answer = self.request(reqwest::Method::GET, kind).query(query).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{} answers {status} to a search of {kind}", self.name);
        #[derive(serde::Deserialize)]
        struct Entry {
            resource: Box<serde_json::value::RawValue>,
        }
        #[derive(serde::Deserialize)]
        struct Bundle {
            #[serde(default)]
            entry: Vec<Entry>,
            #[serde(default)]
            link: Vec<Value>,
        }
        let bundle: Bundle = serde_json::from_str(&text).unwrap();
        let of_kind = |text: &String| Json::parse(text).unwrap().text_of("resourceType") == Some(kind);
        let found = bundle.entry.into_iter().map(|e| e.resource.get().to_owned()).filter(of_kind).collect();
        (found, bundle.link.iter().any(|link| link["relation"] == "next"))
    }

    /// The resources with an identifier.
    pub(crate) async fn with_identifier(
        &self,
        kind: &str,
        identifier: &ohx_domain::Identifier,
    ) -> Vec<String> {
        let token = format!("{}|{}", identifier.system, identifier.value);
        let (found, more) = self.page(kind, &[("identifier", &token)]).await;
        assert!(!more, "more than a page of one identifier");
        found
    }
}

/// Runs a future to its end, whatever runtime this is called in.
fn apart<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || runtime().block_on(future)).join().unwrap()
}

/// Serves on a thread of its own for as long as the tests run; gives the address.
fn serve(router: axum::Router) -> String {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            ohx_sandbox::serve(listener, router, std::future::pending()).await
        })
    });
    format!("http://{}", told.recv().unwrap())
}

/// The repository's folder.
fn home() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Starts a program that ends with its standard input. Nobody closes that but the end of this process.
fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

/// A server with the patient whom everything is about.
fn ready(server: Server) -> Server {
    let patient = server.request(reqwest::Method::PUT, "Patient/p1");
    let name = server.name;
    apart(async move {
        let patient = patient.body(r#"{"resourceType":"Patient","id":"p1","active":true}"#);
        let answer = patient.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{name} answers {status} to a patient: {text}");
    });
    server
}

pub(crate) fn sandbox() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let base = format!("{}/fhir", serve(FhirServer::new(Arc::new(SystemClock)).router()));
        ready(Server { name: "sandbox", base, key: None })
    })
}

pub(crate) fn medplum() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let modules = home().join("target/medplum");
        assert!(modules.join("made").exists(), "Medplum is missing: run tests/needs r5 medplum");
        let mut command = Command::new("node");
        command.arg(home().join("tests/ehr/medplum/server.mjs")).arg(modules.canonicalize().unwrap());
        command.arg(crate::definitions::package("hl7.fhir.r5.core")).stdout(Stdio::piped());
        let mut child = start(&mut command);
        let mut base = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut base).unwrap();
        std::mem::forget(child); // keeps its standard input open
        assert!(base.starts_with("http"), "Medplum did not start");
        ready(Server { name: "medplum", base: base.trim().to_owned(), key: None })
    })
}

pub(crate) fn hfs() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let key = Key::new("ohx-tests-1");
        let keys = key.public().to_string();
        let route = axum::routing::get(move || std::future::ready(keys.clone()));
        let issuer = serve(axum::Router::new().route("/jwks", route));
        let port = free_port();
        let log = std::env::temp_dir().join(format!("ohx-hfs-{port}.log"));
        let mut command = Command::new(home().join("tests/ehr/hfs/run"));
        command.arg(port.to_string()).arg(&log);
        command.env("HFS_AUTH_ENABLED", "true").env("HFS_AUTH_JWKS_URL", format!("{issuer}/jwks"));
        command
            .env("HFS_AUTH_ISSUER", crate::tokens::ISSUER)
            .env("HFS_AUTH_AUDIENCE", crate::tokens::AUDIENCE);
        let mut child = start(&mut command);
        let base = format!("http://127.0.0.1:{port}");
        let metadata = format!("{base}/metadata");
        let answers = apart(async move {
            let end = tokio::time::Instant::now() + Duration::from_secs(120);
            while tokio::time::Instant::now() < end && child.try_wait().unwrap().is_none() {
                let answer = client().get(&metadata).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    std::mem::forget(child); // keeps its standard input open
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            false
        });
        let text = || std::fs::read_to_string(&log).unwrap_or_default();
        assert!(answers, "HFS did not start (make test-hfs builds it):\n{}", text());
        ready(Server { name: "hfs", base, key: Some(key) })
    })
}
