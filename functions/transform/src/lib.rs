//! `transform`: from `records.fetched` to `resources.mapped`.
//!
//! Applies the mapping document of the provider's record. What it leaves out is counted by reason; what it makes is
//! sealed again and sent on in pieces that fit an event. A part without readings is sent on too: the ledger waits for it.

mod mappings;
mod pieces;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use ohx_domain::{AccountPseudonym, EhrName, PatientReference, account_pseudonym};
use ohx_events::envelope::{link_of, parse_opened};
use ohx_events::sealed::{FetchedPart, Removed};
use ohx_events::{Event, Function};
use ohx_link::{Links, OpenLink};
use ohx_mapping::{Context, Mapped};
use ohx_runtime::event::heard;
use ohx_runtime::metrics::{MAPPED, SKIPPED};
use ohx_runtime::{CloudEvent, EventFailure, EventReply};

use crate::mappings::Mappings;
pub use crate::mappings::refresh;
use crate::pieces::{Batch, Pieces};

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
        heard(Function::Transform, event)?;
        let open = self.links.open(link_of(event)?).await?;
        let Some(opened) = self.links.opened(event, &open).await? else { return Ok(()) };
        let part: FetchedPart = parse_opened(event, &opened)?;
        let parts = self.links.parts();
        let (app, _) = self.links.app(&part.provider).await?;
        let kind = app.config.kind.as_str();
        let mut batches = Vec::new();
        for (ehr, patient) in open.link.destinations() {
            batches.push(self.map(&open, &part, kind, ehr, patient).await?);
        }
        let events = Pieces { links: &self.links, event, open: &open, part: &part }.cut(&batches)?;
        parts.bus.publish(events).await?;
        Ok(())
    }

    /// Maps a part for one of the link's EHR endpoints.
    async fn map(
        &self,
        open: &OpenLink,
        part: &FetchedPart,
        kind: &str,
        ehr: &EhrName,
        patient: &PatientReference,
    ) -> Result<Batch, EventFailure> {
        let parts = self.links.parts();
        let name = format!("{}/{}", ohx_providers::mapped_as(kind), part.record);
        let mapping = self.mappings.find(parts, &name, ehr, open.link.id).await?;
        let account = self.links.account(open).await?;
        let account = account_pseudonym(&part.provider, &account, patient);
        let context = Context {
            identifier_base: parts.identifier_base.clone(),
            provider: part.provider.clone(),
            account: account.clone(),
            subject: patient.clone(),
            covers: part.covers,
        };
        let mapped = match part.page.get() {
            "null" => Ok(Mapped::default()),
            page => mapping.map(page.as_bytes(), &context),
        };
        let mapped = match mapped {
            Ok(mapped) => mapped,
            Err(error) => {
                let reason =
                    format!("part {} of request {} cannot be mapped: {error}", part.part, part.request);
                parts.store.fail(part.request, &reason, parts.clock.now()).await?;
                return Err(EventFailure::reject(reason));
            }
        };
        let own = *ehr == open.link.ehr;
        for (reason, count) in mapped.skipped.iter().filter(|_| own) {
            let label = reason.split(':').next().unwrap_or("other");
            SKIPPED.with_label_values(&[part.provider.as_str(), part.record.as_str(), label]).inc_by(*count);
        }
        let version = mapping.version().to_string();
        let made = u64::try_from(mapped.observations.len()).unwrap_or(u64::MAX);
        MAPPED.with_label_values(&[part.provider.as_str(), &name, &version]).inc_by(made);
        tracing::info!(
            mapping = name, version, link = %open.link.id, request = %part.request, part = part.part, %ehr,
            observations = mapped.observations.len(), skipped = ?mapped.skipped, "mapped"
        );
        let removed = removed(part, mapping.system(&context), &account, &mapped);
        Batch::new(parts, part, kind, &account, mapped).map(|batch| Batch {
            removed,
            ehr: (!own).then(|| ehr.clone()),
            mapping: format!("{name} {version}"),
            // What the mapping leaves out is counted once.
            skipped: if own { batch.skipped } else { BTreeMap::new() },
            ..batch
        })
    }
}

/// What was taken back, where the part is all that the provider has of a window. A part of which anything was left out tells
/// nothing: what is not among its readings may be there all the same.
fn removed(
    part: &FetchedPart,
    system: String,
    account: &AccountPseudonym,
    mapped: &Mapped,
) -> Option<Removed> {
    let window = part.removed?;
    if !mapped.skipped.is_empty() {
        tracing::warn!(request = %part.request, "removed readings are not marked: some of the window were left out");
        return None;
    }
    let kept = mapped.observations.iter().map(|observation| observation.identifier.value.clone()).collect();
    Some(Removed { window, system, owner: format!("{account}."), kept })
}
