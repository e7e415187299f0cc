//! A cloud that nobody has seen: it behaves as a contract says, and the contract is the one that a consumer is given.
//!
//! Beurer publishes no API, so that there is nothing to imitate. What is shown here is that a consumer does what a
//! contract says: addresses, grant, pages, fields and signatures all come from it. URLs in the contract begin with
//! [`ORIGIN`]; [`Simulator::contract`] gives it with the address that the simulator is served at.

mod data;
mod notify;
mod oauth;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use ohx_domain::{Clock, Instant};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use url::{Url, form_urlencoded};

pub use data::{Device, Measured};

/// What the URLs of a simulator's contract begin with.
pub const ORIGIN: &str = "http://sandbox.invalid";

/// What the cloud is made of.
#[derive(Clone)]
pub struct Config {
    /// The contract, with URLs at [`ORIGIN`].
    pub contract: Value,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// The redirect URL.
    pub redirect_uri: String,
    /// What `{secret}` stands for in the contract's headers, which every call has to have.
    pub header_secret: String,
    /// What proves notifications.
    pub webhook_secret: String,
    /// Items on one page where the contract has a cursor.
    pub page_size: usize,
    /// Calls for data a minute before HTTP 429.
    pub requests_per_minute: usize,
    /// How long an access token lasts.
    pub access_life: Duration,
}

/// What goes wrong once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The next call for data gets this status, with so many seconds in Retry-After.
    Status(u16, Option<u64>),
    /// The next page ends in the middle.
    Truncated,
    /// The next page has records beside the others that are not as the contract says.
    Malformed,
    /// The next page says that it is followed by itself.
    StandsStill,
    /// The next page is HTML.
    Html,
}

/// The cloud. Cloning it is cheap, and every clone is the same cloud.
#[derive(Clone)]
pub struct Simulator(Arc<Inner>);

struct Inner {
    config: Config,
    clock: Arc<dyn Clock>,
    http: reqwest::Client,
    state: Mutex<State>,
}

struct State {
    rng: Xoshiro256PlusPlus,
    persons: BTreeMap<String, String>,
    measured: Vec<Measured>,
    tokens: oauth::Tokens,
    faults: VecDeque<Fault>,
    calls: VecDeque<Instant>,
}

/// A request, read.
struct Call<'a> {
    path: &'a str,
    query: BTreeMap<String, String>,
    headers: &'a HeaderMap,
}

impl Simulator {
    /// A cloud without persons. `http` is what it sends notifications with.
    pub fn new(config: Config, clock: Arc<dyn Clock>, http: reqwest::Client) -> Self {
        let state = State {
            rng: Xoshiro256PlusPlus::seed_from_u64(1),
            persons: BTreeMap::new(),
            measured: Vec::new(),
            tokens: oauth::Tokens::default(),
            faults: VecDeque::new(),
            calls: VecDeque::new(),
        };
        Self(Arc::new(Inner { config, clock, http, state: Mutex::new(state) }))
    }

    /// Everything it serves, from the root of a host.
    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    /// The contract for a consumer, with the address of this cloud.
    pub fn contract(&self, base: &str) -> String {
        self.0.config.contract.to_string().replace(ORIGIN, base.trim_end_matches('/'))
    }

    /// Adds a person.
    pub fn add_person(&self, id: &str, name: &str) {
        self.state().persons.insert(id.to_owned(), name.to_owned());
    }

    /// The person ends the connection: every token of theirs dies.
    pub fn unlink(&self, person: &str) {
        self.state().tokens.forget(person);
    }

    /// Adds what a person has measured.
    pub fn measure(&self, measured: Measured) {
        self.state().measured.push(measured);
    }

    /// Lets something go wrong, once; several one after the other.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not stop a simulator whose state is only data.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A text of the contract.
    fn said(&self, pointer: &str) -> Option<&str> {
        self.0.config.contract.pointer(pointer)?.as_str()
    }

    /// The path of an address in the contract.
    fn path(&self, name: &str) -> Option<String> {
        Url::parse(self.said(&format!("/{name}"))?).ok().map(|url| url.path().to_owned())
    }

    /// Below the base URL: the path, and what stands for `{account}` and `{code}`.
    fn below(&self, template: &str, path: &str) -> Option<BTreeMap<String, String>> {
        let base = self.path("base_url")?;
        let rest = path.strip_prefix(base.trim_end_matches('/'))?.strip_prefix('/')?;
        let (wanted, is): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), rest.split('/').collect());
        if wanted.len() != is.len() {
            return None;
        }
        let mut found = BTreeMap::new();
        for (wanted, is) in wanted.into_iter().zip(is) {
            let is = form_urlencoded::parse(format!("v={}", is.replace('+', "%2B")).as_bytes())
                .next()
                .map(|(_, value)| value.into_owned())?;
            match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) => drop(found.insert(name.to_owned(), is)),
                None if wanted == is => {}
                None => return None,
            }
        }
        Some(found)
    }

    /// Whether a call has the headers of the contract.
    fn has_headers(&self, headers: &HeaderMap) -> bool {
        let wanted = self.0.config.contract.get("headers").and_then(Value::as_object);
        wanted.into_iter().flatten().all(|(name, value)| {
            let value = value.as_str().unwrap_or_default().replace("{secret}", &self.0.config.header_secret);
            headers.get(name).is_some_and(|sent| sent.as_bytes() == value.as_bytes())
        })
    }

    /// Counts a call against the minute.
    fn within_quota(&self) -> bool {
        let now = self.0.clock.now();
        let mut state = self.state();
        while state.calls.front().is_some_and(|at| now.duration_since(*at).as_secs() >= 60) {
            state.calls.pop_front();
        }
        let free = state.calls.len() < self.0.config.requests_per_minute;
        if free {
            state.calls.push_back(now);
        }
        free
    }
}

impl State {
    fn token(&mut self) -> String {
        data_encoding::HEXLOWER.encode(&self.rng.random::<[u8; 20]>())
    }
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").finish_non_exhaustive()
    }
}

fn bare(status: u16) -> Response {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST).into_response()
}

async fn serve(
    Shared(sim): Shared<Simulator>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let pairs = |text: &[u8]| form_urlencoded::parse(text).into_owned().collect::<BTreeMap<_, _>>();
    let call = Call {
        path: uri.path(),
        query: pairs(uri.query().unwrap_or_default().as_bytes()),
        headers: &headers,
    };
    let path = Some(call.path.to_owned());
    if path == sim.path("authorize_url") {
        let request = if method == Method::POST { pairs(&body) } else { call.query };
        return oauth::consent(&sim, &request);
    }
    if !sim.has_headers(&headers) {
        return bare(403);
    }
    if method == Method::POST {
        let form = pairs(&body);
        return match path {
            path if path == sim.path("token_url") => oauth::token(&sim, &headers, &form),
            path if path == sim.path("revoke_url") => oauth::revoke(&sim, &form),
            _ => bare(404),
        };
    }
    if let Some(at) = sim.said("/account/url").and_then(|template| sim.below(template, call.path)) {
        return oauth::account(&sim, &call, &at);
    }
    if !sim.within_quota() {
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "30")]).into_response();
    }
    data::page(&sim, &call)
}
