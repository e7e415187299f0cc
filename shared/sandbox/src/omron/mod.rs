//! An OMRON Partner API that behaves as it is described, oddities included.
//!
//! The consent page, the token endpoint, the one endpoint for data, and the notifications, which OMRON's staff
//! register: here, [`Simulator::register_notifications`]. Production and staging are the same cloud under two prefixes.
//!
//! ```text
//! GET|POST /connect/authorize                 the consent page
//! POST     /prd|stg/connect/token             authorization_code, refresh_token
//! POST     /prd|stg/connect/revocation        an empty 200, whatever happens
//! POST     /prd|stg/api/measurement           every record
//! *        /_sandbox/omron/...                the control interface
//! ```

mod consent;
mod control;
mod data;
mod faults;
mod history;
mod measurement;
mod notify;
mod oauth;
mod truth;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use ohx_domain::{Clock, Instant};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::steer::steered;
pub use data::{NewRow, Person, Row, Type};
pub use faults::Fault;
pub use truth::{ALL, USUAL};

/// What the simulated cloud knows about its one client, and how it behaves.
#[derive(Clone)]
pub struct Config {
    /// Makes tokens and histories; the same seed makes the same world.
    pub seed: u64,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// The redirect URLs that OMRON has allowed, compared as text. More can be registered later.
    pub redirect_uris: Vec<String>,
    /// The most rows on one page, whatever `limit` asks for. OMRON's is not documented.
    pub page_size: usize,
    /// Calls a minute of the client before HTTP 429. OMRON's are not documented.
    pub requests_per_minute: usize,
    /// How long an access token lasts. OMRON's is not documented.
    pub access_life: Duration,
    /// How long a notification's receiver may take to answer.
    pub notify_timeout: Duration,
    /// How long after a failure a notification is sent once more. OMRON agrees on it with each partner.
    pub notify_retry: Duration,
    /// How it does what clients describe in several ways.
    pub manner: Manner,
}

impl Config {
    /// A client in good standing.
    pub fn new(client_id: &str, client_secret: &str, redirect_uris: &[&str]) -> Self {
        Self {
            seed: 1,
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            redirect_uris: redirect_uris.iter().map(|uri| (*uri).to_owned()).collect(),
            page_size: 100,
            requests_per_minute: 120,
            access_life: Duration::from_secs(3600),
            notify_timeout: Duration::from_secs(2),
            notify_retry: Duration::from_millis(200),
            manner: Manner::default(),
        }
    }
}

/// What clients of the real service describe in several ways; each can be switched while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Manner {
    /// How the next page is found.
    pub paging: Paging,
    /// Every number is text; weights always are.
    pub numbers_as_text: bool,
    /// Ids are text, too.
    pub ids_as_text: bool,
    /// Lists that were not asked for are null, instead of absent.
    pub null_lists: bool,
    /// The zone stands inside `dateTimeLocal`, and nowhere else.
    pub zone_in_local_time: bool,
    /// There is no local time and no offset, but for the day of an activity.
    pub no_offset: bool,
    /// The newer form of notifications, with milliseconds and a type.
    pub newer_notifications: bool,
    /// `expires_in` is text.
    pub expires_as_text: bool,
    /// What becomes of a refresh token that is used.
    pub rotation: Rotation,
    /// The user's id stands in the access token alone, as `custom:userId`.
    pub no_id_token: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            paging: Paging::NumberByType,
            numbers_as_text: false,
            ids_as_text: false,
            null_lists: false,
            zone_in_local_time: false,
            no_offset: false,
            newer_notifications: false,
            expires_as_text: false,
            rotation: Rotation::Strict,
            no_id_token: false,
        }
    }
}

/// How the next page of an answer is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Paging {
    /// `paginationKey` has a number for every type.
    NumberByType,
    /// `paginationKey` has a text for every type.
    TextByType,
    /// `paginationKey` is a text.
    Text,
    /// `nextPaginationKey` is a text.
    NextText,
    /// There is no key, and `truncated` alone says that there is more.
    None,
    /// The key is that of the page that was asked for, and `truncated` always true: a loop.
    StandsStill,
}

