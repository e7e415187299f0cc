//! Keeping a message: invisible to others for as long as this relay has it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::{Refused, Sqs, seconds};
use crate::message::{MAX_PUT_OFF, Received};

/// A received message, kept by a heartbeat. Where it is dropped, the heartbeat ends, and the message comes back when
/// its invisibility does.
pub(crate) struct Held {
    pub(crate) message: Received,
    pub(crate) queue_url: Arc<str>,
    stop: oneshot::Sender<()>,
    heartbeat: JoinHandle<()>,
}

impl Held {
    /// Keeps `message`, which was received a moment ago with an invisibility of `visibility`. Three heartbeats are
    /// due within that time, so that two may fail.
    pub(crate) fn new(sqs: &Arc<Sqs>, queue_url: &Arc<str>, message: Received, visibility: Duration) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let (sqs, url, receipt) = (sqs.clone(), queue_url.clone(), message.receipt.clone());
        let heartbeat = tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(visibility / 3) => {}
                    _ = &mut stopped => return,
                }
                // Never cut short: a heartbeat that arrives late would undo what comes after it.
                match hide(&sqs, &url, &receipt, visibility).await {
                    Ok(()) => {}
                    Err(refused) if refused.not_ours() => {
                        tracing::warn!(
                            "an event is delivered by another relay, too: this one could not keep it"
                        );
                        return;
                    }
                    Err(refused) => {
                        tracing::warn!(error = refused.text, "a message could not be kept; trying again")
                    }
                }
            }
        });
        Self { message, queue_url: queue_url.clone(), stop, heartbeat }
    }

    /// Ends the heartbeat, without one on its way.
    pub(crate) async fn rest(self) -> (Received, Arc<str>) {
        drop(self.stop);
        // It ends by itself; a panic in it changes nothing for the message.
        let _ended = self.heartbeat.await;
        (self.message, self.queue_url)
    }
}

/// Makes a message invisible for so long from now, or visible where that is zero.
pub(crate) async fn hide(sqs: &Sqs, url: &str, receipt: &str, wait: Duration) -> Result<(), Refused> {
    let change = sqs.commands().await.change_message_visibility().queue_url(url).receipt_handle(receipt);
    let change = change.visibility_timeout(seconds(wait, MAX_PUT_OFF.as_secs()));
    change.send().await.map(|_| ()).map_err(Refused::from)
}
