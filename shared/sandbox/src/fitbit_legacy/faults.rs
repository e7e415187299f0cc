//! What can go wrong at a cloud, switched on from outside.

use serde::{Deserialize, Serialize};

/// How a service answers that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retired {
    /// 403 in Google's shape.
    Forbidden,
    /// 401 in Google's shape, to the calls for data; tokens are still given.
    Unauthenticated,
    /// 404 with an HTML page.
    NotFound,
    /// 410 without a body.
    Gone,
    /// A redirect to somewhere else.
    Moved,
    /// The connection closes without an answer. (A refused connection is a port that nobody listens on.)
    Silence,
}

/// A fault. Those with `calls` hit that many of the next calls for data, one kind after the other in the order they were
/// injected; the consent page and the control interface are never hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// The next answer for data ends in the middle, with a fitting length header.
    TruncateNextAnswer,
    /// In the next list that has any, one entry more is of another shape.
    UnreadableEntry,
    /// The next page of a list names its successor at another host.
    ForeignNext,
    /// A proxy's HTML page; 200 happens too.
    HtmlErrorPage {
        /// The page's HTTP status.
        status: u16,
        /// How many calls.
        calls: u32,
    },
    /// An error in the API's own shape.
    Error {
        /// The HTTP status.
        status: u16,
        /// The `errorType`.
        error_type: String,
        /// How many calls.
        calls: u32,
    },
    /// An error in Google's shape.
    GoogleError {
        /// The HTTP status.
        status: u16,
        /// `error.status`.
        name: String,
        /// How many calls.
        calls: u32,
    },
    /// 429.
    TooManyRequests {
        /// How many calls.
        calls: u32,
    },
    /// The next refresh is carried out, and the connection closed without a reply.
    DropReplyAfterRefresh,
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

/// What a call gets instead of its answer.
#[derive(Debug, Clone)]
pub(super) enum Instead {
    Html(u16),
    Error(u16, String),
    Google(u16, String),
    TooMany,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) retired: Option<Retired>,
    pub(super) instead: crate::faults::Instead<Instead>,
    pub(super) truncate: u32,
    pub(super) unreadable: u32,
    pub(super) foreign: u32,
    pub(super) drop_refresh: u32,
    pub(super) lose: u32,
    pub(super) double: u32,
}

impl Faults {
    pub(super) fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::TruncateNextAnswer => self.truncate += 1,
            Fault::UnreadableEntry => self.unreadable += 1,
            Fault::ForeignNext => self.foreign += 1,
            Fault::HtmlErrorPage { status, calls } => self.instead.push(Instead::Html(status), calls),
            Fault::Error { status, error_type, calls } => {
                self.instead.push(Instead::Error(status, error_type), calls);
            }
            Fault::GoogleError { status, name, calls } => {
                self.instead.push(Instead::Google(status, name), calls);
            }
            Fault::TooManyRequests { calls } => self.instead.push(Instead::TooMany, calls),
            Fault::DropReplyAfterRefresh => self.drop_refresh += 1,
            Fault::LoseNotifications { count } => self.lose += count,
            Fault::DoubleNotifications { count } => self.double += count,
        }
    }
}
