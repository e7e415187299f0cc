//! What can go wrong at a cloud, switched on from outside.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A fault. Those with `calls` hit that many of the next API calls, one kind after the other in the order they were
/// injected, those for an action before all others; the consent page and the control interface are never hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// The next page of `getmeas` ends in the middle, with a fitting length header.
    TruncateNextPage,
    /// In the next page of `getmeas` that has groups, one value is not a number.
    WrongTypeInOneMeasure,
    /// A proxy's HTML page instead of an envelope.
    HtmlErrorPage {
        /// The page's HTTP status; 200 happens too.
        status: u16,
        /// How many calls.
        calls: u32,
    },
    /// A bare HTTP status from the edge, such as 429 or 500, with an empty body.
    HttpStatus {
        /// The status.
        status: u16,
        /// How many calls.
        calls: u32,
    },
    /// Status 601 in the envelope.
    TooManyRequests {
        /// How many calls.
        calls: u32,
    },
    /// A status in the envelope, on calls of one action only, such as 2555 on `getsummary`.
    RefuseAction {
        /// The action.
        action: String,
        /// The status.
        status: i64,
        /// How many calls.
        calls: u32,
    },
    /// The next refresh is carried out, and the connection closed without a reply.
    DropReplyAfterRefresh,
    /// Every API call waits before it is worked on; 0 ends it.
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
    Http(u16),
    TooMany,
    Refused(i64),
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    /// By action: status and calls still to go.
    refused: Vec<(String, i64, u32)>,
    instead: crate::faults::Instead<Instead>,
    pub(super) latency: Duration,
    pub(super) truncate: u32,
    pub(super) wrong_type: u32,
    pub(super) drop_refresh: u32,
    pub(super) lose: u32,
    pub(super) double: u32,
}

impl Faults {
    pub(super) fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::TruncateNextPage => self.truncate += 1,
            Fault::WrongTypeInOneMeasure => self.wrong_type += 1,
            Fault::HtmlErrorPage { status, calls } => self.instead.push(Instead::Html(status), calls),
            Fault::HttpStatus { status, calls } => self.instead.push(Instead::Http(status), calls),
            Fault::TooManyRequests { calls } => self.instead.push(Instead::TooMany, calls),
            Fault::RefuseAction { action, status, calls } => self.refused.push((action, status, calls)),
            Fault::DropReplyAfterRefresh => self.drop_refresh += 1,
            Fault::Latency { millis } => self.latency = Duration::from_millis(millis),
            Fault::LoseNotifications { count } => self.lose += count,
            Fault::DoubleNotifications { count } => self.double += count,
        }
    }

    /// What the next call gets instead of its answer, if anything.
    pub(super) fn next_instead(&mut self, action: &str) -> Option<Instead> {
        let refused = self.refused.iter_mut().find(|(refused, _, calls)| refused == action && *calls > 0);
        if let Some((_, status, calls)) = refused {
            *calls -= 1;
            return Some(Instead::Refused(*status));
        }
        self.instead.next()
    }
}
