//! JSON as it was written: a member that is named twice is an error, and numbers keep their digits.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// The number's text.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one value.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|e| e.to_string())?;
        read(raw)
    }

    /// A member of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        self.members().iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// The members of an object; none where it is something else.
    pub(crate) fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    /// The items of a list, or the one value that is no list.
    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            one => std::slice::from_ref(one),
        }
    }

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a member that is a string.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Self::text)
    }

    /// Whether an object has an element, or only an extension of it (`_text`).
    pub(crate) fn has(&self, element: &str) -> bool {
        self.members().iter().any(|(name, _)| name.strip_prefix('_').unwrap_or(name) == element)
    }

    /// Whether an object has a value of whatever type: `valueQuantity`, `valueString`.
    pub(crate) fn has_value(&self) -> bool {
        self.members().iter().any(|(name, _)| {
            let rest = name.strip_prefix('_').unwrap_or(name).strip_prefix("value");
            rest.is_some_and(|r| r.starts_with(|c: char| c.is_ascii_uppercase()))
        })
    }

    /// Every value at a path such as `code.coding.system`, lists flattened.
    pub(crate) fn at<'a>(&'a self, path: &str) -> Vec<&'a Self> {
        path.split('.').fold(vec![self], |found, name| {
            found.iter().filter_map(|v| v.get(name)).flat_map(|v| v.items()).collect()
        })
    }

    /// Calls `visit` with every object in it, the outer ones first.
    pub(crate) fn objects<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        match self {
            Self::Object(members) => {
                visit(self);
                members.iter().for_each(|(_, value)| value.objects(visit));
            }
            Self::List(items) => items.iter().for_each(|item| item.objects(visit)),
            _ => {}
        }
    }

    /// Whether it is what a definition wrote as `fixed` or `pattern`: with `partly`, objects may have more members, and
    /// lists more items.
    pub(crate) fn is(&self, wanted: &serde_json::Value, partly: bool) -> bool {
        use serde_json::Value;
        match (self, wanted) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::Number(a), Value::Number(b)) => *a == b.to_string(),
            (Self::Text(a), Value::String(b)) => a == b,
            (Self::List(a), Value::Array(b)) if partly => b.iter().all(|w| a.iter().any(|v| v.is(w, true))),
            (Self::List(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(v, w)| v.is(w, false))
            }
            (Self::Object(a), Value::Object(b)) => {
                (partly || a.len() == b.len())
                    && b.iter().all(|(name, w)| self.get(name).is_some_and(|v| v.is(w, partly)))
            }
            _ => false,
        }
    }
}

/// An object's members as they were written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        let Members(members) = deserializer.deserialize_map(Reader)?;
        Ok(Self(members))
    }
}

fn read(raw: &RawValue) -> Result<Json, String> {
    let text = raw.get();
    let broken = |e: serde_json::Error| e.to_string();
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(text).map_err(broken)?;
            let mut read_members: Vec<(String, Json)> = Vec::with_capacity(members.len());
            for (name, value) in members {
                if read_members.iter().any(|(n, _)| *n == name) {
                    return Err(format!("the member {name} is there twice"));
                }
                read_members.push((name, read(value)?));
            }
            Json::Object(read_members)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(broken)?;
            Json::List(items.into_iter().map(read).collect::<Result<_, _>>()?)
        }
        Some(b'"') => Json::Text(serde_json::from_str(text).map_err(broken)?),
        Some(b't') => Json::Bool(true),
        Some(b'f') => Json::Bool(false),
        Some(b'n') => Json::Null,
        _ => Json::Number(text.to_owned()),
    })
}
