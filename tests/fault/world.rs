//! A world: Open Health Exchange in this process, its store, its broker, and everybody it talks to behind a proxy.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use ohx_bus::SharedBus;
use ohx_bus::deliver::RouterDeliver;
use ohx_domain::{EhrEndpoint, Link, LinkId, PatientReference};
use ohx_link::{Links, ticket};
use ohx_runtime::bury::StoreBury;
use ohx_sandbox::fhir::FhirServer;
use ohx_seal::generate_key;
use ohx_store::SharedStore;
use ohx_tests::outside::http;
use ohx_tests::proxy::Proxy;
use ohx_tests::{patient, services};
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;

use crate::broken::Sabotage;
use crate::bus::ChaoticBus;
use crate::clock::{OurClock, Time, TrueClock};
use crate::cloud::{self, Cloud};
use crate::journal::{Journal, kind};
use crate::plan::{Carrier, Database, Plan};
use crate::processes::{Alive, Buried, Graves, front, parts};
use crate::through_redis::Hurried;

/// How long a provider or an EHR may take over one call.
const PATIENCE: Duration = Duration::from_secs(2);

/// A link, and who is behind it.
pub struct Patient {
    pub link: LinkId,
    /// Which of the world's clouds.
    pub cloud: usize,
    /// Who it is there.
    pub person: String,
    /// Who it is at the EHR.
    pub reference: String,
}

pub struct World {
    pub plan: Plan,
    pub journal: Journal,
    pub time: Arc<Time>,
    pub store: SharedStore,
    pub chaos: Option<ChaoticBus>,
    bus: SharedBus,
    pub clouds: Vec<Cloud>,
    pub ehr: FhirServer,
    pub ehr_url: String,
    pub ehr_proxy: Proxy,
    pub store_proxy: Option<Proxy>,
    /// Its proxy, its address through the proxy, the prefix of the keys, and the bus on it.
    pub redis: Option<(Proxy, String, String, ohx_bus_redis::RedisBus)>,
    pub patients: Vec<Patient>,
    pub buried: Arc<Mutex<Vec<Buried>>>,
    keys: Mutex<Vec<String>>,
    public_url: url::Url,
    identifier_base: Mutex<String>,
    /// What patients and providers call with, and whoever looks at the EHR from outside.
    pub outside: reqwest::Client,
    /// What Open Health Exchange calls with. Making one takes so long that all processes of a world share it.
    http: reqwest::Client,
    alive: Arc<RwLock<Arc<Alive>>>,
    /// Ends of the identifiers that the EHR refuses, until it is mended.
    pub refusals: Mutex<Vec<String>>,
    /// Refreshes whose answers were lost, and pairs that were stored, when both were last in order.
    pub refreshes: Mutex<(u64, u64)>,
    /// How this world is broken on purpose, where it is.
    pub sabotage: Mutex<Option<Sabotage>>,
    /// Nothing more goes wrong.
    pub healed: Arc<AtomicBool>,
    _folder: tempfile::TempDir,
}

fn loopback(proxy: &Proxy, url: &str) -> String {
    let mut url: url::Url = url.parse().expect("a URL");
    url.set_ip_host(proxy.address().ip()).expect("a host");
    url.set_port(Some(proxy.address().port())).expect("a port");
    url.to_string()
}

async fn behind_proxy(url: &str, default_port: u16) -> (Proxy, String) {
    let parsed: url::Url = url.parse().expect("a URL");
    let target =
        format!("{}:{}", parsed.host_str().unwrap_or("127.0.0.1"), parsed.port().unwrap_or(default_port));
    let target: SocketAddr =
        tokio::net::lookup_host(target).await.expect("a host").next().expect("an address");
    let proxy = Proxy::before(target).await;
    let url = loopback(&proxy, url);
    (proxy, url)
}

/// In memory where there is such a folder: a file's commits would otherwise wait for a disk.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}

