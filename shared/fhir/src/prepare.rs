//! A resource in the words of the version that the endpoint is written in.

use std::borrow::Cow;

use ohx_domain::{FhirVersion, PatientReference};
use ohx_events::sealed::MappedResource;
use serde_json::value::RawValue;

use crate::search::Kind;
use crate::version::{Converted, convert, with_patient};

/// The text to write; or why there is none, without a value.
pub(crate) fn text<'a>(
    version: FhirVersion,
    kind: Kind,
    resource: &'a MappedResource,
    patient: Option<&PatientReference>,
) -> Result<Cow<'a, RawValue>, String> {
    let text = match convert(version, &resource.resource).map_err(|error| error.to_string())? {
        Converted::Resource { resource: text, dropped } => {
            if !dropped.is_empty() {
                tracing::debug!(
                    kind = kind.as_str(),
                    version = version.as_str(),
                    ?dropped,
                    "elements without a home"
                );
            }
            text
        }
        Converted::NoSuchResource => return Err(format!("FHIR {} has no such resource", version.as_str())),
    };
    // What is left of a DeviceAssociation before R5.
    match patient {
        Some(patient) if kind == Kind::Device && version != FhirVersion::R5 => {
            with_patient(&text, patient).map(Cow::Owned).map_err(|error| error.to_string())
        }
        _ => Ok(text),
    }
}
