//! `transform`: from `records.fetched` to `resources.mapped`.
//!
//! Applies the mapping document of the provider's record. What it leaves out is counted by reason; what it makes is
//! sealed again and sent on in pieces that fit an event. A part without readings is sent on too: the ledger waits for it.

mod mappings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use ohx_domain::{AccountPseudonym, account_pseudonym};
use ohx_events::envelope::{MAX_SEALED, link_of, parse_opened, sealed_data, sync_of};
use ohx_events::sealed::{FetchedPart, MappedPiece, MappedResource};
use ohx_events::{Envelope, Event, Priority, types};
use ohx_link::{Links, OpenLink};
use ohx_mapping::{Context, Mapped};
use ohx_runtime::metrics::{MAPPED, SKIPPED};
use ohx_runtime::trace::traceparent;
use ohx_runtime::{CloudEvent, EventFailure, EventReply};

use crate::mappings::Mappings;
pub use crate::mappings::refresh;

/// Resources' JSON text in one piece, in bytes before compression: Observations of one record shrink tenfold and more.
const PIECE: usize = 1024 * 1024;

#[derive(Clone)]
struct Transform {
    links: Links,
    mappings: Arc<Mappings>,
}

/// The function's routes: one event at `/`. An activated mapping may go unnoticed for as long as `refresh`.
pub fn router(links: Links, refresh: Duration) -> Router {
    let mappings = Arc::new(Mappings::new(refresh));
    Router::new().route("/", post(handle)).with_state(Transform { links, mappings })
}

async fn handle(State(state): State<Transform>, CloudEvent(event): CloudEvent) -> EventReply {
    let result = state.transform(&event).await;
    EventReply::of("transform", &event, result)
}

impl Transform {
    async fn transform(&self, event: &Event) -> Result<(), EventFailure> {
        let open = self.links.open(link_of(event)?).await?;
        let opened = sealed_data(event, &open.key)?;
        let part: FetchedPart = parse_opened(event, &opened)?;
        let parts = self.links.parts();
        let (app, _) = self.links.app(&part.provider).await?;
        let kind = app.config.kind.as_str();
        let name = format!("{kind}/{}", part.record);
        let mapping = self.mappings.find(parts, &name, &open.link).await?;
        let account = self.links.account(&open).await?;
        let account = account_pseudonym(&part.provider, &account, &open.link.patient);
        let context = Context {
            identifier_base: parts.identifier_base.clone(),
            provider: part.provider.clone(),
            account: account.clone(),
            subject: open.link.patient.clone(),
            covers: part.covers,
        };
        let mapped = match mapping.map(part.page.get().as_bytes(), &context) {
            Ok(mapped) => mapped,
            Err(error) => {
                let reason =
                    format!("part {} of request {} cannot be mapped: {error}", part.part, part.request);
                parts.store.fail(part.request, &reason, parts.clock.now()).await?;
                return Err(EventFailure::reject(reason));
            }
        };
        for (reason, count) in &mapped.skipped {
            let label = reason.split(':').next().unwrap_or("other");
            SKIPPED.with_label_values(&[part.provider.as_str(), part.record.as_str(), label]).inc_by(*count);
        }
        let version = mapping.version().to_string();
        let made = u64::try_from(mapped.observations.len()).unwrap_or(u64::MAX);
        MAPPED.with_label_values(&[part.provider.as_str(), &name, &version]).inc_by(made);
        tracing::info!(
            mapping = name, version, link = %open.link.id, request = %part.request, part = part.part,
            observations = mapped.observations.len(), skipped = ?mapped.skipped, "mapped"
        );
        let events = self.pieces(event, &open, &part, &account, &app.config.kind, mapped)?;
        parts.bus.publish(events).await?;
        Ok(())
    }

