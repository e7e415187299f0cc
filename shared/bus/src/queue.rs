//! What the engines that queue at a broker have in common.

use std::sync::Arc;
use std::time::Duration;

use cloudevents::{EventBuilder as _, EventBuilderV10};
use ohx_events::{Event, Function};
use tokio::sync::watch;

use crate::retry::{Next, RetryPolicy};
use crate::{Bury, BusError, Deliver, Verdict, deliver};

/// The event type under which an unreadable entry of a queue is buried.
const UNREADABLE: &str = "org.openhealthexchange.unreadable.v1";

/// The longest pause after an error of a broker.
pub const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// An event as queues hold it: structured JSON.
///
/// # Errors
/// [`BusError::Encode`].
pub fn write(event: &Event) -> Result<String, BusError> {
    // The error's class only: its text might quote what is inside.
    serde_json::to_string(event).map_err(|e| BusError::Encode(format!("{:?} error", e.classify())))
}

/// Reads what [`write`] wrote; `None` where it is something else.
pub fn read(json: &[u8]) -> Option<Event> {
    serde_json::from_slice(json).ok()
}

/// Stands for an entry that cannot be read, among the dead letters. `id` is the broker's name for it.
pub fn unreadable(id: &str) -> Event {
    let built =
        EventBuilderV10::new().id(format!("entry-{id}")).ty(UNREADABLE).source("/functions/relay").build();
    built.unwrap_or_default()
}

/// An entry of a queue, as it was handed to a relay.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The broker's name for it.
    pub id: &'a str,
    /// `None` where the entry cannot be read.
    pub event: Option<&'a Event>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Whether it was handed out so often, without an end of it, that one more attempt is not worth making ([`RetryPolicy::hopeless`]).
    pub hopeless: bool,
}

/// Where a relay takes what it reads.
#[derive(Clone)]
pub struct Outward {
    /// Calls the functions.
    pub deliver: Arc<dyn Deliver>,
    /// Keeps the dead letters.
    pub graves: Arc<dyn Bury>,
    /// When to try again.
    pub policy: RetryPolicy,
    /// After how long without an answer a delivery counts as failed.
    pub timeout: Duration,
}

impl Outward {
    /// Makes one attempt with an entry. `None`: it is to be taken out of the queue, as delivered or as a dead letter.
    /// Otherwise it stays, and is to be tried again after the wait.
    pub async fn attempt(&self, to: Function, entry: &Entry<'_>) -> Option<Duration> {
        let Some(event) = entry.event else {
            let reason = "the entry in the queue cannot be read as an event";
            tracing::error!(function = %to, entry = entry.id, reason);
            // Taken out even if the dead letter could not be kept: there is nothing in it that another try could read.
            let _logged = self.bury(to, entry, &unreadable(entry.id), reason).await;
            return None;
        };
        let verdict = if entry.hopeless {
            // Every attempt took the relay down with it, or outlived it: one more would do the same.
            let reason = format!("{} attempts have come to nothing", entry.attempt.saturating_sub(1));
            Verdict::Reject { reason }
        } else {
            deliver::attempt(self.deliver.as_ref(), to, event, self.timeout).await
        };
        match self.policy.next(event, entry.attempt, verdict) {
            Next::Done => None,
            Next::Again(wait) => Some(wait),
            Next::Bury(reason) => self.bury(to, entry, event, &reason).await.err().map(|_| self.policy.cap),
        }
    }

    async fn bury(
        &self,
        to: Function,
        entry: &Entry<'_>,
        event: &Event,
        reason: &str,
    ) -> Result<(), BusError> {
        let kept = deliver::bury(self.graves.as_ref(), to, event, reason, entry.attempt).await;
        if let Err(error) = &kept {
            tracing::error!(function = %to, entry = entry.id, %error, "a dead letter could not be kept");
        }
        kept
    }
}

/// Waits longer after each failure in a row: 50 milliseconds, doubling to [`MAX_BACKOFF`].
#[derive(Debug)]
pub struct Backoff(Duration);

impl Backoff {
    /// Before any failure.
    pub const fn new() -> Self {
        Self(Duration::from_millis(50))
    }

    /// After a success.
    pub const fn reset(&mut self) {
        *self = Self::new();
    }

    /// Waits, unless `stop` turns true.
    pub async fn pause(&mut self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            () = tokio::time::sleep(self.0) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        self.0 = self.0.saturating_mul(2).min(MAX_BACKOFF);
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use cloudevents::AttributesReader as _;
    use cloudevents::event::Data;

    use super::*;

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
        assert_eq!(read(write(&event).unwrap().as_bytes()), Some(event));
    }

    #[test]
    fn what_cannot_be_read_has_a_name() {
        for text in ["", "{", "{}", r#"{"specversion":"1.0"}"#, "\u{0}"] {
            assert_eq!(read(text.as_bytes()), None);
        }
        assert_eq!(unreadable("1-0").id(), "entry-1-0");
    }
}
