//! Editing a JSON object as text.
//!
//! FHIR calls the precision of a decimal significant: `72.10` is not `72.1`. A JSON library that reads numbers into
//! binary floats loses it, and typed FHIR models also drop what they do not know. So a resource on its way to the EHR
//! is never parsed into values. An [`Object`] is the ordered list of a JSON object's members, each value still the
//! text it was written with; members are replaced, added or taken away, and everything else is copied byte by byte.
//!
//! ```
//! use ohx_fhir::splice::{Object, quote};
//! use serde_json::value::RawValue;
//!
//! let text: Box<RawValue> = serde_json::from_str(r#"{"status":"final","value":72.10}"#)?;
//! let mut object = Object::parse(&text)?;
//! object.set("status", quote("corrected"))?;
//! assert_eq!(object.to_json(), r#"{"status":"corrected","value":72.10}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Why a JSON text cannot be edited. The text itself may hold health data and is never part of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    /// Not an object, or one that names a member twice (readers disagree about which of the two counts).
    #[error("the resource is not a JSON object with distinct member names")]
    NotAnObject,
    /// The new value of a member is not JSON.
    #[error("the new value of a member is not JSON")]
    NotJson,
}

/// The members of a JSON object, in their order, each value as its own text.
#[derive(Clone)]
pub struct Object<'a>(Vec<(Cow<'a, str>, Cow<'a, RawValue>)>);

impl fmt::Debug for Object<'_> {
    /// Shows how many members there are, and no value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} members)", self.0.len())
    }
}

impl<'a> Object<'a> {
    /// Reads the members of `text`, borrowing their values.
    ///
    /// # Errors
    /// [`SpliceError::NotAnObject`].
    pub fn parse(text: &'a RawValue) -> Result<Self, SpliceError> {
        serde_json::from_str(text.get()).map_err(|_| SpliceError::NotAnObject)
    }

    /// An object without members.
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// The text of a member's value.
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref())
    }

    /// A member's value, where it is a string.
    pub fn get_str(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// Gives a member the value `json` (JSON text; [`quote`] makes some of a string): in its place where the member
    /// exists, else at the end.
    ///
    /// # Errors
    /// [`SpliceError::NotJson`], with the object unchanged.
    pub fn set(&mut self, name: &str, json: String) -> Result<(), SpliceError> {
        let at = self.0.len();
        self.put(at, name, json)
    }

    /// Like [`Object::set`], but a member that did not exist comes at `position` (0 is the first).
    ///
    /// # Errors
    /// [`SpliceError::NotJson`], with the object unchanged.
    pub fn set_at(&mut self, position: usize, name: &str, json: String) -> Result<(), SpliceError> {
        self.put(position.min(self.0.len()), name, json)
    }

    fn put(&mut self, at: usize, name: &str, json: String) -> Result<(), SpliceError> {
        let value = Cow::Owned(RawValue::from_string(json).map_err(|_| SpliceError::NotJson)?);
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => self.0.insert(at, (Cow::Owned(name.to_owned()), value)),
        }
        Ok(())
    }

    /// Takes a member away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| key != name);
    }

    /// Gives a member another name, in its place. Another member that had this name is taken away.
    pub fn rename(&mut self, name: &str, new: &str) {
        if name != new && self.get(name).is_some() {
            self.remove(new);
            let member = self.0.iter_mut().find(|(key, _)| key == name);
            member.into_iter().for_each(|(key, _)| *key = Cow::Owned(new.to_owned()));
        }
    }

    /// Keeps the members whose names `keep` wants. Whether any went.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|(key, _)| keep(key));
        self.0.len() != before
    }

    /// Whether it has no member.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object as JSON text.
    pub fn to_json(&self) -> String {
        let length = self.0.iter().map(|(key, value)| key.len() + value.get().len() + 4).sum::<usize>() + 2;
        let mut text = String::with_capacity(length);
        text.push('{');
        for (position, (key, value)) in self.0.iter().enumerate() {
            if position > 0 {
                text.push(',');
            }
            text.push_str(&quote(key));
            text.push(':');
            text.push_str(value.get());
        }
        text.push('}');
        text
    }
}

