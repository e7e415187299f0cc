//! The EHR side: a FHIR R5 client that writes without doubling, and typed device resources.
//!
//! [`EhrClient::publish`] brings resources into a FHIR server so that repeating the call changes nothing: what is
//! there already is looked up, an unchanged reading costs no new version, a corrected one replaces the former, and an
//! older version never overwrites a newer one (`docs/identity.md`). Resources are JSON text and stay text
//! ([`splice`]), so a decimal arrives with every digit that the provider sent.
//!
//! `device` (cargo feature `device`) builds Device resources from what a provider says about a device.

pub mod auth;
mod batch;
mod capabilities;
mod client;
mod decide;
#[cfg(feature = "device")]
pub mod device;
mod erase;
mod error;
mod patient;
mod plan;
mod prepare;
mod provenance;
mod publish;
mod remove;
mod search;
pub mod splice;
mod state;
pub mod version;
mod wire;
mod write;

pub use auth::{Credentials, PublicJwk, SigningError, SigningKey, SigningKeys};
pub use capabilities::Capabilities;
pub use client::EhrClient;
#[cfg(feature = "device")]
pub use device::{DeviceError, device};
pub use error::EhrError;
pub use patient::FoundPatient;
pub use plan::{Plan, Sending};
pub use provenance::Origin;
pub use publish::{Outcome, Publication, Published};
pub use search::Kind;
