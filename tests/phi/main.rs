//! The canary suite: nothing readable is kept. Unmistakable readings, names and secrets go through everything, also through
//! everything that fails and quotes them; then every place where something could rest is searched for every form of every one.
//! `docs/privacy.md` has the report.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

mod canary;
mod ending;
mod finds;
mod gossip;
mod places;
mod plant;
mod report;
mod rotating;
mod story;
mod tap;

use ohx_tests::deployment::Shape;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_readable_is_kept_in_one_process() {
    story::told(Shape::OneProcess).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_readable_is_kept_with_postgres_and_redis() {
    story::told(Shape::ManyProcesses).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_readable_is_kept_with_postgres_and_sqs() {
    story::told(Shape::Sqs).await;
}
