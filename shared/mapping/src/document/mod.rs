//! The vocabulary of a mapping document, as it is written. `docs/mapping.md` explains it; `compile` checks it. The
//! comments here are also the descriptions in the JSON Schema for editors ([`crate::document_schema`]).

mod observe;
mod types;

use schemars::JsonSchema;
use serde::Deserialize as Derive;
use serde_saphyr::Spanned;

pub(crate) use self::observe::{Code, Component, Observe, Value};
pub(crate) use self::types::{Bound, Ordered, Several, Text};

/// A mapping document of Open Health Exchange: from a provider's record to FHIR R5 Observations.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Open Health Exchange mapping document")]
pub(crate) struct Document {
    /// The provider type and the record, such as withings/getmeas.
    #[schemars(with = "String", regex(pattern = "^[a-z][a-z0-9-]*/[a-z][a-z0-9-]*$"))]
    pub(crate) mapping: Text,
    /// Counts from 1. Below 1000: the program's own documents.
    #[schemars(with = "u32", range(min = 1))]
    pub(crate) version: Spanned<u32>,
    /// The last part of the identifier system.
    #[schemars(with = "String")]
    pub(crate) system: Text,
    /// Code tables, by name: what the provider's codes are in FHIR.
    #[serde(default)]
    pub(crate) tables: Option<Ordered<Spanned<Table>>>,
    /// Stage one, or several of them: where the readings are in a page.
    pub(crate) extract: Several<Extract>,
    /// Stage two: what each kind of reading is in FHIR.
    pub(crate) observe: Ordered<Spanned<Observe>>,
    /// The document's own tests.
    #[serde(default)]
    pub(crate) examples: Vec<Example>,
}

/// A code table: the provider's codes, as text, to codes of one system.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// A URL or URN, or the name of a code system of this deployment.
    #[schemars(with = "String")]
    pub(crate) system: Text,
    /// The provider's code, and what it is.
    pub(crate) codes: Ordered<TableCode>,
    /// What any other code is. Without it, a reading with another code is left out as `unknown-code`.
    #[serde(default)]
    pub(crate) other: Option<TableCode>,
}

/// A code of a table.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TableCode {
    /// The code.
    #[schemars(with = "String")]
    pub(crate) code: Text,
    /// What people read.
    pub(crate) text: String,
}

/// Stage one: from the provider's record to readings.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Extract {
    /// Over the page: the IANA name of the zone that times are written in.
    #[schemars(with = "Option<String>")]
    pub(crate) zone: Option<Text>,
    /// Over the page: the list of records.
    #[schemars(with = "String")]
    pub(crate) each: Text,
    /// Over each of these: a list whose items are the records.
    #[schemars(with = "Option<String>")]
    pub(crate) within: Option<Text>,
    /// Over each of these: an object whose members' values are the records. `key()` is the member's name.
    #[schemars(with = "Option<String>")]
    pub(crate) members: Option<Text>,
    /// Records to leave out.
    #[serde(default)]
    pub(crate) skip: Vec<Skip>,
    /// The provider's stable id of the record.
    #[schemars(with = "String")]
    pub(crate) id: Text,
    /// When it was measured: an instant.
    #[schemars(with = "Option<String>")]
    pub(crate) time: Option<Text>,
    /// From when to when it was measured.
    pub(crate) period: Option<Period>,
    /// The civil day it was measured on: `2024-01-31`.
    #[schemars(with = "Option<String>")]
    pub(crate) day: Option<Text>,
    /// Over the record: the name of its own zone, before `zone`.
    #[schemars(with = "Option<String>")]
    pub(crate) record_zone: Option<Text>,
    /// When the provider last changed it.
    #[schemars(with = "Option<String>")]
    pub(crate) issued: Option<Text>,
    /// Whether it may still change: the status is then preliminary.
    #[schemars(with = "Option<String>")]
    pub(crate) preliminary: Option<Text>,
    /// What it was measured with.
    pub(crate) device: Option<Device>,
    /// Readings that a person typed in.
    pub(crate) manual: Option<Manual>,
    /// By which way it came to the provider, where that is another service's: a short name such as `health-connect`, or
    /// null. It becomes a tag, so that the same reading that comes by two ways is told apart.
    #[schemars(with = "Option<String>")]
    pub(crate) origin: Option<Text>,
    /// The measures within a record.
    pub(crate) items: Option<Items>,
    /// What to make of a record.
    #[schemars(with = "Vec<Reading>")]
    pub(crate) readings: Vec<Spanned<Reading>>,
}

/// A period.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Period {
    /// An instant.
    #[schemars(with = "String")]
    pub(crate) start: Text,
    /// An instant after it. Where it is null, the reading has the start alone.
    #[schemars(with = "String")]
    pub(crate) end: Text,
}

/// Records or items to leave out.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Skip {
    /// Which.
    #[schemars(with = "String")]
    pub(crate) when: Text,
    /// What they are counted as.
    #[schemars(with = "String")]
    pub(crate) reason: Text,
}

