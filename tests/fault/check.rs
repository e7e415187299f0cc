//! What must be true of a healed world.

use std::fmt;

use ohx_domain::{Interval, LinkState};
use ohx_sandbox::compare::{self, Row};
use ohx_store::OpenRequests;

use crate::world::World;

/// What is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Readings that the provider has and the EHR has not.
    Lost { patient: String, kind: String, readings: usize },
    /// Observations beyond the first of a reading, or of a reading that there is not.
    Doubled { patient: String, kind: String, readings: usize },
    /// Observations that say something else than their readings.
    Altered { patient: String, kind: String, readings: usize },
    /// Resources of any type that share an identifier.
    SharedIdentifiers { resource: String, identifiers: usize },
    /// The ledger has requests that no night has ended.
    Open { requests: usize },
    /// The ledger does not say that everything is there.
    Hole { patient: String, record: String, published: String },
    /// A link that is not active any more.
    Link { patient: String, state: LinkState, reason: String },
    /// Something was given up that could have been done.
    DeadLetter { function: String, reason: String },
    /// A function panicked.
    Panicked { function: String },
    /// A healed world does not come to rest.
    Endless { waiting: usize },
}

impl Finding {
    /// For the report: a reading that was lost, doubled or altered; how many.
    pub fn weight(&self) -> (usize, usize, usize) {
        match self {
            Self::Lost { readings, .. } => (*readings, 0, 0),
            Self::Doubled { readings, .. } => (0, *readings, 0),
            Self::SharedIdentifiers { identifiers, .. } => (0, *identifiers, 0),
            Self::Altered { readings, .. } => (0, 0, *readings),
            _ => (0, 0, 0),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What there is in a world.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Readings that the providers have.
    pub readings: usize,
    /// Nights after healing until everything was there.
    pub nights: u32,
    /// Times that an event was given up meanwhile because what it needed was out of reach for too long.
    pub given_up: usize,
}

/// Looks at everything.
pub async fn everything(world: &World) -> (Vec<Finding>, Tally) {
    let mut found = Vec::new();
    let http = &world.outside;
    let mut tally = Tally { given_up: world.given_up().len(), ..Tally::default() };
    for patient in &world.patients {
        let cloud = &world.clouds[patient.cloud];
        let readings = cloud.readings(&patient.person);
        tally.readings += readings.len();
        let rows = compare::compare(cloud.name(), &readings, http, &world.ehr_url, &patient.reference);
        for ((record, kind), row) in rows.await.expect("the EHR answers") {
            differences(&mut found, &patient.reference, &format!("{record}/{kind}"), row);
        }
    }
    for known in world.ehr.identifiers().into_iter().filter(|known| known.resources > 1) {
        found.push(Finding::SharedIdentifiers { resource: known.kind, identifiers: known.resources - 1 });
    }
    ledger(world, &mut found).await;
    dead_letters(world, &mut found).await;
    (found, tally)
}

fn differences(found: &mut Vec<Finding>, patient: &str, kind: &str, row: Row) {
    let (patient, kind) = (|| patient.to_owned(), || kind.to_owned());
    if row.missing > 0 {
        found.push(Finding::Lost { patient: patient(), kind: kind(), readings: row.missing });
    }
    if row.duplicates + row.strange > 0 {
        let readings = row.duplicates + row.strange;
        found.push(Finding::Doubled { patient: patient(), kind: kind(), readings });
    }
    if row.altered > 0 {
        found.push(Finding::Altered { patient: patient(), kind: kind(), readings: row.altered });
    }
}

/// No request is open, no link has ended, and each record is covered from the link's first day until the last night.
async fn ledger(world: &World, found: &mut Vec<Finding>) {
    let links = world.links();
    let store = &world.store;
    let filter = OpenRequests { limit: 1_000, ..OpenRequests::default() };
    let open = store.open_requests(&filter).await.expect("the store answers");
    if !open.is_empty() {
        found.push(Finding::Open { requests: open.len() });
    }
    for patient in &world.patients {
        let link = links.get(patient.link).await.expect("the link is there");
        let who = || patient.reference.clone();
        if link.state != LinkState::Active {
            let reason = link.state_reason.clone().unwrap_or_default();
            found.push(Finding::Link { patient: who(), state: link.state, reason });
            continue;
        }
        let (app, adapter) = links.app(&link.provider).await.expect("the app is there");
        let until = world.time.now() - std::time::Duration::from_secs(12 * 3_600);
        let start = link.history_start.expect("a connected link");
        let all = Interval::new(start, until).expect("some days");
        for spec in adapter.records(&app.config, &link.scopes) {
            let coverage = store.coverage(link.id, &spec.record).await.expect("the store answers");
            if !coverage.published.covers(&all) {
                let published = format!("{:?}, not all of {all:?}", coverage.published);
                found.push(Finding::Hole { patient: who(), record: spec.record.to_string(), published });
            }
        }
    }
}

/// A dead letter may stay of an event that used up its attempts: what it stood for was asked for again. One that was
/// refused for good, or that names a reading, is a finding.
async fn dead_letters(world: &World, found: &mut Vec<Finding>) {
    let given_up = world.given_up();
    let attempts = ohx_bus::retry::RetryPolicy::default().attempts;
    for letter in world.store.dead_letters(None, 500).await.expect("the store answers") {
        let out_of_attempts =
            given_up.iter().any(|buried| buried.id == letter.key && buried.attempts >= attempts);
        if !out_of_attempts {
            found.push(Finding::DeadLetter { function: letter.function.clone(), reason: letter.reason });
        }
    }
    for buried in given_up.iter().filter(|buried| buried.reason.contains("panicked")) {
        found.push(Finding::Panicked { function: buried.to.to_string() });
    }
}
