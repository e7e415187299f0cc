//! What a stream holds.

use cloudevents::{EventBuilder as _, EventBuilderV10};
use ohx_bus::BusError;
use ohx_events::{Event, Priority};

/// The field of an entry that holds the event.
pub(crate) const EVENT: &str = "event";

/// The field of an entry that holds the number of attempts made before it was appended.
pub(crate) const ATTEMPTS: &str = "attempts";

/// The event type under which an unreadable entry is buried.
const UNREADABLE: &str = "org.openhealthexchange.unreadable.v1";

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
            event: field(EVENT).and_then(|json| serde_json::from_slice(json).ok()),
            id,
        }
    }
}

/// An event as entries hold it.
pub(crate) fn write(event: &Event) -> Result<String, BusError> {
    // The error's class only: its text might quote what is inside.
    serde_json::to_string(event).map_err(|e| BusError::Encode(format!("{:?} error", e.classify())))
}

/// Stands for an entry that cannot be read, among the dead letters.
pub(crate) fn unreadable(id: &str) -> Event {
    let built =
        EventBuilderV10::new().id(format!("entry-{id}")).ty(UNREADABLE).source("/functions/relay").build();
    built.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use cloudevents::AttributesReader as _;
    use cloudevents::event::Data;

    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<Vec<u8>> {
        pairs.iter().flat_map(|(k, v)| [k.as_bytes().to_vec(), v.as_bytes().to_vec()]).collect()
    }

    #[test]
    fn a_sealed_event_comes_back_byte_for_byte() {
        let sealed: Vec<u8> = (0..=255).collect();
        let event = EventBuilderV10::new()
            .id("1")
            .ty("t")
            .source("/functions/fetch")
            .extension("priority", "low")
            .data("application/vnd.ohx.sealed", Data::Binary(sealed))
            .build()
            .unwrap();
        let written = write(&event).unwrap();
        let entry =
            Entry::read(Priority::Low, "1-0".into(), &fields(&[("event", &written), ("attempts", "3")]), 1);
        assert_eq!(entry.event, Some(event));
        assert_eq!((entry.attempt, entry.reclaimed), (4, false));
    }

    #[test]
    fn what_cannot_be_read_is_still_an_entry() {
        for pairs in [&[][..], &[("other", "x")], &[("event", "{")], &[("event", "{}"), ("attempts", "-1")]] {
            let entry = Entry::read(Priority::High, "1-0".into(), &fields(pairs), 2);
            assert!(entry.event.is_none());
            assert_eq!((entry.attempt, entry.reclaimed), (2, true));
        }
        assert_eq!(unreadable("1-0").id(), "entry-1-0");
    }
}
