//! Writing values: the forms in which they are stored.

use std::borrow::Cow;
use std::time::Duration;

use ohx_domain::Instant;
use ohx_store::{Result, StoreError};
use serde::Serialize;

/// Microseconds since the epoch.
pub(crate) fn micros(at: Instant) -> i64 {
    at.as_microsecond()
}

/// A length of time in microseconds; what is longer than 292 thousand years counts as that.
pub(crate) fn duration(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

/// `at` and `micros` more, within what an instant can hold.
pub(crate) fn later(at: Instant, micros: i64) -> Instant {
    let bound = if micros < 0 { Instant::MIN } else { Instant::MAX };
    Instant::from_microsecond(at.as_microsecond().saturating_add(micros)).unwrap_or(bound)
}

/// A count, as the engines hold it: no engine has unsigned 64-bit columns.
pub(crate) fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The number of a lock for `dialect::serialize`, from its name (FNV-1a; others may share it by chance).
pub(crate) fn lock(name: &str) -> i64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    i64::from_ne_bytes(hash.to_ne_bytes())
}

/// Free text. PostgreSQL refuses U+0000 in text; a provider's error message must not make a row unwritable.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// JSON, for what is only ever read as a whole.
pub(crate) fn json(value: &impl Serialize, table: &'static str, column: &'static str) -> Result<String> {
    serde_json::to_string(value).map_err(|_| StoreError::Corrupt { table, column })
}
