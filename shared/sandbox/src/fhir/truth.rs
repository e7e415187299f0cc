//! What has arrived, and how often.

use std::collections::BTreeMap;

use serde::Serialize;

use super::FhirServer;

const LOINC: &str = "http://loinc.org";

/// An identifier and how many resources of one type carry it; more than one is a double.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct KnownIdentifier {
    /// The resource type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The identifier's system; empty where it has none.
    pub system: String,
    /// The identifier's value.
    pub value: String,
    /// How many resources carry it.
    pub resources: usize,
}

/// Numbers that tell whether something is missing or double.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Observations that are not entered in error, by subject and by the first LOINC code.
    pub observations: BTreeMap<String, BTreeMap<String, usize>>,
    /// Resources by type.
    pub resources: BTreeMap<String, usize>,
    /// Distinct identifiers of all resources.
    pub distinct_identifiers: usize,
    /// Identifiers that more than one resource of the same type carries.
    pub doubles: usize,
    /// Versions ever written: the same as the number of resources where nothing was updated.
    pub versions: u64,
}

impl FhirServer {
    /// How many Observations a subject (`Patient/p1`) has by LOINC code, those entered in error not counted. One with
    /// several LOINC codes counts for the first.
    pub fn count_by_subject_and_code(&self) -> BTreeMap<(String, String), usize> {
        let state = self.state();
        let mut counts = BTreeMap::new();
        for (key, stored) in state.store.all() {
            if key.0 != "Observation" || stored.status.as_deref() == Some("entered-in-error") {
                continue;
            }
            let code = stored.codes.iter().find(|(system, _)| system == LOINC).map(|(_, code)| code.clone());
            let subject = stored.subject.clone().unwrap_or_default();
            *counts.entry((subject, code.unwrap_or_default())).or_insert(0) += 1;
        }
        counts
    }

    /// Every Observation of a subject (`Patient/p1`) as JSON text, in order of id.
    pub fn observations_of(&self, subject: &str) -> Vec<String> {
        let state = self.state();
        let own = state
            .store
            .all()
            .filter(|(key, stored)| key.0 == "Observation" && stored.subject.as_deref() == Some(subject));
        own.map(|(_, stored)| stored.text.clone()).collect()
    }

    /// Every resource of a type as JSON text, in order of id.
    pub fn resources(&self, kind: &str) -> Vec<String> {
        let state = self.state();
        state.store.all().filter(|(key, _)| key.0 == kind).map(|(_, stored)| stored.text.clone()).collect()
    }

    /// Every identifier, by type, system and value.
    pub fn identifiers(&self) -> Vec<KnownIdentifier> {
        let state = self.state();
        let mut counts: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
        for (key, stored) in state.store.all() {
            for (system, value) in &stored.identifiers {
                *counts.entry((&key.0, system, value)).or_insert(0) += 1;
            }
        }
        let known = |((kind, system, value), resources): ((&str, &str, &str), usize)| KnownIdentifier {
            kind: kind.to_owned(),
            system: system.to_owned(),
            value: value.to_owned(),
            resources,
        };
        counts.into_iter().map(known).collect()
    }

    /// The numbers that tell whether something is missing or double.
    pub fn snapshot(&self) -> Snapshot {
        let mut observations: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        for ((subject, code), count) in self.count_by_subject_and_code() {
            observations.entry(subject).or_default().insert(code, count);
        }
        let identifiers = self.identifiers();
        let state = self.state();
        let mut resources = BTreeMap::new();
        for (key, _) in state.store.all() {
            *resources.entry(key.0.clone()).or_insert(0) += 1;
        }
        Snapshot {
            observations,
            resources,
            distinct_identifiers: identifiers.len(),
            doubles: identifiers.iter().filter(|known| known.resources > 1).count(),
            versions: state.store.versions,
        }
    }
}