/// What a reading was measured with.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Device {
    /// The provider's id of the device. Without one there is no device.
    #[schemars(with = "String")]
    pub(crate) id: Text,
    /// The model's name.
    #[schemars(with = "Option<String>")]
    pub(crate) model: Option<Text>,
    /// The provider's number of the model.
    #[schemars(with = "Option<String>")]
    pub(crate) model_id: Option<Text>,
}

/// Readings that a person typed in.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manual {
    /// Which records were.
    #[schemars(with = "String")]
    pub(crate) when: Text,
    /// The note on their Observations.
    pub(crate) note: String,
}

/// The measures within a record.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Items {
    /// Where they are: a list.
    #[schemars(with = "String")]
    pub(crate) at: Text,
    /// Items to leave out.
    #[serde(default)]
    pub(crate) skip: Vec<Skip>,
    /// What tells them apart.
    #[schemars(with = "String")]
    pub(crate) key: Text,
    /// Where on the body: a number.
    #[schemars(with = "Option<String>")]
    pub(crate) position: Option<Text>,
    /// The table that names the positions, for bodySite.
    #[schemars(with = "Option<String>")]
    pub(crate) sites: Option<Text>,
    /// The value.
    #[schemars(with = "String")]
    pub(crate) number: Text,
    /// Keys that are left out on purpose, and what they are counted as.
    #[serde(default)]
    pub(crate) ignore: Option<Ordered<Text>>,
}

/// One kind of reading.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reading {
    /// Its name, the key under `observe`. Part of its identity.
    #[schemars(with = "String")]
    pub(crate) kind: Text,
    /// The positions that mean one and the same reading; `none` is none given.
    #[schemars(with = "Option<Vec<String>>")]
    pub(crate) positions: Option<Vec<Text>>,
    /// Where its value is.
    #[schemars(with = "Option<Take>")]
    pub(crate) value: Option<Spanned<Take>>,
    /// Where the values of its components are, by their names.
    pub(crate) values: Option<Ordered<Spanned<Take>>>,
    /// Whether the readings of an hour or a day become one Observation.
    #[schemars(with = "Option<Gather>")]
    pub(crate) gather: Option<Spanned<Gather>>,
}

/// Readings of an hour or a day as one Observation.
#[derive(Derive, JsonSchema, Clone, Copy)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gather {
    /// The span: an hour of UTC, or a day of the zone.
    pub(crate) by: Span,
    /// What they become.
    #[serde(rename = "as")]
    pub(crate) into: Into,
}

/// How long a span is.
#[derive(Derive, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Span {
    /// A full hour of UTC.
    Hour,
    /// A civil day of the zone, from midnight to midnight.
    Day,
}

/// What gathered readings become.
#[derive(Derive, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Into {
    /// SampledData with the offset of every value.
    Sampled,
    /// The components minimum, maximum, mean and count, those that the kind has.
    Summary,
    /// Each value is the sum of the readings'.
    Sum,
}

/// Where a value is taken from.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Take {
    /// The key of an item.
    #[schemars(with = "Option<String>")]
    pub(crate) item: Option<Text>,
    /// Over the record: a number.
    #[schemars(with = "Option<String>")]
    pub(crate) number: Option<Text>,
    /// Over the record: a code of the table that the kind names.
    #[schemars(with = "Option<String>")]
    pub(crate) code: Option<Text>,
    /// Over the record: many numbers, for SampledData.
    pub(crate) samples: Option<Samples>,
    /// The unit it comes in, where it is not the Observation's.
    #[schemars(with = "Option<String>")]
    pub(crate) unit: Option<Text>,
    /// The unit it comes in, where the record says it.
    pub(crate) units: Option<Units>,
}

/// A unit that the record says.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Units {
    /// Over the record: the provider's word for the unit.
    #[schemars(with = "String")]
    pub(crate) at: Text,
    /// The provider's words, and their UCUM codes.
    pub(crate) is: Ordered<Text>,
}

/// Many numbers: a list at one interval, or an object by time.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Samples {
    /// Over the record: a list of numbers.
    #[schemars(with = "Option<String>")]
    pub(crate) each: Option<Text>,
    /// With `each`: the time between two of them, in the kind's interval unit.
    #[schemars(with = "Option<String>")]
    pub(crate) interval: Option<Text>,
    /// Over the record: an object whose members are numbers.
    #[schemars(with = "Option<String>")]
    pub(crate) members: Option<Text>,
    /// With `members`: when each was measured; `key()` is the member's name.
    #[schemars(with = "Option<String>")]
    pub(crate) time: Option<Text>,
    /// With `members`: the number, where it is not the member's value itself. Null is none.
    #[schemars(with = "Option<String>")]
    pub(crate) number: Option<Text>,
}

/// A page, and what must come of it. Both are JSON text, so that numbers keep their digits.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Example {
    /// What it shows.
    pub(crate) name: String,
    /// A page of the provider's answer, as JSON text.
    #[schemars(with = "String")]
    pub(crate) page: Text,
    /// The Observations that must come of it, with the members that matter, as JSON text.
    #[schemars(with = "String")]
    pub(crate) expect: Text,
    /// What must be left out, by reason.
    #[serde(default)]
    pub(crate) skipped: Option<Ordered<u64>>,
}