/// What becomes of a refresh token that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rotation {
    /// Another one takes its place at once.
    Strict,
    /// It stays good, and the answer has none.
    Keep,
}

/// Why the simulator did not do what it was told to. Persons and readings are never named in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SimulatorError {
    /// No person has this id.
    #[error("no such person in the sandbox: add the person first")]
    UnknownPerson,
    /// A value is no decimal number.
    #[error("a value is not a decimal number: write it like 81.40")]
    BadValue,
    /// The person's time zone is none that the time zone database knows.
    #[error("the person's time zone is not in the time zone database: write it like Europe/Vienna")]
    UnknownZone,
}

/// What has happened so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Calls by their last path segment and type (`measurement/weight`), whatever came of them.
    pub calls: BTreeMap<String, u64>,
    /// Access tokens given for a refresh token.
    pub refreshes: u64,
    /// Token requests that were refused.
    pub grants_refused: u64,
    /// Grants that were revoked.
    pub revoked: u64,
    /// Calls with a missing, unknown or expired access token.
    pub unauthorized: u64,
    /// Calls over the quota, real or injected.
    pub over_quota: u64,
    /// Attempts to deliver a notification.
    pub notify_attempts: u64,
    /// Notifications that were answered with 200 in time.
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
    /// How many notifications are on their way.
    in_flight: watch::Sender<usize>,
}

struct State {
    rng: Xoshiro256PlusPlus,
    redirects: Vec<String>,
    /// Where notifications go.
    address: Option<String>,
    manner: Manner,
    persons: BTreeMap<String, data::Account>,
    /// The last id of a row: beyond what a binary float holds.
    next_id: i64,
    tokens: oauth::Tokens,
    faults: faults::Faults,
    stats: Stats,
    /// When the calls of the last minute came.
    quota: VecDeque<Instant>,
}

steered!(Simulator, Fault, Stats);

impl Simulator {
    /// A cloud without persons. `http` is what it sends notifications with.
    pub fn new(config: Config, clock: Arc<dyn Clock>, http: reqwest::Client) -> Self {
        let state = State {
            rng: Xoshiro256PlusPlus::seed_from_u64(config.seed),
            redirects: config.redirect_uris.clone(),
            address: None,
            manner: config.manner,
            persons: BTreeMap::new(),
            next_id: 9_007_199_254_740_992,
            tokens: oauth::Tokens::default(),
            faults: faults::Faults::default(),
            stats: Stats::default(),
            quota: VecDeque::new(),
        };
        let in_flight = watch::Sender::new(0);
        Self(Arc::new(Inner { config, clock, http, state: Mutex::new(state), in_flight }))
    }

    /// Everything it serves, from the root of a host.
    pub fn router(&self) -> Router {
        let api = Router::new()
            .route("/connect/token", post(oauth::token))
            .route("/connect/revocation", post(oauth::revocation))
            .route("/api/measurement", post(measurement::measurement));
        Router::new()
            .route("/connect/authorize", get(consent::page).post(consent::decide))
            .nest("/prd", api.clone())
            .nest("/stg", api)
            .merge(control::routes())
            .with_state(self.clone())
    }

    /// Registers the address that notifications go to, as OMRON's staff would; `None` for none.
    pub fn register_notifications(&self, address: Option<&str>) {
        self.state().address = address.map(str::to_owned);
    }

    /// Does from now on what clients describe in several ways in this way.
    pub fn behave(&self, manner: Manner) {
        self.state().manner = manner;
    }

    /// Counts a call against the client's minute. A refused one costs nothing.
    fn within_quota(&self) -> bool {
        let now = self.now();
        let mut state = self.state();
        while state.quota.front().is_some_and(|at| now.duration_since(*at).as_secs() >= 60) {
            state.quota.pop_front();
        }
        let free = state.quota.len() < self.0.config.requests_per_minute;
        if free {
            state.quota.push_back(now);
        }
        free
    }
}
