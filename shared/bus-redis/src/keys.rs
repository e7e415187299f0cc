//! The names of the keys.

use ohx_events::{Function, Priority};

/// The consumer group of every stream.
pub(crate) const GROUP: &str = "relay";

/// The keys under one prefix.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The stream of a function and priority.
    pub(crate) fn stream(&self, to: Function, priority: Priority) -> String {
        format!("{}:{}", self.prefix, lane(to, priority))
    }

    /// The three streams of a function, the most urgent first.
    pub(crate) fn streams_of(&self, to: Function) -> [String; 3] {
        Priority::ALL.map(|priority| self.stream(to, priority))
    }

    /// Every stream.
    pub(crate) fn streams(&self) -> Vec<String> {
        Function::ALL.into_iter().flat_map(|to| self.streams_of(to)).collect()
    }

    /// Since when nothing was lost.
    pub(crate) fn begun(&self) -> String {
        format!("{}:begun", self.prefix)
    }

    /// What waits for its time.
    pub(crate) fn delayed(&self) -> String {
        format!("{}:delayed", self.prefix)
    }
}

/// A stream's name without the prefix, as members of the delayed set say where they belong.
pub(crate) fn lane(to: Function, priority: Priority) -> String {
    format!("{to}:{}", priority.as_str())
}
