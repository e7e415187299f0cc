//! `devices`: a patient's devices at the EHR.
//!
//! On `link.connected` and `devices.requested` it asks the provider for the patient's devices, where the provider lists
//! them, adds what readings said of others, and writes DeviceDefinition, Device and DeviceAssociation to each of the
//! link's EHR endpoints. On `link.disconnected` it ends the link's associations, which it finds at the EHR by the link's
//! id: the link's key and account are destroyed by then, and nothing about a person has to travel in the event.
//!
//! A Device is the one that readings refer to: `publish` makes it where it is missing, and only this function changes it.
//! Everything here may be repeated; what the EHR has already gets no new version.

mod known;
mod place;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use cloudevents::AttributesReader as _;
use ohx_domain::{EhrName, Instant, LinkState};
use ohx_events::envelope::{link_of, plain_data, shown_type, sync_of};
use ohx_events::plain::{DevicesPublished, DevicesRequested, SeenDevice};
use ohx_events::{Envelope, Event, Priority, types};
use ohx_fhir::EhrError;
use ohx_link::{Came, LinkError, Links, OpenLink};
use ohx_providers::{PairedDevice, ProviderError};
use ohx_runtime::trace::traceparent;
use ohx_runtime::{CloudEvent, EventFailure, EventReply};
use ohx_store::{StepName, StepState};

use crate::place::Place;

/// The function's routes: one event at `/`.
pub fn router(links: Links) -> Router {
    Router::new().route("/", post(handle)).with_state(links)
}

async fn handle(State(links): State<Links>, CloudEvent(event): CloudEvent) -> EventReply {
    let mut result = on_event(&links, &event).await;
    // Others listen to `link.connected`, and are not to hear it twice.
    if matches!(event.ty(), types::DEVICES_REQUESTED | types::LINK_DISCONNECTED) {
        result = links.or_later(&event, result).await;
    }
    EventReply::of("devices", &event, result)
}

async fn on_event(links: &Links, event: &Event) -> Result<(), EventFailure> {
    match event.ty() {
        types::LINK_CONNECTED => look(links, event, &[]).await,
        types::DEVICES_REQUESTED => {
            let asked: DevicesRequested = plain_data(event)?;
            look(links, event, &asked.seen).await
        }
        types::LINK_DISCONNECTED => end(links, event).await,
        other => Err(EventFailure::reject(format!("devices does not listen to {}", shown_type(other)))),
    }
}

