//! A Withings that behaves as documented, oddities included.
//!
//! The consent page, the token endpoint, measurements, activity, sleep, ECG, devices and the notification service of
//! the public API. What it does where the documentation is silent is said where it does it.
//!
//! ```text
//! GET|POST /oauth2_user/authorize2      the consent page
//! POST     /v2/oauth2                   requesttoken, revoke
//! POST     /v2/signature                getnonce
//! POST     /measure                     getmeas
//! POST     /v2/measure                  getactivity, getworkouts, getintradayactivity
//! POST     /v2/sleep                    getsummary, get
//! POST     /v2/heart                    list, get
//! POST     /v2/user                     getdevice
//! POST     /notify                      subscribe, list, get, update, revoke
//! *        /_sandbox/withings/...       the control interface
//! ```

mod activity;
mod consent;
mod control;
mod data;
mod faults;
mod figures;
mod heart;
mod history;
mod life;
mod measure;
mod night;
mod notify;
mod oauth;
mod routine;
mod sleep;
mod truth;
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
pub use crate::{Kind, OWN, Reading};
pub use data::{Group, Measure, NewGroup, Person};
pub use faults::Fault;
pub use figures::{Figure, Figures};
pub use life::{Day, Ecg, Night, Sample, Stage, Workout};
pub use routine::Seeded;
pub use truth::{ALL, USUAL};

/// What the simulated cloud knows about its one client, and how fast its time runs.
#[derive(Clone)]
pub struct Config {
    /// Makes tokens, device ids and histories; the same seed makes the same world.
    pub seed: u64,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// The redirect URLs that are registered for the client, compared as text. More can be registered later.
    pub redirect_uris: Vec<String>,
    /// Records on one page. Withings: 200 to 300.
    pub page_size: usize,
    /// Calls a minute of the client, all its users together, before status 601. Free plan: 120.
    pub requests_per_minute: usize,
    /// How long a callback may take to answer. Withings: about 2 s.
    pub notify_timeout: Duration,
    /// The waits before each round of attempts to deliver a notification; each round has two attempts. Withings: 0,
    /// 10 s, 1 min, 1 h, 4 h, all from the first; the default is a hundredth of it.
    pub notify_rounds: Vec<Duration>,
    /// Whether a person's new consent ends the tokens of an earlier one. Not documented; `true` is what clients that
    /// held two grants report.
    pub one_grant_per_person: bool,
}

impl Config {
    /// The free plan's limits for a client.
    pub fn new(client_id: &str, client_secret: &str, redirect_uris: &[&str]) -> Self {
        Self {
            seed: 1,
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            redirect_uris: redirect_uris.iter().map(|uri| (*uri).to_owned()).collect(),
            page_size: 300,
            requests_per_minute: 120,
            notify_timeout: Duration::from_secs(2),
            notify_rounds: [0, 100, 600, 36_000, 144_000].map(Duration::from_millis).to_vec(),
            one_grant_per_person: true,
        }
    }
}

/// Why the simulator did not do what it was told to. Persons and readings are never named in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SimulatorError {
    /// No person has this id.
    #[error("no such person in the sandbox: add the person first")]
    UnknownPerson,
    /// No person has a group with this id, or it was deleted.
    #[error("no such measurement group in the sandbox: it was never added, or it was deleted")]
    UnknownGroup,
    /// The weight is no decimal number that fits.
    #[error("the weight is not a decimal number of kilograms: write it like 72.10")]
    BadWeight,
    /// The person's time zone is none that the time zone database knows.
    #[error("the person's time zone is not in the time zone database: write it like Europe/Vienna")]
    UnknownZone,
}

/// What has happened so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// API calls by service and action (`measure/getmeas`), whatever came of them.
    pub calls: BTreeMap<String, u64>,
    /// Token pairs given for a refresh token.
    pub refreshes: u64,
    /// Token requests that were refused: dead code, dead refresh token, wrong client.
    pub grants_refused: u64,
    /// Calls with a missing, unknown or expired access token.
    pub unauthorized: u64,
    /// Calls over the quota, real or injected.
    pub over_quota: u64,
    /// Attempts to deliver a notification.
    pub notify_attempts: u64,
    /// Notifications that were answered with 2xx in time.
    pub notify_delivered: u64,
    /// Notifications that were given up.
    pub notify_failed: u64,
    /// Notifications that an injected fault swallowed.
    pub notify_lost: u64,
    /// Groups of which one answer carried a value of the wrong type.
    pub corrupted_groups: Vec<i64>,
}

/// The simulated cloud. Cloning it is cheap, and every clone is the same cloud.
#[derive(Clone)]
pub struct Simulator(Arc<Inner>);

struct Inner {
    config: Config,
    clock: Arc<dyn Clock>,
    http: reqwest::Client,
    state: Mutex<State>,
    /// How many notifications are on their way.
    in_flight: watch::Sender<usize>,
}

struct State {
    rng: Xoshiro256PlusPlus,
    redirects: Vec<String>,
    persons: BTreeMap<u64, data::Account>,
    /// Whose a group is.
    owners: HashMap<i64, u64>,
    next_grpid: i64,
    /// The last id of a workout, a night or a signal.
    next_id: i64,
    tokens: oauth::Tokens,
    subscriptions: Vec<notify::Subscription>,
    faults: faults::Faults,
    stats: Stats,
    /// When the calls of the last minute came.
    quota: VecDeque<Instant>,
    /// Counts answers, so that fields alternate between number and text.
    answers: u64,
}

steered!(Simulator, Fault, Stats);

impl Simulator {
    /// A cloud without persons. `http` is what it calls the callbacks with.
    pub fn new(config: Config, clock: Arc<dyn Clock>, http: reqwest::Client) -> Self {
        let state = State {
            rng: Xoshiro256PlusPlus::seed_from_u64(config.seed),
            redirects: config.redirect_uris.clone(),
            persons: BTreeMap::new(),
            owners: HashMap::new(),
            next_grpid: 5_149_666_502,
            next_id: 3_661_300_276,
            tokens: oauth::Tokens::default(),
            subscriptions: Vec::new(),
            faults: faults::Faults::default(),
            stats: Stats::default(),
            quota: VecDeque::new(),
            answers: 0,
        };
        let in_flight = watch::Sender::new(0);
        Self(Arc::new(Inner { config, clock, http, state: Mutex::new(state), in_flight }))
    }

    /// Everything it serves, from the root of a host.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/oauth2_user/authorize2", get(consent::page).post(consent::decide))
            .route("/v2/oauth2", post(wire::api))
            .route("/v2/signature", post(wire::api))
            .route("/v2/user", post(wire::api))
            .route("/measure", post(wire::api))
            .route("/v2/measure", post(wire::api))
            .route("/v2/sleep", post(wire::api))
            .route("/v2/heart", post(wire::api))
            .route("/notify", post(wire::api))
            .merge(control::routes())
            .with_state(self.clone())
    }
}