/// A string as JSON text, in quotes and escaped.
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Replaces the tag of `system` in `meta.tag` by `system|code`; other tags stay as they are.
///
/// # Errors
/// [`SpliceError::NotAnObject`] where `meta` or a tag has another shape than FHIR says.
pub fn set_tag(resource: &mut Object<'_>, system: &str, code: &str) -> Result<(), SpliceError> {
    let old = resource.get("meta").map(ToOwned::to_owned);
    let mut meta = old.as_deref().map_or_else(|| Ok(Object::empty()), Object::parse)?;
    let tags: Vec<&RawValue> = match meta.get("tag") {
        Some(tags) => serde_json::from_str(tags.get()).map_err(|_| SpliceError::NotAnObject)?,
        None => Vec::new(),
    };
    let mut kept = Vec::with_capacity(tags.len() + 1);
    for tag in tags {
        if Object::parse(tag)?.get_str("system").as_deref() != Some(system) {
            kept.push(tag.get().to_owned());
        }
    }
    kept.push(format!(r#"{{"system":{},"code":{}}}"#, quote(system), quote(code)));
    meta.set("tag", format!("[{}]", kept.join(",")))?;
    // `resourceType` and `id` customarily come first.
    let position = 1 + usize::from(resource.get("id").is_some());
    resource.set_at(position, "meta", meta.to_json())
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(Cow<'de, str>, Cow<'de, RawValue>)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members: Self::Value = Vec::with_capacity(16);
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    if members.iter().any(|(known, _)| *known == key) {
                        return Err(M::Error::custom("a member is named twice"));
                    }
                    members.push((key, Cow::Borrowed(value)));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn what_is_not_touched_stays_byte_by_byte() {
        let text = raw(
            r#"{"a":72.10,"b": [1.0, 2e-3 ,{"x" : 0.000}],"\u0063":"\u00e9","d":12345678901234567890.1}"#,
        );
        let mut object = Object::parse(&text).unwrap();
        object.set("a", "36.60".into()).unwrap();
        object.set_at(0, "z", "null".into()).unwrap();
        assert_eq!(
            object.to_json(),
            r#"{"z":null,"a":36.60,"b":[1.0, 2e-3 ,{"x" : 0.000}],"c":"\u00e9","d":12345678901234567890.1}"#
        );
        object.remove("b");
        assert_eq!(object.to_json(), r#"{"z":null,"a":36.60,"c":"\u00e9","d":12345678901234567890.1}"#);
    }

    #[test]
    fn a_member_is_renamed_in_its_place() {
        let text = raw(r#"{"a":1.0,"b":2.0,"c":3.0}"#);
        let mut object = Object::parse(&text).unwrap();
        object.rename("b", "x");
        object.rename("nothing", "a");
        object.rename("a", "a");
        assert_eq!(object.to_json(), r#"{"a":1.0,"x":2.0,"c":3.0}"#);
        object.rename("x", "a");
        assert_eq!(object.to_json(), r#"{"a":2.0,"c":3.0}"#);
        assert!(!object.retain(|name| name != "x") && object.retain(|name| name == "c"));
        assert_eq!(object.to_json(), r#"{"c":3.0}"#);
    }

    #[test]
    fn what_is_no_object_is_refused_without_being_shown() {
        for text in ["72.10", "[1]", "null", r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#] {
            let error = Object::parse(&raw(text)).unwrap_err();
            assert_eq!(error, SpliceError::NotAnObject, "{text}");
            assert!(!error.to_string().contains("72"), "{error}");
        }
        let mut object = Object::empty();
        assert_eq!(object.set("a", "{".into()), Err(SpliceError::NotJson));
        assert_eq!(object.to_json(), "{}");
    }

    #[test]
    fn a_tag_is_replaced_and_others_are_kept() {
        let text = raw(
            r#"{"resourceType":"Observation","meta":{"profile":["p"],"tag":[{"system":"s","code":"old"},{"system":"m","code":"7"}]}}"#,
        );
        let mut object = Object::parse(&text).unwrap();
        set_tag(&mut object, "s", "new").unwrap();
        assert_eq!(
            object.to_json(),
            r#"{"resourceType":"Observation","meta":{"profile":["p"],"tag":[{"system":"m","code":"7"},{"system":"s","code":"new"}]}}"#
        );
        let bare = raw(r#"{"resourceType":"Observation","id":"a","status":"final"}"#);
        let mut object = Object::parse(&bare).unwrap();
        set_tag(&mut object, "s", "x\"").unwrap();
        assert_eq!(
            object.to_json(),
            r#"{"resourceType":"Observation","id":"a","meta":{"tag":[{"system":"s","code":"x\""}]},"status":"final"}"#
        );
    }

    proptest! {
        #[test]
        fn any_object_survives(members in prop::collection::btree_map(".*", "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?", 0..20)) {
            let text = format!(
                "{{{}}}",
                members.iter().map(|(key, value)| format!("{}:{value}", quote(key))).collect::<Vec<_>>().join(",")
            );
            let text = raw(&text);
            prop_assert_eq!(Object::parse(&text).unwrap().to_json(), text.get());
        }
    }
}
