//! The nightly run and the quota: nothing twice, nothing too fast, and nothing that waits for good.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod classes;
mod pacing;
mod runs;
mod world;
