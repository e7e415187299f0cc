//! Dead letters, replayed: what a letter stood for is asked for again. A letter has no payload, so that nothing is ever
//! sent again as it was: readings are fetched afresh through the ledger, and what has no row there is done in its own way.
//!
//! A letter whose work has a row stays until that row is published, so that nothing is out of sight before it is done. One
//! without goes when its event is on its way; should that fail as well, there is a new letter.

use std::collections::BTreeMap;
use std::time::Duration;

use ohx_domain::{LinkState, Query, Record, Request, RequestId, SyncId, SyncReason};
use ohx_events::plain::{DevicesReason, LinkConnected};
use ohx_events::{Envelope, Function, Priority, types};
use ohx_runtime::trace::traceparent;
use ohx_store::{BuriedLetter, Replay};

use crate::{Asked, Asking, LinkError, Links, Result};

/// What was asked in a letter's place less than this ago, and is not done, is not asked again.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What became of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// The provider is asked again. The letter goes when this is published.
    Asked {
        /// The row of the ledger.
        request: RequestId,
        /// Which record.
        record: Record,
        /// What of it.
        query: Query,
    },
    /// It was asked for before, and that is not done yet.
    OnItsWay {
        /// The row of the ledger.
        request: RequestId,
    },
    /// An event was sent, which this says for a person. The letter is gone.
    Sent(&'static str),
}

/// Replays letters. One act of replaying asks once for what several letters stand for.
pub struct Replays<'a> {
    links: &'a Links,
    source: &'static str,
    sync: SyncId,
    /// By the request of a letter: the row that stands for it now.
    asked: BTreeMap<RequestId, Request>,
}

fn refused(why: impl Into<String>) -> LinkError {
    LinkError::NotReplayed { why: why.into() }
}

impl Links {
    /// An act of replaying; `source` is the function that does it.
    pub fn replays(&self, source: &'static str) -> Replays<'_> {
        Replays { links: self, source, sync: SyncId::new(), asked: BTreeMap::new() }
    }
}

impl Replays<'_> {
    /// Asks again for what a letter stood for.
    ///
    /// # Errors
    /// [`LinkError::NotReplayed`] where that cannot be, with what to do instead; [`LinkError::State`] where the link is not
    /// active, [`LinkError::Unknown`], [`LinkError::Store`], [`LinkError::Bus`].
    pub async fn replay(&mut self, buried: &BuriedLetter) -> Result<Replayed> {
        if let Some(replay) = buried.replay {
            let now = self.links.parts.clock.now();
            let row = self.links.parts.store.request_by_id(replay.request).await?;
            if row.is_some_and(|row| row.state.is_open()) && replay.at + PATIENCE > now {
                return Ok(Replayed::OnItsWay { request: replay.request });
            }
        }
        match buried.letter.request {
            Some(request) => self.ask_again(buried, request).await,
            None => self.send_again(buried).await,
        }
    }

    async fn ask_again(&mut self, buried: &BuriedLetter, request: RequestId) -> Result<Replayed> {
        let (store, now) = (&self.links.parts.store, self.links.parts.clock.now());
        let row = match self.asked.get(&request) {
            Some(row) => row.clone(),
            None => {
                let old = store.request_by_id(request).await?.ok_or_else(|| {
                    refused(format!(
                        "request {request} is no longer in the ledger: ask for the link and the time with POST \
                         /api/ingestors/syncs/, then discard the letter"
                    ))
                })?;
                if old.reason == SyncReason::Import {
                    return Err(refused(
                        "the readings were brought, and there is nobody to ask for them again: bring the same once more, \
                         then discard the letter",
                    ));
                }
                let link = self.links.get(old.link).await?;
                if link.state != LinkState::Active {
                    let hint = "it has to be active before anything can be asked again; send the patient its connect address";
                    return Err(LinkError::State { link: link.id, state: link.state, hint });
                }
                // A row that is open still waits for its work; of one that has ended the same is asked anew.
                let row = if old.state.is_open() {
                    store.note(old.id, "asked for again after it had been given up", now).await?;
                    old
                } else {
                    let asking = Asking {
                        record: old.record.clone(),
                        query: old.query,
                        reason: SyncReason::Manual,
                        sync: self.sync,
                        source: self.source,
                        delay: Duration::ZERO,
                    };
                    let (Asked::Requested(id) | Asked::Merged(id)) =
                        self.links.enter(&link, &asking).await?.0;
                    store.request_by_id(id).await?.ok_or(LinkError::Unknown(link.id))?
                };
                self.links.announce(&link, &row, self.source, Duration::ZERO).await?;
                self.asked.insert(request, row.clone());
                row
            }
        };
        // Where it came again meanwhile, it stays as it is now: that is the truth about what was asked.
        store.note_replay(buried, Replay { request: row.id, at: now }).await?;
        Ok(Replayed::Asked { request: row.id, record: row.record, query: row.query })
    }

    /// What has no row in the ledger.
    async fn send_again(&self, buried: &BuriedLetter) -> Result<Replayed> {
        let letter = &buried.letter;
        let event_type = letter.event_type.as_str();
        if matches!(event_type, types::PING | types::PUSH_REQUESTED) {
            return Err(refused("the next nightly run does the same for every link: discard the letter"));
        }
        let id = letter.link.ok_or_else(|| refused("it does not say whose it is: discard the letter"))?;
        let link = self.links.get(id).await?;
        let sent = match event_type {
            types::LINK_DISCONNECTED if link.state != LinkState::Disconnected => {
                return Err(refused(
                    "the link is connected again, and nothing of it has to end: discard the letter",
                ));
            }
            types::LINK_DISCONNECTED => {
                self.links.announce_end(&link).await?;
                "told again that the link has ended: its devices are ended at the EHR"
            }
            types::LINK_CONNECTED | types::DEVICES_REQUESTED if link.state != LinkState::Active => {
                let hint = "the next consent does the same; discard the letter";
                return Err(LinkError::State { link: id, state: link.state, hint });
            }
            types::LINK_CONNECTED if letter.function == Function::Nightly.as_str() => {
                self.announce_connected(&link).await?;
                "told again that the link is connected: what the ledger lacks is asked for"
            }
            types::LINK_CONNECTED | types::DEVICES_REQUESTED => {
                let (_, provider) = self.links.app(&link.provider).await?;
                if !provider.lists_devices() {
                    return Err(refused(
                        "the provider lists no devices: the next reading that names one asks again; discard the letter",
                    ));
                }
                self.links
                    .request_devices(&link, DevicesReason::Manual, Vec::new(), self.sync, self.source)
                    .await?;
                "asked again for the link's devices"
            }
            _ => {
                return Err(refused(
                    "it is not known which request it belongs to: ask for the link and the time with POST \
                     /api/ingestors/syncs/, then discard the letter",
                ));
            }
        };
        self.links.parts.store.discard(buried.id).await?;
        Ok(Replayed::Sent(sent))
    }

    async fn announce_connected(&self, link: &ohx_domain::Link) -> Result<()> {
        let now = self.links.parts.clock.now();
        let envelope = Envelope {
            id: format!("{}.connected.{}", link.id, now.as_microsecond()),
            event_type: types::LINK_CONNECTED,
            source: self.source,
            link: link.id,
            sync: None,
            priority: Priority::High,
            time: now,
            traceparent: traceparent(),
        };
        // Only what is missing is asked for, whatever has been done before.
        let event = envelope.plain(&LinkConnected { provider: link.provider.clone(), again: true })?;
        self.links.parts.bus.publish(vec![event]).await?;
        Ok(())
    }
}
