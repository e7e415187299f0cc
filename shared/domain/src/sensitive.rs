//! A wrapper for what must never be printed.

use std::fmt;

/// A health value, or a payload that holds some: it can be moved and used, but not printed.
///
/// There is no `Display`, and `Debug` shows a placeholder, so that a value cannot reach a log, an error text or a
/// trace by way of formatting. Reading it is an explicit act that a reviewer can search for.
#[derive(Clone, PartialEq, Eq)]
pub struct Sensitive<T>(T);

impl<T> Sensitive<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Looks at the value.
    pub const fn reveal(&self) -> &T {
        &self.0
    }

    /// Takes the value out.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sensitive]")
    }
}
