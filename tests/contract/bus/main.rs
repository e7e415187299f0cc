//! The bus contract: what every engine promises, over every way of calling a function.
//!
//! `suite` runs over {in-process, Redis} x {router in this process, HTTP}; `memory`, `redis` and `sink` hold what only
//! one engine promises. Redis comes from `OHX_TEST_REDIS_URL`, each test under a key prefix of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests read their environment and make their own HTTP client")]

mod deliver;
mod functions;
mod memory;
mod redis_engine;
mod rig;
mod sink;
mod suite;
