//! What a stream holds.

use ohx_bus::queue;
use ohx_events::{Event, Priority};

/// The field of an entry that holds the event.
pub(crate) const EVENT: &str = "event";

/// The field of an entry that holds the number of attempts made before it was appended.
pub(crate) const ATTEMPTS: &str = "attempts";

/// An entry that was handed to this relay.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) priority: Priority,
    pub(crate) id: String,
    /// Which attempt the next one is, from 1.
    pub(crate) attempt: u32,
    /// Whether a relay before this one did not settle it.
    pub(crate) reclaimed: bool,
    /// `None` where the entry cannot be read.
    pub(crate) event: Option<Event>,
}

impl Entry {
    /// Reads an entry. Never fails: what cannot be read has to be settled all the same.
    pub(crate) fn read(priority: Priority, id: String, fields: &[Vec<u8>], handed_out: u32) -> Self {
        let field = |name: &str| {
            fields.chunks_exact(2).find(|pair| pair[0] == name.as_bytes()).map(|pair| pair[1].as_slice())
        };
        let attempts =
            field(ATTEMPTS).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).unwrap_or(0_u32);
        Self {
            priority,
            attempt: attempts.saturating_add(handed_out),
            reclaimed: handed_out > 1,
            event: field(EVENT).and_then(queue::read),
            id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<Vec<u8>> {
        pairs.iter().flat_map(|(k, v)| [k.as_bytes().to_vec(), v.as_bytes().to_vec()]).collect()
    }

    #[test]
    fn attempts_are_those_before_and_this_one() {
        let event = queue::write(&queue::unreadable("1-0")).unwrap();
        let entry =
            Entry::read(Priority::Low, "1-0".into(), &fields(&[("event", &event), ("attempts", "3")]), 1);
        assert!(entry.event.is_some());
        assert_eq!((entry.attempt, entry.reclaimed), (4, false));
    }

    #[test]
    fn what_cannot_be_read_is_still_an_entry() {
        for pairs in [&[][..], &[("other", "x")], &[("event", "{")], &[("event", "{}"), ("attempts", "-1")]] {
            let entry = Entry::read(Priority::High, "1-0".into(), &fields(pairs), 2);
            assert!(entry.event.is_none());
            assert_eq!((entry.attempt, entry.reclaimed), (2, true));
        }
    }
}
