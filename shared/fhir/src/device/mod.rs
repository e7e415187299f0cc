//! Typed resources of the device family (FHIR R5 Device, DeviceDefinition, DeviceAssociation; crate fhir-sdk).
//!
//! fhir-sdk is used to build and never to read: it drops what it does not know, and its decimals are binary floats, so
//! that a battery's charge is spliced in as text. Its `Resource` enum is not named here, because naming it costs minutes
//! of compilation.

mod association;
mod codes;
mod definition;
#[cfg(test)]
mod tests;

use fhir_sdk::BuilderError;
use fhir_sdk::r5::codes::{DeviceNameType, FHIRDeviceStatus};
use fhir_sdk::r5::resources::{Device, DeviceName, DeviceVersion};
use fhir_sdk::r5::types;
use ohx_domain::{AccountPseudonym, ContentDigest, Identifier, PatientReference, ProviderName};
use ohx_events::sealed::MappedResource;
use serde_json::json;

use crate::splice::{Object, SpliceError};

pub use association::{Association, Period, association_prefix};
pub use codes::manufacturer;

/// Why a resource of a device cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The provider gave no usable id: there is nothing to tell the device by.
    #[error("provider {0} names a device without a usable id: its readings go without a device")]
    NoId(ProviderName),
    /// An element that FHIR demands is missing: an error in this crate.
    #[error("the resource of a device cannot be built: {0}")]
    Build(#[from] BuilderError),
    /// It cannot be written as JSON: an error in this crate.
    #[error("the resource of a device cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It cannot be put together: an error in this crate.
    #[error("the resource of a device cannot be put together: {0}")]
    Splice(#[from] SpliceError),
    /// A time that is none.
    #[error("the period of a device cannot be written")]
    Time,
}

/// What is known of a device, in the provider's words. What is empty, or has control characters in it, counts as absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The provider's own id of the device, as readings have it.
    pub id: &'a str,
    /// Its model's name for people.
    pub model: Option<&'a str>,
    /// The provider's number of its model.
    pub model_id: Option<&'a str>,
    /// What kind of thing it is, such as `Scale`.
    pub kind: Option<&'a str>,
    /// A record that it has measured, such as `bloodpressure`: tells what it is where `kind` is absent.
    pub record: Option<&'a str>,
    /// The version of its firmware.
    pub firmware: Option<&'a str>,
    /// The charge of its battery in per cent.
    pub battery_percent: Option<u8>,
    /// The same in words, such as `high`.
    pub battery: Option<&'a str>,
}

/// Whose devices: one patient's account at one provider.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The deployment's identifier base.
    pub base: &'a str,
    /// The provider app.
    pub provider: &'a ProviderName,
    /// The provider app's type.
    pub kind: &'a str,
    /// The account.
    pub account: &'a AccountPseudonym,
    /// Who the patient is at the EHR.
    pub patient: &'a PatientReference,
}

/// A FHIR string is never empty, and should hold no control characters.
fn some(text: Option<&str>) -> Option<String> {
    let fit = |text: &&str| !text.is_empty() && !text.contains(char::is_control);
    text.map(str::trim).filter(fit).map(ToOwned::to_owned)
}

fn business(identifier: &Identifier) -> Result<types::Identifier, BuilderError> {
    types::Identifier::builder().system(identifier.system.clone()).value(identifier.value.clone()).build()
}

fn reference(to: &str) -> Result<types::Reference, BuilderError> {
    types::Reference::builder().reference(to.to_owned()).build()
}

/// Adds a field that may be absent, so that an absent one and an empty one differ.
fn says(digest: &mut ContentDigest, field: Option<&str>) {
    digest.field(if field.is_some() { b"1" } else { b"0" });
    digest.field(field.unwrap_or_default().as_bytes());
}

fn made(
    identifier: Identifier,
    digest: String,
    resource: Box<serde_json::value::RawValue>,
) -> MappedResource {
    MappedResource {
        identifier,
        digest,
        issued: None,
        taken: None,
        device: None,
        only_if_missing: false,
        resource,
    }
}

fn identifier(
    base: &str,
    provider: &ProviderName,
    account: &AccountPseudonym,
    id: &str,
) -> Result<Identifier, DeviceError> {
    let id = some(Some(id)).ok_or_else(|| DeviceError::NoId(provider.clone()))?;
    Ok(Identifier {
        system: format!("{}/{provider}/device", base.trim_end_matches('/')),
        value: format!("{account}.{id}"),
    })
}

