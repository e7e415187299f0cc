//! DeviceAssociation: whose device it is, and from when to when (R5 only).

use fhir_sdk::DateTime;
use fhir_sdk::r5::resources::DeviceAssociation;
use fhir_sdk::r5::types;
use ohx_domain::{ContentDigest, Identifier, Instant, LinkId, ProviderName};
use ohx_events::sealed::MappedResource;
use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::warn;

use super::{DeviceError, Facts, Owner, business, made, reference, some};
use crate::wire::Bundle;
use crate::{EhrClient, EhrError};

const STATUS: &str = "http://hl7.org/fhir/deviceassociation-status";
const REASON: &str = "http://hl7.org/fhir/deviceassociation-status-reason";
const CALL: &str = "a search for a patient's devices";
/// Nobody has so many pages of devices.
const MAX_PAGES: usize = 20;

/// From when to when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// The beginning, as FHIR writes it.
    pub start: Option<String>,
    /// The end; absent while it lasts.
    pub end: Option<Instant>,
}

impl Period {
    /// One that lasts.
    pub fn since(start: Option<Instant>) -> Self {
        Self { start: start.map(whole), end: None }
    }
}

/// To the second: fractions of it say nothing here.
fn whole(at: Instant) -> String {
    Instant::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// An association that the EHR has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    /// Its identifier.
    pub identifier: Identifier,
    /// The reference to its device.
    pub device: String,
    /// Its period's beginning.
    pub start: Option<String>,
    /// Whether its period has an end.
    pub ended: bool,
}

/// With what the value of a link's associations' identifiers begins.
pub fn association_prefix(link: LinkId) -> String {
    format!("{link}.")
}

fn system(base: &str, provider: &ProviderName) -> String {
    format!("{}/{provider}/device-association", base.trim_end_matches('/'))
}

impl Owner<'_> {
    /// The association of a device with the patient, for as long as a link lasts. `device` is the reference to the device
    /// at the EHR, such as `Device/12`.
    ///
    /// Its identifier has the system `<base>/<provider>/device-association` and the value `<link>.<id of the device>`: each
    /// connection has its own, with its own period, and what belongs to a link is found when nothing else is known of it
    /// any more. Its digest does not depend on the beginning, so that consenting again leaves that as it is.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn association(
        &self,
        facts: &Facts<'_>,
        link: LinkId,
        device: &str,
        since: Option<Instant>,
    ) -> Result<MappedResource, DeviceError> {
        let id = some(Some(facts.id)).ok_or_else(|| DeviceError::NoId(self.provider.clone()))?;
        let value = format!("{}{id}", association_prefix(link));
        let identifier = Identifier { system: system(self.base, self.provider), value };
        build(identifier, self.patient.as_str(), device, &Period::since(since))
    }
}

impl Association {
    /// The same, at its end. The status stays `attached`: R5 has no code for a device that was, and `explanted` is about
    /// implants.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn ended(&self, patient: &str, end: Instant) -> Result<MappedResource, DeviceError> {
        let period = Period { start: self.start.clone(), end: Some(end) };
        build(self.identifier.clone(), patient, &self.device, &period)
    }
}

fn build(
    identifier: Identifier,
    patient: &str,
    device: &str,
    period: &Period,
) -> Result<MappedResource, DeviceError> {
    let concept = |system: &str, code: &str| {
        let coding = super::codes::coding(system, code)?;
        types::CodeableConcept::builder().coding(vec![Some(coding)]).build()
    };
    let time = |text: &str| text.parse::<DateTime>().map_err(|_| DeviceError::Time);
    let reason = if period.end.is_some() { "disconnected" } else { "attached" };
    let mut when = types::Period::builder();
    if let Some(start) = &period.start {
        when = when.start(time(start)?);
    }
    if let Some(end) = period.end {
        when = when.end(time(&whole(end))?);
    }
    let mut builder = DeviceAssociation::builder()
        .identifier(vec![Some(business(&identifier)?)])
        .device(reference(device)?)
        .status(concept(STATUS, "attached")?)
        .status_reason(vec![Some(concept(REASON, reason)?)])
        .subject(reference(patient)?);
    if period.start.is_some() || period.end.is_some() {
        builder = builder.period(when.build()?);
    }
    let resource = serde_json::value::to_raw_value(&builder.build()?)?;
    let mut digest = ContentDigest::new();
    for field in ["device-association-v1", patient, device, reason] {
        digest.field(field.as_bytes());
    }
    Ok(made(identifier, digest.finish(), resource))
}

