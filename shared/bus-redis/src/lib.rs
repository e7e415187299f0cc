//! The bus on Redis Streams (Redis 7 or later, a single primary; Valkey is alike).
//!
//! A stream is an append-only list of entries. A consumer *group* hands each entry to one of its consumers and keeps
//! it on the list of *pending* entries until it is acknowledged. So nothing is lost when a consumer dies: another one
//! claims what has been pending for too long.
//!
//! The keys, all under one prefix (`ohx` unless configured):
//! - `<prefix>:<function>:<priority>`: a stream, with the one group `relay`. An entry has the fields `event` (structured
//!   JSON; sealed data is base64 there) and `attempts` (made so far). Streams are never trimmed; an entry is deleted when it is acknowledged.
//! - `<prefix>:delayed`: a sorted set of what waits for its time, retries among it, scored by the millisecond it is
//!   due, on the clock of the Redis server. A member is `<unique> <function>:<priority> <attempts>`, a line feed,
//!   and the event.
//! - `<prefix>:begun`: the millisecond at which a relay found this key missing. What was published before is not here any more.
//!
//! [`RedisBus`] appends. [`RedisRelay`] reads, calls the functions and acknowledges; as many relays as one likes share
//! the work. Every step that touches more than one key is a Lua script ([`scripts`]), so that an event is always
//! in exactly one of these places. How many attempts an event has had is what its entry says plus how often the entry was
//! handed out, so that an event that kills every relay it meets ends as a dead letter as well.
//!
//! The scripts and transactions touch several keys: on a Redis Cluster, choose a prefix with a hash tag (`{ohx}`) and
//! connect to the shard that owns it.

mod bus;
mod connection;
mod entry;
mod keys;
mod relay;
mod scripts;

pub use bus::RedisBus;
pub use relay::{RedisRelay, RelayConfig};

/// Why the bus or the relay could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The URL is not one of Redis. The URL itself is not shown, because it may hold a password.
    #[error("the Redis URL is malformed ({0}): it should be redis://host:port, or rediss:// for TLS")]
    Url(String),
    /// A setting contradicts another.
    #[error("{0}")]
    Config(String),
}
