//! Delivering what AWS Lambda has received: an event source mapping reads the queue and hands its messages to a function, in
//! batches.
//!
//! Lambda deletes what the function does not report as failed (`ReportBatchItemFailures`), and what is reported comes back
//! when its invisibility ends. So a retry is both: a longer invisibility, which is set here, and a failure that is reported.
//! Everything else is as [`crate::SqsRelay`] does it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName};
use futures_util::StreamExt as _;
use ohx_bus::queue::Outward;
use ohx_domain::Clock;
use ohx_events::{Function, Priority};
use serde::Deserialize;
use tokio::time::Instant;

use crate::Place;
use crate::client::{Refused, Sqs};
use crate::lease::hide;
use crate::message::{DELAY, Received};

/// How many messages of a batch are delivered at once.
const CONCURRENCY: usize = 10;

/// What is kept of the time for the last word to SQS and the answer to Lambda.
const SETTLE: Duration = Duration::from_secs(5);

/// With less time than this nothing is begun.
const LEAST: Duration = Duration::from_secs(1);

/// A message as an event source mapping hands it over (AWS Lambda, "Using Lambda with Amazon SQS"). Its `Debug` leaves the body out.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    message_id: String,
    receipt_handle: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    message_attributes: BTreeMap<String, Attribute>,
    event_source: String,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: String,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attribute {
    string_value: Option<String>,
}

impl Record {
    /// Whether it is from SQS, and not from another service that calls its batches alike.
    pub fn is_sqs(&self) -> bool {
        self.event_source == "aws:sqs"
    }

    /// The queue's name: the end of its ARN.
    fn queue(&self) -> &str {
        self.event_source_arn.rsplit(':').next().unwrap_or_default()
    }

    fn into_message(self) -> Message {
        let system = self.attributes.into_iter();
        let attributes = system.map(|(name, value)| (MessageSystemAttributeName::from(name.as_str()), value));
        let mut message = Message::builder()
            .message_id(self.message_id)
            .receipt_handle(self.receipt_handle)
            .body(self.body)
            .set_attributes(Some(attributes.collect()));
        let delay = self.message_attributes.get(DELAY).and_then(|delay| delay.string_value.as_deref());
        let delay = delay
            .map(|delay| MessageAttributeValue::builder().data_type("Number").string_value(delay).build());
        if let Some(Ok(delay)) = delay {
            message = message.message_attributes(DELAY, delay);
        }
        message.build()
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

/// Delivers the batches of event source mappings.
#[derive(Clone)]
pub struct SqsBatches {
    sqs: Arc<Sqs>,
    clock: Arc<dyn Clock>,
}

impl SqsBatches {
    /// For the queues at `place`. It connects when something has to wait.
    pub fn new(place: &Place, clock: Arc<dyn Clock>) -> Self {
        Self { sqs: Arc::new(Sqs::new(place)), clock }
    }

    /// Delivers a batch to the function `to`, several messages at once, and gives the ids of the messages that should come
    /// again: what Lambda is told as `batchItemFailures`. Returns before `left` has passed, the time until Lambda ends the
    /// process: what is not done by then comes again.
    pub async fn deliver(
        &self,
        to: Function,
        records: Vec<Record>,
        outward: &Outward,
        left: Duration,
    ) -> Vec<String> {
        let give_up = Instant::now() + left.saturating_sub(SETTLE);
        // The futures are made before the stream, not in it: see `ohx_bus::sink`.
        let deliveries: Vec<_> =
            records.into_iter().map(|record| self.handle(to, record, outward, give_up)).collect();
        let again = futures_util::stream::iter(deliveries).buffer_unordered(CONCURRENCY);
        again.filter_map(async |again| again).collect().await
    }

    /// Delivers one message; its id, where it should come again.
    async fn handle(
        &self,
        to: Function,
        record: Record,
        outward: &Outward,
        give_up: Instant,
    ) -> Option<String> {
        let url = self.sqs.place.url(record.queue());
        // The queue said which priority it has, and here nothing is chosen by it any more.
        let message = Received::read(Priority::Normal, record.into_message());
        let left = give_up.saturating_duration_since(Instant::now());
        let wait = match message.early(self.clock.now()) {
            Some(early) => Some(early),
            None if left < LEAST => Some(Duration::ZERO),
            None => {
                let outward = Outward { timeout: outward.timeout.min(left), ..outward.clone() };
                outward.attempt(to, &message.entry(&outward.policy)).await
            }
        };
        match put_off(&self.sqs, &url, &message.receipt, wait?).await {
            // It comes again when the queue's own invisibility ends.
            Err(refused) if !refused.not_ours() => {
                tracing::warn!(function = %to, message = message.id, error = refused.text, "a message could not be put off");
            }
            _ => {}
        }
        Some(message.id)
    }
}

/// Has a message wait, within [`SETTLE`].
async fn put_off(sqs: &Sqs, url: &str, receipt: &str, wait: Duration) -> Result<(), Refused> {
    let within = SETTLE.saturating_sub(LEAST);
    let late = Refused { code: String::new(), text: "no answer in time".to_owned() };
    tokio::time::timeout(within, hide(sqs, url, receipt, wait)).await.unwrap_or(Err(late))
}

impl std::fmt::Debug for SqsBatches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqsBatches").field("place", &self.sqs.place).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As AWS documents it, with our own attribute.
    fn record(count: &str, delay: Option<&str>) -> Record {
        let mut json = serde_json::json!({
            "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
            "body": "{",
            "attributes": {
                "ApproximateReceiveCount": count,
                "SentTimestamp": "1000000",
                "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                "ApproximateFirstReceiveTimestamp": "1545082649185"
            },
            "messageAttributes": {},
            "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:ohx-fetch-low",
            "awsRegion": "us-east-2"
        });
        if let Some(delay) = delay {
            json["messageAttributes"] = serde_json::json!({ "delay": {
                "stringValue": delay, "stringListValues": [], "binaryListValues": [], "dataType": "Number"
            }});
        }
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_record_is_read_as_the_message_that_it_was() {
        let plain = record("3", None);
        assert!(plain.is_sqs());
        assert_eq!(plain.queue(), "ohx-fetch-low");
        let message = Received::read(Priority::Low, plain.into_message());
        assert_eq!((message.attempt, message.event.is_none()), (3, true));
        assert_eq!(message.receipt, "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a");
        let day = record("3", Some("86400000"));
        let message = Received::read(Priority::Low, day.into_message());
        assert_eq!(message.attempt, 1, "twice it was only put off");
        let early = message.early(ohx_domain::Instant::from_second(1900).unwrap());
        assert_eq!(early, Some(crate::message::MAX_PUT_OFF));
    }
}
