//! A legacy Fitbit Web API that behaves as it is described, oddities included, and that can be switched off in the ways
//! in which a service ends.
//!
//! ```text
//! GET|POST /oauth2/authorize                                   the consent page
//! POST     /oauth2/token, /oauth2/revoke                       with HTTP Basic
//! GET      /1/user/-/profile.json, devices.json
//! GET      /1/user/-/..., /1.2/user/-/sleep/...                the records
//! POST     /1/user/-/{collection}/apiSubscriptions/{id}.json   subscriptions
//! *        /_sandbox/fitbit-legacy/...                         the control interface
//! ```

mod consent;
mod control;
mod data;
mod faults;
mod notify;
mod oauth;
mod read;
mod routine;
mod truth;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get, post};
use ohx_domain::Clock;
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use serde::Serialize;
use tokio::sync::watch;

use crate::steer::steered;
pub use data::{ALL, Device, Entry, Person, USUAL};
pub use faults::{Fault, Retired};

/// What the simulated cloud knows about its one client.
#[derive(Clone)]
pub struct Config {
    /// Makes tokens and histories; the same seed makes the same world.
    pub seed: u64,
    /// The client's id.
    pub client_id: String,
    /// The client's secret, which also signs notifications.
    pub client_secret: String,
    /// The redirect URLs that are registered for the client, compared as text. More can be registered later.
    pub redirect_uris: Vec<String>,
    /// Calls an hour of each person. Fitbit: 150.
    pub requests_per_hour: u64,
    /// The most entries on one page of a list, whatever `limit` asks for.
    pub page_size: usize,
    /// How long a notification's receiver may take to answer. Fitbit: 5 s.
    pub notify_timeout: Duration,
}

impl Config {
    /// A client in good standing.
    pub fn new(client_id: &str, client_secret: &str, redirect_uris: &[&str]) -> Self {
        Self {
            seed: 1,
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            redirect_uris: redirect_uris.iter().map(|uri| (*uri).to_owned()).collect(),
            requests_per_hour: 150,
            page_size: 100,
            notify_timeout: Duration::from_secs(5),
        }
    }
}

/// Why the simulator did not do what it was told to. Persons and readings are never named in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SimulatorError {
    /// No person has this id.
    #[error("no such person in the sandbox: add the person first")]
    UnknownPerson,
    /// No record has this name.
    #[error("the service has no such record")]
    UnknownRecord,
    /// The person's time zone is none that the time zone database knows.
    #[error("the person's time zone is not in the time zone database: write it like Europe/Vienna")]
    UnknownZone,
    /// The subscriber did not answer the verification as it has to.
    #[error("the subscriber does not answer 204 to its code and 404 to another one")]
    NotVerified,
}

/// What has happened so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Calls by what they ask for (a record, `token`, `profile`, ...), whatever came of them.
    pub calls: BTreeMap<String, u64>,
    /// Token pairs given for a refresh token.
    pub refreshes: u64,
    /// Token requests that were refused.
    pub grants_refused: u64,
    /// Calls with a missing, unknown or expired access token.
    pub unauthorized: u64,
    /// Calls beyond a person's hour.
    pub over_quota: u64,
    /// Requests with a header that asks for other units.
    pub languages: u64,
    /// Notifications that were answered with 204 in time.
    pub notify_delivered: u64,
    /// Those that were not.
    pub notify_failed: u64,
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
    persons: BTreeMap<String, data::Account>,
    next_id: i64,
    tokens: oauth::Tokens,
    subscriber: Option<String>,
    subscriptions: BTreeMap<String, notify::Subscription>,
    faults: faults::Faults,
    stats: Stats,
}

steered!(Simulator, Fault, Stats);

impl Simulator {
    /// A cloud without persons. `http` is what it calls the subscriber with.
    pub fn new(config: Config, clock: Arc<dyn Clock>, http: reqwest::Client) -> Self {
        let state = State {
            rng: Xoshiro256PlusPlus::seed_from_u64(config.seed),
            redirects: config.redirect_uris.clone(),
            persons: BTreeMap::new(),
            // Beyond 32 bits.
            next_id: 13_214_029_456,
            tokens: oauth::Tokens::default(),
            subscriber: None,
            subscriptions: BTreeMap::new(),
            faults: faults::Faults::default(),
            stats: Stats::default(),
        };
        let in_flight = watch::Sender::new(0);
        Self(Arc::new(Inner { config, clock, http, state: Mutex::new(state), in_flight }))
    }

    /// Everything it serves, from the root of a host.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/oauth2/authorize", get(consent::page).post(consent::decide))
            .route("/oauth2/token", post(oauth::token))
            .route("/oauth2/revoke", post(oauth::revoke))
            .route("/{version}/user/-/{*path}", any(wire::api))
            .merge(control::routes())
            .with_state(self.clone())
    }

    /// Ends the service in one of the ways in which services end, or brings it back.
    pub fn retire(&self, how: Option<Retired>) {
        self.state().faults.retired = how;
    }
}
