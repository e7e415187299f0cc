//! Making the queues: for a laptop and for tests. In production, templates make the same ones.

use aws_sdk_sqs::types::QueueAttributeName as Attribute;
use ohx_bus::BusError;

use crate::SqsBus;
use crate::client::Refused;
use crate::message::MAX_BYTES;

/// How often a message may be received before SQS puts it among the dead: the most that SQS allows. Our own dead
/// letters come after a dozen attempts, or 960 of what nobody could be asked for again; this is for what our relay cannot bury for days.
const MAX_RECEIVES: u32 = 1000;

/// How long messages are kept, in seconds: 14 days, the most that SQS allows.
const RETENTION: u32 = 14 * 86_400;

impl SqsBus {
    /// Makes the queues that are not there: one a function and priority, and `<prefix>-dead` behind them. Those that
    /// are there stay as they are.
    ///
    /// # Errors
    /// [`BusError::Unavailable`].
    pub async fn create(&self) -> Result<(), BusError> {
        let kept = [
            (Attribute::MessageRetentionPeriod, RETENTION.to_string()),
            (Attribute::MaximumMessageSize, MAX_BYTES.to_string()),
            (Attribute::SqsManagedSseEnabled, "true".to_owned()),
        ];
        let dead = self.create_queue(&self.0.place.dead(), &kept).await?;
        let ask = self.0.commands().await.get_queue_attributes().queue_url(dead);
        let answer = ask.attribute_names(Attribute::QueueArn).send().await.map_err(Refused::from)?;
        let arn =
            answer.attributes().and_then(|all| all.get(&Attribute::QueueArn)).cloned().unwrap_or_default();
        let redrive =
            serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVES }).to_string();
        let mut attributes = kept.to_vec();
        attributes.push((Attribute::RedrivePolicy, redrive));
        for name in self.0.place.names() {
            self.create_queue(&name, &attributes).await?;
        }
        Ok(())
    }

    async fn create_queue(&self, name: &str, attributes: &[(Attribute, String)]) -> Result<String, BusError> {
        let mut create = self.0.commands().await.create_queue().queue_name(name);
        for (attribute, value) in attributes {
            create = create.attributes(attribute.clone(), value);
        }
        match create.send().await.map_err(Refused::from) {
            Ok(made) => Ok(made.queue_url().map_or_else(|| self.0.place.url(name), str::to_owned)),
            // It is there, with attributes of somebody's choice.
            Err(refused) if matches!(refused.code.as_str(), "QueueAlreadyExists" | "QueueNameExists") => {
                Ok(self.0.place.url(name))
            }
            Err(refused) => Err(refused.into()),
        }
    }
}
