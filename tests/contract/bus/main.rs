//! The bus contract: what every engine promises, over every way of calling a function.
//!
//! `suite` runs over {in-process, Redis, SQS} x {router in this process, HTTP}; `memory`, `redis_engine`, `sqs_engine` and
//! `sink` hold what only one engine promises. Redis comes from `OHX_TEST_REDIS_URL`, SQS (an emulator of it) from
//! `OHX_TEST_SQS_URL`, each test under a prefix of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests read their environment and make their own HTTP client")]

mod backlog;
mod deliver;
mod functions;
mod memory;
mod redis_engine;
mod rig;
mod sink;
mod sqs_engine;
mod sqs_rig;
mod sqs_sending;
mod suite;
