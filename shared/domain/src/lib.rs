//! What Open Health Exchange is about, without any IO.
//!
//! The words of the field live here, once: a [`Link`] joins a patient at an EHR to an account at a provider; a
//! [`Record`] is one kind of thing a provider can be asked for; the ledger counts [`Interval`]s of time; an
//! [`Identifier`] tells one reading from every other. Everything that touches a socket, a disk or the wall clock
//! lives in another crate and depends on this one.

mod access;
mod clock;
mod config;
pub mod decimal;
mod ehr;
mod id;
mod identity;
mod interval;
mod ledger;
mod link;
mod mapping;
mod sensitive;

pub use access::{Confinement, Role};
pub use clock::{Clock, ManualClock, SystemClock};
pub use config::ProviderApp;
pub use ehr::{
    BundleKind, Destination, EhrAuth, EhrEndpoint, EhrOAuth, FhirVersion, SecretIn, SigningAlgorithm,
    WriteStrategy,
};
pub use id::{
    ApiKeyId, EhrName, InvalidId, LetterId, LinkId, PatientReference, ProviderName, Record, RequestId, RunId,
    SyncId,
};
pub use identity::{Account, AccountPseudonym, ContentDigest, Identifier, account_pseudonym, content_digest};
pub use interval::{Interval, Intervals, ParseIntervalsError};
pub use ledger::{Counts, Query, Request, RequestState, SyncReason};
pub use link::{Link, LinkState, PushState};
pub use mapping::{Activation, Canary, FIRST_SAVED_VERSION, MappingScope, choose, in_canary};
pub use sensitive::Sensitive;

/// An instant, to the microsecond at most, as every crate here passes it around.
pub type Instant = jiff::Timestamp;
