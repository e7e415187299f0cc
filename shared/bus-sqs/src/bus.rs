//! Publishing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;
use cloudevents::AttributesReader as _;
use futures_util::StreamExt as _;
use ohx_bus::{Bus, BusError, Depth, QueueDepth};
use ohx_events::{Event, Priority, subscribers};

use crate::Place;
use crate::client::{Refused, Sqs};
use crate::message::{Outgoing, batches};
use crate::place::lanes;

/// How many requests are on their way at once.
const CONCURRENCY: usize = 8;

/// How often the entries of a batch are sent that SQS could not take for reasons of its own.
const TRIES: u32 = 4;

/// The first pause before that, doubling.
const PAUSE: Duration = Duration::from_millis(50);

/// Publishes to SQS. Clones share one client.
#[derive(Clone)]
pub struct SqsBus(pub(crate) Arc<Sqs>);

impl SqsBus {
    /// A bus at `place`. It connects when it is first used; credentials come from where AWS's own tools look for them.
    pub fn connect(place: &Place) -> Self {
        Self(Arc::new(Sqs::new(place)))
    }

    /// How much is waiting, as SQS has it: approximately, and a few seconds old.
    ///
    /// # Errors
    /// [`BusError::Unavailable`].
    pub async fn depth(&self) -> Result<Depth, BusError> {
        let asked = lanes().map(|(to, priority)| async move {
            let counts = self.counts(&self.0.place.name(to, priority)).await;
            counts.map(|(queued, in_hand, delayed)| {
                ((to, priority), QueueDepth { queued, in_hand, oldest: None }, delayed)
            })
        });
        let asked: Vec<_> = asked.collect();
        let mut depth = Depth::default();
        for queue in futures_util::stream::iter(asked).buffer_unordered(CONCURRENCY).collect::<Vec<_>>().await
        {
            let (lane, queue, delayed) = queue?;
            depth.queues.insert(lane, queue);
            depth.delayed += delayed;
        }
        Ok(depth)
    }

    /// The queues that are not there or not ours to see, each with what SQS says; none where all is well. Also the dead
    /// ones' queue is looked for.
    pub async fn missing(&self) -> Vec<String> {
        let mut names = self.0.place.names();
        names.push(self.0.place.dead());
        let asked = names.into_iter().map(|name| async move {
            let answer = self.counts(&name).await;
            answer.err().map(|refused| format!("{name}: {}", BusError::from(refused)))
        });
        let asked: Vec<_> = asked.collect();
        let answers = futures_util::stream::iter(asked).buffered(CONCURRENCY);
        answers.filter_map(async |missing| missing).collect().await
    }

    /// Messages that are ready, invisible and delayed.
    async fn counts(&self, name: &str) -> Result<(u64, u64, u64), Refused> {
        let mut ask = self.0.commands().await.get_queue_attributes().queue_url(self.0.place.url(name));
        let counts = [
            Attribute::ApproximateNumberOfMessages,
            Attribute::ApproximateNumberOfMessagesNotVisible,
            Attribute::ApproximateNumberOfMessagesDelayed,
        ];
        for count in &counts {
            ask = ask.attribute_names(count.clone());
        }
        let answer = ask.send().await.map_err(Refused::from)?;
        let attributes = answer.attributes().cloned().unwrap_or_default();
        let [ready, invisible, delayed] =
            counts.map(|name| attributes.get(&name).and_then(|n| n.parse().ok()).unwrap_or(0));
        Ok((ready, invisible, delayed))
    }

    async fn send(&self, events: &[Event], delay: Duration) -> Result<(), BusError> {
        let mut queues: BTreeMap<String, Vec<Outgoing>> = BTreeMap::new();
        for event in events {
            let to = subscribers(event.ty());
            if to.is_empty() {
                continue;
            }
            let message = Outgoing::new(event, delay)?;
            for to in to {
                let queue = queues.entry(self.0.place.name(*to, Priority::of(event))).or_default();
                queue.push(message.clone());
            }
        }
        let mut requests = Vec::new();
        for (queue, messages) in queues {
            let url = self.0.place.url(&queue);
            requests.extend(batches(messages).into_iter().map(|batch| self.send_batch(url.clone(), batch)));
        }
        let outcomes: Vec<_> =
            futures_util::stream::iter(requests).buffer_unordered(CONCURRENCY).collect().await;
        outcomes.into_iter().collect()
    }

    /// Sends a batch, and what failed of it again where that may help.
    async fn send_batch(&self, url: String, batch: Vec<Outgoing>) -> Result<(), BusError> {
        let unwritable = |error: BuildError| BusError::Encode(error.to_string());
        let mut pause = PAUSE;
        let mut left: Vec<usize> = (0..batch.len()).collect();
        for attempt in 1.. {
            let messages = left.iter().filter_map(|id| Some((*id, batch.get(*id)?)));
            let entries: Result<Vec<_>, _> = messages.map(|(id, message)| message.entry(id)).collect();
            let request = self.0.commands().await.send_message_batch().queue_url(&url);
            let request = request.set_entries(Some(entries.map_err(unwritable)?));
            let answer = request.send().await.map_err(Refused::from)?;
            let Some(failed) = answer.failed().first() else {
                return Ok(());
            };
            // The code only: what SQS says of an entry may quote it.
            let code = failed.code().to_owned();
            if answer.failed().iter().any(|entry| entry.sender_fault) || attempt >= TRIES {
                let (failed, all) = (answer.failed().len(), batch.len());
                return Err(BusError::Unavailable(format!(
                    "SQS did not take {failed} of {all} events: {code}"
                )));
            }
            left = answer.failed().iter().filter_map(|entry| entry.id().parse().ok()).collect();
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
        Ok(())
    }
}

#[async_trait]
impl Bus for SqsBus {
    /// Sends batches, several at once. Where one fails, others may have been taken: the caller publishes all of them
    /// again, and handlers are idempotent. A type that nobody subscribes to is taken and dropped.
    async fn publish(&self, events: Vec<Event>) -> Result<(), BusError> {
        self.send(&events, Duration::ZERO).await
    }

    /// To whole seconds, rounded up; the queues' retention (14 days at most) is the longest delay.
    async fn publish_after(&self, event: Event, delay: Duration) -> Result<(), BusError> {
        self.send(&[event], delay).await
    }

    /// Looks at one queue.
    async fn ping(&self) -> Result<(), BusError> {
        let name = self.0.place.name(ohx_events::Function::Fetch, Priority::High);
        self.counts(&name).await.map(|_| ()).map_err(BusError::from)
    }

    async fn depth(&self) -> Result<Option<Depth>, BusError> {
        Self::depth(self).await.map(Some)
    }
}

impl std::fmt::Debug for SqsBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqsBus").field("place", &self.0.place).finish_non_exhaustive()
    }
}
