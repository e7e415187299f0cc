//! The vocabulary of a mapping document, as it is written. `docs/mapping.md` explains it; `compile` checks it.

use std::fmt;
use std::marker::PhantomData;

use ohx_domain::decimal::{Exact, parse_json_number};
use serde::Deserialize as Derive;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;

/// A piece of text with its place in the document.
pub(crate) type Text = Spanned<String>;

/// A whole document.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) mapping: Text,
    pub(crate) version: Spanned<u32>,
    pub(crate) system: Text,
    pub(crate) extract: Extract,
    pub(crate) observe: Ordered<Spanned<Observe>>,
    #[serde(default)]
    pub(crate) examples: Vec<Example>,
}

/// Stage one: from the provider's record to readings.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
pub(crate) struct Extract {
    pub(crate) zone: Option<Text>,
    pub(crate) each: Text,
    #[serde(default)]
    pub(crate) skip: Vec<Skip>,
    pub(crate) id: Text,
    pub(crate) time: Text,
    pub(crate) issued: Option<Text>,
    pub(crate) device: Option<Device>,
    pub(crate) manual: Option<Manual>,
    pub(crate) items: Option<Items>,
    pub(crate) readings: Vec<Spanned<Reading>>,
}

/// Records to leave out.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
pub(crate) struct Skip {
    pub(crate) when: Text,
    pub(crate) reason: Text,
}

/// What a reading was measured with.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
pub(crate) struct Device {
    pub(crate) id: Text,
    pub(crate) model: Option<Text>,
    pub(crate) model_id: Option<Text>,
}

/// Readings that a person typed in.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manual {
    pub(crate) when: Text,
    pub(crate) note: String,
}

/// The measures within a record.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
pub(crate) struct Items {
    pub(crate) at: Text,
    pub(crate) key: Text,
    pub(crate) position: Option<Text>,
    pub(crate) number: Text,
}

/// One kind of reading.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reading {
    pub(crate) kind: Text,
    pub(crate) positions: Option<Vec<Text>>,
    pub(crate) value: Option<Spanned<Take>>,
    pub(crate) values: Option<Ordered<Spanned<Take>>>,
}

/// Where a value is taken from.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
pub(crate) struct Take {
    pub(crate) item: Option<Text>,
    pub(crate) number: Option<Text>,
    pub(crate) unit: Option<Text>,
}

/// Stage two: from a kind of reading to an Observation.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
pub(crate) struct Observe {
    #[serde(default)]
    pub(crate) profile: Vec<Text>,
    pub(crate) category: Text,
    pub(crate) code: Code,
    pub(crate) value: Option<Quantity>,
    pub(crate) components: Option<Ordered<Component>>,
}

/// A CodeableConcept.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
pub(crate) struct Code {
    #[serde(default)]
    pub(crate) loinc: Vec<Text>,
    #[serde(default)]
    pub(crate) local: Option<Ordered<Text>>,
    #[serde(default)]
    pub(crate) coding: Vec<Coding>,
    pub(crate) text: Option<String>,
}

/// A Coding of any other system.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
pub(crate) struct Coding {
    pub(crate) system: Text,
    pub(crate) code: Text,
    pub(crate) display: Option<String>,
}

/// A Quantity, and the range in which it is believed.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quantity {
    pub(crate) unit: Text,
    pub(crate) unit_text: Option<String>,
    pub(crate) range: Option<Spanned<[Bound; 2]>>,
}

/// A component of an Observation.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
pub(crate) struct Component {
    pub(crate) code: Code,
    pub(crate) unit: Text,
    pub(crate) unit_text: Option<String>,
    pub(crate) range: Option<Spanned<[Bound; 2]>>,
}

/// A page, and what must come of it. Both are JSON text, so that numbers keep their digits.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
pub(crate) struct Example {
    pub(crate) name: String,
    pub(crate) page: Text,
    pub(crate) expect: Text,
    #[serde(default)]
    pub(crate) skipped: Option<Ordered<u64>>,
}

/// A mapping of names to things, in the order of the document.
pub(crate) struct Ordered<T>(pub(crate) Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Ordered<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of names to rules")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Ordered(members))
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// An exact decimal.
#[derive(Clone, Copy)]
pub(crate) struct Bound(pub(crate) Exact);

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_json_number(&text).map(Self).ok_or_else(|| de::Error::custom("a range is two decimal numbers"))
    }
}
