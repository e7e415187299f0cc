//! What a queue holds.

use std::time::Duration;

use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    Message, MessageAttributeValue, MessageSystemAttributeName, SendMessageBatchRequestEntry,
};
use ohx_bus::queue::Entry;
use ohx_bus::retry::RetryPolicy;
use ohx_bus::{BusError, queue};
use ohx_domain::Instant;
use ohx_events::{Event, Priority};

use crate::client::seconds;

/// The largest message, and the largest batch, in bytes: bodies with their attributes.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

/// The attribute that says how long after it was sent a message is due, in milliseconds; only where that is longer
/// than [`MAX_DELAY`].
pub(crate) const DELAY: &str = "delay";

/// The longest delay of a message that SQS offers.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(900);

/// The longest that a message is kept invisible at once. SQS allows twelve hours from when it was received.
pub(crate) const MAX_PUT_OFF: Duration = Duration::from_secs(43_000);

/// What counts as due: the clocks of two relays differ, and a message that one has put off to its time must not be
/// put off again by the other.
const NEARLY: Duration = Duration::from_secs(5);

/// A message to send.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    body: String,
    delay: Duration,
}

impl Outgoing {
    /// The message of an event that is due after `delay`.
    pub(crate) fn new(event: &Event, delay: Duration) -> Result<Self, BusError> {
        // SQS refuses these two characters. Only strings can hold them, and there they may be written as escapes.
        let mut body = queue::write(event)?;
        for (character, escaped) in [('\u{fffe}', "\\ufffe"), ('\u{ffff}', "\\uffff")] {
            if body.contains(character) {
                body = body.replace(character, escaped);
            }
        }
        let message = Self { body, delay };
        if message.bytes() > MAX_BYTES {
            return Err(BusError::Encode(format!(
                "it has {} bytes, and SQS carries {MAX_BYTES} at most",
                message.bytes()
            )));
        }
        Ok(message)
    }

    /// How much of a batch it takes.
    pub(crate) fn bytes(&self) -> usize {
        let attributes = self.long_delay().map_or(0, |delay| DELAY.len() + "Number".len() + delay.len());
        self.body.len() + attributes
    }

    fn long_delay(&self) -> Option<String> {
        (self.delay > MAX_DELAY).then(|| self.delay.as_millis().to_string())
    }

    /// As an entry of a batch, by this id.
    pub(crate) fn entry(&self, id: usize) -> Result<SendMessageBatchRequestEntry, BuildError> {
        let mut entry = SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(&self.body);
        if !self.delay.is_zero() {
            entry = entry.delay_seconds(seconds(self.delay, MAX_DELAY.as_secs()));
        }
        if let Some(delay) = self.long_delay() {
            let value = MessageAttributeValue::builder().data_type("Number").string_value(delay).build()?;
            entry = entry.message_attributes(DELAY, value);
        }
        entry.build()
    }
}

/// Cuts messages into batches that SQS takes: ten each, and together no more than [`MAX_BYTES`].
pub(crate) fn batches(messages: Vec<Outgoing>) -> Vec<Vec<Outgoing>> {
    let mut batches: Vec<Vec<Outgoing>> = Vec::new();
    let mut room = 0;
    for message in messages {
        match batches.last_mut() {
            Some(batch) if batch.len() < 10 && message.bytes() <= room => {
                room -= message.bytes();
                batch.push(message);
            }
            _ => {
                room = MAX_BYTES - message.bytes().min(MAX_BYTES);
                batches.push(vec![message]);
            }
        }
    }
    batches
}

/// A message that was handed to this relay.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) priority: Priority,
    pub(crate) id: String,
    pub(crate) receipt: String,
    /// Which attempt the next one is, from 1.
    pub(crate) attempt: u32,
    /// When it may be delivered; `None` for now.
    due: Option<Instant>,
    /// `None` where the message cannot be read.
    pub(crate) event: Option<Event>,
}

impl Received {
    /// Reads a message. Never fails: what cannot be read has to be settled all the same.
    pub(crate) fn read(priority: Priority, message: Message) -> Self {
        let number = |name: MessageSystemAttributeName| -> Option<i64> {
            message.attributes.as_ref()?.get(&name)?.parse().ok()
        };
        let received = number(MessageSystemAttributeName::ApproximateReceiveCount).unwrap_or(1);
        let sent = number(MessageSystemAttributeName::SentTimestamp);
        let delay = message.message_attributes.as_ref().and_then(|attributes| {
            Some(Duration::from_millis(attributes.get(DELAY)?.string_value()?.parse().ok()?))
        });
        let due = sent.zip(delay).and_then(|(sent, delay)| {
            let sent = Instant::from_millisecond(sent).ok()?;
            sent.checked_add(delay).ok()
        });
        let received = u32::try_from(received).unwrap_or(u32::MAX);
        Self {
            priority,
            attempt: received.saturating_sub(delay.map_or(0, put_offs)).max(1),
            due,
            event: message.body().and_then(|body| queue::read(body.as_bytes())),
            id: message.message_id.unwrap_or_default(),
            receipt: message.receipt_handle.unwrap_or_default(),
        }
    }