/// Brings the devices of a link to its EHR endpoints.
async fn look(links: &Links, event: &Event, seen: &[SeenDevice]) -> Result<(), EventFailure> {
    let id = link_of(event)?;
    let open = match links.open(id).await {
        Ok(open) if open.link.state == LinkState::Active => open,
        // It ended, or waits for a consent: the next `link.connected` brings its devices.
        Ok(_) | Err(LinkError::State { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let (app, provider) = links.app(&open.link.provider).await?;
    let listed = match provider.lists_devices() {
        true => list(links, &open).await?,
        false => Vec::new(),
    };
    let known = known::all(&listed, seen);
    tracing::info!(link = %id, listed = listed.len(), known = known.len(), "devices");
    for device in &known {
        // Readings need not ask for it again today.
        links.first_today(id, device.id).await;
    }
    if known.is_empty() {
        return Ok(());
    }
    let account = links.account(&open).await?;
    let mut told = DevicesPublished::default();
    let mut failed = None;
    for (ehr, patient) in open.link.destinations() {
        let place = Place { links, link: &open.link, kind: &app.config.kind, ehr, patient };
        // An endpoint that is away holds up no other.
        if let Err(error) = place.write(&account, &known, &mut told).await {
            failed = failed.or(Some(error));
        }
    }
    if let Some(failed) = failed {
        return Err(failed);
    }
    tell(links, event, told).await;
    // Should the link have ended in the meantime, its associations have to end after this.
    if links.get(id).await?.state == LinkState::Disconnected {
        return end(links, event).await;
    }
    Ok(())
}

/// The provider's list. Empty where the patient has not granted it.
async fn list(links: &Links, open: &OpenLink) -> Result<Vec<PairedDevice>, EventFailure> {
    let (app, provider) = links.app(&open.link.provider).await?;
    let listed = links
        .call(open, &app, provider.as_ref(), |token| {
            let (app, provider) = (&app, provider.as_ref());
            async move { provider.devices(app, &token).await }
        })
        .await;
    match listed {
        Ok(listed) => Ok(listed),
        Err(LinkError::Provider { source, .. }) if matches!(*source, ProviderError::NotGranted { .. }) => {
            tracing::info!(link = %open.link.id, error = %source, "its devices are not listed");
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends the associations of a link at its EHR endpoints, and does what else is left to do of its end.
async fn end(links: &Links, event: &Event) -> Result<(), EventFailure> {
    let link = links.get(link_of(event)?).await?;
    if link.state != LinkState::Disconnected {
        // Connected again before this came.
        return Ok(());
    }
    let now = links.parts().clock.now();
    let at = event.time().and_then(|time| Instant::from_second(time.timestamp()).ok()).unwrap_or(now);
    let erasure = links.go_on_ending(link.id).await?;
    let waits = |step: StepName, ehr: &EhrName| {
        let Some(erasure) = &erasure else { return step == StepName::EndDevices };
        let mut steps = erasure.report.steps.iter();
        steps.any(|s| s.step == step && s.ehr.as_ref() == Some(ehr) && s.state == StepState::Pending)
    };
    let (app, _) = links.app(&link.provider).await?;
    let mut told = DevicesPublished::default();
    let mut failed = None;
    for (ehr, patient) in link.destinations() {
        let place = Place { links, link: &link, kind: &app.config.kind, ehr, patient };
        // An endpoint that is away holds up no other.
        if waits(StepName::EndDevices, ehr) {
            let ended = place.end(at, &mut told).await;
            let came = came(&ended.as_ref().map(|count| *count));
            links.note_step(link.id, StepName::EndDevices, Some(ehr), came).await?;
            failed = failed.or(ended.err());
        }
        if waits(StepName::MarkEnteredInError, ehr)
            && let Some(owner) =
                erasure.as_ref().and_then(|e| e.report.owners.iter().find(|(at, _)| at == ehr))
        {
            let marked = place.mark(&owner.1).await;
            let came = came(&marked.as_ref().map(|count| *count));
            links.note_step(link.id, StepName::MarkEnteredInError, Some(ehr), came).await?;
            failed = failed.or(marked.err());
        }
    }
    if told != DevicesPublished::default() {
        tell(links, event, told).await;
    }
    match (erasure, failed) {
        // A link that ended before ends were written down.
        (None, Some(failed)) => Err(failed),
        _ => links.is_ended(link.id).await,
    }
}

/// What came of a step at an EHR endpoint. What it refuses today it may take tomorrow: it is tried again.
fn came(result: &Result<u64, &EventFailure>) -> Came {
    match result {
        Ok(count) => Came::done(Some(*count)),
        Err(failure) => Came::to(StepState::Pending, failure.reason()),
    }
}

/// For observers only: the work is done, so a broker that is away must not repeat it.
async fn tell(links: &Links, event: &Event, told: DevicesPublished) {
    tracing::info!(
        link = link_of(event).map(|id| id.to_string()).unwrap_or_default(),
        ?told,
        "devices published"
    );
    let sent = async {
        let envelope = Envelope {
            id: format!("{}.published", event.id()),
            event_type: types::DEVICES_PUBLISHED,
            source: "devices",
            link: link_of(event)?,
            sync: sync_of(event),
            priority: Priority::of(event),
            time: links.parts().clock.now(),
            traceparent: traceparent(),
        };
        links.parts().bus.publish(vec![envelope.plain(&told)?]).await.map_err(LinkError::from)
    };
    if let Err(error) = sent.await {
        tracing::warn!(error = %error, "devices.published was not sent");
    }
}

/// An EHR endpoint's refusal, as the bus understands it.
fn failure(error: &EhrError) -> EventFailure {
    match error {
        EhrError::Unavailable { retry_after, .. } => {
            EventFailure::Retry { reason: error.to_string(), after: *retry_after }
        }
        _ => EventFailure::retry(error.to_string()),
    }
}
