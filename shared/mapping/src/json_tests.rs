//! The reader, held against `serde_json`.

use proptest::prelude::*;
use serde_json::Value;

use super::reader::{marks, no_digits};
use super::*;

/// The same value, by way of `serde_json`'s types.
fn as_value(node: &Node<'_>) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Bool(b) => Value::Bool(*b),
        Node::Number(text) => serde_json::from_str(text).unwrap(),
        Node::Text(text) => Value::String(text.to_string()),
        Node::Array(items) => items.iter().map(as_value).collect(),
        Node::Object(members) => {
            Value::Object(members.iter().map(|(n, v)| (n.to_string(), as_value(v))).collect())
        }
    }
}

/// Both readers read it alike, or both refuse it.
fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    match (Node::parse(bytes), serde_json::from_slice::<Value>(bytes)) {
        (Ok(ours), Ok(theirs)) => prop_assert_eq!(as_value(&ours), theirs),
        (Ok(_), Err(e)) => prop_assert!(e.to_string().starts_with("number out of range"), "accepted: {e}"),
        (Err(ours), Ok(_)) => prop_assert!(ours.what.starts_with("nested deeper"), "refused: {}", ours.what),
        (Err(_), Err(_)) => {}
    }
    Ok(())
}

pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z0-9.-]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec(("[a-z\"\\\\é]{0,4}", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

#[test]
fn numbers_keep_their_text() {
    for text in ["72.10", "-0", "0.000", "1e3", "7.210E+1", "123456789012345678901234567890", "1e999"] {
        assert!(Node::parse(text.as_bytes()).unwrap() == Node::Number(text.into()), "{text}");
    }
}

#[test]
fn what_is_no_json_is_refused_with_its_position() {
    let cases: &[(&[u8], usize)] = &[
        (b"", 0),
        (b"  ", 2),
        (b"01", 1),
        (b"-", 1),
        (b"1.", 2),
        (b"1e", 2),
        (b"+1", 0),
        (b"[1,]", 3),
        (b"[1 2]", 3),
        (b"{\"a\" 1}", 5),
        (b"{a:1}", 1),
        (b"{\"a\":1,}", 7),
        (b"\"a\nb\"", 2),
        (b"\"\\x\"", 2),
        (b"\"\\u12\"", 3),
        (b"\"\\ud800\"", 7),
        (b"\"\\udc00\"", 7),
        (b"nul", 0),
        (b"null x", 5),
        (b"\"a\xff\"", 2),
    ];
    for (bytes, at) in cases {
        let error = Node::parse(bytes).err().unwrap();
        assert_eq!(error.at, *at, "{:?}: {}", String::from_utf8_lossy(bytes), error.what);
        assert!(serde_json::from_slice::<Value>(bytes).is_err());
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(Node::parse(nested(MAX_DEPTH).as_bytes()).is_ok());
    assert!(Node::parse(nested(MAX_DEPTH + 1).as_bytes()).is_err());
    assert!(Node::parse("[".repeat(1_000_000).as_bytes()).is_err());
}

#[test]
fn the_last_of_a_repeated_name_counts() {
    let node = Node::parse(br#"{"a":1,"a":2}"#).unwrap();
    assert!(node.get("a").unwrap() == &Node::Number("2".into()));
}

proptest! {
    #[test]
    fn reads_what_serde_json_writes(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        agree(text.as_bytes())?;
        prop_assert!(Node::parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn judges_broken_text_as_serde_json_does(value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = serde_json::to_vec(&value).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        agree(&bytes)?;
        agree(&bytes[..at])?;
    }

    #[test]
    fn judges_any_text_as_serde_json_does(text in r#"[\[\]{}",:0-9.eE+\-\\u dDcC/bfnrtalsu\n]{0,24}"#, bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        agree(text.as_bytes())?;
        agree(&bytes)?;
    }

    #[test]
    fn written_strings_are_read_back(text in any::<String>()) {
        let mut out = String::new();
        write_string(&mut out, &text);
        prop_assert!(Node::parse(out.as_bytes()).unwrap() == Node::Text(text.clone().into()));
        prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
    }

    #[test]
    fn eight_bytes_are_judged_as_one_by_one(mut bytes in prop::array::uniform8(any::<u8>()), few in prop::array::uniform8(r#"["\\\x00-\x21/09:~\x7f]"#), from in 0..8_usize) {
        // Half of the words have many bytes that matter, or nearly do.
        for (byte, other) in bytes.iter_mut().zip(&few).skip(from) {
            *byte = other.as_bytes()[0];
        }
        let word = u64::from_le_bytes(bytes);
        let first = |found: u64| found.trailing_zeros() as usize / 8;
        let stops = |b: &u8| *b == b'"' || *b == b'\\' || *b < 0x20;
        prop_assert_eq!(first(marks(word)), bytes.iter().position(stops).unwrap_or(8));
        let stops = |b: &u8| !b.is_ascii_digit();
        prop_assert_eq!(first(no_digits(word)), bytes.iter().position(stops).unwrap_or(8));
    }
}
