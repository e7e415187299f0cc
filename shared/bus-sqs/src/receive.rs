//! Receiving from one queue.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::MessageSystemAttributeName as Attribute;
use ohx_events::Priority;

use crate::client::{MAX_WAIT, Refused, Sqs, seconds};
use crate::lease::Held;
use crate::message::{DELAY, MAX_PUT_OFF, Received};

/// The most that one request receives.
pub(crate) const MOST: usize = 10;

/// A queue of a function.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) sqs: Arc<Sqs>,
    pub(crate) url: Arc<str>,
    pub(crate) priority: Priority,
    pub(crate) visibility: Duration,
}

impl Source {
    /// Up to `most` messages ([`MOST`] at most), at once; or, where there is none, as soon as there is one within
    /// `wait`. They are kept from when they arrive.
    pub(crate) async fn receive(&self, most: usize, wait: Duration) -> Result<Vec<Held>, Refused> {
        let client = if wait.is_zero() { self.sqs.commands().await } else { self.sqs.waiting().await };
        let request = client
            .receive_message()
            .queue_url(&*self.url)
            .max_number_of_messages(i32::try_from(most.clamp(1, MOST)).unwrap_or(1))
            .wait_time_seconds(seconds(wait, MAX_WAIT))
            .visibility_timeout(seconds(self.visibility, MAX_PUT_OFF.as_secs()))
            .message_system_attribute_names(Attribute::ApproximateReceiveCount)
            .message_system_attribute_names(Attribute::SentTimestamp)
            .message_attribute_names(DELAY);
        let answer = request.send().await.map_err(Refused::from)?;
        let messages = answer.messages.unwrap_or_default().into_iter();
        let keep = |message| {
            let message = Received::read(self.priority, message);
            Held::new(&self.sqs, &self.url, message, self.visibility)
        };
        Ok(messages.map(keep).collect())
    }
}
