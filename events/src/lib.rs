//! The events that the functions exchange.
//!
//! CloudEvents 1.0. `type` is `org.openhealthexchange.<name>.v1`, `source` is `/functions/<function>`, `subject` is
//! the link's id; the extensions are `syncid`, `priority`, `partitionkey` (the link's id), `traceparent` and, on what a
//! person or a gateway brought, `onlycopy`. Each type
//! has a JSON Schema and an example beside this crate's sources; a test holds the Rust types against both. Unknown
//! fields are tolerated.
//!
//! Data that is free of health values is JSON ([`plain`]). Data that holds any is sealed under the link's data key
//! ([`sealed`]); its schema describes what is inside.

pub mod envelope;
pub mod http_binding;
pub mod plain;
pub mod routes;
pub mod sealed;

pub use cloudevents::Event;
pub use envelope::{Envelope, EventError, Priority};
pub use routes::{Function, subscribers};

/// The event types.
pub mod types {
    /// A patient has connected an account: data [`crate::plain::LinkConnected`].
    pub const LINK_CONNECTED: &str = "org.openhealthexchange.link.connected.v1";
    /// Something is to be asked of a provider: data [`crate::plain::SyncRequested`].
    pub const SYNC_REQUESTED: &str = "org.openhealthexchange.sync.requested.v1";
    /// A part of a provider's answer: sealed [`crate::sealed::FetchedPart`].
    pub const RECORDS_FETCHED: &str = "org.openhealthexchange.records.fetched.v1";
    /// The resources of a part: sealed [`crate::sealed::MappedPiece`].
    pub const RESOURCES_MAPPED: &str = "org.openhealthexchange.resources.mapped.v1";
    /// What became of them: data [`crate::plain::ResourcesPublished`].
    pub const RESOURCES_PUBLISHED: &str = "org.openhealthexchange.resources.published.v1";
    /// A link's devices are to be looked at: data [`crate::plain::DevicesRequested`].
    pub const DEVICES_REQUESTED: &str = "org.openhealthexchange.devices.requested.v1";
    /// What became of them at the EHR: data [`crate::plain::DevicesPublished`].
    pub const DEVICES_PUBLISHED: &str = "org.openhealthexchange.devices.published.v1";
    /// A link's grant is dead, and its patient has to consent again: data [`crate::plain::ReauthorizationRequired`]. For observers.
    pub const LINK_REAUTHORIZATION_REQUIRED: &str = "org.openhealthexchange.link.reauthorization-required.v1";
    /// A link has ended: data [`crate::plain::LinkDisconnected`].
    pub const LINK_DISCONNECTED: &str = "org.openhealthexchange.link.disconnected.v1";
    /// The provider is to be asked to notify us of a link's readings: data [`crate::plain::PushRequested`].
    pub const PUSH_REQUESTED: &str = "org.openhealthexchange.push.requested.v1";
    /// Knative's PingSource: time for the nightly run.
    pub const PING: &str = "dev.knative.sources.ping";
}