/// The Device of one patient's account at a provider, as a reading names it.
///
/// Its identifier has the system `<base>/<provider>/device` and the value `<account pseudonym>.<id>`; `id` is the
/// provider's own id of the device, `model` its name for people, `model_id` the provider's number of the model, and
/// `provider_label` the manufacturer's name. It is written only where the EHR does not have the device:
/// [`Owner::device`] says more of it.
///
/// # Errors
/// [`DeviceError`].
pub fn device(
    base: &str,
    provider: &ProviderName,
    provider_label: &str,
    account: &AccountPseudonym,
    id: &str,
    model: Option<&str>,
    model_id: Option<&str>,
) -> Result<MappedResource, DeviceError> {
    let identifier = identifier(base, provider, account, id)?;
    let facts = Facts { id, model, model_id, ..Facts::default() };
    Ok(MappedResource { only_if_missing: true, ..build(identifier, provider_label, &facts, None)? })
}

impl Owner<'_> {
    /// The Device, with all that is known of it. `definition` is the reference to its DeviceDefinition at the EHR, such as
    /// `DeviceDefinition/12`.
    ///
    /// It is the same resource as [`device`]'s, and its digest changes when what it says changes, and not with the library.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn device(&self, facts: &Facts<'_>, definition: Option<&str>) -> Result<MappedResource, DeviceError> {
        let identifier = identifier(self.base, self.provider, self.account, facts.id)?;
        build(identifier, manufacturer(self.kind), facts, definition)
    }
}

fn build(
    identifier: Identifier,
    label: &str,
    facts: &Facts<'_>,
    definition: Option<&str>,
) -> Result<MappedResource, DeviceError> {
    let (model, model_id) = (some(facts.model), some(facts.model_id));
    let (firmware, battery) = (some(facts.firmware), battery(facts));
    let display = model.unwrap_or_else(|| format!("{label} device"));
    let name = DeviceName::builder()
        .value(display.clone())
        .r#type(DeviceNameType::UserFriendlyName)
        .display(true)
        .build()?;
    let mut builder = Device::builder()
        .identifier(vec![Some(business(&identifier)?)])
        .status(FHIRDeviceStatus::Active)
        .manufacturer(label.to_owned())
        .display_name(display.clone())
        .name(vec![Some(name)]);
    if let Some(model_id) = &model_id {
        builder = builder.model_number(model_id.clone());
    }
    let kind = codes::concept(facts)?;
    if let Some(kind) = kind {
        builder = builder.r#type(vec![Some(kind)]);
    }
    if let Some(definition) = definition {
        let definition = types::CodeableReference::builder().reference(reference(definition)?).build()?;
        builder = builder.definition(definition);
    }
    if let Some(version) = &firmware {
        let version = DeviceVersion::builder().r#type(codes::firmware()?).value(version.clone()).build()?;
        builder = builder.version(vec![Some(version)]);
    }
    let mut resource = serde_json::value::to_raw_value(&builder.build()?)?;
    if let Some(battery) = &battery {
        let mut object = Object::parse(&resource)?;
        object.set("property", battery.clone())?;
        resource = serde_json::value::RawValue::from_string(object.to_json())?;
    }

    let mut digest = ContentDigest::new();
    for field in ["device-v2", label, &display] {
        digest.field(field.as_bytes());
    }
    let kind = codes::said(facts);
    let fields = [model_id.as_deref(), kind.as_deref(), definition, firmware.as_deref(), battery.as_deref()];
    fields.into_iter().for_each(|field| says(&mut digest, field));
    Ok(made(identifier, digest.finish(), resource))
}

/// `Device.property` of the battery: per cent where they are known, else the provider's word. No code for it is known, so
/// that its type is a text.
fn battery(facts: &Facts<'_>) -> Option<String> {
    let kind = json!({"text": "Battery charge"});
    let property = match (facts.battery_percent, some(facts.battery)) {
        (Some(percent), _) => {
            let quantity =
                json!({"value": percent, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"});
            json!({"type": kind, "valueQuantity": quantity})
        }
        (None, Some(word)) => json!({"type": kind, "valueCodeableConcept": {"text": word}}),
        (None, None) => return None,
    };
    Some(json!([property]).to_string())
}
