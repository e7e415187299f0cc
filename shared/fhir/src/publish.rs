//! Bringing resources into the EHR, each once.

use std::collections::HashMap;
use std::time::Duration;

use ohx_domain::{Identifier, PatientReference};
use ohx_events::sealed::MappedResource;
use tracing::warn;

use crate::batch::Item;
use crate::decide::{Decision, decide};
use crate::plan::Plan;
use crate::prepare;
use crate::provenance::Origin;
use crate::search::{Kind, Search, Wanted};
use crate::write::{CALL, Fate, Why, reason};
use crate::{EhrClient, EhrError};

/// How often an entry that met a conflict or a busy server is looked up, decided and written again within one call.
const ROUNDS: u32 = 3;

/// The wait before the second round; four times as long before each further one.
const PAUSE: Duration = Duration::from_millis(100);

/// What became of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The EHR did not have it and has it now.
    Created,
    /// The EHR had another version of it: a new version was written.
    Updated,
    /// The EHR has it already, or a newer version of it: nothing was written.
    Unchanged,
    /// The EHR will not take it, however often it is sent.
    Rejected {
        /// The HTTP status; absent where it was never sent because it is no FHIR resource.
        status: Option<u16>,
        /// The identifier, and the issue codes and element paths of the EHR's OperationOutcome; never its free text.
        reason: String,
    },
}

impl Outcome {
    const fn rejected(&self) -> bool {
        matches!(self, Self::Rejected { .. })
    }
}

/// What is brought into the EHR in one call.
#[derive(Debug, Clone, Copy)]
pub struct Publication<'a> {
    /// The base of the deployment's identifier systems.
    pub identifier_base: &'a str,
    /// What the observations were measured with.
    pub devices: &'a [MappedResource],
    /// The readings.
    pub observations: &'a [MappedResource],
    /// Where they come from: a Provenance says so of what was written, where the endpoint wants it and takes it.
    pub origin: Option<&'a Origin>,
    /// Who the patient is at the endpoint. It stands in the readings already, but for one who was named by an identifier.
    pub patient: Option<&'a PatientReference>,
}

/// What became of the resources of one [`EhrClient::publish`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// One outcome for each observation, in their order.
    pub outcomes: Vec<Outcome>,
    /// One outcome for each device, in their order.
    pub devices: Vec<Outcome>,
    /// How many of the given observations name a device that the EHR does not have: they carry the device's identifier in
    /// place of a reference to it.
    pub without_device: usize,
    /// How many Provenances were written of them.
    pub provenances: usize,
}

impl EhrClient {
    /// Brings `observations` into the EHR, and before them the `devices` that they refer to.
    ///
    /// Each resource is looked up first: what the EHR has already in this or a newer version is left alone, so calling
    /// this again, from anywhere, is harmless. For `batch_size` new readings it takes two HTTP calls. Of two versions of a
    /// reading in one call the newer is written. `identifier_base` is the deployment's own; the digest of a resource
    /// travels as the tag `<identifier base>/content-digest`.
    ///
    /// # Errors
    /// [`EhrError`] where the endpoint as a whole, or its answer to some entry even after three rounds, asks to come
    /// again. What had been written stays; nothing is known to be lost until the call has been repeated.
    pub async fn publish(
        &self,
        identifier_base: &str,
        devices: &[MappedResource],
        observations: &[MappedResource],
    ) -> Result<Published, EhrError> {
        let publication = Publication { identifier_base, devices, observations, origin: None, patient: None };
        self.bring(&publication).await
    }

    /// [`EhrClient::publish`], with what else may be said about it.
    ///
    /// # Errors
    /// As [`EhrClient::publish`].
    pub async fn bring(&self, publication: &Publication<'_>) -> Result<Published, EhrError> {
        let &Publication { identifier_base, devices, observations, origin, patient } = publication;
        let base = identifier_base.trim_end_matches('/');
        let tag_system = format!("{base}/content-digest");
        let plan = self.settled_plan().await?;
        let devices = self
            .store_all(
                &plan,
                Kind::Device,
                &tag_system,
                devices,
                &References { patient, ..References::default() },
            )
            .await?;
        for outcome in &devices.outcomes {
            if let Outcome::Rejected { reason, .. } = outcome {
                warn!(ehr = %self.endpoint.name, reason, "a device was rejected: its readings go without a reference to it");
            }
        }
        let references = References { devices: devices.references, patient };
        let stored = self.store_all(&plan, Kind::Observation, &tag_system, observations, &references).await?;
        let without_device = observations
            .iter()
            .filter_map(|observation| observation.device.as_ref())
            .filter(|device| !references.devices.contains_key(device))
            .count();
        let mut provenances = 0;
        if let Some(origin) = origin {
            let written: Vec<String> = observations
                .iter()
                .zip(&stored.outcomes)
                .filter(|(_, outcome)| matches!(outcome, Outcome::Created | Outcome::Updated))
                .filter_map(|(observation, _)| stored.references.get(&observation.identifier).cloned())
                .collect();
            provenances = self.tell_provenance(&plan, base, &written, origin).await;
        }
        Ok(Published { outcomes: stored.outcomes, devices: devices.outcomes, without_device, provenances })
    }

