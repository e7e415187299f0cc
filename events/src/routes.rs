//! Who listens to what: the same table for the in-process bus, for `relay` and (as Triggers) for Knative.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types;

/// A function that events are delivered to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Function {
    /// Asks for what the ledger lacks.
    Nightly,
    /// Reads from the provider.
    Fetch,
    /// Maps to FHIR.
    Transform,
    /// Writes to the EHR.
    Publish,
    /// Keeps the devices at the EHR.
    Devices,
}

impl Function {
    /// Every function, in the order in which readings pass them.
    pub const ALL: [Self; 5] = [Self::Nightly, Self::Fetch, Self::Transform, Self::Publish, Self::Devices];

    /// Its name, as in paths, queues and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nightly => "nightly",
            Self::Fetch => "fetch",
            Self::Transform => "transform",
            Self::Publish => "publish",
            Self::Devices => "devices",
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The functions that an event type is delivered to. Types that nobody listens to are for outside observers.
pub fn subscribers(event_type: &str) -> &'static [Function] {
    match event_type {
        types::LINK_CONNECTED => &[Function::Nightly, Function::Devices],
        types::PUSH_REQUESTED | types::PING => &[Function::Nightly],
        types::SYNC_REQUESTED => &[Function::Fetch],
        types::RECORDS_FETCHED => &[Function::Transform],
        types::RESOURCES_MAPPED => &[Function::Publish],
        types::DEVICES_REQUESTED | types::LINK_DISCONNECTED => &[Function::Devices],
        _ => &[],
    }
}
