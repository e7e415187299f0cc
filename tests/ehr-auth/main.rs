//! Authorization at EHR endpoints, against a certified authorization server (npm `oidc-provider`) that reads our key set
//! over HTTP from our own route, and a FHIR base behind it that checks its tokens.
//!
//! `tests/needs ehr-auth` fetches the server. Both clocks are moved by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod refused;
mod renewed;
mod rig;
mod ways;
