//! Building and reading events.

use cloudevents::event::{Data, EventBuilder, EventBuilderV10, ExtensionValue};
use cloudevents::{AttributesReader, Event};
use ohx_domain::{Instant, LinkId, RequestId, SyncId};
use ohx_seal::{DataKey, SealError, open_payload, seal_payload};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::types;

/// The content type of sealed data.
pub const SEALED: &str = "application/vnd.ohx.sealed";

/// The extension of [`set_only_copy`].
const ONLY_COPY: &str = "onlycopy";

/// The largest sealed payload that may travel, in bytes: within what every broker carries.
pub const MAX_SEALED: usize = 200 * 1024;

/// Why an event could not be made or read. Never says what was inside.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// An attribute is missing or malformed.
    #[error("the event's {attribute} is missing or malformed: {expected}")]
    Attribute {
        /// Which attribute.
        attribute: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// The data is not what the type's schema says.
    #[error("the data of {event_type} is not what its schema says: {problem}")]
    Data {
        /// The type.
        event_type: String,
        /// The class of problem and its position; never the data.
        problem: String,
    },
    /// The payload does not open.
    #[error("the payload of {event_type} does not open for link {subject}: {source}")]
    Sealed {
        /// The type.
        event_type: String,
        /// The subject it claims.
        subject: String,
        /// Why.
        #[source]
        source: SealError,
    },
    /// The event could not be built.
    #[error("the event could not be built: {0}")]
    Build(String),
}

/// How urgent an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody is waiting: a notification, a person.
    High,
    /// A link that was connected again, and work that follows from work.
    Normal,
    /// Nightly runs and backfills.
    Low,
}

impl Priority {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// As the extension `priority` and queue names write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The priority of an event; what it does not say, or says in other words, is normal.
    pub fn of(event: &Event) -> Self {
        match event.extension("priority") {
            Some(ExtensionValue::String(text)) if text == "high" => Self::High,
            Some(ExtensionValue::String(text)) if text == "low" => Self::Low,
            _ => Self::Normal,
        }
    }
}

/// What every event of ours carries beside its data.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The event's id: the same for the same content, so that a repetition can be told. Of an event about a request, it
    /// begins with the request's id and a dot ([`request_of`]).
    pub id: String,
    /// One of [`crate::types`].
    pub event_type: &'static str,
    /// The function that emits it.
    pub source: &'static str,
    /// Whose readings it is about.
    pub link: LinkId,
    /// The sync it belongs to.
    pub sync: Option<SyncId>,
    /// How urgent it is.
    pub priority: Priority,
    /// When it was made.
    pub time: Instant,
    /// W3C trace context, passed on.
    pub traceparent: Option<String>,
}

/// Says of an event that nobody has what it carries but this event: a person or a gateway brought it, and there is no
/// provider to ask again. A bus does not give it up because time has passed.
pub fn set_only_copy(event: &mut Event) {
    event.set_extension(ONLY_COPY, "true");
}

/// Whether [`set_only_copy`] was said of it.
pub fn is_only_copy(event: &Event) -> bool {
    match event.extension(ONLY_COPY) {
        Some(ExtensionValue::String(text)) => text == "true",
        Some(ExtensionValue::Boolean(only)) => *only,
        _ => false,
    }
}

impl Envelope {
    fn builder(&self) -> EventBuilderV10 {
        let mut builder = EventBuilderV10::new()
            .id(self.id.clone())
            .ty(self.event_type)
            .source(format!("/functions/{}", self.source))
            .subject(self.link.to_string())
            .time(self.time.to_string())
            .extension("priority", self.priority.as_str())
            .extension("partitionkey", self.link.to_string());
        if let Some(sync) = self.sync {
            builder = builder.extension("syncid", sync.to_string());
        }
        if let Some(traceparent) = &self.traceparent {
            builder = builder.extension("traceparent", traceparent.clone());
        }
        builder
    }

    /// The event with JSON data that is free of health values.
    ///
    /// # Errors
    /// [`EventError::Build`].
    pub fn plain(&self, data: &impl Serialize) -> Result<Event, EventError> {
        let data = serde_json::to_value(data).map_err(|e| EventError::Build(e.to_string()))?;
        self.builder().data("application/json", data).build().map_err(|e| EventError::Build(e.to_string()))
    }

    /// The event with sealed data, and the sealed size in bytes: over [`MAX_SEALED`] it has to be cut.
    ///
    /// # Errors
    /// [`EventError::Build`] and [`EventError::Sealed`].
    pub fn sealed(&self, key: &DataKey, data: &impl Serialize) -> Result<(Event, usize), EventError> {
        let plain = serde_json::to_vec(data).map_err(|e| EventError::Build(class(&e)))?;
        let subject = self.link.to_string();
        let sealed = seal_payload(key, &self.id, self.event_type, &subject, &plain).map_err(|source| {
            EventError::Sealed { event_type: self.event_type.to_owned(), subject: subject.clone(), source }
        })?;
        let size = sealed.len();
        let event = self
            .builder()
            .data(SEALED, Data::Binary(sealed))
            .build()
            .map_err(|e| EventError::Build(e.to_string()))?;
        Ok((event, size))
    }
}

