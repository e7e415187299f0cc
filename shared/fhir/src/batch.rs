//! The text of a batch Bundle (FHIR R5 http.html, section 3.2.0.11).

use ohx_domain::{Identifier, WriteStrategy};
use ohx_events::sealed::MappedResource;

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
    /// Takes a mapped resource up.
    ///
    /// # Errors
    /// [`SpliceError`] where its text is not a resource of this kind.
    pub(crate) fn new(kind: Kind, mapped: &'a MappedResource, tag_system: &str) -> Result<Self, SpliceError> {
        let mut object = Object::parse(&mapped.resource)?;
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
            Decision::Keep { .. } => return Ok(None),
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
        let condition =
            condition.map_or_else(String::new, |(name, value)| format!(r#","{name}":{}"#, quote(&value)));
        let request = format!(r#"{{"method":"{method}","url":{}{condition}}}"#, quote(&url));
        Ok(Some(Write {
            index,
            op,
            id,
            entry: format!(r#"{{"resource":{},"request":{request}}}"#, object.to_json()),
        }))
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

/// One entry of a batch.
pub(crate) struct Write {
    /// The item's position.
    pub(crate) index: usize,
    pub(crate) op: Op,
    /// The resource's id, where it is known before the server answers.
    pub(crate) id: Option<String>,
    entry: String,
}

/// The Bundle of `writes`.
pub(crate) fn bundle(writes: &[Write]) -> String {
    let length = writes.iter().map(|write| write.entry.len() + 1).sum::<usize>() + 64;
    let mut text = String::with_capacity(length);
    text.push_str(r#"{"resourceType":"Bundle","type":"batch","entry":["#);
    for (position, write) in writes.iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        text.push_str(&write.entry);
    }
    text.push_str("]}");
    text
}