#[derive(Deserialize)]
struct Held {
    #[serde(rename = "resourceType")]
    resource_type: String,
    #[serde(default)]
    identifier: Vec<HeldIdentifier>,
    #[serde(default)]
    device: HeldReference,
    #[serde(default)]
    period: HeldPeriod,
}

#[derive(Deserialize)]
struct HeldIdentifier {
    #[serde(default)]
    system: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize, Default)]
struct HeldReference {
    reference: Option<String>,
}

#[derive(Deserialize, Default)]
struct HeldPeriod {
    start: Option<String>,
    end: Option<String>,
}

/// The association in a searchset's entry, where it is one of the link's.
fn read(resource: &RawValue, system: &str, prefix: &str) -> Option<Association> {
    let held: Held = serde_json::from_str(resource.get()).ok()?;
    let own = held.identifier.into_iter().find(|i| i.system == system && i.value.starts_with(prefix))?;
    (held.resource_type == "DeviceAssociation").then_some(())?;
    Some(Association {
        identifier: Identifier { system: own.system, value: own.value },
        device: held.device.reference?,
        start: held.period.start,
        ended: held.period.end.is_some(),
    })
}

impl EhrClient {
    /// The associations of a link that the EHR has of a patient. `None` where it cannot search for them.
    ///
    /// # Errors
    /// [`EhrError`] where the endpoint as a whole asks to come again, or its answer is no FHIR.
    pub async fn associations(
        &self,
        identifier_base: &str,
        provider: &ProviderName,
        link: LinkId,
        patient: &str,
    ) -> Result<Option<Vec<Association>>, EhrError> {
        let (system, prefix) = (system(identifier_base, provider), association_prefix(link));
        let mut url = self.url(&["DeviceAssociation"]);
        url.query_pairs_mut().append_pair("subject", patient).append_pair("_count", "100");
        // Some servers answer a search from a cache that is a minute old.
        let fresh = (HeaderName::from_static("cache-control"), HeaderValue::from_static("no-cache"));
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            let request = self.http.get(url.clone()).header(fresh.0.clone(), fresh.1.clone());
            let answer = self.send(CALL, request).await?;
            if !(200..300).contains(&answer.status) {
                warn!(ehr = %self.endpoint.name, status = answer.status, "the server cannot search for the devices of a patient");
                return Ok(None);
            }
            let bundle: Bundle = serde_json::from_str(&answer.body)
                .ok()
                .filter(|bundle: &Bundle| bundle.resource_type == "Bundle" && bundle.kind == "searchset")
                .ok_or_else(|| self.not_fhir(CALL, "its answer is no searchset Bundle".into()))?;
            let resources = bundle.entry.iter().filter_map(|entry| entry.resource.as_deref());
            all.extend(resources.filter_map(|resource| read(resource, &system, &prefix)));
            // A link is followed, with the endpoint's credentials, only to where the credentials belong.
            let base = &self.endpoint.base_url;
            let next = bundle.link.into_iter().find(|link| link.relation == "next");
            match next
                .and_then(|next| base.join(&next.url).ok())
                .filter(|next| next.origin() == base.origin())
            {
                Some(next) => url = next,
                None => return Ok(Some(all)),
            }
        }
        Ok(Some(all))
    }
}