/// A JSON error's class and position, without the text it was about.
fn class(error: &serde_json::Error) -> String {
    format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column()).to_lowercase()
}

/// Which field is missing; of any other error its class, because its text quotes what was there instead.
fn lacking(error: &serde_json::Error) -> String {
    Some(error.to_string()).filter(|text| text.starts_with("missing field")).unwrap_or_else(|| class(error))
}

/// The link that an event is about.
///
/// # Errors
/// [`EventError::Attribute`].
pub fn link_of(event: &Event) -> Result<LinkId, EventError> {
    let error = EventError::Attribute { attribute: "subject", expected: "it should be a link id" };
    event.subject().and_then(|s| s.parse().ok()).ok_or(error)
}

/// An event's type, for a log: one that is not ours could say anything.
pub fn shown_type(event_type: &str) -> &str {
    let ours = !crate::subscribers(event_type).is_empty() || event_type == types::RESOURCES_PUBLISHED;
    if ours { event_type } else { "an event of another type" }
}

/// An event's id, for a log: ours begin with the id of a request, a sync or a link; another could say anything.
pub fn shown_id(event: &Event) -> &str {
    let id = event.id();
    let begins = id.get(..36).is_some_and(|first| first.parse::<LinkId>().is_ok());
    let plain = id.len() <= 200
        && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
    if begins && plain { id } else { "an id that is not ours" }
}

/// The sync that an event belongs to.
pub fn sync_of(event: &Event) -> Option<SyncId> {
    text_extension(event, "syncid")?.parse().ok()
}

/// The request that an event is about. The events of a request carry its id as the first part of theirs, so that it is known
/// of an event whose data is sealed, or gone.
pub fn request_of(event: &Event) -> Option<RequestId> {
    let about_one =
        [types::SYNC_REQUESTED, types::RECORDS_FETCHED, types::RESOURCES_MAPPED, types::RESOURCES_PUBLISHED];
    event.id().split('.').next().filter(|_| about_one.contains(&event.ty()))?.parse().ok()
}

/// An extension's text.
pub fn text_extension<'e>(event: &'e Event, name: &str) -> Option<&'e str> {
    match event.extension(name)? {
        ExtensionValue::String(text) => Some(text),
        _ => None,
    }
}

/// The JSON data of an event.
///
/// # Errors
/// [`EventError::Data`].
pub fn plain_data<T: DeserializeOwned>(event: &Event) -> Result<T, EventError> {
    let problem =
        |problem: String| EventError::Data { event_type: shown_type(event.ty()).to_owned(), problem };
    match event.data() {
        Some(Data::Json(value)) => T::deserialize(value).map_err(|e| problem(lacking(&e))),
        Some(Data::Binary(bytes)) => serde_json::from_slice(bytes).map_err(|e| problem(class(&e))),
        Some(Data::String(text)) => serde_json::from_str(text).map_err(|e| problem(class(&e))),
        None => Err(problem("there is none".into())),
    }
}

/// The sealed data of an event, opened and still as JSON text.
///
/// # Errors
/// [`EventError::Data`] where there is none, [`EventError::Sealed`] where it does not open for this event and link.
pub fn sealed_data(event: &Event, key: &DataKey) -> Result<Vec<u8>, EventError> {
    let subject = event.subject().unwrap_or("");
    let Some(Data::Binary(sealed)) = event.data() else {
        return Err(EventError::Data {
            event_type: shown_type(event.ty()).to_owned(),
            problem: "it is not sealed".into(),
        });
    };
    open_payload(key, event.id(), event.ty(), subject, sealed).map_err(|source| EventError::Sealed {
        event_type: shown_type(event.ty()).to_owned(),
        subject: subject.to_owned(),
        source,
    })
}

/// Reads opened data.
///
/// # Errors
/// [`EventError::Data`], with the class and position of the problem only.
pub fn parse_opened<'a, T: serde::Deserialize<'a>>(event: &Event, opened: &'a [u8]) -> Result<T, EventError> {
    serde_json::from_slice(opened)
        .map_err(|e| EventError::Data { event_type: shown_type(event.ty()).to_owned(), problem: class(&e) })
}

/// The event without its data: what a dead letter or a log may hold.
pub fn without_data(event: &Event) -> Event {
    let mut bare = event.clone();
    bare.take_data();
    bare
}
