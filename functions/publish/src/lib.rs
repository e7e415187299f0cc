//! `publish`: from `resources.mapped` to the EHR, and to the ledger.
//!
//! A piece is acknowledged when the EHR has answered for each of its resources. One that the EHR refuses for good
//! holds up no neighbour: it becomes a dead letter (its identifier and the reason, no value) and stays a hole of one
//! second in the ledger, so that the next nightly run asks for exactly that reading again.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use ohx_domain::{Counts, EhrEndpoint, EhrName};
use ohx_events::envelope::{link_of, parse_opened, sealed_data, sync_of};
use ohx_events::plain::ResourcesPublished;
use ohx_events::sealed::MappedPiece;
use ohx_events::{Envelope, Event, Priority, types};
use ohx_fhir::{Credentials, EhrClient, EhrError, Outcome};
use ohx_link::{Links, OpenLink};
use ohx_runtime::metrics::RESOURCES;
use ohx_runtime::trace::traceparent;
use ohx_runtime::{CloudEvent, EventFailure, EventReply};
use ohx_store::{Acknowledgement, DeadLetter, Progress};
use tokio::sync::Mutex;

#[derive(Clone)]
struct Publish {
    links: Links,
    clients: Arc<Mutex<HashMap<EhrName, Connected>>>,
}

/// An EHR endpoint's client, and the configuration that it was made from.
struct Connected {
    endpoint: EhrEndpoint,
    sealed: Option<Vec<u8>>,
    client: EhrClient,
}

/// The function's routes: one event at `/`.
pub fn router(links: Links) -> Router {
    Router::new().route("/", post(handle)).with_state(Publish { links, clients: Arc::default() })
}

async fn handle(State(state): State<Publish>, CloudEvent(event): CloudEvent) -> EventReply {
    let result = state.publish(&event).await;
    EventReply::of("publish", &event, result)
}

impl Publish {
    async fn publish(&self, event: &Event) -> Result<(), EventFailure> {
        let open = self.links.open(link_of(event)?).await?;
        let opened = sealed_data(event, &open.key)?;
        let piece: MappedPiece = parse_opened(event, &opened)?;
        let client = self.client(&open.link.ehr).await?;
        let base = &self.links.parts().identifier_base;
        let published =
            client.publish(base, &piece.devices, &piece.observations).await.map_err(
                |error| match &error {
                    EhrError::Unavailable { retry_after, .. } => {
                        EventFailure::Retry { reason: error.to_string(), after: *retry_after }
                    }
                    _ => EventFailure::retry(error.to_string()),
                },
            )?;
        self.settle(event, &open, &piece, &published.outcomes).await
    }

    /// Counts what became of each resource, keeps what was refused, and tells the ledger.
    async fn settle(
        &self,
        event: &Event,
        open: &OpenLink,
        piece: &MappedPiece,
        outcomes: &[Outcome],
    ) -> Result<(), EventFailure> {
        let parts = self.links.parts();
        let now = parts.clock.now();
        let mut counts = Counts { skipped: piece.skipped.values().sum(), ..Counts::default() };
        let mut holes = Vec::new();
        let earlier = !parts.store.dead_letters(Some(open.link.id), 1).await?.is_empty();
        for (resource, outcome) in piece.observations.iter().zip(outcomes) {
            let key = format!("{}|{}", resource.identifier.system, resource.identifier.value);
            let label = match outcome {
                Outcome::Created => {
                    counts.created += 1;
                    "created"
                }
                Outcome::Updated => {
                    counts.updated += 1;
                    "updated"
                }
                Outcome::Unchanged => {
                    counts.unchanged += 1;
                    "unchanged"
                }
                Outcome::Rejected { reason, .. } => {
                    counts.rejected += 1;
                    holes.extend(resource.taken);
                    let letter = DeadLetter {
                        key: key.clone(),
                        event_type: types::RESOURCES_MAPPED.to_owned(),
                        function: "publish".to_owned(),
                        link: Some(open.link.id),
                        request: Some(piece.request),
                        reason: reason.clone(),
                        attempts: 1,
                        at: now,
                    };
                    tracing::warn!(link = %open.link.id, identifier = key, reason, "the EHR refused a resource");
                    parts.store.bury(&letter).await?;
                    "rejected"
                }
            };
            RESOURCES.with_label_values(&[open.link.provider.as_str(), piece.record.as_str(), label]).inc();
            if earlier && label != "rejected" {
                parts.store.unbury(&key, "publish").await?;
            }
        }
        let ack = Acknowledgement {
            request: piece.request,
            run: piece.run,
            part: piece.part,
            piece: piece.piece,
            pieces: piece.pieces,
            counts,
            skipped: piece.skipped.clone(),
            holes,
        };
        let progress = parts.store.acknowledge(&ack, now).await?;
        tracing::info!(link = %open.link.id, request = %piece.request, part = piece.part, ?counts, ?progress, "published");
        if progress == Progress::Unknown {
            return Err(EventFailure::reject(format!("request {} is not in the ledger", piece.request)));
        }
        let envelope = Envelope {
            id: format!("{}.published", cloudevents::AttributesReader::id(event)),
            event_type: types::RESOURCES_PUBLISHED,
            source: "publish",
            link: open.link.id,
            sync: sync_of(event),
            priority: Priority::of(event),
            time: now,
            traceparent: traceparent(),
        };
        let completed = progress == Progress::Completed;
        let told =
            ResourcesPublished { request: piece.request, record: piece.record.clone(), counts, completed };
        // For observers only: the work is done and acknowledged, so a broker that is away must not repeat it.
        if let Err(error) = parts.bus.publish(vec![envelope.plain(&told)?]).await {
            tracing::warn!(request = %piece.request, error = %error, "resources.published was not sent");
        }
        Ok(())
    }

    /// The client of an EHR endpoint: kept as long as its configuration is the same, so that connections are too.
    async fn client(&self, name: &EhrName) -> Result<EhrClient, EventFailure> {
        let parts = self.links.parts();
        let missing =
            || EventFailure::retry(format!("EHR endpoint {name} is not configured: add it with ohx apply"));
        let (endpoint, sealed) = parts.store.ehr(name).await?.ok_or_else(missing)?;
        let mut clients = self.clients.lock().await;
        if let Some(known) = clients.get(name)
            && known.endpoint == endpoint
            && known.sealed == sealed
        {
            return Ok(known.client.clone());
        }
        let credentials = match &sealed {
            Some(sealed) => {
                Credentials::secret(self.links.open_secret(&["ehrs", name.as_str(), "secret"], sealed)?)
            }
            None => Credentials::none(),
        };
        let client = EhrClient::new(parts.http.clone(), endpoint.clone(), credentials);
        clients.insert(name.clone(), Connected { endpoint, sealed, client: client.clone() });
        Ok(client)
    }
}
