//! How the pieces of a document are read: with their places, in their order, numbers by their digits.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use ohx_domain::decimal::{Exact, parse_json_number};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A piece of text with its place in the document.
pub(crate) type Text = Spanned<String>;

/// One thing, or a list of them.
pub(crate) struct Several<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMore<T> {
            type Value = Several<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping, or a list of them")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|one| Several(vec![one]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Several)
            }
        }
        deserializer.deserialize_any(OneOrMore(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Several<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Several{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({"anyOf": [one, {"type": "array", "minItems": 1, "items": one}]})
    }
    fn inline_schema() -> bool {
        true
    }
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

/// What a thing is in the JSON Schema, whatever place it was read with.
pub(crate) trait Described {
    type As: JsonSchema;
}

impl Described for Text {
    type As = String;
}
impl Described for u64 {
    type As = u64;
}

macro_rules! described {
    ($($name:ident),*) => {$(
        impl Described for Spanned<crate::document::$name> {
            type As = crate::document::$name;
        }
    )*};
}
described!(Table, Observe, Take, Component);

impl Described for crate::document::TableCode {
    type As = Self;
}

impl<T: Described> JsonSchema for Ordered<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Named{}", T::As::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T::As>();
        json_schema!({"type": "object", "additionalProperties": one})
    }
    fn inline_schema() -> bool {
        true
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

impl JsonSchema for Bound {
    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number"})
    }
    fn inline_schema() -> bool {
        true
    }
}
