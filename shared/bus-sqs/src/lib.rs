//! The bus on Amazon SQS.
//!
//! One standard queue a function and priority, `<prefix>-<function>-<priority>` (prefix `ohx` unless configured), and
//! `<prefix>-dead`, where SQS itself puts what was received a thousand times: a last resort, because what cannot be
//! delivered is buried long before, as on every engine. [`SqsBus::create`] makes them; in production templates do.
//!
//! A message's body is the event as structured JSON; sealed data is base64 there. What must not be delivered yet, and
//! not for longer than SQS can delay (15 minutes), has the attribute `delay`, in milliseconds from when it was sent.
//!
//! A message that was received is invisible to others for a while ([`RelayConfig::visibility`]), and the relay extends
//! that while a function works; so what a dead relay held comes back by itself. A retry is a longer invisibility. How
//! many attempts an event has had is how often its message was received, without the times it was only put off.
//!
//! [`SqsBus`] sends, in batches. [`SqsRelay`] receives, calls the functions and deletes; as many relays as one likes
//! share the work. It never receives more than it can deliver at once. Where a queue has nothing, one long poll listens to
//! it; only queues that had something are asked for more, in the order that [`ohx_bus::fair::Fair`] says.
//!
//! On AWS Lambda event source mappings receive, and [`lambda::SqsBatches`] delivers what they hand over.
//!
//! Delivery is at least once: SQS itself hands out a message twice at times, and a batch of which one entry failed is
//! published again as a whole. Handlers are idempotent.

mod bus;
mod client;
mod create;
mod delete;
pub mod lambda;
mod lease;
mod message;
mod place;
mod pump;
mod receive;
mod relay;

pub use bus::SqsBus;
pub use place::Place;
pub use relay::{RelayConfig, SqsRelay};

/// Why the bus or the relay could not be set up. Prints as what is expected, for a person who knows the setting.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SetupError {
    /// The address of the queues.
    #[error(
        "it should be what the queues' URLs begin with, such as https://sqs.eu-central-1.amazonaws.com/123456789012"
    )]
    Address,
    /// The region is neither set nor part of the address.
    #[error("the region is not part of the address of the queues, so it has to be set, such as eu-central-1")]
    Region,
    /// The prefix.
    #[error("it should be at most 60 letters, digits, hyphens and underscores")]
    Prefix,
    /// A setting contradicts another.
    #[error("{0}")]
    Config(String),
}
