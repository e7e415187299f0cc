//! What can go wrong at an EHR, switched on from outside.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A fault. Those with `calls` hit that many of the next requests under `/fhir`, one kind after the other in the order
/// they were injected; the others last until they are cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// 503 with an OperationOutcome and `Retry-After`.
    Unavailable {
        /// How many requests.
        calls: u32,
        /// The header's value, in seconds.
        retry_after: u64,
    },
    /// A bare HTTP status from the edge, such as 429 or 502, with an empty body.
    HttpStatus {
        /// The status.
        status: u16,
        /// How many requests.
        calls: u32,
    },
    /// A proxy's HTML page instead of FHIR.
    HtmlErrorPage {
        /// The page's HTTP status; 200 happens too.
        status: u16,
        /// How many requests.
        calls: u32,
    },
    /// The request is carried out, and the connection closed without a reply.
    CommitThenDrop {
        /// How many requests.
        calls: u32,
    },
    /// An error for any resource that carries an identifier whose value ends so.
    RejectIdentifier {
        /// The end of the identifier's value.
        value: String,
        /// The error: 422 (a rule) or 413 (too long), for example.
        status: u16,
    },
    /// 413 for a bundle with more entries than this.
    MaxEntries {
        /// The most that are taken.
        entries: usize,
    },
    /// Every request waits before it is worked on; 0 ends it.
    Latency {
        /// How long, in milliseconds of real time.
        millis: u64,
    },
}

/// A fault that hits a single request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hit {
    Unavailable { retry_after: u64 },
    Http(u16),
    Html(u16),
    Drop,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    hits: VecDeque<(Hit, u32)>,
    rejected: BTreeMap<String, u16>,
    pub(super) max_entries: Option<usize>,
    pub(super) latency: Duration,
}

impl Faults {
    pub(super) fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::Unavailable { calls, retry_after } => {
                self.hits.push_back((Hit::Unavailable { retry_after }, calls));
            }
            Fault::HttpStatus { status, calls } => self.hits.push_back((Hit::Http(status), calls)),
            Fault::HtmlErrorPage { status, calls } => self.hits.push_back((Hit::Html(status), calls)),
            Fault::CommitThenDrop { calls } => self.hits.push_back((Hit::Drop, calls)),
            Fault::RejectIdentifier { value, status } => {
                self.rejected.insert(value, status);
            }
            Fault::MaxEntries { entries } => self.max_entries = Some(entries),
            Fault::Latency { millis } => self.latency = Duration::from_millis(millis),
        }
    }

    /// The error for a resource with this identifier, if it is not to be taken.
    pub(super) fn rejects(&self, identifier: &str) -> Option<u16> {
        self.rejected.iter().find(|(end, _)| identifier.ends_with(end.as_str())).map(|(_, status)| *status)
    }

    /// What hits the next request, if anything.
    pub(super) fn next_hit(&mut self) -> Option<Hit> {
        while let Some((hit, calls)) = self.hits.front_mut() {
            if *calls > 0 {
                *calls -= 1;
                return Some(*hit);
            }
            self.hits.pop_front();
        }
        None
    }
}
