//! What is sent for a resource, and the text of a Bundle of them (FHIR R5 http.html, section 3.2.0.11).

use ohx_domain::{BundleKind, Identifier, PatientReference, WriteStrategy};
use ohx_events::sealed::MappedResource;
use serde_json::value::RawValue;

use crate::decide::Decision;
use crate::search::{Kind, if_none_exist};
use crate::splice::{Object, SpliceError, quote, set_tag};

/// A resource that is ready to be written but for what the lookup decides.
pub(crate) struct Item<'a> {
    pub(crate) mapped: &'a MappedResource,
    /// The client-assigned id of strategy `update`.
    pub(crate) id: String,
    /// The resource with its digest tag and its reference to the device.
    object: Object<'a>,
}

impl<'a> Item<'a> {
    /// Takes a mapped resource up, whose text is `text` in the endpoint's version of FHIR.
    ///
    /// # Errors
    /// [`SpliceError`] where its text is not a resource of this kind.
    pub(crate) fn new(
        kind: Kind,
        mapped: &'a MappedResource,
        text: &'a RawValue,
        tag_system: &str,
    ) -> Result<Self, SpliceError> {
        let mut object = Object::parse(text)?;
        if object.get_str("resourceType").as_deref() != Some(kind.as_str()) {
            return Err(SpliceError::NotAnObject);
        }
        object.remove("id");
        set_tag(&mut object, tag_system, &mapped.digest)?;
        Ok(Self { mapped, id: mapped.identifier.resource_id(), object })
    }

    /// Sets `Observation.device`: by reference where the device's id at the EHR is known, else by its identifier.
    pub(crate) fn set_device(
        &mut self,
        device: &Identifier,
        reference: Option<&str>,
    ) -> Result<(), SpliceError> {
        let json = match reference {
            Some(reference) => format!(r#"{{"reference":{}}}"#, quote(reference)),
            None => format!(
                r#"{{"identifier":{{"system":{},"value":{}}}}}"#,
                quote(&device.system),
                quote(&device.value)
            ),
        };
        self.object.set("device", json)
    }

    /// Sets `Observation.subject`.
    pub(crate) fn set_subject(&mut self, subject: &PatientReference) -> Result<(), SpliceError> {
        self.object.set("subject", format!(r#"{{"reference":{}}}"#, quote(subject.as_str())))
    }

    /// The entry that carries out `decision`; `None` where there is nothing to write.
    pub(crate) fn write(
        &self,
        index: usize,
        kind: Kind,
        strategy: WriteStrategy,
        decision: Decision,
    ) -> Result<Option<Write>, SpliceError> {
        let mut object = self.object.clone();
        let (op, id, condition) = match decision {
            Decision::Keep { .. } | Decision::Pass => return Ok(None),
            Decision::Create => match strategy {
                WriteStrategy::Update | WriteStrategy::Auto => (Op::Put, Some(self.id.clone()), None),
                WriteStrategy::SearchThenCreate => (Op::Post, None, None),
                WriteStrategy::ConditionalCreate => {
                    (Op::Post, None, Some(("ifNoneExist", if_none_exist(&self.mapped.identifier))))
                }
            },
            Decision::Replace { id, version, correction } => {
                // FHIR's `corrected` is about a reading that counted as final; `entered-in-error` stays what it is.
                if correction
                    && kind == Kind::Observation
                    && object.get_str("status").as_deref() == Some("final")
                {
                    object.set("status", quote("corrected"))?;
                }
                (Op::Replace, Some(id), version.map(|version| ("ifMatch", format!("W/\"{version}\""))))
            }
        };
        let (method, url) = match &id {
            Some(id) => {
                object.set_at(1, "id", quote(id))?;
                ("PUT", format!("{}/{id}", kind.as_str()))
            }
            None => ("POST", kind.as_str().to_owned()),
        };
        Ok(Some(Write { index, op, id, method, url, condition, resource: object.to_json() }))
    }

    /// `status`, as the mapping wrote it.
    pub(crate) fn status(&self) -> Option<String> {
        self.object.get_str("status")
    }
}

/// What an entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// PUT of something that the lookup did not find, to an id of ours.
    Put,
    /// POST with `ifNoneExist`.
    Post,
    /// PUT over a former version, with `ifMatch` where that version is known.
    Replace,
}

/// One entry of a Bundle, or one request.
pub(crate) struct Write {
    /// The item's position.
    pub(crate) index: usize,
    pub(crate) op: Op,
    /// The resource's id, where it is known before the server answers.
    pub(crate) id: Option<String>,
    /// `PUT` or `POST`.
    pub(crate) method: &'static str,
    /// Relative to the FHIR base.
    pub(crate) url: String,
    /// The name in `Bundle.entry.request`, and the value.
    pub(crate) condition: Option<(&'static str, String)>,
    /// The resource's text.
    pub(crate) resource: String,
}

/// The Bundle of `writes`.
pub(crate) fn bundle(kind: BundleKind, writes: &[Write]) -> String {
    let length = writes.iter().map(|write| write.resource.len() + 256).sum::<usize>() + 64;
    let mut text = String::with_capacity(length);
    text.push_str(&format!(r#"{{"resourceType":"Bundle","type":"{}","entry":["#, kind.as_str()));
    for (position, write) in writes.iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        text.push_str(r#"{"resource":"#);
        text.push_str(&write.resource);
        text.push_str(&format!(r#","request":{{"method":"{}","url":{}"#, write.method, quote(&write.url)));
        if let Some((name, value)) = &write.condition {
            text.push_str(&format!(r#","{name}":{}"#, quote(value)));
        }
        text.push_str("}}");
    }
    text.push_str("]}");
    text
}
