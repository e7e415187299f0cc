//! What can go wrong with a provider, and what helps.

use std::time::Duration;

/// What helps against an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Trying again later, not before so long.
    Retry {
        /// How long to wait, where the provider said or the sheet knows.
        after: Option<Duration>,
    },
    /// Pausing every call of this app: the quota is used up.
    SlowDown {
        /// How long.
        after: Duration,
    },
    /// Waiting with this patient's calls: what the provider allows one patient is used up. Those of others go on.
    Spent {
        /// How long.
        after: Duration,
    },
    /// Refreshing the access token once, then trying again.
    Refresh,
    /// Only the patient can help, by consenting again.
    Reauthorize,
    /// Nothing: this call will never succeed as it is.
    Permanent,
}

/// Why a provider did not do as asked. Texts never hold a token, a value or a personal detail.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// No answer: connection, TLS or timeout.
    #[error("{provider} did not answer {call}: {kind}")]
    Transport {
        /// The provider's type.
        provider: &'static str,
        /// What was asked.
        call: String,
        /// `timeout`, `connect` or `transport`.
        kind: &'static str,
    },
    /// An answer that says no.
    #[error("{provider} answered {call} with {status}: {meaning}")]
    Refused {
        /// The provider's type.
        provider: &'static str,
        /// What was asked.
        call: String,
        /// The provider's own status, such as `status 601` or `HTTP 502`.
        status: String,
        /// What that means and what to do, for a person.
        meaning: String,
        /// What helps.
        remedy: Remedy,
    },
    /// This is not for this patient and app: a scope that was not granted, or a feature that the plan does not include.
    /// Other records of the same link may well be read.
    #[error("{provider} does not allow {call}, with {status}: {meaning}")]
    NotGranted {
        /// The provider's type.
        provider: &'static str,
        /// What was asked.
        call: String,
        /// The provider's own status.
        status: String,
        /// What that means and what to do, for a person.
        meaning: String,
    },
    /// The account has no profile at the provider yet: only the patient can make one.
    #[error(
        "{provider} has no profile for this account, with {status}: the patient has to sign up at {sign_up}, then connect again"
    )]
    AccountNotLinked {
        /// The provider's type.
        provider: &'static str,
        /// The provider's own status.
        status: String,
        /// Where to sign up.
        sign_up: &'static str,
    },
    /// The provider has announced that this service ends, and answers as if it had.
    #[error("{provider} answered {call} with {status}: the service seems to be retired; {meaning}")]
    Retired {
        /// The provider's type.
        provider: &'static str,
        /// What was asked.
        call: String,
        /// The provider's own status.
        status: String,
        /// What to do, for a person.
        meaning: &'static str,
    },
    /// An answer that cannot be read: truncated, HTML, another shape.
    #[error("{provider} answered {call} with something unreadable: {problem}")]
    Malformed {
        /// The provider's type.
        provider: &'static str,
        /// What was asked.
        call: String,
        /// What is wrong with it; never its text.
        problem: String,
    },
    /// The app's configuration cannot work.
    #[error("the configuration of provider app {app}: {problem}")]
    Configuration {
        /// The app's name.
        app: String,
        /// What is wrong and what it should be.
        problem: String,
    },
}

impl ProviderError {
    /// What helps against it. A malformed answer is worth another try: proxies and half-sent pages pass.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Refused { remedy, .. } => *remedy,
            Self::Transport { .. } | Self::Malformed { .. } => Remedy::Retry { after: None },
            Self::AccountNotLinked { .. } => Remedy::Reauthorize,
            Self::NotGranted { .. } | Self::Retired { .. } | Self::Configuration { .. } => Remedy::Permanent,
        }
    }
}
