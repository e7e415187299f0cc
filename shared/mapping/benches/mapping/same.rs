//! Whether two JSON texts say the same: members in any order, numbers by their exact value.

use std::collections::BTreeMap;

use ohx_domain::decimal::parse_json_number;
use serde_json::value::RawValue;

/// Panics where they do not.
pub(crate) fn assert_same(a: &str, b: &str) {
    assert!(same(a, b), "not the same:\n{a}\n{b}");
}

fn same(a: &str, b: &str) -> bool {
    fn members(text: &str) -> BTreeMap<String, &RawValue> {
        serde_json::from_str(text).unwrap()
    }
    fn items(text: &str) -> Vec<&RawValue> {
        serde_json::from_str(text).unwrap()
    }
    match (a.as_bytes()[0], b.as_bytes()[0]) {
        (b'{', b'{') => {
            let (a, b) = (members(a), members(b));
            a.keys().eq(b.keys()) && a.values().zip(b.values()).all(|(a, b)| same(a.get(), b.get()))
        }
        (b'[', b'[') => {
            let (a, b) = (items(a), items(b));
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| same(a.get(), b.get()))
        }
        (b'-' | b'0'..=b'9', b'-' | b'0'..=b'9') => {
            let number = |text| parse_json_number(text).unwrap();
            number(a) == number(b)
        }
        _ => {
            let value = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
            value(a) == value(b)
        }
    }
}
