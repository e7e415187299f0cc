//! Resources as text: taken apart and put together again without touching a digit.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::outcome::Refused;

/// The members of a JSON object in their order, each value as it was written.
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Takes an object apart.
    ///
    /// # Errors
    /// 400 where the text is not a JSON object, or has the same member twice.
    pub(super) fn parse(text: &'a str) -> Result<Self, Refused> {
        // The parser's own message quotes names at most, but a name is the sender's text too.
        serde_json::from_str(text).map_err(|e| {
            Refused::malformed(format!(
                "not a JSON object with distinct members (line {}, column {})",
                e.line(),
                e.column()
            ))
        })
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if members.iter().any(|(known, _)| *known == key) {
                        return Err(A::Error::custom("the same member twice"));
                    }
                    members.push((Cow::Owned(key), value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Seen)
    }
}

/// Builds the text of a JSON object.
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        Self("{".to_owned())
    }

    /// Adds a member whose value is JSON already.
    pub(super) fn raw(&mut self, name: &str, json: &str) -> &mut Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&quote(name));
        self.0.push(':');
        self.0.push_str(json);
        self
    }

    /// Adds a member whose value is a text.
    pub(super) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.raw(name, &quote(text))
    }

    pub(super) fn end(&mut self) -> String {
        self.0.push('}');
        std::mem::take(&mut self.0)
    }
}

/// A text as JSON.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A resource with the id, version and instant that the server gives it; everything else as it came.
pub(super) fn stamp(resource: &str, id: &str, version: u64, updated: &str) -> Result<String, Refused> {
    let members = Members::parse(resource)?;
    let mut meta = Object::new();
    meta.text("versionId", &version.to_string()).text("lastUpdated", updated);
    if let Some(sent) = members.get("meta") {
        for (name, value) in Members::parse(sent.get())?.0 {
            if name != "versionId" && name != "lastUpdated" {
                meta.raw(&name, value.get());
            }
        }
    }
    let mut out = Object::new();
    if let Some(kind) = members.get("resourceType") {
        out.raw("resourceType", kind.get());
    }
    out.text("id", id).raw("meta", &meta.end());
    for (name, value) in members.0 {
        if !matches!(&*name, "resourceType" | "id" | "meta") {
            out.raw(&name, value.get());
        }
    }
    Ok(out.end())
}

/// A resource with only these elements, and those that are always there, marked as cut. It keeps its own tags where
/// `meta` is asked for.
pub(super) fn cut(resource: &str, elements: &[&str]) -> Result<String, Refused> {
    const SUBSETTED: &str =
        r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}"#;
    let members = Members::parse(resource)?;
    let mut out = Object::new();
    for (name, value) in members.0 {
        if name == "meta" {
            let mut meta = Object::new();
            let mut tags: Vec<&str> = Vec::new();
            for (name, value) in Members::parse(value.get())?.0 {
                if name != "tag" {
                    meta.raw(&name, value.get());
                } else if elements.contains(&"meta") {
                    let own: Vec<&RawValue> = serde_json::from_str(value.get())
                        .map_err(|_| Refused::malformed("meta.tag is not a list"))?;
                    tags.extend(own.into_iter().map(RawValue::get));
                }
            }
            tags.push(SUBSETTED);
            out.raw("meta", &meta.raw("tag", &format!("[{}]", tags.join(","))).end());
        } else if matches!(&*name, "resourceType" | "id") || elements.contains(&&*name) {
            out.raw(&name, value.get());
        }
    }
    Ok(out.end())
}

/// Replaces references: `resolve` gets the text of every `reference` element and says what to write instead.
pub(super) fn rewrite_references(
    json: &str,
    resolve: &mut impl FnMut(&str) -> Result<Option<String>, Refused>,
) -> Result<String, Refused> {
    let json = json.trim_start();
    if json.starts_with('{') {
        let mut out = Object::new();
        for (name, value) in Members::parse(json)?.0 {
            let reference =
                (name == "reference").then(|| serde_json::from_str::<String>(value.get()).ok()).flatten();
            let instead = reference.map(|reference| resolve(&reference)).transpose()?.flatten();
            match instead {
                Some(instead) => out.text(&name, &instead),
                None => out.raw(&name, &rewrite_references(value.get(), resolve)?),
            };
        }
        Ok(out.end())
    } else if json.starts_with('[') {
        let items: Vec<&RawValue> =
            serde_json::from_str(json).map_err(|_| Refused::malformed("not a JSON array"))?;
        let items: Result<Vec<String>, Refused> =
            items.into_iter().map(|item| rewrite_references(item.get(), resolve)).collect();
        Ok(format!("[{}]", items?.join(",")))
    } else {
        Ok(json.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stamp_replaces_what_the_server_owns_and_nothing_else() {
        let sent = r#" { "meta": {"versionId":"9","profile":["p"],"lastUpdated":"x"}, "value": 72.10,
            "resourceType":"Observation", "id":"mine", "note": [ 1.0, 1e3 ] } "#;
        let expected = concat!(
            r#"{"resourceType":"Observation","id":"7","meta":{"versionId":"2","lastUpdated":"now","profile":["p"]},"#,
            r#""value":72.10,"note":[ 1.0, 1e3 ]}"#
        );
        assert_eq!(stamp(sent, "7", 2, "now").unwrap(), expected);
    }

    #[test]
    fn the_same_member_twice_is_refused() {
        for text in [r#"{"a":1,"a":2}"#, "[]", "1", "", "{", r#"{"a":1} x"#] {
            assert!(Members::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_cut_says_so_and_keeps_the_tags_that_were_asked_for() {
        let whole = r#"{"resourceType":"Device","id":"1","meta":{"versionId":"2","tag":[{"code":"a"}]},"status":"active"}"#;
        let mark =
            r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}"#;
        let expected = |tags: String, rest: &str| {
            format!(r#"{{"resourceType":"Device","id":"1","meta":{{"versionId":"2","tag":[{tags}]}}{rest}}}"#)
        };
        assert_eq!(cut(whole, &["meta"]).unwrap(), expected(format!(r#"{{"code":"a"}},{mark}"#), ""));
        assert_eq!(cut(whole, &["status"]).unwrap(), expected(mark.to_owned(), r#","status":"active""#));
    }

    #[test]
    fn only_references_are_rewritten() {
        let sent = r#"{"a":[{"reference":"urn:uuid:1","x":1.00}],"b":"urn:uuid:1","reference":"Patient/1"}"#;
        let mut resolve = |text: &str| Ok((text == "urn:uuid:1").then(|| "Device/7".to_owned()));
        let expected =
            r#"{"a":[{"reference":"Device/7","x":1.00}],"b":"urn:uuid:1","reference":"Patient/1"}"#;
        assert_eq!(rewrite_references(sent, &mut resolve).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn every_digit_survives(digits in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?") {
            let sent = format!("{{\"resourceType\":\"Observation\",\"value\":{digits}}}");
            let expected = format!("\"value\":{digits}}}");
            prop_assert!(stamp(&sent, "1", 1, "t").unwrap().ends_with(&expected));
            let rewritten = rewrite_references(&sent, &mut |_| Ok(None)).unwrap();
            prop_assert!(rewritten.ends_with(&expected));
        }
    }
}
