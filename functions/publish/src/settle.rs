//! What became of a piece: counted, acknowledged to the ledger, and told.

use ohx_domain::Counts;
use ohx_events::envelope::sync_of;
use ohx_events::plain::ResourcesPublished;
use ohx_events::sealed::MappedPiece;
use ohx_events::{Envelope, Event, Priority, types};
use ohx_fhir::Outcome;
use ohx_link::OpenLink;
use ohx_runtime::EventFailure;
use ohx_runtime::metrics::RESOURCES;
use ohx_runtime::trace::traceparent;
use ohx_store::{Acknowledgement, DeadLetter, Progress};

use crate::Publish;

impl Publish {
    /// Counts what became of each resource, keeps what was refused, and tells the ledger.
    pub(crate) async fn settle(
        &self,
        event: &Event,
        open: &OpenLink,
        piece: &MappedPiece,
        outcomes: &[Outcome],
        marked: usize,
    ) -> Result<(), EventFailure> {
        let parts = self.links.parts();
        let now = parts.clock.now();
        let mut counts = Counts { skipped: piece.skipped.values().sum(), ..Counts::default() };
        // What was taken back is another version of what was there.
        counts.updated += u64::try_from(marked).unwrap_or_default();
        let mut holes = Vec::new();
        let earlier = !parts.store.dead_letters(Some(open.link.id), 1).await?.is_empty();
        for (resource, outcome) in piece.observations.iter().zip(outcomes) {
            let mut key = format!("{}|{}", resource.identifier.system, resource.identifier.value);
            if let Some(ehr) = &piece.ehr {
                // The same reading may be refused at one endpoint and taken at another.
                key = format!("{key} at {ehr}");
            }
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
        self.links.devices_of_readings(open, &piece.record, &piece.devices, sync_of(event), "publish").await;
        Ok(())
    }
}
