//! What can go wrong at a cloud, switched on from outside.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A fault. Those with `calls` hit that many of the next API calls for users, one kind after the other in the order they
/// were injected; consent, tokens, subscribers and the control interface are never hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// A status of Google's: 500, 503 and 504 with its body, others without.
    HttpStatus {
        /// The status.
        status: u16,
        /// How many calls.
        calls: u32,
    },
    /// A proxy's HTML page instead of JSON.
    HtmlErrorPage {
        /// The page's HTTP status; 200 happens too.
        status: u16,
        /// How many calls.
        calls: u32,
    },
    /// 429.
    TooManyRequests {
        /// How many calls.
        calls: u32,
    },
    /// 504 for every page of points larger than this; 0 ends it.
    SlowPages {
        /// The largest page that is made in time.
        larger_than: usize,
    },
    /// The next page of points ends in the middle, with a fitting length header.
    TruncateNextPage,
    /// In the next page with points, the first one's value is a text.
    WrongTypeInOnePoint,
    /// Pages of points that are empty and have a token.
    EmptyPages {
        /// How many.
        count: u32,
    },
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
    /// Notifications whose signature is over another body: nobody may believe them.
    ForgeNotifications {
        /// How many.
        count: u32,
    },
    /// Notifications without the Authorization header, as some have reported.
    NotificationsWithoutAuthorization {
        /// How many.
        count: u32,
    },
}

/// A fault that takes the place of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Instead {
    Status(u16),
    Html(u16),
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) instead: crate::faults::Instead<Instead>,
    pub(super) latency: Duration,
    pub(super) slow: usize,
    pub(super) truncate: u32,
    pub(super) wrong_type: u32,
    pub(super) empty: u32,
    pub(super) lose: u32,
    pub(super) double: u32,
    pub(super) forge: u32,
    pub(super) bare: u32,
}

impl Faults {
    pub(super) fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::HttpStatus { status, calls } => self.instead.push(Instead::Status(status), calls),
            Fault::HtmlErrorPage { status, calls } => self.instead.push(Instead::Html(status), calls),
            Fault::TooManyRequests { calls } => self.instead.push(Instead::Status(429), calls),
            Fault::SlowPages { larger_than } => self.slow = larger_than,
            Fault::TruncateNextPage => self.truncate += 1,
            Fault::WrongTypeInOnePoint => self.wrong_type += 1,
            Fault::EmptyPages { count } => self.empty += count,
            Fault::Latency { millis } => self.latency = Duration::from_millis(millis),
            Fault::LoseNotifications { count } => self.lose += count,
            Fault::DoubleNotifications { count } => self.double += count,
            Fault::ForgeNotifications { count } => self.forge += count,
            Fault::NotificationsWithoutAuthorization { count } => self.bare += count,
        }
    }
}
