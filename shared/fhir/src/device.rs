//! Typed Device resources (FHIR R5 Device; crate fhir-sdk).
//!
//! fhir-sdk is used to build and never to read: it drops what it does not know, and its decimals are binary floats. A
//! Device has no decimal. Its `Resource` enum is not named here, because naming it costs minutes of compilation.

use fhir_sdk::BuilderError;
use fhir_sdk::r5::codes::{DeviceNameType, FHIRDeviceStatus};
use fhir_sdk::r5::resources::{Device, DeviceName};
use fhir_sdk::r5::types;
use ohx_domain::{AccountPseudonym, Identifier, ProviderName, content_digest};
use ohx_events::sealed::MappedResource;

/// Why a Device cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The provider gave no usable id: there is nothing to tell the device by.
    #[error("provider {0} names a device without a usable id: its readings go without a device")]
    NoId(ProviderName),
    /// An element that FHIR demands is missing: an error in this crate.
    #[error("the Device cannot be built: {0}")]
    Build(#[from] BuilderError),
    /// It cannot be written as JSON: an error in this crate.
    #[error("the Device cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The Device of one patient's account at a provider.
///
/// Its identifier has the system `<base>/<provider>/device` and the value `<account pseudonym>.<id>`; `id` is the
/// provider's own id of the device, `model` its name for people, `model_id` the provider's number of the model, and
/// `provider_label` the manufacturer's name. Its digest changes when what it says changes, and not with the library.
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
    // FHIR strings are never empty, and should hold no control characters.
    let fit = |text: &&str| !text.is_empty() && !text.contains(char::is_control);
    let some = |text: Option<&str>| text.map(str::trim).filter(fit).map(ToOwned::to_owned);
    let id = some(Some(id)).ok_or_else(|| DeviceError::NoId(provider.clone()))?;
    let identifier = Identifier {
        system: format!("{}/{provider}/device", base.trim_end_matches('/')),
        value: format!("{account}.{id}"),
    };
    let (model, model_id) = (some(model), some(model_id));
    let display = model.clone().unwrap_or_else(|| format!("{provider_label} device"));

    let name = DeviceName::builder()
        .value(display.clone())
        .r#type(DeviceNameType::UserFriendlyName)
        .display(true)
        .build()?;
    let business = types::Identifier::builder()
        .system(identifier.system.clone())
        .value(identifier.value.clone())
        .build()?;
    let mut builder = Device::builder()
        .identifier(vec![Some(business)])
        .status(FHIRDeviceStatus::Active)
        .manufacturer(provider_label.to_owned())
        .display_name(display.clone())
        .name(vec![Some(name)]);
    if let Some(model_id) = &model_id {
        builder = builder.model_number(model_id.clone());
    }
    let resource = serde_json::value::to_raw_value(&builder.build()?)?;

    let fields = [b"device-v1".as_slice(), provider_label.as_bytes(), display.as_bytes()];
    let digest = match &model_id {
        Some(model_id) => content_digest(&[fields[0], fields[1], fields[2], model_id.as_bytes()]),
        None => content_digest(&fields),
    };
    Ok(MappedResource { identifier, digest, issued: None, taken: None, device: None, resource })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ohx_domain::{Sensitive, account_pseudonym};

    fn build(id: &str, model: Option<&str>, model_id: Option<&str>) -> Result<MappedResource, DeviceError> {
        let provider: ProviderName = "withings".parse().unwrap();
        let account =
            account_pseudonym(&provider, &Sensitive::new("363".to_owned()), &"Patient/p1".parse().unwrap());
        device("https://ohx.example/ns", &provider, "Withings", &account, id, model, model_id)
    }

    #[test]
    fn a_device_is_what_r5_says() {
        let mapped = build("a1b2c3d4", Some("BPM Connect"), Some("45")).unwrap();
        let value = mapped.identifier.value.clone();
        assert!(value.ends_with(".a1b2c3d4") && !value.contains("363"), "{value}");
        let got: serde_json::Value = serde_json::from_str(mapped.resource.get()).unwrap();
        assert_eq!(
            got,
            serde_json::json!({
                "resourceType": "Device",
                "identifier": [{ "system": "https://ohx.example/ns/withings/device", "value": value }],
                "displayName": "BPM Connect",
                "status": "active",
                "manufacturer": "Withings",
                "modelNumber": "45",
                "name": [{ "value": "BPM Connect", "type": "user-friendly-name", "display": true }],
            })
        );
    }

    #[test]
    fn a_device_of_which_little_is_known_is_still_a_device() {
        let mapped = build("a", None, Some("  ")).unwrap();
        let got: serde_json::Value = serde_json::from_str(mapped.resource.get()).unwrap();
        assert_eq!(got["displayName"], "Withings device");
        assert!(got.get("modelNumber").is_none());
        assert!(matches!(build(" ", None, None), Err(DeviceError::NoId(_))));
    }

    #[test]
    fn the_digest_follows_what_is_said() {
        let digest = |model, model_id| build("a", model, model_id).unwrap().digest;
        assert_eq!(digest(Some("BPM"), Some("45")), digest(Some("BPM"), Some("45")));
        assert_ne!(digest(Some("BPM"), Some("45")), digest(Some("BPM+"), Some("45")));
        assert_ne!(digest(Some("BPM"), Some("45")), digest(Some("BPM"), None));
    }
}