    /// Brings resources of one type into the EHR, as [`EhrClient::publish`] does with readings. Of a type that the server
    /// does not store every resource is rejected, and nothing is sent. With each outcome comes the reference to the
    /// resource at the EHR, such as `Device/12`, where it is known. `patient` is whose devices they are, for the releases
    /// whose Device says so itself.
    ///
    /// # Errors
    /// As [`EhrClient::publish`].
    pub async fn store_resources(
        &self,
        kind: Kind,
        identifier_base: &str,
        resources: &[MappedResource],
        patient: Option<&PatientReference>,
    ) -> Result<Vec<(Outcome, Option<String>)>, EhrError> {
        let plan = self.settled_plan().await?;
        if plan.without.contains(&kind) {
            let told = |resource: &MappedResource| Outcome::Rejected {
                status: None,
                reason: reason(kind, Some(&resource.identifier), "the server does not store this type"),
            };
            return Ok(resources.iter().map(|resource| (told(resource), None)).collect());
        }
        let tag_system = format!("{}/content-digest", identifier_base.trim_end_matches('/'));
        let references = References { patient, ..References::default() };
        let stored = self.store_all(&plan, kind, &tag_system, resources, &references).await?;
        let reference = |resource: &MappedResource| stored.references.get(&resource.identifier).cloned();
        Ok(stored.outcomes.iter().cloned().zip(resources.iter().map(reference)).collect())
    }

    async fn store_all<'a>(
        &self,
        plan: &Plan,
        kind: Kind,
        tag_system: &str,
        resources: &'a [MappedResource],
        references: &References<'_>,
    ) -> Result<Stored<'a>, EhrError> {
        let version = self.endpoint.fhir_version;
        let texts: Vec<_> = resources
            .iter()
            .map(|resource| prepare::text(version, kind, resource, references.patient))
            .collect();
        let slots = newest_of_each(resources);
        let mut outcomes: Vec<Option<Outcome>> = vec![None; resources.len()];
        let (mut items, mut places) = (Vec::new(), Vec::new());
        for (place, (resource, text)) in resources.iter().zip(&texts).enumerate() {
            if slots.get(place) != Some(&place) {
                continue;
            }
            let text = match text {
                Ok(text) => text,
                Err(why) => {
                    let reason = reason(kind, Some(&resource.identifier), why);
                    set(&mut outcomes, place, Outcome::Rejected { status: None, reason });
                    continue;
                }
            };
            let item = Item::new(kind, resource, text, tag_system).and_then(|mut item| {
                if let Some(device) = &resource.device {
                    item.set_device(device, references.devices.get(device).map(String::as_str))?;
                }
                if let Some(patient) = references.patient.filter(|_| kind == Kind::Observation) {
                    item.set_subject(patient)?;
                }
                Ok(item)
            });
            match item {
                Ok(item) => {
                    items.push(item);
                    places.push(place);
                }
                Err(error) => set(&mut outcomes, place, unreadable(kind, resource, error)),
            }
        }
        let mut references = HashMap::new();
        for (place, (outcome, id)) in
            places.into_iter().zip(self.store(plan, kind, tag_system, &items).await?)
        {
            if let (Some(id), Some(resource)) = (id.filter(|_| !outcome.rejected()), resources.get(place)) {
                references.insert(&resource.identifier, format!("{}/{id}", kind.as_str()));
            }
            set(&mut outcomes, place, outcome);
        }
        // An older version of what stands beside it shares its fate, but was not written.
        let outcomes = (0..resources.len())
            .map(|place| {
                let winner = slots.get(place).copied().unwrap_or(place);
                match outcomes.get(winner).cloned().flatten() {
                    Some(outcome) if winner == place || outcome.rejected() => outcome,
                    _ => Outcome::Unchanged,
                }
            })
            .collect();
        Ok(Stored { outcomes, references })
    }

    /// Looks up, decides and writes, round by round, until every item is settled.
    async fn store(
        &self,
        plan: &Plan,
        kind: Kind,
        tag_system: &str,
        items: &[Item<'_>],
    ) -> Result<Vec<(Outcome, Option<String>)>, EhrError> {
        let batch_size = self.endpoint.batch_size.clamp(1, 500);
        let mut search = Search::Post;
        let mut settled: Vec<Option<(Outcome, Option<String>)>> = vec![None; items.len()];
        let mut pending: Vec<usize> = (0..items.len()).collect();
        let mut last = Why::Conflict;
        for round in 0..ROUNDS {
            if pending.is_empty() {
                break;
            }
            if round > 0 {
                tokio::time::sleep(PAUSE * 4_u32.pow(round - 1)).await;
            }
            let mut again = Vec::new();
            for chunk in pending.chunks(batch_size) {
                for (index, fate) in self.round(plan, kind, tag_system, items, chunk, &mut search).await? {
                    match fate {
                        Fate::Done { outcome, id } => settle(&mut settled, index, outcome, id),
                        // It is there, and what version of it there is cannot be looked up.
                        Fate::Again(Why::Exists) if search == Search::Off => {
                            settle(&mut settled, index, Outcome::Unchanged, None);
                        }
                        Fate::Again(why) => {
                            again.push(index);
                            let so_far = match why {
                                Why::Exists => Some((Outcome::Unchanged, None)),
                                Why::NoId => Some((Outcome::Created, None)),
                                Why::Conflict | Why::Busy(_) => {
                                    last = why;
                                    None
                                }
                            };
                            set_slot(&mut settled, index, so_far);
                        }
                        // `write` turns refusals of single entries into rejections.
                        Fate::Refused { outcome, .. } => settle(&mut settled, index, outcome, None),
                    }
                }
            }
            pending = again;
        }
        let open = settled.iter().filter(|slot| slot.is_none()).count();
        if open > 0 {
            let problem = match last {
                Why::Busy(status) => {
                    format!("{open} entries were answered with {status} in each of {ROUNDS} rounds")
                }
                _ => format!("{open} entries met other writers in each of {ROUNDS} rounds"),
            };
            return Err(self.unavailable(CALL, problem, matches!(last, Why::Busy(408 | 502 | 504))));
        }
        Ok(settled.into_iter().flatten().collect())
    }

    /// One lookup and one batch for one chunk of items.
    async fn round(
        &self,
        plan: &Plan,
        kind: Kind,
        tag_system: &str,
        items: &[Item<'_>],
        chunk: &[usize],
        search: &mut Search,
    ) -> Result<Vec<(usize, Fate)>, EhrError> {
        let chosen: Vec<(usize, &Item<'_>)> =
            chunk.iter().filter_map(|&index| Some((index, items.get(index)?))).collect();
        let wanted: Vec<_> = chosen
            .iter()
            .map(|(_, item)| Wanted { id: &item.id, identifier: &item.mapped.identifier })
            .collect();
        let found = self.look_up(plan, search, kind, tag_system, &wanted).await?;
        let (mut fates, mut writes) = (Vec::new(), Vec::new());
        for ((index, item), found) in chosen.into_iter().zip(&found) {
            let decision = decide(item.mapped, item.status().as_deref(), found.as_ref());
            let kept = match &decision {
                Decision::Keep { id } => Some(Some(id.clone())),
                Decision::Pass => Some(None),
                Decision::Create | Decision::Replace { .. } => None,
            };
            if let Some(id) = kept {
                fates.push((index, Fate::Done { outcome: Outcome::Unchanged, id }));
                continue;
            }
            match item.write(index, kind, plan.strategy, decision) {
                Ok(write) => writes.extend(write),
                Err(error) => {
                    fates.push((
                        index,
                        Fate::Done { outcome: unreadable(kind, item.mapped, error), id: None },
                    ));
                }
            }
        }
        fates.extend(self.write(plan, kind, items, &writes).await?);
        Ok(fates)
    }
}

/// What resources refer to at the EHR.
#[derive(Default)]
struct References<'a> {
    /// `Device/12`, by identifier.
    devices: HashMap<&'a Identifier, String>,
    patient: Option<&'a PatientReference>,
}

struct Stored<'a> {
    outcomes: Vec<Outcome>,
    /// `Device/12`, by identifier.
    references: HashMap<&'a Identifier, String>,
}

