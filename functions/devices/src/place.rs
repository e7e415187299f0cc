//! One EHR endpoint that a link's devices go to.

use std::collections::HashMap;

use ohx_domain::{
    Account, Counts, EhrName, FhirVersion, Identifier, Instant, Link, PatientReference, account_pseudonym,
};
use ohx_events::plain::DevicesPublished;
use ohx_events::sealed::MappedResource;
use ohx_fhir::device::{DeviceError, Owner};
use ohx_fhir::{EhrClient, FoundPatient, Kind, Outcome};
use ohx_link::{Links, Only};
use ohx_runtime::EventFailure;

use crate::failure;
use crate::known::Known;

/// A link's devices at one of its EHR endpoints.
pub(crate) struct Place<'a> {
    pub(crate) links: &'a Links,
    pub(crate) link: &'a Link,
    /// The provider app's type.
    pub(crate) kind: &'a str,
    pub(crate) ehr: &'a EhrName,
    /// As the link names the patient.
    pub(crate) patient: &'a PatientReference,
}

/// Where what was stored is at the EHR, by identifier.
type References = HashMap<Identifier, String>;

impl Place<'_> {
    /// Writes what is known: models first, for the devices refer to them, and then whose the devices are.
    pub(crate) async fn write(
        &self,
        account: &Account,
        known: &[Known<'_>],
        told: &mut DevicesPublished,
    ) -> Result<(), EventFailure> {
        let client = self.links.ehr_client(self.ehr).await?;
        let patient = self.resolve(&client).await?;
        let account = account_pseudonym(&self.link.provider, account, self.patient);
        let base = self.links.parts().identifier_base.as_str();
        let owner = Owner {
            base,
            provider: &self.link.provider,
            kind: self.kind,
            account: &account,
            patient: &patient,
        };
        let unbuilt = |error: DeviceError| EventFailure::reject(error.to_string());

        let mut definitions: Vec<MappedResource> = Vec::new();
        let mut models = Vec::with_capacity(known.len());
        for device in known {
            let definition = owner.definition(device).map_err(unbuilt)?;
            models.push(definition.as_ref().map(|definition| definition.identifier.clone()));
            let new = definition.filter(|new| definitions.iter().all(|d| d.identifier != new.identifier));
            definitions.extend(new);
        }
        let at = self
            .store(&client, Kind::DeviceDefinition, &patient, &definitions, &mut told.definitions)
            .await?;

        let mut devices = Vec::with_capacity(known.len());
        for (device, model) in known.iter().zip(&models) {
            let definition = model.as_ref().and_then(|model| at.get(model)).map(String::as_str);
            let mut made = owner.device(device, definition).map_err(unbuilt)?;
            // What a reading says, without telling what the thing is, is no better than what is there.
            made.only_if_missing = !device.says_what_it_is();
            devices.push(made);
        }
        let at = self.store(&client, Kind::Device, &patient, &devices, &mut told.devices).await?;

        if client.endpoint().fhir_version != FhirVersion::R5 {
            // There a Device names its patient itself.
            return Ok(());
        }
        let mut associations = Vec::with_capacity(known.len());
        for (device, made) in known.iter().zip(&devices) {
            // A device that the EHR did not take is nobody's.
            if let Some(reference) = at.get(&made.identifier) {
                let since = self.link.connected_at;
                associations
                    .push(owner.association(device, self.link.id, reference, since).map_err(unbuilt)?);
            }
        }
        self.store(&client, Kind::DeviceAssociation, &patient, &associations, &mut told.associations).await?;
        Ok(())
    }

    /// Ends the link's associations that the EHR has; gives how many.
    pub(crate) async fn end(&self, at: Instant, told: &mut DevicesPublished) -> Result<u64, EventFailure> {
        let client = self.links.ehr_client(self.ehr).await?;
        if client.endpoint().fhir_version != FhirVersion::R5 {
            return Ok(0);
        }
        let patient = self.resolve(&client).await?;
        let (base, provider) = (&self.links.parts().identifier_base, &self.link.provider);
        let held = client.associations(base, provider, self.link.id, patient.as_str()).await;
        let held = held.map_err(|error| failure(&error))?.unwrap_or_default();
        let open = held.iter().filter(|association| !association.ended);
        let ended: Result<Vec<_>, DeviceError> =
            open.map(|association| association.ended(patient.as_str(), at)).collect();
        let ended = ended.map_err(|error| EventFailure::reject(error.to_string()))?;
        let rejected = told.associations.rejected;
        self.store(&client, Kind::DeviceAssociation, &patient, &ended, &mut told.associations).await?;
        match told.associations.rejected - rejected {
            0 => Ok(ended.len() as u64),
            refused => Err(EventFailure::retry(format!(
                "EHR endpoint {} refused to end {refused} of {} device associations",
                self.ehr,
                ended.len()
            ))),
        }
    }

    /// Marks the readings of the link that the EHR has, known by what their identifiers begin with; gives how many were marked
    /// now.
    pub(crate) async fn mark(&self, owner: &str) -> Result<u64, EventFailure> {
        let client = self.links.ehr_client(self.ehr).await?;
        let patient = self.resolve(&client).await?;
        let base = self.links.parts().identifier_base.trim_end_matches('/');
        let systems = format!("{base}/{}/", self.link.provider);
        let work = client.mark_all(base, &systems, owner, patient.as_str());
        let only = client.may_need_lock().then_some(Only::Link(self.link.id));
        Ok(self.links.gate().pass(client.endpoint(), only, work).await? as u64)
    }

    async fn store(
        &self,
        client: &EhrClient,
        kind: Kind,
        patient: &PatientReference,
        resources: &[MappedResource],
        counts: &mut Counts,
    ) -> Result<References, EventFailure> {
        if resources.is_empty() {
            return Ok(References::new());
        }
        let base = &self.links.parts().identifier_base;
        let only = match kind {
            Kind::DeviceDefinition => Only::Models,
            _ => Only::Link(self.link.id),
        };
        let only = client.may_need_lock().then_some(only);
        let work = client.store_resources(kind, base, resources, Some(patient));
        let stored = self.links.gate().pass(client.endpoint(), only, work).await?;
        let mut references = References::new();
        let mut refused = None;
        for (resource, (outcome, reference)) in resources.iter().zip(stored) {
            match outcome {
                Outcome::Created => counts.created += 1,
                Outcome::Updated => counts.updated += 1,
                Outcome::Unchanged => counts.unchanged += 1,
                Outcome::Rejected { reason, .. } => {
                    counts.rejected += 1;
                    refused = refused.or(Some(reason));
                }
            }
            references.extend(reference.map(|reference| (resource.identifier.clone(), reference)));
        }
        if let Some(reason) = refused {
            // Told once for all of them; the readings do not depend on it.
            tracing::warn!(link = %self.link.id, ehr = %self.ehr, kind = kind.as_str(), reason, "not stored");
        }
        Ok(references)
    }

    /// Who the patient is at this endpoint.
    async fn resolve(&self, client: &EhrClient) -> Result<PatientReference, EventFailure> {
        client.plan().await.map_err(|error| failure(&error))?;
        match self.links.find_patient(client, self.patient).await.map_err(|error| failure(&error))? {
            FoundPatient::One(patient) => Ok(patient),
            FoundPatient::Nobody | FoundPatient::Several => Err(EventFailure::retry(format!(
                "link {}: there is not exactly one patient at EHR endpoint {} with the identifier that the link names",
                self.link.id, self.ehr
            ))),
        }
    }
}
