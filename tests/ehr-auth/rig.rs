//! OHX with a store of its own, an EHR behind an authorization server, and both clocks in hand.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use ohx_bus::memory::{MemoryBus, MemoryConfig};
use ohx_domain::{
    Clock as _, EhrAuth, EhrEndpoint, EhrName, EhrOAuth, ManualClock, SecretIn, SigningAlgorithm, SystemClock,
};
use ohx_fhir::EhrClient;
use ohx_link::Links;
use ohx_runtime::parts::Parts;
use ohx_sandbox::fhir::FhirServer;
use ohx_seal::{Keyring, generate_key};
use ohx_store::SharedStore;
use ohx_store_sqlite::SqliteStore;
use ohx_tests::outside::http;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

pub(crate) const API_KEY: &str = "an-api-key-for-tests-of-32-characters-or-more";
/// With characters that HTTP Basic has to encode.
pub(crate) const SECRET: &str = "canary-s/e%c r&t+";
pub(crate) const OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// What OHX asks for by default, at an R5 endpoint.
pub(crate) const SCOPES: [&str; 6] = [
    "system/Observation.cus",
    "system/Device.cus",
    "system/DeviceAssociation.cus",
    "system/DeviceDefinition.cus",
    "system/Provenance.cus",
    "system/Patient.rs",
];

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) links: Links,
    /// Where our own routes are.
    pub(crate) own: String,
    _ehr: FhirServer,
    /// The authorization server.
    pub(crate) url: String,
    _server: Child,
}

pub(crate) fn oauth(client_id: &str) -> EhrOAuth {
    EhrOAuth {
        client_id: client_id.to_owned(),
        token_url: None,
        scope: None,
        secret_in: SecretIn::Basic,
        algorithm: None,
        audience: None,
        issuer: None,
        subject: None,
    }
}

async fn links(clock: Arc<ManualClock>) -> Links {
    let store: SharedStore = Arc::new(SqliteStore::open("sqlite::memory:").await.unwrap());
    store.migrate().await.unwrap();
    let keys = format!("k:{}", generate_key().expose_secret());
    Links::new(Parts {
        store,
        bus: Arc::new(MemoryBus::new(MemoryConfig::default())),
        keyring: Arc::new(Keyring::parse(&keys.into()).unwrap()),
        clock,
        http: http(),
        public_url: "http://127.0.0.1:1".parse().unwrap(),
        identifier_base: "https://ohx.test/ns".into(),
    })
}

async fn serve(router: axum::Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(ohx_sandbox::serve(listener, router, std::future::pending()));
    url
}

impl World {
    /// `algorithm` is what the authorization server takes; there is a key for it.
    pub(crate) async fn new(algorithm: SigningAlgorithm) -> Self {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let links = links(clock.clone()).await;
        links.signing_keys().rotate(algorithm, OVERLAP, true).await.unwrap().expect("a first key");
        let own = serve(ohx_api::router(links.clone(), &SecretString::from(API_KEY))).await;
        let ehr = FhirServer::new(clock.clone());
        let fhir = format!("{}/fhir", serve(ehr.router()).await);
        let setup = json!({
            "jwks_uri": format!("{own}/.well-known/jwks.json"), "secret": SECRET, "fhir": fhir, "scopes": SCOPES,
            "alg": algorithm.as_str(), "algorithms": ["RS256", algorithm.as_str()],
        });
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let mut server = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/ehr-auth/server.mjs"))
            .arg(setup.to_string())
            .current_dir(format!("{root}/target/ehr-auth"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node, and target/ehr-auth: run tests/needs ehr-auth, or make test");
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("it starts: run tests/needs ehr-auth");
            if let Ok(port) = line.parse::<u16>() {
                break port;
            }
        };
        Self { clock, links, own, _ehr: ehr, url: format!("http://127.0.0.1:{port}"), _server: server }
    }

    /// The same EHR, for an OHX that has other keys.
    pub(crate) async fn stranger(&self, algorithm: SigningAlgorithm) -> Links {
        let links = links(self.clock.clone()).await;
        links.signing_keys().rotate(algorithm, OVERLAP, true).await.unwrap().expect("a first key");
        links
    }

    pub(crate) fn endpoint(&self, auth: EhrAuth, oauth: EhrOAuth) -> EhrEndpoint {
        let base = format!("{}/fhir", self.url).parse().unwrap();
        EhrEndpoint { auth, oauth: Some(oauth), ..EhrEndpoint::new("clinic".parse().unwrap(), base) }
    }

    /// A client as the functions get it: from what is stored.
    pub(crate) async fn client_of(&self, links: &Links, endpoint: &EhrEndpoint) -> EhrClient {
        let name: EhrName = "clinic".parse().unwrap();
        let parts = links.parts();
        let place = ohx_link::ehr::secret_place(&name);
        let sealed = parts.keyring.seal(&place, SECRET.as_bytes()).unwrap();
        let sealed = endpoint.auth.uses_secret().then_some(sealed);
        parts.store.put_ehr(endpoint, sealed.as_deref(), self.clock.now()).await.unwrap();
        links.ehr_client(&name).await.unwrap()
    }

    pub(crate) async fn client(&self, auth: EhrAuth, oauth: EhrOAuth) -> EhrClient {
        self.client_of(&self.links, &self.endpoint(auth, oauth)).await
    }

    /// A client of SMART Backend Services with every default.
    pub(crate) async fn smart(&self) -> EhrClient {
        self.client(EhrAuth::SmartBackend, oauth("ohx")).await
    }

    /// Tells the server to behave so.
    pub(crate) async fn control(&self, change: Value) {
        let sent = http().post(format!("{}/control", self.url)).json(&change).send().await.unwrap();
        assert_eq!(sent.status(), 200);
    }

    /// Moves both clocks.
    pub(crate) async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.control(json!({ "advance": by.as_secs() })).await;
    }

    /// What the server was asked.
    pub(crate) async fn seen(&self) -> Value {
        let text = http().get(format!("{}/control", self.url)).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The statuses of the token endpoint's answers so far.
    pub(crate) async fn tokens(&self) -> Vec<u64> {
        let seen = self.seen().await;
        seen["tokens"].as_array().unwrap().iter().map(|token| token["status"].as_u64().unwrap()).collect()
    }

    /// The statuses of the FHIR base's answers so far.
    pub(crate) async fn answers(&self) -> Vec<u64> {
        serde_json::from_value(self.seen().await["fhir"].clone()).unwrap()
    }
}

/// The header and the claims of the assertion in a token request.
pub(crate) fn assertion(token: &Value) -> (Value, Value) {
    let jwt = token["form"]["client_assertion"].as_str().expect("an assertion");
    let part = |n: usize| {
        let text = jwt.split('.').nth(n).unwrap();
        let bytes = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    (part(0), part(1))
}
