//! The outside world in small: a Withings that behaves as documented, and a FHIR R5 server in memory.
//!
//! Both speak real HTTP, keep everything in memory, and know the truth: which readings a person has, and which
//! resources have arrived how often. A test, a demo or another process asks them through Rust or through the control
//! interface under `/_sandbox/`, and switches faults on the same way. Nothing in here is for production: the control
//! interface has no password, and every person is invented.

pub mod beurer_contract;
pub mod compare;
mod drop_reply;
mod faults;
pub mod fhir;
pub mod fitbit_legacy;
pub mod google_health;
pub mod omron;
mod page;
mod reading;
mod serve;
mod steer;
pub mod withings;

pub use reading::{Kind, OWN, Reading};
pub use serve::serve;