fn unreadable(kind: Kind, resource: &MappedResource, error: crate::splice::SpliceError) -> Outcome {
    Outcome::Rejected { status: None, reason: reason(kind, Some(&resource.identifier), &error.to_string()) }
}

fn set(outcomes: &mut [Option<Outcome>], place: usize, outcome: Outcome) {
    if let Some(slot) = outcomes.get_mut(place) {
        *slot = Some(outcome);
    }
}

fn set_slot<T>(slots: &mut [Option<T>], index: usize, value: Option<T>) {
    if let Some(slot) = slots.get_mut(index) {
        *slot = value;
    }
}

/// Settles an item. One that an earlier round created and a later one found unchanged was created.
fn settle(
    settled: &mut [Option<(Outcome, Option<String>)>],
    index: usize,
    outcome: Outcome,
    id: Option<String>,
) {
    if let Some(slot) = settled.get_mut(index) {
        let outcome = match slot.take() {
            Some((earlier, _)) if outcome == Outcome::Unchanged => earlier,
            _ => outcome,
        };
        *slot = Some((outcome, id));
    }
}

/// For each resource, the position of the newest one with the same identifier (the first of equals).
fn newest_of_each(resources: &[MappedResource]) -> Vec<usize> {
    let mut newest: HashMap<&Identifier, (usize, &MappedResource)> = HashMap::new();
    for (place, resource) in resources.iter().enumerate() {
        let best = newest.entry(&resource.identifier).or_insert((place, resource));
        if resource.issued > best.1.issued {
            *best = (place, resource);
        }
    }
    resources
        .iter()
        .enumerate()
        .map(|(place, resource)| newest.get(&resource.identifier).map_or(place, |(best, _)| *best))
        .collect()
}
