//! DeviceDefinition: the model of a device.

use fhir_sdk::r5::codes::DeviceNameType;
use fhir_sdk::r5::resources::{DeviceDefinition, DeviceDefinitionClassification, DeviceDefinitionDeviceName};
use fhir_sdk::r5::types::Reference;
use ohx_domain::{ContentDigest, Identifier};
use ohx_events::sealed::MappedResource;

use super::{DeviceError, Facts, Owner, business, codes, made, manufacturer, says, some};

impl Owner<'_> {
    /// The DeviceDefinition of a device's model; `None` where nothing is known of the model.
    ///
    /// Its identifier has the system `<base>/<provider>/device-model` and as its value the provider's number of the model,
    /// or its name where there is no number: all patients with that model share it. It says nothing of a person. Where
    /// a name is missing it is written only if the EHR does not have the model, so that one patient's list never takes away
    /// what another's has said.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn definition(&self, facts: &Facts<'_>) -> Result<Option<MappedResource>, DeviceError> {
        let (model, number) = (some(facts.model), some(facts.model_id));
        let Some(value) = number.clone().or_else(|| model.clone()) else { return Ok(None) };
        let system = format!("{}/{}/device-model", self.base.trim_end_matches('/'), self.provider);
        let identifier = Identifier { system, value };
        let label = manufacturer(self.kind);
        let mut builder = DeviceDefinition::builder()
            .identifier(vec![Some(business(&identifier)?)])
            // Not an Organization at the EHR: its name is all that is known.
            .manufacturer(Reference::builder().display(label.to_owned()).build()?);
        if let Some(model) = &model {
            let name = DeviceDefinitionDeviceName::builder()
                .name(model.clone())
                .r#type(DeviceNameType::UserFriendlyName)
                .build()?;
            builder = builder.device_name(vec![Some(name)]);
        }
        if let Some(number) = &number {
            builder = builder.model_number(number.clone());
        }
        if let Some(kind) = codes::concept(facts)? {
            let classification = DeviceDefinitionClassification::builder().r#type(kind).build()?;
            builder = builder.classification(vec![Some(classification)]);
        }
        let resource = serde_json::value::to_raw_value(&builder.build()?)?;

        let mut digest = ContentDigest::new();
        for field in ["device-definition-v1", label] {
            digest.field(field.as_bytes());
        }
        let kind = codes::said(facts);
        [model.as_deref(), number.as_deref(), kind.as_deref()]
            .into_iter()
            .for_each(|field| says(&mut digest, field));
        let only_if_missing = model.is_none() || kind.is_none();
        Ok(Some(MappedResource { only_if_missing, ..made(identifier, digest.finish(), resource) }))
    }
}