    /// As an engine attempts it.
    pub(crate) fn entry(&self, policy: &RetryPolicy) -> Entry<'_> {
        Entry {
            id: &self.id,
            event: self.event.as_ref(),
            attempt: self.attempt,
            hopeless: policy.hopeless(self.event.as_ref(), self.attempt),
        }
    }

    /// How long it still has to wait, at most [`MAX_PUT_OFF`] at once; `None` where it is due.
    pub(crate) fn early(&self, now: Instant) -> Option<Duration> {
        let left = Duration::try_from(self.due?.duration_since(now)).ok()?;
        (left > NEARLY).then(|| left.min(MAX_PUT_OFF))
    }
}

/// How often a message is received before it is due: once after what SQS delays by itself, then after each wait.
fn put_offs(delay: Duration) -> u32 {
    let beyond = delay.saturating_sub(MAX_DELAY);
    u32::try_from(beyond.as_millis().div_ceil(MAX_PUT_OFF.as_millis())).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use cloudevents::{EventBuilder as _, EventBuilderV10};

    use super::*;

    fn event(text: &str) -> Event {
        let event = EventBuilderV10::new().id("1").ty("t").source("/functions/fetch");
        event.data("application/json", serde_json::json!({ "text": text })).build().unwrap()
    }

    fn received(
        body: &str,
        attributes: &[(MessageSystemAttributeName, &str)],
        delay: Option<&str>,
    ) -> Received {
        let mut message = Message::builder().message_id("m").receipt_handle("r").body(body);
        for (name, value) in attributes {
            message = message.attributes(name.clone(), *value);
        }
        if let Some(delay) = delay {
            let value =
                MessageAttributeValue::builder().data_type("Number").string_value(delay).build().unwrap();
            message = message.message_attributes(DELAY, value);
        }
        Received::read(Priority::Low, message.build())
    }

    fn at(second: i64) -> Instant {
        Instant::from_second(second).unwrap()
    }

    #[test]
    fn an_event_comes_back_whatever_its_text_holds() {
        let event = event("\u{0}\u{8}\u{1f}\u{7f}\u{fffe}\u{ffff}\u{10ffff}\"\\ä");
        let message = Outgoing::new(&event, Duration::ZERO).unwrap();
        let takes = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        assert!(message.body.chars().all(takes), "{:?}", message.body);
        assert_eq!(received(&message.body, &[], None).event, Some(event));
    }

    #[test]
    fn what_is_too_large_is_refused_with_its_size() {
        let error = Outgoing::new(&event(&"x".repeat(MAX_BYTES)), Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("1048576 at most") && !error.contains("xxx"), "{error}");
        let room = MAX_BYTES - Outgoing::new(&event(""), Duration::ZERO).unwrap().bytes();
        assert_eq!(Outgoing::new(&event(&"x".repeat(room)), Duration::ZERO).unwrap().bytes(), MAX_BYTES);
        assert!(Outgoing::new(&event(&"x".repeat(room)), Duration::from_secs(901)).is_err());
        assert!(Outgoing::new(&event(&"x".repeat(room + 1)), Duration::ZERO).is_err());
    }

    #[test]
    fn batches_hold_ten_and_one_mebibyte_and_lose_nothing() {
        let small = Outgoing { body: "x".into(), delay: Duration::ZERO };
        let large = Outgoing { body: "x".repeat(MAX_BYTES / 3), delay: Duration::ZERO };
        let whole = Outgoing { body: "x".repeat(MAX_BYTES), delay: Duration::ZERO };
        let sizes = |messages: Vec<Outgoing>| batches(messages).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(vec![small.clone(); 25]), [10, 10, 5]);
        assert_eq!(sizes(vec![large; 7]), [3, 3, 1]);
        assert_eq!(sizes(vec![whole.clone(), small.clone(), whole, small]), [1, 1, 1, 1]);
        assert!(batches(Vec::new()).is_empty());
    }

    #[test]
    fn attempts_leave_out_the_times_it_was_put_off() {
        use MessageSystemAttributeName::{ApproximateReceiveCount, SentTimestamp};
        let day = Duration::from_secs(86_400);
        assert_eq!([MAX_DELAY, MAX_DELAY + NEARLY, day, 2 * day].map(put_offs), [0, 1, 2, 4]);
        let day = day.as_millis().to_string();
        for (count, delay, attempt) in [
            ("1", None, 1),
            ("3", None, 3),
            ("1", Some(day.as_str()), 1),
            ("3", Some(&day), 1),
            ("4", Some(&day), 2),
            ("x", Some("x"), 1),
        ] {
            let attributes = [(ApproximateReceiveCount, count), (SentTimestamp, "1000000")];
            assert_eq!(received("", &attributes, delay).attempt, attempt, "{count} {delay:?}");
        }
    }

    #[test]
    fn what_is_early_waits_for_its_time_and_no_longer_than_sqs_can() {
        use MessageSystemAttributeName::SentTimestamp;
        let message = |delay| received("", &[(SentTimestamp, "1000000")], delay);
        assert_eq!(message(None).early(at(0)), None);
        let late = message(Some("100000000"));
        assert_eq!(late.early(at(1900)), Some(MAX_PUT_OFF));
        assert_eq!(late.early(at(100_900)), Some(Duration::from_secs(100)));
        assert_eq!(late.early(at(100_995)), None, "due but for the difference of two clocks");
        assert_eq!(late.early(at(200_000)), None);
        assert!(received("{", &[], Some("-1")).event.is_none());
    }
}
