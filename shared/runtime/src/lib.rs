//! How every function runs.
//!
//! A function is a library that builds an axum `Router` from its dependencies, and a binary with one call to
//! [`run`]. The same router answers on a port (`PORT`), on AWS Lambda (when `AWS_LAMBDA_RUNTIME_API` is set), or
//! inside the one process of `ohx`.

pub mod bury;
pub mod caller;
pub mod event;
mod lambda;
mod linger;
pub mod logs;
pub mod metrics;
pub mod otlp;
pub mod outbound;
pub mod parts;
pub mod problem;
pub mod serve;
pub mod settings;
pub mod trace;

pub use event::{CloudEvent, EventFailure, EventReply};
pub use problem::Problem;
pub use serve::{More, Ready, run, shutdown_signal, wrap, wrap_with};
pub use settings::{SettingError, Settings};
