//! JSON pointers (RFC 6901) into texts whose digits are to stay as they are.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// What a pointer leads to. `None` where there is nothing, or null.
pub(super) fn find<'a>(raw: &'a RawValue, pointer: &str) -> Option<&'a RawValue> {
    let mut at = raw;
    for segment in pointer.split('/').skip(1) {
        let name = segment.replace("~1", "/").replace("~0", "~");
        at = match at.get().as_bytes().first()? {
            b'{' => {
                let fields: BTreeMap<Cow<'a, str>, &'a RawValue> = serde_json::from_str(at.get()).ok()?;
                fields.get(name.as_str()).copied()?
            }
            b'[' => {
                let items: Vec<&'a RawValue> = serde_json::from_str(at.get()).ok()?;
                items.get(name.parse::<usize>().ok()?).copied()?
            }
            _ => return None,
        };
    }
    Some(at).filter(|raw| raw.get() != "null")
}

/// A text as it is, a number by its digits.
pub(super) fn scalar(raw: &RawValue) -> Option<String> {
    match raw.get().as_bytes().first()? {
        b'"' => serde_json::from_str(raw.get()).ok(),
        b'0'..=b'9' | b'-' => Some(raw.get().to_owned()),
        _ => None,
    }
}

/// The scalar that a pointer leads to, without blanks around it; an empty one is none.
pub(super) fn text(raw: &RawValue, pointer: &str) -> Option<String> {
    let text = scalar(find(raw, pointer)?)?.trim().to_owned();
    Some(text).filter(|text| !text.is_empty())
}

/// A name that may stand in a record: short, printable.
pub(super) fn is_name(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.chars().count()) && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_leads_as_the_rfc_says_and_keeps_the_digits() {
        let text = r#"{"a/b": 1, "m~n": [{"x": 81.40}, null], "": {"y": "z"}, "e": "\u00e9"}"#;
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        let found = |pointer: &str| find(&raw, pointer).map(RawValue::get);
        assert_eq!(found(""), Some(text));
        assert_eq!(found("/a~1b"), Some("1"));
        assert_eq!(found("/m~0n/0/x"), Some("81.40"));
        assert_eq!(found("//y"), Some("\"z\""));
        for nothing in ["/m~0n/1", "/m~0n/2", "/m~0n/-", "/a~1b/c", "/nosuch", "/m~0n/x"] {
            assert_eq!(found(nothing), None, "{nothing}");
        }
        assert_eq!(super::text(&raw, "/e").as_deref(), Some("é"));
    }
}