    /// The mapped resources as events, each small enough to travel.
    fn pieces(
        &self,
        event: &Event,
        open: &OpenLink,
        part: &FetchedPart,
        account: &AccountPseudonym,
        kind: &str,
        mapped: Mapped,
    ) -> Result<Vec<Event>, EventFailure> {
        let base = &self.links.parts().identifier_base;
        let mut devices: BTreeMap<String, MappedResource> = BTreeMap::new();
        let mut observations = Vec::with_capacity(mapped.observations.len());
        for observation in mapped.observations {
            let mut device = None;
            if let Some(facts) = &observation.device {
                if !devices.contains_key(&facts.id) {
                    let label = manufacturer(kind);
                    let (id, model, model_id) =
                        (&facts.id, facts.model.as_deref(), facts.model_id.as_deref());
                    match ohx_fhir::device(base, &part.provider, label, account, id, model, model_id) {
                        Ok(built) => {
                            devices.insert(facts.id.clone(), built);
                        }
                        // A reading without its device is better than no reading.
                        Err(error) => {
                            tracing::warn!(request = %part.request, error = %error, "a device is left out")
                        }
                    }
                }
                device = devices.get(&facts.id).map(|d| d.identifier.clone());
            }
            observations.push(MappedResource {
                identifier: observation.identifier,
                digest: observation.digest,
                issued: observation.issued,
                taken: Some(observation.taken),
                device,
                resource: observation.resource.into_raw().map_err(|e| {
                    let (line, column) = (e.line(), e.column());
                    EventFailure::reject(format!("an Observation is no JSON, line {line} column {column}"))
                })?,
            });
        }
        let devices: Vec<_> = devices.into_values().collect();
        let mut limit = PIECE;
        loop {
            let cut = cut(&observations, limit);
            let events = self.seal(event, open, part, &devices, &cut, &mapped.skipped)?;
            let fits = events.iter().all(|(_, size)| *size <= MAX_SEALED);
            if fits {
                return Ok(events.into_iter().map(|(event, _)| event).collect());
            }
            if limit <= 1 {
                return Err(EventFailure::reject(format!(
                    "one resource of request {} does not fit an event of {MAX_SEALED} bytes",
                    part.request
                )));
            }
            limit /= 4;
        }
    }

    fn seal(
        &self,
        event: &Event,
        open: &OpenLink,
        part: &FetchedPart,
        devices: &[MappedResource],
        cut: &[&[MappedResource]],
        skipped: &BTreeMap<String, u64>,
    ) -> Result<Vec<(Event, usize)>, EventFailure> {
        let pieces = u32::try_from(cut.len()).unwrap_or(u32::MAX);
        let sealed = cut.iter().zip(0_u32..).map(|(observations, piece)| {
            let used =
                |d: &&MappedResource| observations.iter().any(|o| o.device.as_ref() == Some(&d.identifier));
            let data = MappedPiece {
                request: part.request,
                run: part.run,
                part: part.part,
                piece,
                pieces,
                record: part.record.clone(),
                devices: devices.iter().filter(used).cloned().collect(),
                observations: observations.to_vec(),
                // Counted once, with the first piece.
                skipped: if piece == 0 { skipped.clone() } else { BTreeMap::new() },
            };
            let envelope = Envelope {
                id: format!("{}.{}.{piece}-{pieces}", part.run, part.part),
                event_type: types::RESOURCES_MAPPED,
                source: "transform",
                link: open.link.id,
                sync: sync_of(event),
                priority: Priority::of(event),
                time: self.links.parts().clock.now(),
                traceparent: traceparent(),
            };
            envelope.sealed(&open.key, &data).map_err(EventFailure::from)
        });
        sealed.collect()
    }
}

/// Cuts resources into runs of at most `limit` bytes of text, at least one resource each; one empty run for none.
fn cut(resources: &[MappedResource], limit: usize) -> Vec<&[MappedResource]> {
    let (mut cuts, mut start, mut size) = (Vec::new(), 0, 0);
    for (at, resource) in resources.iter().enumerate() {
        let length = resource.resource.get().len();
        if at > start && size + length > limit {
            cuts.push(&resources[start..at]);
            (start, size) = (at, 0);
        }
        size += length;
    }
    cuts.push(&resources[start..]);
    cuts
}

/// The maker's name for a Device (`Device.manufacturer`).
fn manufacturer(kind: &str) -> &'static str {
    match kind {
        "withings" => "Withings",
        "omron" => "OMRON",
        _ => "unknown",
    }
}
