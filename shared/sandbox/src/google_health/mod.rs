//! A Google Health API that behaves as documented, oddities included: Fitbit and Pixel Watch people.
//!
//! ```text
//! GET|POST /o/oauth2/v2/auth                                   the consent page
//! POST     /token, /revoke                                     tokens of people and of the service account
//! GET      /v4/users/me/identity, settings, pairedDevices      who, where, with what
//! GET      /v4/users/me/dataTypes/{type}/dataPoints            list; {point} gets one
//! GET      /v4/users/me/dataTypes/{type}/dataPoints:reconcile  one stream of all sources
//! POST     /v4/users/me/dataTypes/{type}/dataPoints:dailyRollUp
//! *        /v4/projects/{number}/subscribers...                who is notified
//! GET      /keyset.json                                        what notifications are signed with
//! *        /_sandbox/google-health/...                         the control interface
//! ```
//!
//! All of Google's hosts are this one. What it does where Google's pages are silent is said where it does it.

mod admin;
mod consent;
mod control;
mod data;
mod faults;
mod filter;
mod notify;
mod oauth;
mod points;
mod routine;
mod truth;
mod types;
mod wire;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use ohx_domain::{Clock, Instant};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use serde::Serialize;
use tokio::sync::watch;

use crate::steer::steered;
pub use data::{NewPoint, Person, Point};
pub use faults::Fault;
pub use truth::USUAL;

/// What the simulated cloud knows about its one client and project, and how fast its time runs.
#[derive(Clone)]
pub struct Config {
    /// Makes tokens and histories; the same seed makes the same world.
    pub seed: u64,
    /// The OAuth client's id.
    pub client_id: String,
    /// The OAuth client's secret.
    pub client_secret: String,
    /// The redirect URLs that are registered for the client, compared as text. More can be registered later.
    pub redirect_uris: Vec<String>,
    /// The Google Cloud project's number.
    pub project: String,
    /// While the consent screen is in testing, refresh tokens live seven days.
    pub testing: bool,
    /// Calls a minute of one user before 429. Google: 300, and 150 for an app that is not verified.
    pub requests_per_minute: usize,
    /// The largest page, whatever is asked for. Google: 10,000, and 25 of sleep and exercise.
    pub largest_page: usize,
    /// How long a notification address may take to answer.
    pub notify_timeout: Duration,
    /// The waits before each attempt to deliver a notification. Google's grow for seven days.
    pub notify_rounds: Vec<Duration>,
}

impl Config {
    /// A verified app.
    pub fn new(client_id: &str, client_secret: &str, redirect_uris: &[&str]) -> Self {
        Self {
            seed: 1,
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            redirect_uris: redirect_uris.iter().map(|uri| (*uri).to_owned()).collect(),
            project: "123456789012".to_owned(),
            testing: false,
            requests_per_minute: 300,
            largest_page: 10_000,
            notify_timeout: Duration::from_secs(5),
            notify_rounds: [0, 100, 600, 36_000].map(Duration::from_millis).to_vec(),
        }
    }
}

/// Why the simulator did not do what it was told to. People and readings are never named in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SimulatorError {
    /// No person has this id.
    #[error("no such person in the sandbox: add the person first")]
    UnknownPerson,
    /// The person has no such point.
    #[error("no such point in the sandbox: it was never added, or it was deleted")]
    UnknownPoint,
    /// The point is not as its type has to be.
    #[error(
        "the point is not as its type has to be: check its type, its time and that its value is an object"
    )]
    BadPoint,
    /// The person's time zone is none that the time zone database knows.
    #[error("the person's time zone is not in the time zone database: write it like Europe/Vienna")]
    UnknownZone,
    /// A key could not be made.
    #[error("the sandbox could not make a key")]
    NoKey,
}

/// What has happened so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// API calls by what they ask for (`steps reconcile`, `settings`), whatever came of them.
    pub calls: BTreeMap<String, u64>,
    /// Access tokens given for a refresh token.
    pub refreshes: u64,
    /// Token requests that were refused.
    pub grants_refused: u64,
    /// Calls with a missing, unknown or expired access token.
    pub unauthorized: u64,
    /// Calls over the quota, real or injected.
    pub over_quota: u64,
    /// Calls that were refused as wrong (400).
    pub bad_requests: u64,
    /// Verifications of a notification address, of two calls each.
    pub verifications: u64,
    /// Attempts to deliver a notification.
    pub notify_attempts: u64,
    /// Notifications that were answered with 2xx in time.
    pub notify_delivered: u64,
    /// Notifications that were given up.
    pub notify_failed: u64,
    /// Notifications that an injected fault swallowed.
    pub notify_lost: u64,
}

/// The simulated cloud. Cloning it is cheap, and every clone is the same cloud.
#[derive(Clone)]
pub struct Simulator(Arc<Inner>);

struct Inner {
    config: Config,
    clock: Arc<dyn Clock>,
    http: reqwest::Client,
    state: Mutex<State>,
    signer: Mutex<notify::Signer>,
    account: std::sync::OnceLock<Option<oauth::ServiceAccount>>,
    /// How many notifications are on their way.
    in_flight: watch::Sender<usize>,
}

struct State {
    rng: Xoshiro256PlusPlus,
    redirects: Vec<String>,
    persons: BTreeMap<u64, data::Account>,
    next_id: u64,
    tokens: oauth::Tokens,
    subscribers: BTreeMap<String, admin::Subscriber>,
    faults: faults::Faults,
    stats: Stats,
    /// When the calls of the last minute came, by user.
    quota: HashMap<u64, VecDeque<Instant>>,
    /// Counts notifications, so that they come now alone, now in a list.
    told: u64,
}

steered!(Simulator, Fault, Stats);

impl Simulator {
    /// A cloud without people. `http` is what it calls notification addresses with.
    ///
    /// # Errors
    /// [`SimulatorError::NoKey`].
    pub fn new(config: Config, clock: Arc<dyn Clock>, http: reqwest::Client) -> Result<Self, SimulatorError> {
        let state = State {
            rng: Xoshiro256PlusPlus::seed_from_u64(config.seed),
            redirects: config.redirect_uris.clone(),
            persons: BTreeMap::new(),
            next_id: 2_026_443_605_180_188_808,
            tokens: oauth::Tokens::default(),
            subscribers: BTreeMap::new(),
            faults: faults::Faults::default(),
            stats: Stats::default(),
            quota: HashMap::new(),
            told: 0,
        };
        let signer = Mutex::new(notify::Signer::new(1_234_567_890)?);
        let (state, account, in_flight) =
            (Mutex::new(state), std::sync::OnceLock::new(), watch::Sender::new(0));
        Ok(Self(Arc::new(Inner { config, clock, http, state, signer, account, in_flight })))
    }

    /// Everything it serves, from the root of a host.
    pub fn router(&self) -> Router {
        let subscribers = "/v4/projects/{project}/subscribers";
        Router::new()
            .route("/o/oauth2/v2/auth", get(consent::page).post(consent::decide))
            .route("/token", post(oauth::token))
            .route("/revoke", post(oauth::revoke))
            .route("/keyset.json", get(notify::keyset))
            .route("/v4/users/me/{*rest}", get(wire::api).post(wire::api))
            .route(subscribers, get(admin::list).post(admin::create))
            .route(&format!("{subscribers}/{{id}}"), axum::routing::patch(admin::patch).delete(admin::delete))
            .merge(control::routes())
            .with_state(self.clone())
    }
}
