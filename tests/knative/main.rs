//! The functions as Knative finds them: behind a broker that behaves as one was seen to behave on a cluster, scaled to zero
//! and woken, told to end with a request in flight. All of them processes of their own, over PostgreSQL and real HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod events;
mod held;
mod letters;
mod life;
mod pipeline;
mod world;