impl World {
    /// Builds the world of a plan. The patients consent while all is well.
    pub async fn begin(plan: Plan) -> Self {
        let journal = Journal::default();
        let time = Time::new(plan.start);
        let outside = http();
        let ehr = FhirServer::new(Arc::new(TrueClock(time.clone())));
        let ehr_address = cloud::serve(ehr.router()).await;
        let ehr_proxy = Proxy::before(ehr_address).await;
        let mut sources = plan.links.clone();
        sources.dedup();
        let mut clouds = Vec::new();
        for source in sources {
            let clock = Arc::new(TrueClock(time.clone()));
            clouds.push(Cloud::start(source, plan.page_size, clock, outside.clone()).await);
        }
        let folder = folder();
        let (store, store_proxy): (SharedStore, _) = match plan.database {
            Database::Sqlite => {
                let url = format!("sqlite://{}?mode=rwc", folder.path().join("ohx.db").display());
                (Arc::new(ohx_store_sqlite::SqliteStore::open(&url).await.expect("a store")), None)
            }
            Database::Postgres => {
                let (proxy, url) = behind_proxy(&services::database().await, 5432).await;
                (Arc::new(ohx_store_postgres::PostgresStore::connect(&url).expect("a store")), Some(proxy))
            }
        };
        store.migrate().await.expect("a schema");
        let (bus, chaos, redis): (SharedBus, _, _) = match plan.carrier {
            Carrier::Redis => {
                let (server, prefix) = services::redis();
                let (proxy, url) = behind_proxy(&server, 6379).await;
                let bus = ohx_bus_redis::RedisBus::connect(&url, &prefix).expect("a Redis");
                (Arc::new(Hurried(bus.clone())), None, Some((proxy, url, prefix, bus)))
            }
            Carrier::InProcess | Carrier::Broker => {
                let chaos = ChaoticBus::new(&plan, &time, &journal);
                (Arc::new(chaos.clone()), Some(chaos), None)
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let public_url: url::Url =
            format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a URL");
        let keys = Mutex::new(vec![format!("k1:{}", generate_key().expose_secret())]);
        let identifier_base = Mutex::new("https://ohx.test/ns".to_owned());
        let healed = Arc::<AtomicBool>::default();
        let http = ohx_runtime::outbound::client(PATIENCE).expect("a client");
        let parts = parts(&keys, &identifier_base, &store, &bus, &time, &public_url, &http);
        let alive = Arc::new(RwLock::new(Arc::new(Alive::new(parts))));
        tokio::spawn(front(listener, alive.clone(), plan.clone(), journal.clone(), healed.clone()));
        let mut world = Self {
            ehr_url: format!("http://{ehr_address}/fhir"),
            patients: Vec::new(),
            buried: Arc::default(),
            _folder: folder,
            plan,
            journal,
            time,
            store,
            chaos,
            bus,
            clouds,
            ehr,
            ehr_proxy,
            store_proxy,
            redis,
            keys,
            public_url,
            identifier_base,
            outside,
            http,
            alive,
            healed,
            refusals: Mutex::default(),
            sabotage: Mutex::default(),
            refreshes: Mutex::default(),
        };
        world.configure().await;
        for (n, source) in world.plan.links.clone().into_iter().enumerate() {
            let cloud = world.clouds.iter().position(|cloud| cloud.source == source).expect("a cloud");
            let patient = world.connect(cloud, n as u64 + 1).await;
            world.patients.push(patient);
        }
        world
    }

    async fn configure(&self) {
        let links = self.links();
        let parts = links.parts();
        let name = "clinic".parse().expect("a name");
        let base = format!("http://{}/fhir", self.ehr_proxy.address()).parse().expect("a URL");
        let endpoint = EhrEndpoint {
            strategy: self.plan.strategy,
            batch_size: self.plan.batch_size,
            ..EhrEndpoint::new(name, base)
        };
        self.store.put_ehr(&endpoint, None, parts.clock.now()).await.expect("an endpoint");
        for cloud in &self.clouds {
            let (app, secrets) = cloud.app();
            let sealed = ohx_link::secrets::seal(&parts.keyring, &app.name, &secrets).expect("sealed");
            self.store.put_provider(&app, Some(&sealed), parts.clock.now()).await.expect("an app");
        }
    }

    /// A patient with a past follows the address from the clinic and consents.
    async fn connect(&self, cloud: usize, n: u64) -> Patient {
        let links = self.links();
        let reference = format!("Patient/p{n}");
        let chart: PatientReference = reference.parse().expect("a patient");
        let from = &self.clouds[cloud];
        let person = from.person(1_000 + n, self.plan.dice);
        let (app, ehr) = (from.name().parse().expect("a name"), "clinic".parse().expect("a name"));
        let link = Link::pending(app, ehr, chart, cloud::BACKFILL, links.parts().clock.now());
        self.store.insert_link(&link).await.expect("a link");
        let address = ticket::connect_address(links.parts(), link.id).await.expect("an address");
        let (cookie, page) = patient::begin_with(&self.outside, address.as_str()).await;
        let page: url::Url = page.parse().expect("the consent page");
        let redirect = page.query_pairs().find(|(name, _)| name == "redirect_uri").expect("a redirect").1;
        from.register(&redirect, &self.public_url);
        let user = [("user".to_owned(), person.clone())];
        let form: Vec<(String, String)> = page.query_pairs().into_owned().chain(user).collect();
        let mut action = page.clone();
        action.set_query(None);
        let sent = self.outside.post(action).form(&form).send().await.expect("the provider answers");
        let back = sent.headers()["location"].to_str().expect("text");
        let (status, page) = patient::finish_with(&self.outside, back, Some(&cookie)).await;
        assert_eq!(status, 200, "{page}");
        Patient { link: link.id, cloud, person, reference }
    }

    fn alive(&self) -> Arc<Alive> {
        self.alive.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the functions work with now.
    pub fn links(&self) -> Links {
        self.alive().links.clone()
    }

    /// The functions as they are now.
    pub fn functions(&self) -> RouterDeliver {
        self.alive().inner.clone()
    }

    /// Every process ends and is started again: what was kept in memory is gone, the queue of `ohx serve` too, and it
    /// asks again for what was open.
    pub async fn restart(&self, step: &str) {
        self.journal.note(kind::RESTARTED, step);
        self.start_anew();
        if let (Carrier::InProcess, Some(chaos)) = (self.plan.carrier, &self.chaos) {
            if chaos.lose_all() > 0 {
                self.journal.note(kind::QUEUE_LOST, step);
            }
            // It tries until the database and the queue take it.
            for _ in 0..100 {
                match ohx_nightly::resume(&self.links()).await {
                    Ok(_) => break,
                    Err(_) => self.time.pass(Duration::from_secs(5)),
                }
            }
        }
    }

    fn start_anew(&self) {
        let Self { keys, identifier_base, store, bus, time, public_url, http, .. } = self;
        let parts = parts(keys, identifier_base, store, bus, time, public_url, http);
        *self.alive.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Alive::new(parts));
    }

    /// A new key seals from now on; the old ones still open.
    pub async fn rotate_keys(&self, step: &str) {
        {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            let id = keys.len() + 1;
            keys.insert(0, format!("k{id}:{}", generate_key().expose_secret()));
        }
        self.journal.note(kind::KEYS, step);
        self.restart(step).await;
    }

    /// Whether nothing more goes wrong.
    pub fn healed(&self) -> bool {
        self.healed.load(Ordering::SeqCst)
    }

    /// The ends of the identifiers that the EHR refuses now.
    pub fn refused(&self) -> Vec<String> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was given up so far.
    pub fn given_up(&self) -> Vec<Buried> {
        self.buried.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Breaks a promise: from now on readings have other identifiers.
    pub fn forget_identifiers(&self) {
        let mut base = self.identifier_base.lock().unwrap_or_else(PoisonError::into_inner);
        *base = "https://ohx.test/other".to_owned();
        drop(base);
        self.start_anew();
    }

    /// Keeps what was given up, as `ohx serve` does, and remembers it.
    pub fn graves(&self) -> Graves {
        let clock = Arc::new(OurClock(self.time.clone()));
        Graves { store: StoreBury::new(self.store.clone(), clock), buried: self.buried.clone() }
    }
}
