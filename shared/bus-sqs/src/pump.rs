//! Whose message is next: three queues of a function, one after the other's rules.
//!
//! A queue either *flows*, because it had something when it was last asked, or a *listener* waits at it with a long
//! poll for one message. So an urgent event is noticed at once however much else there is to do, an empty queue costs
//! three requests a minute, and nothing is received that cannot be delivered now, but for the one message of each listener.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ohx_bus::BusError;
use ohx_bus::fair::Fair;
use ohx_bus::queue::Backoff;
use ohx_events::{Function, Priority};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::Refused;
use crate::lease::{Held, hide};
use crate::receive::{MOST, Source};

/// The queues of one function.
pub(crate) struct Pump {
    to: Function,
    lanes: BTreeMap<Priority, Lane>,
    listeners: JoinSet<Held>,
    fair: Fair,
    wait: Duration,
    stop: watch::Receiver<bool>,
}

struct Lane {
    source: Source,
    flows: bool,
    /// What the listener has brought.
    heard: Option<Held>,
}

impl Pump {
    /// Over the queues of `to`. A listener waits for `wait` with each request.
    pub(crate) fn new(
        to: Function,
        sources: Vec<Source>,
        wait: Duration,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let lane = |source: Source| (source.priority, Lane { source, flows: true, heard: None });
        let lanes = sources.into_iter().map(lane).collect();
        Self { to, lanes, listeners: JoinSet::new(), fair: Fair::default(), wait, stop }
    }

    /// Up to `free` messages, and an error where no queue could be asked. Waits where there is nothing, until there
    /// may be something or the relay stops.
    pub(crate) async fn next(&mut self, free: usize) -> (Vec<Held>, Option<BusError>) {
        while let Some(heard) = self.listeners.try_join_next() {
            self.hear(heard.ok());
        }
        if self.lanes.values().all(|lane| !lane.flows) {
            let heard = tokio::select! {
                heard = self.listeners.join_next() => heard,
                _ = self.stop.wait_for(|stop| *stop) => return (Vec::new(), None),
            };
            self.hear(heard.and_then(Result::ok));
        }
        self.take(free).await
    }

    /// Takes what a listener brought. One that broke down brings nothing: then every queue is asked again, because it
    /// is not known at which it waited.
    fn hear(&mut self, heard: Option<Held>) {
        match heard {
            Some(held) => {
                if let Some(lane) = self.lanes.get_mut(&held.message.priority) {
                    lane.flows = true;
                    lane.heard = Some(held);
                }
            }
            None => self.lanes.values_mut().for_each(|lane| lane.flows = true),
        }
    }

    async fn take(&mut self, free: usize) -> (Vec<Held>, Option<BusError>) {
        let mut taken = Vec::new();
        let mut wanted: BTreeMap<Priority, usize> = BTreeMap::new();
        for ahead in 0..free {
            for priority in self.fair.order(ahead) {
                let Some(lane) = self.lanes.get_mut(&priority).filter(|lane| lane.flows) else {
                    continue;
                };
                match lane.heard.take() {
                    Some(held) => taken.push(held),
                    None => *wanted.entry(priority).or_default() += 1,
                }
                break;
            }
        }
        let mut requests = Vec::new();
        for (priority, wanted) in &wanted {
            for begun in (0..*wanted).step_by(MOST) {
                let source = self.lanes.get(priority).map(|lane| lane.source.clone());
                requests.push(async move {
                    let received = match source {
                        Some(source) => source.receive(wanted - begun, Duration::ZERO).await,
                        None => Ok(Vec::new()),
                    };
                    (*priority, received)
                });
            }
        }
        let (mut failed, mut answered) = (None, false);
        let mut empty = wanted.clone();
        for (priority, received) in join_all(requests).await {
            match received {
                Ok(held) => {
                    answered = true;
                    if !held.is_empty() {
                        empty.remove(&priority);
                        taken.extend(held);
                    }
                }
                // Its listener tries again in its own time, so that the other queues do not wait for this one.
                Err(refused) => failed = Some(BusError::from(refused)),
            }
        }
        for priority in empty.into_keys() {
            self.listen(priority);
        }
        self.fair.advance(taken.len());
        (taken, failed.filter(|_| !answered))
    }

    /// Has a listener wait at an empty queue.
    fn listen(&mut self, priority: Priority) {
        let Some(lane) = self.lanes.get_mut(&priority) else {
            return;
        };
        lane.flows = false;
        let (source, to, wait, stop) = (lane.source.clone(), self.to, self.wait, self.stop.clone());
        self.listeners.spawn(async move {
            let mut backoff = Backoff::new();
            loop {
                match source.receive(1, wait).await {
                    Ok(mut messages) => match messages.pop() {
                        Some(held) => return held,
                        None => backoff.reset(),
                    },
                    Err(refused) => {
                        complain(to, refused);
                        backoff.pause(stop.clone()).await;
                    }
                }
            }
        });
    }

    /// Cuts the long polls, and gives back what they have brought. Should SQS hand out a message in this very moment,
    /// it comes back after its invisibility.
    pub(crate) async fn close(mut self) {
        self.listeners.abort_all();
        while let Some(ended) = self.listeners.join_next().await {
            if let Ok(held) = ended {
                self.hear(Some(held));
            }
        }
        for lane in self.lanes.into_values() {
            if let Some(held) = lane.heard {
                let (message, url) = held.rest().await;
                if let Err(refused) = hide(&lane.source.sqs, &url, &message.receipt, Duration::ZERO).await {
                    tracing::debug!(
                        error = refused.text,
                        "a message was not given back; it comes back by itself"
                    );
                }
            }
        }
    }
}

fn complain(to: Function, refused: Refused) {
    tracing::warn!(function = %to, error = %BusError::from(refused), "receiving from SQS failed; trying again");
}

impl std::fmt::Debug for Pump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pump").field("to", &self.to).field("fair", &self.fair).finish_non_exhaustive()
    }
}

/// One source a priority.
pub(crate) fn sources(to: Function, sqs: &Arc<crate::client::Sqs>, visibility: Duration) -> Vec<Source> {
    let source = |priority| Source {
        url: sqs.place.url(&sqs.place.name(to, priority)).into(),
        sqs: sqs.clone(),
        priority,
        visibility,
    };
    Priority::ALL.into_iter().map(source).collect()
}
