//! `publish`: from `resources.mapped` to the EHR, and to the ledger.
//!
//! A piece is acknowledged when the EHR has answered for each of its resources. One that the EHR refuses for good
//! holds up no neighbour: it becomes a dead letter (its identifier and the reason, no value) and stays a hole of one
//! second in the ledger, so that the next nightly run asks for exactly that reading again.
//!
//! An EHR endpoint that does not answer is left alone for a while, and never asked for more at a time than it may be.

mod settle;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use ohx_domain::EhrName;
use ohx_events::envelope::{link_of, parse_opened, sync_of};
use ohx_events::sealed::MappedPiece;
use ohx_events::{Event, Function};
use ohx_fhir::{EhrClient, EhrError, FoundPatient, Origin, Publication, Published};
use ohx_link::{Links, Only, OpenLink};
use ohx_runtime::event::heard;
use ohx_runtime::{CloudEvent, EventFailure, EventReply};

#[derive(Clone)]
struct Publish {
    links: Links,
}

/// The function's routes: one event at `/`.
pub fn router(links: Links) -> Router {
    Router::new().route("/", post(handle)).with_state(Publish { links })
}

async fn handle(State(state): State<Publish>, CloudEvent(event): CloudEvent) -> EventReply {
    let mut result = state.publish(&event).await;
    if let Err(EventFailure::Wait { after, .. }) = &mut result {
        // All that waits for an endpoint hears the same time: it must not all come at once.
        *after = ohx_link::apart(*after);
    }
    let result = state.links.or_later(&event, result).await;
    EventReply::of("publish", &event, result)
}

/// What a call to the EHR came to.
enum Brought {
    /// What became of the readings, and how many that the provider has no more were marked.
    Published(Published, usize),
    /// Nobody at the EHR, or more than one, has the identifier that the patient is named by.
    NoPatient(&'static str),
}

impl Publish {
    async fn publish(&self, event: &Event) -> Result<(), EventFailure> {
        heard(Function::Publish, event)?;
        let open = self.links.open(link_of(event)?).await?;
        let Some(opened) = self.links.opened(event, &open).await? else { return Ok(()) };
        let piece: MappedPiece = parse_opened(event, &opened)?;
        let ehr = piece.ehr.as_ref().unwrap_or(&open.link.ehr);
        let client = self.links.ehr_client(ehr).await?;
        let origin = self.origin(event, &open, &piece);
        // Whether two writers of one link could make a reading twice there.
        let only = client.may_need_lock().then_some(Only::Link(open.link.id));
        let work = self.bring(&client, ehr, &open, &piece, &origin);
        match self.links.gate().pass(client.endpoint(), only, work).await? {
            Brought::Published(published, marked) => {
                self.settle(event, &open, &piece, &published.outcomes, marked).await
            }
            Brought::NoPatient(who) => Err(EventFailure::retry(format!(
                "link {}: {who} at EHR endpoint {ehr} with the identifier that the link names: nothing is written until there \
                 is exactly one",
                open.link.id
            ))),
        }
    }

    fn origin(&self, event: &Event, open: &OpenLink, piece: &MappedPiece) -> Origin {
        let source = piece.mapping.split(' ').next().unwrap_or_default();
        Origin {
            provider: open.link.provider.to_string(),
            source: source.to_owned(),
            mapping: piece.mapping.clone(),
            sync: sync_of(event).map_or_else(|| piece.request.to_string(), |sync| sync.to_string()),
            recorded: self.links.parts().clock.now(),
        }
    }

    async fn bring(
        &self,
        client: &EhrClient,
        ehr: &EhrName,
        open: &OpenLink,
        piece: &MappedPiece,
        origin: &Origin,
    ) -> Result<Brought, EhrError> {
        client.plan().await?;
        let patient = match open.link.patient_at(ehr) {
            Some(patient) => match self.links.find_patient(client, patient).await? {
                FoundPatient::One(reference) => Some(reference),
                FoundPatient::Nobody => return Ok(Brought::NoPatient("there is no patient")),
                FoundPatient::Several => return Ok(Brought::NoPatient("there are several patients")),
            },
            None => None,
        };
        let publication = Publication {
            identifier_base: &self.links.parts().identifier_base,
            devices: &piece.devices,
            observations: &piece.observations,
            origin: (!piece.mapping.is_empty()).then_some(origin),
            patient: patient.as_ref(),
        };
        let published = client.bring(&publication).await?;
        let marked = match &piece.removed {
            Some(removed) => client.take_back(&self.links.parts().identifier_base, removed).await?,
            None => 0,
        };
        Ok(Brought::Published(published, marked))
    }
}
