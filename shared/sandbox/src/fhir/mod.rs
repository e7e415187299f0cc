//! A small FHIR R5 server in memory: what an EHR does with readings, without the EHR.
//!
//! Create, conditional create, read, update and update-as-create, search by identifier, id, subject and code, batch
//! and transaction. A resource is kept as the text it came as, so that `72.10` stays `72.10`. Conditional creates are
//! atomic here; elsewhere they often are not, and nothing should rely on it.
//!
//! ```text
//! GET  /fhir/metadata
//! GET  /fhir/{type}              POST /fhir/{type}        POST /fhir/{type}/_search
//! GET  /fhir/{type}/{id}         PUT  /fhir/{type}/{id}
//! POST /fhir                     batch and transaction
//! *    /_sandbox/fhir/...        the control interface
//! ```

mod bundle;
mod check;
mod control;
mod faults;
mod outcome;
mod rest;
mod search;
mod store;
mod text;
mod truth;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::routing::any;
use ohx_domain::{Clock, Instant};
use serde::Serialize;

pub use faults::Fault;
pub use truth::{KnownIdentifier, Snapshot};

/// The resource types that it knows.
const TYPES: [&str; 12] = [
    "Device",
    "DeviceAssociation",
    "DeviceDefinition",
    "DeviceMetric",
    "Encounter",
    "Group",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "Provenance",
    "RelatedPerson",
];

/// What has happened so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// HTTP requests by method, and entries of bundles as `batch/POST`, `transaction/PUT`, ..., whatever came of them.
    pub calls: BTreeMap<String, u64>,
    /// Answers by HTTP status, entries of bundles not among them.
    pub answers: BTreeMap<u16, u64>,
}

/// The server. Cloning it is cheap, and every clone is the same server.
#[derive(Clone)]
pub struct FhirServer {
    bearer: Option<Arc<str>>,
    body_limit: usize,
    version: &'static str,
    shared: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    store: store::Store,
    faults: faults::Faults,
    stats: Stats,
}

impl FhirServer {
    /// An empty server that asks for no token and takes bodies up to 8 MiB.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = Mutex::new(State::default());
        Self { bearer: None, body_limit: 8 << 20, version: "5.0.0", shared: Arc::new(Inner { clock, state }) }
    }

    /// The same server, but everything under `/fhir` except `metadata` needs this bearer token.
    #[must_use]
    pub fn with_bearer(mut self, token: &str) -> Self {
        self.bearer = Some(token.into());
        self
    }

    /// The same server, but it answers 413 to a body of more than this many bytes.
    #[must_use]
    pub fn with_body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// The same server, but it speaks this version of FHIR, such as `4.0.1`.
    #[must_use]
    pub fn with_version(mut self, version: &'static str) -> Self {
        self.version = version;
        self.state().store.before_r5 = !version.starts_with("5.");
        self
    }

    /// Everything it serves, from the root of a host.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/fhir", any(rest::handle))
            .route("/fhir/", any(rest::handle))
            .route("/fhir/{*path}", any(rest::handle))
            .merge(control::routes())
            .with_state(self.clone())
    }

    /// What has happened so far.
    pub fn stats(&self) -> Stats {
        self.state().stats.clone()
    }

    /// Switches a fault on.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.inject(fault);
    }

    /// Switches every fault off.
    pub fn clear_faults(&self) {
        self.state().faults = faults::Faults::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not stop a server whose state is only data.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Instant {
        self.shared.clock.now()
    }
}

impl std::fmt::Debug for FhirServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FhirServer").finish_non_exhaustive()
    }
}
