//! Notifications: what a provider sends us, and how it is made to.

use http::{HeaderMap, Method, StatusCode};
use ohx_domain::{Account, Instant, Interval, LinkId, Record};
use url::Url;

/// Something happened at the provider. A hint: nothing in it is believed but that it is worth looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notification {
    /// There may be news of these records in this window (clamped to what is sensible).
    Changed {
        /// Which records.
        records: Vec<Record>,
        /// When they may have been measured.
        window: Interval,
    },
    /// Readings of these records were removed in this window, or it is said so: what is not there any more when it is read
    /// again was taken back.
    Removed {
        /// Which records.
        records: Vec<Record>,
        /// When they were measured.
        window: Interval,
    },
    /// The patient has ended the connection at the provider, or closed the account there.
    Revoked,
    /// Nothing that we read.
    Irrelevant {
        /// What it was, for the metrics: bounded, no personal data.
        topic: String,
    },
}

/// A notification, and whose it is.
#[derive(Debug, Clone)]
pub struct Notified {
    /// The provider user id it names.
    pub account: Account,
    /// What happened.
    pub what: Notification,
}

/// A request to an app's own notification address, as it came.
#[derive(Debug, Clone, Copy)]
pub struct WebhookRequest<'a> {
    /// GET, HEAD or POST.
    pub method: &'a Method,
    /// The last part of the address, where the provider calls one that nobody can guess.
    pub token: Option<&'a str>,
    /// The query, without its question mark.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body, byte for byte: signatures are over it.
    pub body: &'a [u8],
    /// When it came.
    pub now: Instant,
}

/// What a request to an app's own notification address is.
#[derive(Debug)]
pub enum Received {
    /// Notifications of several patients, perhaps; answered with `answer`, without a body.
    Notified {
        /// What the provider wants to hear.
        answer: StatusCode,
        /// Whose, and what.
        notified: Vec<Notified>,
    },
    /// The provider trying out the address: answered with this status.
    Handshake(StatusCode),
    /// Not proven to be from the provider.
    Refused {
        /// What the provider wants to hear then.
        answer: StatusCode,
        /// Why, for the log: no secret and no body.
        why: String,
    },
}

/// Whom notifications are for, and where they should come.
#[derive(Debug, Clone, Copy)]
pub struct Subscriber<'a> {
    /// The link.
    pub link: LinkId,
    /// The link's own address, which nobody can guess.
    pub address: &'a Url,
    /// The app's address, for providers that call one address for all patients.
    pub app_address: &'a Url,
    /// When this is: what ends soon is renewed.
    pub now: Instant,
}

/// How notifications are registered for a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriptions {
    /// How many there were already, as they should be.
    pub kept: usize,
    /// How many were made.
    pub made: usize,
    /// How many the provider does not allow for this patient or app; the nightly run brings what they would tell of.
    pub refused: usize,
}
