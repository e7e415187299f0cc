//! Deleting what is done, in batches.

use std::sync::Arc;

use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use ohx_bus::BusError;
use tokio::sync::{mpsc, oneshot};

use crate::client::{Refused, Sqs, is_not_ours};

/// How many messages one request deletes.
const BATCH: usize = 10;

type Outcome = Result<(), BusError>;

/// Deletes from one queue. What is asked for while a request is on its way goes into the next one, so that nothing
/// waits for company. Clones share it; it ends with the last of them.
#[derive(Clone)]
pub(crate) struct Deleter(mpsc::Sender<(String, oneshot::Sender<Outcome>)>);

impl Deleter {
    pub(crate) fn new(sqs: &Arc<Sqs>, queue_url: &Arc<str>) -> Self {
        let (sender, mut asked) = mpsc::channel(BATCH);
        let (sqs, url) = (sqs.clone(), queue_url.clone());
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            while asked.recv_many(&mut batch, BATCH).await > 0 {
                delete(&sqs, &url, batch.drain(..)).await;
            }
        });
        Self(sender)
    }

    /// Deletes a message. One that is somebody else's by now, or gone, counts as deleted.
    pub(crate) async fn delete(&self, receipt: &str) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        let closed = || Err(BusError::Closed);
        if self.0.send((receipt.to_owned(), reply)).await.is_err() {
            return closed();
        }
        outcome.await.unwrap_or_else(|_| closed())
    }
}

async fn delete(sqs: &Sqs, url: &str, batch: impl Iterator<Item = (String, oneshot::Sender<Outcome>)>) {
    let (receipts, replies): (Vec<_>, Vec<_>) = batch.unzip();
    let entry = |(id, receipt): (usize, String)| {
        DeleteMessageBatchRequestEntry::builder().id(id.to_string()).receipt_handle(receipt).build()
    };
    let failures = match receipts.into_iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>() {
        Ok(entries) => {
            let request = sqs.commands().await.delete_message_batch().queue_url(url);
            let answer = request.set_entries(Some(entries)).send().await;
            answer.map(|answer| answer.failed).map_err(|error| Refused::from(error).text)
        }
        Err(error) => Err(error.to_string()),
    };
    for (id, reply) in replies.into_iter().enumerate() {
        let outcome = match &failures {
            Ok(failed) => match failed.iter().find(|entry| entry.id() == id.to_string()) {
                Some(entry) if !is_not_ours(entry.code()) => {
                    Err(BusError::Unavailable(format!("SQS: {}", entry.code())))
                }
                _ => Ok(()),
            },
            Err(text) => Err(BusError::Unavailable(format!("SQS: {text}"))),
        };
        // Whoever asked may have been cut off.
        let _ = reply.send(outcome);
    }
}
