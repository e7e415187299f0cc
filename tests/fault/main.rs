//! The fault suite: seeded worlds in which everything goes wrong that can, and the check that every reading is at the EHR
//! exactly once afterwards. `docs/reliability.md` says what is injected, and how a seed is replayed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

mod broken;
mod bus;
mod check;
mod clock;
mod cloud;
mod dice;
mod faults;
mod journal;
mod kill;
mod plan;
mod processes;
mod proxy;
mod run;
mod soak;
mod suite;
mod through_redis;
mod world;
