//! Names and ids: distinct types, so that one is never passed for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not an id or name of the expected shape.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what} must be {expected}, got {got:?}")]
pub struct InvalidId {
    what: &'static str,
    expected: &'static str,
    got: String,
}

impl InvalidId {
    /// `got` is not what `what` must be.
    pub(crate) fn new(what: &'static str, expected: &'static str, got: &str) -> Self {
        Self { what, expected, got: short(got) }
    }
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The schema of a text, for the API's description.
macro_rules! schema {
    ($name:ident, $format:expr, $pattern:expr, $about:expr) => {
        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
                let (format, pattern): (Option<&str>, Option<&str>) = ($format, $pattern);
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .format(format.map(|format| SchemaFormat::Custom(format.to_owned())))
                    .pattern(pattern)
                    .description(Some($about))
                    .into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}
    };
}
pub(crate) use schema;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id (UUID version 7: sorts by the moment it was made).
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId {
                    what: $what,
                    expected: "a UUID",
                    got: short(text),
                })
            }
        }

        crate::id::schema!($name, Some("uuid"), None, concat!($what, ": a UUID"));
    };
}

uuid_id!(
    /// One patient's connection to one provider account, for one EHR.
    LinkId, "a link id");
uuid_id!(
    /// One act of synchronising: what a person or a notification asked for, however many windows it takes.
    SyncId, "a sync id");
uuid_id!(
    /// One window (or one "what changed since") of one record, asked of one link: a row of the ledger.
    RequestId, "a request id");
uuid_id!(
    /// Something that was given up: a dead letter.
    LetterId, "a dead letter's id");
uuid_id!(
    /// A key that somebody calls the API with.
    ApiKeyId, "an API key's id");
uuid_id!(
    /// One execution of a request by `fetch`. Parts are counted per run, because two runs may cut differently.
    RunId, "a run id");

macro_rules! slug {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let ok = (1..=64).contains(&text.len())
                    && text.starts_with(|c: char| c.is_ascii_lowercase())
                    && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
                if ok {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId {
                        what: $what,
                        expected: "1 to 64 lower-case letters, digits and hyphens, beginning with a letter",
                        got: short(text),
                    })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        crate::id::schema!($name, None, Some("^[a-z][a-z0-9-]{0,63}$"), $what);
    };
}

slug!(
    /// The name of a configured provider app, such as `withings`.
    ProviderName, "a provider name");
slug!(
    /// The name of a configured EHR endpoint, such as `main-clinic`.
    EhrName, "an EHR name");
slug!(
    /// One kind of thing a provider can be asked for, in the provider's own words, such as `getmeas`.
    Record, "a record");

/// Who a patient is at an EHR: `Patient/<id>`, with the id rule of FHIR R5 (1 to 64 of `[A-Za-z0-9.-]`); or
/// `Patient?identifier=<system>|<value>`, which the EHR is asked about once. A patient keeps the form that they were given
/// in: the identity of their readings depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PatientReference(String);

impl PatientReference {
    /// The reference as FHIR writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `<system>|<value>`, where the patient is named by an identifier.
    pub fn identifier(&self) -> Option<&str> {
        self.0.strip_prefix(BY_IDENTIFIER)
    }
}

/// How a reference by identifier begins (FHIR R5 search.html, a conditional reference).
const BY_IDENTIFIER: &str = "Patient?identifier=";

/// `<system>|<value>` of printable characters without blanks; `|` stands once, and neither side is empty. What would have to be escaped in a
/// search is refused.
fn is_token(text: &str) -> bool {
    let plain =
        |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '&' | '#' | ',' | '$' | '\\' | '%');
    match text.split('|').collect::<Vec<_>>().as_slice() {
        [system, value] => {
            (1..=200).contains(&system.len()) && (1..=100).contains(&value.len()) && text.chars().all(plain)
        }
        _ => false,
    }
}

impl fmt::Display for PatientReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PatientReference {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = text.strip_prefix("Patient/").unwrap_or("");
        let by_id = (1..=64).contains(&id.len())
            && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
        if by_id || text.strip_prefix(BY_IDENTIFIER).is_some_and(is_token) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId {
                what: "a patient reference",
                expected: "\"Patient/\" and an id of 1 to 64 letters, digits, hyphens and dots, or \"Patient?identifier=system|value\"",
                got: short(text),
            })
        }
    }
}

impl TryFrom<String> for PatientReference {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PatientReference> for String {
    fn from(patient: PatientReference) -> String {
        patient.0
    }
}

schema!(
    PatientReference,
    None,
    Some("^Patient(/[A-Za-z0-9.-]{1,64}|\\?identifier=[^|\\s&#,$\\\\%]{1,200}\\|[^|\\s&#,$\\\\%]{1,100})$"),
    "who a patient is at an EHR: Patient/<id>, or Patient?identifier=<system>|<value>"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_is_named_by_an_id_or_by_one_plain_identifier() {
        for good in ["Patient/p1", "Patient/A.b-9", "Patient?identifier=https://clinic.example/mrn|M-1234"] {
            assert_eq!(good.parse::<PatientReference>().unwrap().as_str(), good);
        }
        let long = format!("Patient?identifier=s|{}", "1".repeat(101));
        for bad in [
            "",
            "p1",
            "Patient/",
            "Patient/a b",
            "Patient?identifier=",
            "Patient?identifier=1234",
            "Patient?identifier=|1234",
            "Patient?identifier=system|",
            "Patient?identifier=system|1|2",
            "Patient?identifier=system|1,system|2",
            "Patient?identifier=system|1&name=x",
            "Patient?identifier=system|%31",
            "Patient?name=x",
            &long,
        ] {
            assert!(bad.parse::<PatientReference>().is_err(), "{bad}");
        }
    }
}
