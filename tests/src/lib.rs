//! What the suites share: private databases and queues, the functions as processes, the outside world in small, and
//! a patient with a browser.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

pub mod balance;
pub mod binaries;
pub mod broker;
pub mod collector;
pub mod copies;
pub mod deployment;
pub mod lambda;
pub mod others;
pub mod outside;
pub mod patient;
pub mod process;
pub mod proxy;
pub mod runtime_api;
pub mod services;

/// Waits until `done` gives something, trying every few milliseconds; panics with `what` after `seconds`.
pub async fn until<T, F: AsyncFnMut() -> Option<T>>(what: &str, seconds: u64, mut done: F) -> T {
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(seconds);
    loop {
        if let Some(found) = done().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "not within {seconds} s: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
