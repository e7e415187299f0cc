//! Events over HTTP, without a client or a server: requests out of events, events out of requests.

use cloudevents::Event;
use cloudevents::binding::http::{Builder, Serializer, to_event};
use cloudevents::message::{BinaryDeserializer, Error, Result};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::EventError;

struct Parts(HeaderMap);

impl Builder<(HeaderMap, Vec<u8>)> for Parts {
    fn header(&mut self, key: &str, value: HeaderValue) {
        if let Ok(name) = HeaderName::from_bytes(key.as_bytes()) {
            self.0.insert(name, value);
        }
    }

    fn body(&mut self, bytes: Vec<u8>) -> Result<(HeaderMap, Vec<u8>)> {
        Ok((std::mem::take(&mut self.0), bytes))
    }

    fn finish(&mut self) -> Result<(HeaderMap, Vec<u8>)> {
        Ok((std::mem::take(&mut self.0), Vec::new()))
    }
}

/// The headers and body of an event in binary mode (CloudEvents HTTP binding 3.1).
///
/// # Errors
/// [`EventError::Build`].
pub fn to_binary(event: Event) -> std::result::Result<(HeaderMap, Vec<u8>), EventError> {
    BinaryDeserializer::deserialize_binary(event, Serializer::new(Parts(HeaderMap::new())))
        .map_err(|e| EventError::Build(e.to_string()))
}

/// An event out of a request in binary or structured mode.
///
/// # Errors
/// [`EventError::Attribute`] where it is neither, or a required attribute is missing. Batch mode is refused.
pub fn from_request(headers: &HeaderMap, body: Vec<u8>) -> std::result::Result<Event, EventError> {
    to_event(headers, body).map_err(|error| match error {
        Error::WrongEncoding {} => EventError::Attribute {
            attribute: "encoding",
            expected: "send ce-specversion, ce-id, ce-type and ce-source headers (binary mode), or application/cloudevents+json (structured mode)",
        },
        Error::UnknownSpecVersion { .. } => {
            EventError::Attribute { attribute: "specversion", expected: "it should be 1.0" }
        }
        Error::UnknownAttribute { .. } => EventError::Attribute { attribute: "attributes", expected: "one is not of CloudEvents 1.0" },
        Error::EventBuilderError { .. } => EventError::Attribute {
            attribute: "attributes",
            expected: "id, source, type and specversion are required, and source must be a URI reference",
        },
        _ => EventError::Attribute {
            attribute: "envelope",
            expected: "it should be a CloudEvent 1.0, in binary or structured mode",
        },
    })
}
