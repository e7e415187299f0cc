//! The mapped resources as events, each small enough to travel.

use std::collections::BTreeMap;

use ohx_domain::{AccountPseudonym, EhrName};
use ohx_events::envelope::{MAX_SEALED, is_only_copy, set_only_copy, sync_of};
use ohx_events::sealed::{FetchedPart, MappedPiece, MappedResource, Removed};
use ohx_events::{Envelope, Event, Priority, types};
use ohx_link::{Links, OpenLink};
use ohx_mapping::Mapped;
use ohx_runtime::EventFailure;
use ohx_runtime::parts::Parts;
use ohx_runtime::trace::traceparent;

/// Resources' JSON text in one piece, in bytes before compression: Observations of one record shrink tenfold and more.
const PIECE: usize = 1024 * 1024;

/// What a part was mapped to for one EHR endpoint.
pub(crate) struct Batch {
    /// Absent for the link's own.
    pub(crate) ehr: Option<EhrName>,
    pub(crate) mapping: String,
    pub(crate) devices: Vec<MappedResource>,
    pub(crate) observations: Vec<MappedResource>,
    pub(crate) skipped: BTreeMap<String, u64>,
    /// Told with the first piece.
    pub(crate) removed: Option<Removed>,
}

impl Batch {
    /// The observations with the devices that they were measured with.
    ///
    /// # Errors
    /// Where an Observation is no JSON: an error in the mapping.
    pub(crate) fn new(
        parts: &Parts,
        part: &FetchedPart,
        kind: &str,
        account: &AccountPseudonym,
        mapped: Mapped,
    ) -> Result<Self, EventFailure> {
        let base = &parts.identifier_base;
        let mut devices: BTreeMap<String, MappedResource> = BTreeMap::new();
        let mut observations = Vec::with_capacity(mapped.observations.len());
        for observation in mapped.observations {
            let mut device = None;
            if let Some(facts) = &observation.device {
                if !devices.contains_key(&facts.id) {
                    let label = ohx_fhir::device::manufacturer(kind);
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
                only_if_missing: false,
                resource: observation.resource.into_raw().map_err(|e| {
                    let (line, column) = (e.line(), e.column());
                    EventFailure::reject(format!("an Observation is no JSON, line {line} column {column}"))
                })?,
            });
        }
        let devices = devices.into_values().collect();
        Ok(Self {
            ehr: None,
            mapping: String::new(),
            devices,
            observations,
            skipped: mapped.skipped,
            removed: None,
        })
    }
}

/// One piece of a batch.
struct Cut<'a> {
    batch: &'a Batch,
    observations: &'a [MappedResource],
    /// Whether it is the batch's first.
    first: bool,
}

/// What all pieces of a part have in common.
pub(crate) struct Pieces<'a> {
    pub(crate) links: &'a Links,
    pub(crate) event: &'a Event,
    pub(crate) open: &'a OpenLink,
    pub(crate) part: &'a FetchedPart,
}

impl Pieces<'_> {
    /// Cuts batches into events. They are numbered through: the part is done when every one of them is acknowledged.
    ///
    /// # Errors
    /// Where a single resource does not fit an event.
    pub(crate) fn cut(&self, batches: &[Batch]) -> Result<Vec<Event>, EventFailure> {
        let mut limit = PIECE;
        loop {
            let cuts: Vec<Cut<'_>> = batches
                .iter()
                .flat_map(|batch| {
                    let cut = cut(&batch.observations, limit).into_iter().enumerate();
                    cut.map(move |(at, observations)| Cut { batch, observations, first: at == 0 })
                })
                .collect();
            let events = self.seal(&cuts)?;
            if events.iter().all(|(_, size)| *size <= MAX_SEALED) {
                return Ok(events.into_iter().map(|(event, _)| event).collect());
            }
            if limit <= 1 {
                return Err(EventFailure::reject(format!(
                    "one resource of request {} does not fit an event of {MAX_SEALED} bytes",
                    self.part.request
                )));
            }
            limit /= 4;
        }
    }

    fn seal(&self, cuts: &[Cut<'_>]) -> Result<Vec<(Event, usize)>, EventFailure> {
        let part = self.part;
        let pieces = u32::try_from(cuts.len()).unwrap_or(u32::MAX);
        let sealed = cuts.iter().zip(0_u32..).map(|(cut, piece)| {
            let used = |d: &&MappedResource| {
                cut.observations.iter().any(|o| o.device.as_ref() == Some(&d.identifier))
            };
            let data = MappedPiece {
                request: part.request,
                run: part.run,
                part: part.part,
                piece,
                pieces,
                record: part.record.clone(),
                ehr: cut.batch.ehr.clone(),
                mapping: cut.batch.mapping.clone(),
                removed: cut.batch.removed.clone().filter(|_| cut.first),
                devices: cut.batch.devices.iter().filter(used).cloned().collect(),
                observations: cut.observations.to_vec(),
                // Counted once, with the first piece.
                skipped: if cut.first { cut.batch.skipped.clone() } else { BTreeMap::new() },
            };
            let envelope = Envelope {
                id: format!("{}.{}.{}.{piece}-{pieces}", part.request, part.run, part.part),
                event_type: types::RESOURCES_MAPPED,
                source: "transform",
                link: self.open.link.id,
                sync: sync_of(self.event),
                priority: Priority::of(self.event),
                time: self.links.parts().clock.now(),
                traceparent: traceparent(),
            };
            let (mut event, size) = envelope.sealed(&self.open.key, &data)?;
            if is_only_copy(self.event) {
                set_only_copy(&mut event);
            }
            Ok((event, size))
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
