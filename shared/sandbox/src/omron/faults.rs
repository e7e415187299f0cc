//! What can go wrong at a cloud, switched on from outside.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A fault. Those with `calls` hit that many of the next calls for data, one kind after the other in the order they were
/// injected; the consent page and the control interface are never hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// The next page ends in the middle, with a fitting length header.
    TruncateNextPage,
    /// The next page has one more row that is no object, one without an id, and one whose values are none.
    UnreadableRows,
    /// A proxy's HTML page; 200 happens too.
    HtmlErrorPage {
        /// The page's HTTP status.
        status: u16,
        /// How many calls.
        calls: u32,
    },
    /// A bare HTTP status, such as 401, 429 or 500, with an empty body.
    HttpStatus {
        /// The status.
        status: u16,
        /// Seconds in Retry-After.
        #[serde(default)]
        retry_after: Option<u64>,
        /// How many calls.
        calls: u32,
    },
    /// An error in an HTTP 200.
    StatusInBody {
        /// The status; not 0.
        status: i64,
        /// `reason`.
        reason: String,
        /// `errorCode`.
        error_code: String,
        /// How many calls.
        calls: u32,
    },
    /// The next refresh is carried out, and the connection closed without a reply.
    DropReplyAfterRefresh,
    /// Every call for data waits before it is worked on; 0 ends it.
    Latency {
        /// How long, in milliseconds of real time.
        millis: u64,
    },
    /// Notifications that are never sent.
    LoseNotifications {
        /// How many.
        count: u32,
    },
    /// Notifications that are sent twice.
    DoubleNotifications {
        /// How many.
        count: u32,
    },
}

/// A fault that takes the place of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Instead {
    Html(u16),
    Http(u16, Option<u64>),
    InBody(i64, String, String),
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) instead: crate::faults::Instead<Instead>,
    pub(super) latency: Duration,
    pub(super) truncate: u32,
    pub(super) unreadable: u32,
    pub(super) drop_refresh: u32,
    pub(super) lose: u32,
    pub(super) double: u32,
}

impl Faults {
    pub(super) fn inject(&mut self, fault: Fault) {
        let (instead, calls) = match fault {
            Fault::TruncateNextPage => return self.truncate += 1,
            Fault::UnreadableRows => return self.unreadable += 1,
            Fault::DropReplyAfterRefresh => return self.drop_refresh += 1,
            Fault::Latency { millis } => return self.latency = Duration::from_millis(millis),
            Fault::LoseNotifications { count } => return self.lose += count,
            Fault::DoubleNotifications { count } => return self.double += count,
            Fault::HtmlErrorPage { status, calls } => (Instead::Html(status), calls),
            Fault::HttpStatus { status, retry_after, calls } => (Instead::Http(status, retry_after), calls),
            Fault::StatusInBody { status, reason, error_code, calls } => {
                (Instead::InBody(status, reason, error_code), calls)
            }
        };
        self.instead.push(instead, calls);
    }
}
