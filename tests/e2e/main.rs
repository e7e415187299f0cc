//! The main job, end to end, over {one process with SQLite and the in-process bus; every function as its own process
//! with PostgreSQL, Redis and relay}. Everything between the simulated provider and the small FHIR server is real.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bad_input;
mod beurer;
mod consent;
mod devices;
mod ehrs;
mod lifecycle;
mod mappings;
mod metrics;
mod patient_page;
mod pipeline;
mod providers;
mod records;
mod scaling;
mod tracing;

/// Runs each test in both shapes.
macro_rules! both_shapes {
    ($($name:ident),+ $(,)?) => {
        mod one_process {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(ohx_tests::deployment::Shape::OneProcess).await;
            })+
        }
        mod many_processes {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(ohx_tests::deployment::Shape::ManyProcesses).await;
            })+
        }
    };
}
pub(crate) use both_shapes;
