//! R5 resources in the words of FHIR R4 and R4B.
//!
//! OHX makes R5. For an endpoint that speaks R4 or R4B, [`convert`] rewrites a resource as text ([`crate::splice`]): a
//! member that is the same in both releases is copied byte by byte, so every decimal keeps its digits. What R4 says
//! in another way is said in that way; what it has no way to say is left out and named ([`Converted::Resource`]); and
//! a reading of which the value itself would be lost is an error and not a reading without a value.
//!
//! R4 and R4B are the same in everything that OHX writes. Sources: HL7's definitions of the three releases, and
//! `providers/fhir-r5.md`, section 6. A Bundle is not converted, but each resource in it.

mod definition;
mod device;
mod edit;
mod observation;
mod provenance;
mod samples;

use std::borrow::Cow;

use ohx_domain::{FhirVersion, PatientReference};
use serde_json::value::RawValue;

use self::edit::{Edit, Loss};
use crate::splice::{Object, quote};

/// A resource in another release.
#[derive(Clone)]
pub enum Converted<'a> {
    /// It has a home there.
    Resource {
        /// Its text; borrowed where nothing had to change.
        resource: Cow<'a, RawValue>,
        /// Paths of R5 elements that were left out, such as `Device.category`: each once, without list positions.
        dropped: Vec<&'static str>,
    },
    /// The release has no such resource: a DeviceAssociation before R5. [`with_patient`] says some of it.
    NoSuchResource,
}

impl std::fmt::Debug for Converted<'_> {
    /// Shows what was left out, and no value.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Resource { dropped, .. } => write!(f, "Resource(without {dropped:?})"),
            Self::NoSuchResource => f.write_str("NoSuchResource"),
        }
    }
}

/// Why a resource cannot be said in another release. Texts name paths and never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// A resource of a type that OHX does not write, or none at all.
    #[error(
        "only an Observation, Device, DeviceDefinition, DeviceAssociation or Provenance is written in other releases"
    )]
    NotOurs,
    /// It is not what R5 says.
    #[error("{path} is not as FHIR R5 says, and so is not written in {version}")]
    Malformed {
        /// Where.
        path: String,
        /// The release.
        version: &'static str,
    },
    /// The release cannot say this, and without it the resource would say something else.
    #[error("{path} cannot be said in FHIR {version}")]
    NoHome {
        /// Where.
        path: String,
        /// The release.
        version: &'static str,
    },
    /// The release demands an element that R5 does not.
    #[error("FHIR {version} demands {path}")]
    Missing {
        /// Where.
        path: String,
        /// The release.
        version: &'static str,
    },
}

/// A resource that OHX made, in the words of `version`. In R5 it is what it was, whatever it is.
///
/// # Errors
/// [`VersionError`].
pub fn convert(version: FhirVersion, resource: &RawValue) -> Result<Converted<'_>, VersionError> {
    let unchanged = |dropped| Converted::Resource { resource: Cow::Borrowed(resource), dropped };
    if version == FhirVersion::R5 {
        return Ok(unchanged(Vec::new()));
    }
    let mut object = Object::parse(resource).map_err(|_| VersionError::NotOurs)?;
    let mut loss = Loss::new(version);
    let kind = object.get_str("resourceType").unwrap_or_default();
    if kind == ASSOCIATION {
        return Ok(Converted::NoSuchResource);
    }
    let own = one(&kind, &mut object, &mut loss)?.ok_or(VersionError::NotOurs)?;
    let contained = edit::each(&mut object, "DomainResource.contained", &mut loss, |object, loss| {
        let kind = object.get_str("resourceType").unwrap_or_default();
        if kind == ASSOCIATION {
            loss.note("DomainResource.contained");
            return Ok(Edit::Gone);
        }
        Ok(one(&kind, object, loss)?.unwrap_or(false).into())
    })?;
    if own || contained {
        let text = loss.text(object.to_json(), "the resource")?;
        Ok(Converted::Resource { resource: Cow::Owned(text), dropped: loss.into_paths() })
    } else {
        Ok(unchanged(loss.into_paths()))
    }
}

const ASSOCIATION: &str = "DeviceAssociation";

/// Rewrites a resource of a type that has a home. Whether anything changed; None for another type.
fn one(kind: &str, object: &mut Object<'_>, loss: &mut Loss) -> Result<Option<bool>, VersionError> {
    Ok(Some(match kind {
        "Observation" => observation::rewrite(object, loss)?,
        "Device" => device::rewrite(object, loss)?,
        "DeviceDefinition" => definition::rewrite(object, loss)?,
        "Provenance" => provenance::rewrite(object, loss)?,
        _ => return Ok(None),
    }))
}

/// An R4 or R4B Device that belongs to `patient`: what is left of a DeviceAssociation there. R5 has no such element. A
/// patient that has not been looked up at the EHR is named by the identifier.
///
/// # Errors
/// [`VersionError::NotOurs`] where `device` is no Device.
pub fn with_patient(device: &RawValue, patient: &PatientReference) -> Result<Box<RawValue>, VersionError> {
    let mut object = Object::parse(device).map_err(|_| VersionError::NotOurs)?;
    if object.get_str("resourceType").as_deref() != Some("Device") {
        return Err(VersionError::NotOurs);
    }
    let reference = match patient.identifier().and_then(|token| token.split_once('|')) {
        Some((system, value)) => {
            let (system, value) = (quote(system), quote(value));
            format!(r#"{{"type":"Patient","identifier":{{"system":{system},"value":{value}}}}}"#)
        }
        None => format!(r#"{{"reference":{}}}"#, quote(patient.as_str())),
    };
    object.set("patient", reference).map_err(|_| VersionError::NotOurs)?;
    RawValue::from_string(object.to_json()).map_err(|_| VersionError::NotOurs)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
